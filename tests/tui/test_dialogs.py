"""What all dialogs share: the screen that they are about is seen around them, dimmed, and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.color import Color
from textual.screen import Screen
from textual.widgets import Static

from tests.tui.chart_runs import make_run
from tests.tui.gallery import QuietApp
from tests.tui.test_screens import screen_text, until
from tui.screens.confirm import ConfirmScreen
from tui.terminal_output import Pieces
from tui.themes import contrast


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "home" / "settings.toml"))
    monkeypatch.setenv("NSMC_TUI_COLOURS", "truecolor")


class WatchedApp(QuietApp):
    """Remembers what it sent to the terminal."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
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
        # What opening the dialog still sends is a picture of all.
        told = -1
        while told != len(app.sent):
            told = len(app.sent)
            await pilot.pause(0.3)
        app.sent.clear()
        for text in ("something", "something new"):
            below.query_one("#summary", Static).update(text, layout=False)
            await until(pilot, lambda: text in screen_text(app))  # noqa: B023
        # A change below is drawn in whole lines: it might end in the middle of a wide letter of the dialog.
        changes = [update for update in app.sent if isinstance(update, Pieces) and update.pieces]
        assert changes
        for change in changes:
            assert {sum(end - first for first, end, _segments in line) for line in change.pieces.values()} == {80}
        await pilot.resize_terminal(120, 30)
        await until(
            pilot, lambda: screen_text(app).splitlines()[0].rstrip().endswith("runs") and below.has_class("-medium")
        )
        await pilot.press("n")
        await until(pilot, lambda: app.screen is below and prominence(app, "0.8912") == before)


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
