"""A run that is drawn seldom is read as seldom, unless something other than another step has happened."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from core.runs import read_status, write_status
from tests.tui.chart_runs import make_run, step_event, write_events
from tui import feed as feeds
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


def take_until(feed: RunFeed, told: threading.Event, done: int) -> None:
    """Take what the thread finds until the run has done so many steps."""
    while feed.telemetry.progress.done != done:
        assert told.wait(60)
        told.clear()
        while feed.take():
            pass


def test_whoever_comes_back_is_not_left_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread rests between its looks, for ever here, until somebody hurries it."""
    monkeypatch.setattr(feeds, "LOOK_EVERY", 3600.0)
    monkeypatch.setattr(feeds, "LOOK_SELDOM", 3600.0)
    run = make_run(tmp_path, "back", state="running", steps=10)
    write_events(run, [step_event(1, 100)])
    feed = RunFeed(run)
    told = threading.Event()
    feed.start(told.set)
    try:
        take_until(feed, told, 1)
        feed.patience = 3600.0
        write_events(run, [step_event(2, 100)])
        feed.hurry(7200.0)
        assert feed.patience == 3600.0
        feed.hurry()
        take_until(feed, told, 2)
    finally:
        feed.close()
