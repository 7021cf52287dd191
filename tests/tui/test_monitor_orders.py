"""Monitor's keys while a run that was told to stop is still at it: the worker's side is the real one."""

from __future__ import annotations

import json
import os
from pathlib import Path

from core.orders import Orders
from core.recorder import Recorder
from core.runs import create_run_dir, process_start, write_status
from tests.tui.test_screens import screen_text, until
from tui.app import NsmcTuiApp
from tui.screens.help import HelpScreen
from tui.screens.monitor import MonitorScreen


def actions(run_dir: Path) -> list[str]:
    """The orders that were sent, oldest first."""
    return [json.loads(line)["action"] for line in (run_dir / "control.jsonl").read_text().splitlines()]


async def test_a_run_that_stops_is_not_aborted_by_pressing_the_key_again(tmp_path: Path) -> None:
    run_dir = create_run_dir(tmp_path, "live")
    me = os.getpid()
    write_status(run_dir, {"state": "running", "pid": me, "pid_start": process_start(me), "host": os.uname().nodename})
    recorder = Recorder(run_dir)
    recorder.set_state("running")
    orders = Orders(run_dir, recorder)
    app = NsmcTuiApp(tmp_path, run=run_dir)

    def footer() -> str:
        return screen_text(app).rstrip("\n").split("\n")[-1]

    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and "Stop+save" in footer())
        assert "Abort" not in footer()
        await pilot.press("s")
        await until(pilot, lambda: "Stop this run?" in screen_text(app))
        await pilot.press("y")
        # The worker is in the middle of a long step: its state says nothing yet.
        await until(pilot, lambda: "Abort" in footer())
        assert not any(word in footer() for word in ("Stop+save", "Evaluate now", "Pause"))
        await pilot.press("s")
        await until(pilot, lambda: any("is stopping already" in told.message for told in app._notifications))
        await pilot.press("v", "b", "z", "a")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert screen_text(app).count("End at once; nothing more is saved") == 1
        await pilot.press("escape")
        orders.take(7)
        assert recorder.state == "stopping"
        await until(pilot, lambda: "stop · taken at step 7" in screen_text(app))
        assert "Abort" in footer()
        assert actions(run_dir) == ["stop"]
        await pilot.press("A")
        await until(pilot, lambda: "Abort this run?" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: actions(run_dir) == ["stop", "abort"])
