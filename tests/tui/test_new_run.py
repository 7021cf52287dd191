"""The New run screen by its keys, at the smallest and a large size, in both languages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from core import config_file
from core.control import send_order
from core.errors import NsmcTuiError
from core.i18n import set_language
from core.runs import FINAL_STATES, load_run, process_start
from tui.app import NsmcTuiApp
from tui.form_facts import count_lines
from tui.screens.new_run import NewRunScreen
from tui.widgets.config_form import ConfigForm
from tui.widgets.path_prompt import PathPrompt
from tui.widgets.setting_detail import SettingDetail

SIZES = [(80, 24), (160, 48)]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.delenv("TEXTUAL_THEME", raising=False)
    monkeypatch.chdir(tmp_path)
    set_language("en")


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 240) -> None:
    """Wait for a condition, not for a time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        await pilot.pause(0.02)


@asynccontextmanager
async def form(tmp_path: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[Pilot[None], NewRunScreen]]:
    """The app with the form open and settled."""
    app = NsmcTuiApp(tmp_path / "runs", screen="new")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen) and app.screen._facts is not None)
        screen = app.screen
        assert isinstance(screen, NewRunScreen)
        await until(pilot, lambda: screen.query_one(ConfigForm).has_focus)
        yield pilot, screen


async def type_value(pilot: Pilot[None], screen: NewRunScreen, key: str, text: str) -> None:
    """Go to a setting and type a value, without enter."""
    screen.query_one(ConfigForm).go_to(key)
    await pilot.press("enter")
    await until(pilot, lambda: screen.query_one(SettingDetail).editing)
    for character in text:
        await pilot.press(character)
    await until(pilot, lambda: screen.query_one("#editor", Input).value == text)


async def put(pilot: Pilot[None], screen: NewRunScreen, key: str, text: str) -> None:
    """Type a value and keep it."""
    await type_value(pilot, screen, key, text)
    await pilot.press("enter")
    await until(pilot, lambda: screen.model.text(key) == text and screen.query_one(ConfigForm).has_focus)


def shown(screen: NewRunScreen) -> str:
    """What stands on the screen, as text."""
    width, height = screen.size
    strips = screen._compositor.render_strips()
    assert len(strips) == height
    assert all(strip.cell_length == width for strip in strips)
    return "\n".join(strip.text for strip in strips)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["en", "ko"])
async def test_it_draws(tmp_path: Path, size: tuple[int, int], language: str) -> None:
    set_language(language)
    async with form(tmp_path, size) as (pilot, screen):
        text = shown(screen)
        for part in ("data.source", "train.learning_rate", "5e-5", "xlm-roberta-base", "ctrl+r"):
            assert part in text
        assert text.splitlines()[-1].strip(), "the footer is in view"
        await pilot.press("d")
        assert "train.learning_rate" not in shown(screen)


@pytest.mark.parametrize("size", SIZES)
async def test_edit_undo_reset(tmp_path: Path, size: tuple[int, int]) -> None:
    async with form(tmp_path, size) as (pilot, screen):
        await put(pilot, screen, "train.seed", "7")
        assert "← 42" in shown(screen)
        assert "1 changed" in shown(screen)
        await pilot.press("u")
        assert screen.model.text("train.seed") == "42"
        await pilot.press("ctrl+y")
        assert screen.model.text("train.seed") == "7"
        await pilot.press("r")
        assert screen.model.text("train.seed") == "42"
        await type_value(pilot, screen, "train.seed", "9")
        await pilot.press("escape")
        await until(pilot, lambda: screen.query_one(ConfigForm).has_focus)
        assert screen.model.text("train.seed") == "42"


@pytest.mark.parametrize("size", SIZES)
async def test_a_bad_value_is_explained_and_stays(tmp_path: Path, size: tuple[int, int]) -> None:
    async with form(tmp_path, size) as (pilot, screen):
        await type_value(pilot, screen, "train.learning_rate", "fast")
        await pilot.press("enter")
        detail = screen.query_one(SettingDetail)
        assert detail.editing
        assert screen.query_one("#editor", Input).value == "fast"
        assert "must be a number" in shown(screen)
        assert "esc" in shown(screen)
        # Starting with it keeps the text and goes to it.
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "train.learning_rate" in screen.model.errors)
        assert screen.query_one(ConfigForm).chosen == "train.learning_rate"
        assert screen.model.text("train.learning_rate") == "fast"
        assert "1 to mend" in shown(screen)
        assert not (tmp_path / "runs").exists()
        await pilot.press("r")
        assert screen.model.errors == {}


async def test_choices_and_switches(tmp_path: Path) -> None:
    async with form(tmp_path) as (pilot, screen):
        form_list = screen.query_one(ConfigForm)
        form_list.go_to("model.preset")
        await pilot.press("enter")
        await until(pilot, lambda: screen.query_one("#choices").has_focus)
        await pilot.press("j", "enter")
        await until(pilot, lambda: screen.model.text("model.preset") == "tiny")
        assert screen.model.text("model.name") == ""
        await until(pilot, lambda: form_list.has_focus)
        await pilot.press("l")
        await until(pilot, lambda: screen.model.text("model.preset") == "small")
        form_list.go_to("launch.stop_on_nan")
        await pilot.press("enter")
        await until(pilot, lambda: screen.model.text("launch.stop_on_nan") == "false")


@pytest.mark.parametrize("size", SIZES)
async def test_search_reaches_every_field(tmp_path: Path, size: tuple[int, int]) -> None:
    async with form(tmp_path, size) as (pilot, screen):
        await pilot.press("slash")
        await until(pilot, lambda: screen.query_one("#search").has_focus)
        await pilot.press(*"adam_beta1")
        await until(pilot, lambda: screen.query_one(ConfigForm).chosen == "train.adam_beta1")
        assert "train.learning_rate" not in shown(screen)
        await pilot.press("enter")
        await until(pilot, lambda: screen.query_one(ConfigForm).has_focus)
        await put(pilot, screen, "train.adam_beta1", "0.8")
        await pilot.press("escape")
        await until(pilot, lambda: not screen.query_one("#search").display)
        assert screen.query_one(ConfigForm).chosen == "train.adam_beta1"
        assert screen.model.config().train.extra == {"adam_beta1": 0.8}
        await pilot.press("d")
        assert [row.key for row in screen.query_one(ConfigForm).rows] == ["train.adam_beta1"]


async def test_korean_input_method(tmp_path: Path) -> None:
    async with form(tmp_path) as (pilot, screen):
        await put(pilot, screen, "train.seed", "7")
        before = screen.query_one(ConfigForm).cursor
        await pilot.press("ㅓ")
        await until(pilot, lambda: screen.query_one(ConfigForm).cursor == before + 1)
        await pilot.press("ㅕ")
        await until(pilot, lambda: screen.model.text("train.seed") == "42")


async def test_figures_and_warnings(tmp_path: Path) -> None:
    header = "id\tdocument\tlabel\n"
    (tmp_path / "ratings_train.txt").write_text(header + "1\ta\t0\n" * 400, encoding="utf-8")
    (tmp_path / "ratings_test.txt").write_text(header + "1\ta\t0\n" * 50, encoding="utf-8")
    assert count_lines(tmp_path / "ratings_train.txt") == 401
    async with form(tmp_path, (160, 48)) as (pilot, screen):
        screen.model.set_text("data.source", str(tmp_path))
        screen.refresh_all()
        await until(pilot, lambda: screen._facts is not None and screen._facts[1].train_rows == 400)
        await until(pilot, lambda: "train ≈380" in shown(screen))
        assert "never" in shown(screen)
        screen.model.set_text("data.source", "/no/such")
        screen.refresh_all()
        await until(pilot, lambda: "/no/such does not exist" in shown(screen))
        assert screen.model.problem("data.source") is not None


async def test_foreign_text_is_harmless(tmp_path: Path) -> None:
    nasty = "[bold][/x]\x1b]0;pwned\x07\t한"
    async with form(tmp_path, (160, 48)) as (pilot, screen):
        screen.model.set_text("launch.name", nasty)
        screen.model.set_text("train.learning_rate", nasty)
        screen.refresh_all()
        screen.query_one(ConfigForm).go_to("launch.name")
        await pilot.pause()
        text = shown(screen)
        assert "[bold][/x]␛]0;pwned␇␉" in text
        assert "\x1b" not in text
        screen.query_one(ConfigForm).go_to("train.learning_rate")
        await pilot.press("y")
        await pilot.pause()
        assert "\x1b" not in shown(screen)


async def test_save_and_load(tmp_path: Path) -> None:
    async with form(tmp_path) as (pilot, screen):
        await put(pilot, screen, "train.seed", "7")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: screen.query_one("#path").has_focus)
        assert screen.query_one("#path", Input).value == "./config.toml"
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "config.toml").is_file())
        assert config_file.load(tmp_path / "config.toml").train.seed == 7
        await until(pilot, lambda: not screen.query_one(PathPrompt).display)
        await put(pilot, screen, "train.seed", "8")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: screen.query_one("#path").has_focus)
        await pilot.press("x", "enter")
        await pilot.pause()
        assert screen.query_one(PathPrompt).display, "a path that does not work stays to be mended"
        await pilot.press("backspace", "enter")
        await until(pilot, lambda: screen.model.text("train.seed") == "7")
        assert screen.model.origin == "config.toml"
        await pilot.press("y")
        await until(pilot, lambda: "--set train.seed=7" in pilot.app.clipboard)


async def test_the_draft_waits(tmp_path: Path) -> None:
    async with form(tmp_path) as (pilot, screen):
        app = pilot.app
        await put(pilot, screen, "train.seed", "7")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not screen)
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))
        again = app.screen
        assert isinstance(again, NewRunScreen)
        await until(pilot, lambda: again.query_one(ConfigForm).has_focus)
        assert again.model.text("train.seed") == "7"
        await pilot.press("u")
        assert again.model.text("train.seed") == "42"


@pytest.mark.slow
async def test_start_for_real(tmp_path: Path) -> None:
    async with form(tmp_path) as (pilot, screen):
        app = pilot.app
        await put(pilot, screen, "data.source", "sample")
        screen.model.set_text("model.preset", "tiny")
        screen.model.set_text("train.max_steps", "5")
        # What is still being typed counts, and a second press changes nothing.
        await type_value(pilot, screen, "launch.name", "fromform")
        await pilot.press("ctrl+r", "ctrl+r")
        runs = tmp_path / "runs"
        await until(pilot, lambda: runs.is_dir() and any(runs.glob("*/config.toml")))
        await until(pilot, lambda: app.screen is not screen and type(app.screen).__name__ == "MonitorScreen")
        found = list(runs.iterdir())
        assert len(found) == 1
        assert found[0].name.endswith("-fromform")
        config = config_file.load(found[0] / "config.toml")
        assert (config.data.source, config.model.preset, config.train.max_steps) == ("sample", "tiny", 5)
        assert [type(each).__name__ for each in app.screen_stack][1:] == ["RunsScreen", "MonitorScreen"]
        run = load_run(found[0])
        assert run.pid is not None
        if run.state not in FINAL_STATES:
            assert process_start(run.pid) is not None
        try:
            send_order(found[0], "abort")
        except NsmcTuiError:
            assert load_run(found[0]).state in FINAL_STATES
        for _wait in range(1200):
            if load_run(found[0]).state in FINAL_STATES:
                break
            await asyncio.sleep(0.05)
        assert load_run(found[0]).state in FINAL_STATES


async def test_start_from_a_run(tmp_path: Path) -> None:
    run_dir = tmp_path / "20250101-000000-tiny-sample"
    run_dir.mkdir()
    config = config_file.validate({"data": {"source": "sample"}, "model": {"preset": "tiny"}, "train": {"seed": 3}})
    config.launch.name = "tiny-sample"
    config_file.save(config, run_dir / "config.toml")
    app = NsmcTuiApp(tmp_path / "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(app.screen_stack) == 2)
        app.action_new_run(run_dir)
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen) and app.screen._facts is not None)
        screen = app.screen
        assert isinstance(screen, NewRunScreen)
        assert screen.model.text("train.seed") == "3"
        assert screen.model.text("launch.name") == "", "a made-up name is made anew"
        assert run_dir.name in str(screen.query_one("#head", Static).render())
