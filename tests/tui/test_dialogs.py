"""What all dialogs share: the screen that they are about is seen around them, dimmed, and goes on."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pyte
import pytest
from rich.console import Console
from textual._compositor import CompositorUpdate
from textual.color import Color
from textual.geometry import Region
from textual.screen import Screen
from textual.widgets import Static

from tests.tui.chart_runs import make_run
from tests.tui.gallery import QuietApp
from tests.tui.machine_helpers import emit, emit_steps, live_run
from tests.tui.test_screens import screen_text, until
from tui.screens.confirm import ConfirmScreen
from tui.screens.monitor import MonitorScreen
from tui.screens.stop_at import StopAtScreen, StopPlan
from tui.terminal_output import Pieces, frugal
from tui.themes import contrast


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "home" / "settings.toml"))
    monkeypatch.setenv("NSMC_TUI_COLOURS", "truecolor")


class WatchedApp(QuietApp):
    """Remembers what it sent to the terminal."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sent: list[Any] = []

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        self.sent.append(renderable)
        super()._display(screen, renderable)


def prominence(app: QuietApp, text: str) -> float:
    """How well the letters of `text` stand out from their ground."""
    for strip in app.screen._compositor.render_strips(app.size):
        for segment in strip:
            if text in segment.text and segment.style is not None:
                assert segment.style.color is not None
                assert segment.style.bgcolor is not None
                return contrast(
                    Color.from_rich_color(segment.style.color), Color.from_rich_color(segment.style.bgcolor)
                )
    raise AssertionError(text)


@pytest.mark.parametrize("theme", ["nsmc-dark", "nsmc-light"])
async def test_the_screen_below_is_dimmed_and_goes_on(tmp_path: Path, theme: str) -> None:
    make_run(tmp_path / "runs", "watched", metrics={"test_accuracy": 0.8912})
    app = WatchedApp(tmp_path / "runs")
    app.theme = theme
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "0.8912" in screen_text(app))
        below, before = app.screen, prominence(app, "0.8912")
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and "0.8912" in screen_text(app))
        assert 1.5 < prominence(app, "0.8912") < 0.6 * before
        assert prominence(app, "Archive") > 0.9 * before
        app.sent.clear()
        for text in ("something", "something new"):
            below.query_one("#summary", Static).update(text)
            await until(pilot, lambda: text in screen_text(app))  # noqa: B023
        # Of a dialog's picture, as of any other, no more than the changed lines; those whole, as letters are wide.
        updates = [update for update in app.sent if update is not None]
        assert {type(update) for update in updates} == {Pieces}
        assert any(1 in update.pieces for update in updates)
        for update in updates:
            assert {sum(end - first for first, end, _segments in line) for line in update.pieces.values()} <= {80}
        await pilot.resize_terminal(120, 30)
        await until(
            pilot, lambda: screen_text(app).splitlines()[0].rstrip().endswith("runs") and below.has_class("-medium")
        )
        await pilot.press("n")
        await until(pilot, lambda: app.screen is below and prominence(app, "0.8912") == before)


class TerminalApp(WatchedApp):
    """Has a terminal that shows what was sent."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.terminal = pyte.Screen(120, 40)
        self._stream = pyte.Stream(self.terminal)
        self._wire = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=120, height=40)

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate):
            self._stream.feed(frugal(renderable, self._terminal).render_segments(self._wire))
        super()._display(screen, renderable)

    @property
    def shown(self) -> list[str]:
        """The terminal's lines; the second cell of a wide letter has none."""
        return [line.rstrip() for line in self.terminal.display]


async def test_of_a_live_run_below_only_cells_that_changed_are_sent(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    emit_steps(run, 60)
    app = TerminalApp(tmp_path, run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and "412 reviews/s" in screen_text(app))
        below = app.screen
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, StopAtScreen) and "Planned" not in screen_text(app))
        await until(pilot, lambda: "Nothing is planned" in "\n".join(app.shown))
        app.sent.clear()
        # Textual has the screen below drawn once more when another one comes over it: that changes nothing.
        below.refresh()
        emit(run, "step", step=1201, max_steps=4688, loss=0.3, samples_per_second=501.0, eta=60.0)
        await until(pilot, lambda: "501 reviews/s" in screen_text(app))
        await until(pilot, lambda: not app.screen._dirty_widgets)
        assert app.shown == [line.rstrip() for line in screen_text(app).split("\n")]
        assert {type(update) for update in app.sent if update is not None} == {Pieces}


async def test_what_changes_in_the_dialog_is_drawn_although_something_below_changes_just_then(tmp_path: Path) -> None:
    app = TerminalApp(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "No runs yet" in screen_text(app))
        below = app.screen
        app.push_screen(StopAtScreen(StopPlan(10, 100)))
        await until(pilot, lambda: "Nothing is planned" in "\n".join(app.shown))
        dialog, text = app.screen, app.screen.query_one("#now", Static)
        text.update("It has changed.", layout=False)
        while text not in dialog._dirty_widgets:
            await asyncio.sleep(0)
        # Before the dialog's turn to draw has come.
        below._compositor._dirty_regions.add(Region(0, 1, 120, 1))
        below._compositor_refresh()
        await until(pilot, lambda: "It has changed." in "\n".join(app.shown))


@pytest.mark.parametrize("plain", [False, True])
async def test_on_a_palette_without_grounds_a_line_is_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    monkeypatch.setenv("NSMC_TUI_ASCII", str(int(plain)))
    app = QuietApp(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(ConfirmScreen("Really?"))
        await until(pilot, lambda: "Really?" in screen_text(app))
        corners = "+" if plain else "╭╮╰╯"
        assert not set(corners) & set(screen_text(app))
        commands = {command.title: command.callback for command in app.get_system_commands(app.screen)}
        commands["Number of colours"]()
        commands["Number of colours"]()
        await until(pilot, lambda: set(corners) <= set(screen_text(app)))
        assert not plain or "─" not in screen_text(app)
