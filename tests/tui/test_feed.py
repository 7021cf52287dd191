"""A run that is drawn seldom is read as seldom, unless something other than another step has happened."""

from __future__ import annotations

from pathlib import Path

from core.runs import read_status, write_status
from tests.tui.chart_runs import make_run, step_event, write_events
from tui.feed import RunFeed


def test_more_steps_wait_and_another_state_does_not(tmp_path: Path) -> None:
    run = make_run(tmp_path, "patient", state="running", steps=10)
    write_events(run, (step_event(step, 100) for step in range(1, 11)))
    feed = RunFeed(run)
    assert feed.poll()
    assert feed.telemetry.progress.done == 10

    feed.patience = 60.0
    write_events(run, [step_event(11, 100)])
    write_status(run, {**read_status(run), "step": 11})
    assert not feed.poll()
    assert feed.telemetry.progress.done == 10

    write_events(run, [step_event(12, 100)])
    write_status(run, {**read_status(run), "step": 12, "state": "paused"})
    assert feed.poll()
    assert feed.telemetry.progress.done == 12
    assert feed.run is not None
    assert feed.run.state == "paused"

    write_events(run, [step_event(13, 100)])
    assert not feed.poll()
    feed.patience = 0.0
    assert feed.poll()
    assert feed.telemetry.progress.done == 13


def test_a_run_that_ended_is_read_to_its_end_whatever_the_patience(tmp_path: Path) -> None:
    run = make_run(tmp_path, "ended", state="running", steps=10)
    feed = RunFeed(run)
    feed.patience = 60.0
    assert feed.poll()
    write_events(run, [step_event(11, 100)])
    write_status(run, {**read_status(run), "step": 11, "state": "finished"})
    assert feed.poll()
    # Its last lines may come later than its last state.
    write_events(run, [step_event(12, 100)])
    assert feed.poll()
    assert feed.telemetry.progress.done == 12
