"""What the terminal can show, and what the user says instead."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from rich.color import Color, ColorSystem
from textual.app import App, ComposeResult

from core.runs import create_run_dir, write_status
from core.settings import load_settings, save_setting
from tests.tui.review_helpers import QuickInspector, app_on, make_run, until
from tests.tui.test_screens import screen_text
from tui import colour_depth
from tui.app import NsmcTuiApp
from tui.cli.live_view import LiveView
from tui.colour_depth import ascii_of, depth_of
from tui.screens.review import ReviewScreen
from tui.terminal_wishes import ascii_wanted, wanted_depth, wants_ascii
from tui.widgets.prob_bar import ProbBar


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    file = tmp_path / "settings.toml"
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(file))
    return file


@pytest.mark.parametrize(
    ("environ", "setting", "depth"),
    [
        ({"TERM": "xterm-256color"}, None, None),
        ({"TERM": "dumb"}, None, "none"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, None, None),
        ({"TERM": "dumb"}, "256", "256"),
        ({"NSMC_TUI_COLOURS": "16"}, "256", "16"),
        ({"NSMC_TUI_COLOURS": "many"}, "none", "none"),
        ({}, "auto", None),
    ],
)
def test_who_decides_about_colours(environ: dict[str, str], setting: str | None, depth: str | None) -> None:
    assert wanted_depth(environ, setting) == depth


def test_who_decides_about_ascii() -> None:
    assert wants_ascii({}, True)
    assert not wants_ascii({"NSMC_TUI_ASCII": "0"}, True)
    assert wants_ascii({"NSMC_TUI_ASCII": "1"}, False)


def test_commands_ask_as_the_app_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save_setting("ascii", True)
    for wish, plain in ((None, True), ("0", False), ("1", True)):
        if wish is None:
            monkeypatch.delenv("NSMC_TUI_ASCII", raising=False)
        else:
            monkeypatch.setenv("NSMC_TUI_ASCII", wish)
        assert ascii_wanted() == ascii_of(NsmcTuiApp(tmp_path)) == plain
        run_dir = tmp_path / f"{wish}" / "run"
        run_dir.mkdir(parents=True)
        (run_dir / "status.json").write_text('{"state": "running", "phase": "training", "step": 1, "max_steps": 4}')
        assert ("━" not in LiveView(run_dir).picture(80, 24).plain) == plain


def test_the_terminal_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    systems = {
        ColorSystem.TRUECOLOR: "truecolor",
        ColorSystem.EIGHT_BIT: "256",
        ColorSystem.STANDARD: "16",
        ColorSystem.WINDOWS: "16",
        None: "none",
    }
    app = NsmcTuiApp(tmp_path)
    for system, depth in systems.items():
        monkeypatch.setattr(app.console, "_color_system", system)
        assert depth_of(app) == depth
    monkeypatch.setenv("NO_COLOR", "1")
    assert depth_of(NsmcTuiApp(tmp_path)) == "none"


@pytest.mark.parametrize("depth", colour_depth.DEPTHS)
def test_the_environment_overrules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, depth: str) -> None:
    monkeypatch.setenv("NSMC_TUI_COLOURS", depth)
    monkeypatch.setenv("NSMC_TUI_ASCII", "1")
    app = NsmcTuiApp(tmp_path)
    assert (depth_of(app), ascii_of(app)) == (depth, True)
    assert app.no_color == (depth == "none")


async def test_both_can_be_changed_while_it_runs_and_are_kept(tmp_path: Path, settings: Path) -> None:
    app = app_on(make_run(tmp_path), QuickInspector())
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None)
        strip = app.screen.attention.strip
        commands = {command.title: command.callback for command in app.get_system_commands(app.screen)}
        assert strip._pitch == 1
        commands["Number of colours"]()
        assert depth_of(app) == "256"
        commands["Number of colours"]()
        await until(pilot, lambda: strip._pitch == 2)
        assert load_settings()["colours"] == "16"
        commands["ASCII drawing"]()
        await until(pilot, lambda: app.has_class("-ascii"))
        assert load_settings()["ascii"] is True
        # Another look is no other theme.
        assert load_settings()["theme"] is None
        commands["Number of colours"]()
        commands["Number of colours"]()
        await until(pilot, lambda: strip._pitch == 1 and depth_of(app) == "truecolor")


@pytest.mark.parametrize("plain", [False, True])
async def test_probabilities_are_drawn_without_block_characters_where_asked(plain: bool) -> None:
    bar = ProbBar()

    class BarApp(App[None]):
        def compose(self) -> ComposeResult:
            yield bar

    app = BarApp()
    colour_depth.set_ascii(app, plain)
    async with app.run_test(size=(60, 4)):
        bar.show((0.3, 0.7), label=0, pred=1)
        text = bar.render().plain
        assert text.isascii() == plain
        assert [line.split()[0] for line in text.split("\n")] == ["negative", "positive"]
        assert "0.700" in text


@pytest.mark.parametrize("theme", ["nsmc-dark", "nsmc-light"])
async def test_sixteen_colours_keep_apart_what_means_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theme: str
) -> None:
    # Also as Textual's own variable, which it reads before it knows our themes.
    monkeypatch.setenv("TEXTUAL_THEME", theme)
    monkeypatch.setenv("NSMC_TUI_COLOURS", "16")
    app = NsmcTuiApp(tmp_path)
    async with app.run_test():
        assert app.theme == theme
        names = ("background", "foreground", "error", "warning", "success", "accent", "block-cursor-background")
        colours = [Color.parse(app.theme_variables[name]).downgrade(ColorSystem.STANDARD).number for name in names]
        assert len(set(colours)) == len(names)
        colour_depth.set_depth(app, "truecolor")
        assert app.get_css_variables()["error"].lower() != "#aa0000"


async def test_signs_are_ascii_where_that_is_asked_for(tmp_path: Path) -> None:
    for state in ("running", "finished", "failed", "paused"):
        write_status(create_run_dir(tmp_path, state), {"v": 1, "state": state, "name": state, "updated": time.time()})
    app = NsmcTuiApp(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "✓ finished" in screen_text(app))
        colour_depth.set_ascii(app, True)
        await until(pilot, lambda: "+ finished" in screen_text(app))
        text = screen_text(app)
        assert [words for words in ("nsmc-tui > ", "x failed", "= paused", "> ") if words not in text] == []
        assert not set("✓✗†‖●▌›") & set(text)
