"""Monitor and a real worker: orders carried out, a killed worker told as crashed and resumed, alerts sent."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from core import config_file
from core.launch import create_run, start_worker
from core.runs import load_run
from tests.conftest import SMALL_RUN
from tests.tui.test_screens import screen_text, until
from tui.app import NsmcTuiApp
from tui.screens.monitor import MonitorScreen
from tui.screens.resume import ResumeScreen
from tui.widgets.order_line import OrderLine

pytestmark = pytest.mark.slow


def order_line(app: NsmcTuiApp) -> str:
    region = app.screen.query_one(OrderLine).region
    return screen_text(app).split("\n")[region.y]


async def test_orders_crash_and_resume_on_the_screen(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = tmp_path / "sent.jsonl"
    settings = tmp_path / "settings" / "settings.toml"
    settings.parent.mkdir()
    settings.write_text(f"[alerts]\ncommand = \"sh -c 'cat >> {sent}; echo >> {sent}'\"\n")
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(settings))
    train = {**SMALL_RUN["train"], "num_train_epochs": 200, "eval_strategy": "no", "save_strategy": "no"}
    values = {**SMALL_RUN, "train": {**train, "load_best_model_at_end": False}}
    run_dir = create_run(config_file.validate(values), tmp_path / "runs")
    start_worker(run_dir)
    app = NsmcTuiApp(run_dir.parent, run=run_dir)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        await until(pilot, lambda: app.screen._feed.telemetry.last.get("step", 0) > 20)  # type: ignore[attr-defined]
        assert 0 <= app.screen._feed.telemetry.last["loader_stall"] <= 1  # type: ignore[attr-defined]
        await pilot.press("b")
        await until(pilot, lambda: "✓ save · checkpoint-" in order_line(app))
        await pilot.press("v")
        await until(pilot, lambda: "✓ evaluate · dev accuracy 0." in order_line(app))
        await pilot.press("z")
        await until(pilot, lambda: "✓ pause · paused" in order_line(app))
        await pilot.press("z")
        await until(pilot, lambda: "✓ continue · it goes on" in order_line(app))
        await pilot.press("d")
        await until(pilot, lambda: "it trains on the CPU" in screen_text(app))
        await pilot.press("d")

        pid = load_run(run_dir).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(pilot, lambda: "crashed" in screen_text(app).split("\n")[0])
        await until(pilot, lambda: [one.alert.code for one in app.alerts][-1:] == ["crashed"])

        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.screen, ResumeScreen) and "the last whole one" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: load_run(run_dir).live)
        await until(pilot, lambda: load_run(run_dir).state == "running")
        await pilot.press("s")
        await until(pilot, lambda: "Stop this run?" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: load_run(run_dir).state == "stopped")
        await until(pilot, lambda: "✓ stop · the run has ended: stopped" in order_line(app))
        await until(pilot, lambda: sent.exists() and '"stopped"' in sent.read_text())
    told = [json.loads(line) for line in sent.read_text().splitlines() if line.strip()]
    assert [one["code"] for one in told] == ["crashed", "stopped"]
    assert {one["path"] for one in told} == {str(run_dir)}
