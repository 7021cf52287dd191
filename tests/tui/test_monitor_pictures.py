"""What Monitor looks like in its states, as text: kept beside this file, to be read when it changes."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from core.i18n import set_language
from tests.tui.chart_runs import make_run, run_events, step_event, write_events
from tests.tui.picture import picture
from tests.tui.test_screens import until
from tui.app import NsmcTuiApp
from tui.screens.monitor import MonitorScreen
from tui.widgets.chart_grid import ChartGrid

SIZES = {"80x24": (80, 24), "160x48": (160, 48)}


@pytest.fixture(autouse=True)
def _same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def queued(runs: Path) -> Path:
    """A run whose worker has not said anything yet."""
    return make_run(runs, "watched", state="queued")


def finished(runs: Path) -> Path:
    """A run of 200 steps at rest."""
    path = make_run(runs, "watched", steps=200, metrics={"test_accuracy": 0.8912, "test_f1": 0.8899})
    write_events(path, run_events(200))
    # What is scored once is no line.
    metrics = {"test_accuracy": 0.8912, "test_f1": 0.8899, "test_loss": 0.271, "test_runtime": 12.5}
    write_events(path, [{"v": 1, "ts": 1.75e9 + 401, "type": "eval", "step": 200, "split": "test", "metrics": metrics}])
    # That there are some is all that Monitor asks of it.
    (path / "predictions-test.parquet").touch()
    return path


def failed(runs: Path) -> Path:
    """A run that ended with an error."""
    path = make_run(runs, "watched", state="failed", steps=60, error="loss is nan", hint="lower the learning rate")
    write_events(path, [step_event(step, 200, loss=None if step > 50 else 0.5) for step in range(1, 61)])
    failure = {"v": 1, "ts": 1.75e9, "type": "run_failed", "error": "nan_loss", "message": "loss is nan"}
    write_events(path, [{**failure, "hint": "lower the learning rate", "log": ""}])
    return path


def long(runs: Path) -> Path:
    """A run of very many steps."""
    path = make_run(runs, "watched", steps=24_000)
    write_events(path, run_events(24_000))
    return path


STATES = {"queued": queued, "finished": finished, "failed": failed, "long": long}


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", STATES)
async def test_monitor_looks_like_this(
    tmp_path: Path, state: str, size: str, language: str, snapshot: SnapshotAssertion
) -> None:
    set_language(language)
    runs = tmp_path / "runs"
    run = STATES[state](runs)
    app = NsmcTuiApp(runs, run=run)
    async with app.run_test(size=SIZES[size]) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and app.screen._feed.run is not None)
        feed, grid = app.screen._feed, app.screen.query_one(ChartGrid)
        await until(pilot, lambda: state == "queued" or len(feed.telemetry.steps) in (200, 60, 24_000))
        await until(pilot, lambda: not feed.behind and (grid.metrics or grid.message) and grid.sources)
        await until(pilot, lambda: all(drawing.complete for drawing in grid._drawn.values()))
        await until(pilot, lambda: app.machine_line)
        app.clear_notifications()
        await pilot.pause(0.4)
        seen = picture(app, colours=False).replace(str(run), "RUN")
        # The machine's figures and where the test lies are not the picture's.
        seen = re.sub(r" +CPU .*? GB", "  MACHINE", seen)
        seen = re.sub(r"/\S*(pytest|tmp)\S*( *\n *\S*worker\.log)?", "PATH", seen)
        # The log has tests of its own.
        seen = re.sub(r"^ \d\d:\d\d:\d\d .*$", " LOG", seen, flags=re.M)
        assert seen == snapshot
