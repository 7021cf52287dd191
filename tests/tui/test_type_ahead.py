"""Keys that come in one piece, as after a stall of the line, do what they do when they are typed one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events

from core.i18n import set_language
from tests.tui.review_helpers import QuickInspector, app_on, make_run, until
from tui.app import NsmcTuiApp
from tui.key_path import way_is_free
from tui.screens.new_run import NewRunScreen
from tui.screens.review import ReviewScreen
from tui.screens.runs import RunsScreen
from tui.widgets.config_form import ConfigForm
from tui.widgets.review_list import ReviewList


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.chdir(tmp_path)
    set_language("en")


def send(app: NsmcTuiApp, *keys: str) -> None:
    """All at once; a word is typed letter by letter."""
    for name in keys:
        special = "+" in name or name in {"enter", "down", "escape", "slash"}
        for letter in [name] if special else name:
            app.post_message(events.Key(letter, None if special else letter))


async def test_a_value_typed_ahead_reaches_the_field(tmp_path: Path) -> None:
    app = NsmcTuiApp(tmp_path / "runs", screen="new")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen) and app.screen.query_one(ConfigForm).has_focus)
        screen = app.screen
        assert isinstance(screen, NewRunScreen)
        send(app, "enter", "ctrl+u", "sample", "enter", "down", "enter", "ctrl+u", "64", "enter")
        await until(pilot, lambda: screen.model.text("data.max_length") == "64")
        assert screen.model.text("data.source") == "sample"
        assert screen.query_one(ConfigForm).has_focus


async def test_keys_typed_ahead_reach_a_screen_that_is_still_coming(tmp_path: Path) -> None:
    app = NsmcTuiApp(tmp_path / "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.is_mounted)
        send(app, "t", "enter", "ctrl+u", "sample", "enter")
        await until(
            pilot,
            lambda: isinstance(app.screen, NewRunScreen) and app.screen.model.text("data.source") == "sample",
        )
        send(app, "escape", "escape")
        await until(pilot, lambda: not isinstance(app.screen, NewRunScreen))


async def test_what_is_pasted_after_a_key_reaches_the_field(tmp_path: Path) -> None:
    app = NsmcTuiApp(tmp_path / "runs", screen="new")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen) and app.screen.query_one(ConfigForm).has_focus)
        screen = app.screen
        assert isinstance(screen, NewRunScreen)
        send(app, "enter", "ctrl+u")
        app.post_message(events.Paste("sample"))
        send(app, "enter")
        await until(pilot, lambda: screen.model.text("data.source") == "sample")


async def test_a_key_goes_the_short_way_only_where_it_overtakes_nothing(tmp_path: Path) -> None:
    app = app_on(make_run(tmp_path / "runs"), QuickInspector())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.query_one(ReviewList).has_focus)
        screen = app.screen
        assert isinstance(screen, ReviewScreen)
        await pilot.pause()
        assert way_is_free(app)
        screen.post_message(ReviewList.Opened())
        assert not way_is_free(app)
        await until(pilot, lambda: way_is_free(app))
        assert screen.session is not None
        # The verdict is about the review that the key before it went to.
        first, second = (screen.session.review_id(int(row)) for row in screen.session.queue[:2])
        send(app, "escape", "down", "s", "slash", "x")
        await until(pilot, lambda: screen.session.search == "x")
        assert screen.session.log is not None
        assert screen.session.log.shown(second).verdict == "sarcasm"
        assert screen.session.log.shown(first).empty
        # Somebody types.
        assert not way_is_free(app)


async def test_a_key_right_after_one_on_the_short_way_waits_for_what_that_one_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.key_path.SOON", 60.0)
    app = NsmcTuiApp(tmp_path / "runs", screen="new")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen) and app.screen.query_one(ConfigForm).has_focus)
        screen = app.screen
        assert isinstance(screen, NewRunScreen)
        await pilot.pause()
        assert way_is_free(app)
        await app.on_event(events.Key("down", None))
        await until(pilot, lambda: app.settled and way_is_free(app))
        await app.on_event(events.Key("enter", None))
        assert not app.settled
        send(app, "ctrl+u", "64", "enter")
        await until(pilot, lambda: screen.model.text("data.max_length") == "64")
