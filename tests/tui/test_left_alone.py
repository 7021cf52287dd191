"""A live run on Monitor that nobody looks at takes next to nothing; a key or the mouse brings it back."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from textual.pilot import Pilot

import tui.app
from core.runs import read_status, write_status
from tests.tui.gallery import QuietApp
from tests.tui.machine_helpers import emit, emit_steps, live_run
from tests.tui.test_screens import screen_text, until
from tui import collecting
from tui import feed as feeds
from tui import pace as paces
from tui.screens.monitor import MonitorScreen

LONG = 1e6


class CountingApp(QuietApp):
    """Counts the looks at the machine."""

    looks = 0

    def _read_machine(self) -> None:
        self.looks += 1


@pytest.fixture
def for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put off while nobody looks is put off for longer than any test takes."""
    monkeypatch.setattr(paces, "LATER", LONG)
    monkeypatch.setattr(feeds, "LOOK_SELDOM", LONG / 2)
    monkeypatch.setattr(collecting, "_last_key", -math.inf)
    monkeypatch.setattr(tui.app, "MACHINE_FIRST", LONG)


async def left_alone(pilot: Pilot[None]) -> MonitorScreen:
    """Monitor, as if it had been left alone for days after its first picture."""
    await until(pilot, lambda: "1,200 / 4,688" in screen_text(pilot.app))  # type: ignore[arg-type]
    screen = pilot.app.screen
    assert isinstance(screen, MonitorScreen)
    screen._pace._looked = -math.inf
    screen._pace.usual = screen._feed.patience = LONG
    return screen


@pytest.mark.parametrize("way", ["key", "mouse"])
async def test_a_key_or_the_mouse_brings_it_back(tmp_path: Path, for_ever: None, way: str) -> None:
    run = live_run(tmp_path)
    emit_steps(run)
    app = CountingApp(tmp_path, run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await left_alone(pilot)
        emit(run, "step", step=1234, max_steps=4688, epoch=0.27, loss=0.3)
        looks, app._machine_at = app.looks, time.monotonic() - LONG / 2
        for _ in range(3):
            screen._look_around()
            app._look_around()
            await pilot.pause()
        assert app.looks == looks
        assert screen._feed.telemetry.progress.done == 1200
        await (pilot.press("right") if way == "key" else pilot.hover("#charts"))
        await until(pilot, lambda: app.looks > looks)
        await until(pilot, lambda: "1,234 / 4,688" in screen_text(app))


async def test_another_state_is_told_while_nobody_looks(
    tmp_path: Path, for_ever: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "LOOK_SELDOM", feeds.LOOK_EVERY)
    run = live_run(tmp_path)
    emit_steps(run)
    app = CountingApp(tmp_path, run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await left_alone(pilot)
        emit(run, "run_finished", state="stopped")
        write_status(run, {**read_status(run), "state": "stopped"})
        await until(pilot, lambda: "The run has ended" in "".join(note.message for note in app._notifications))
