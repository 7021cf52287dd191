"""What the form for a new run looks like: as it opens, with a value that cannot be, with paths that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from core.i18n import set_language
from tests.tui.gallery import QuietApp, hang
from tests.tui.test_new_run import type_value, until
from tui.screens.help import HelpScreen
from tui.screens.new_run import NewRunScreen
from tui.widgets.config_form import ConfigForm

LONG_PATH = "/data/아주/긴/경로/" + "naver-sentiment-movie-corpus-v1.0/" * 4 + "ratings"


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_how_the_form_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion, language: str
) -> None:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.chdir(tmp_path)
    set_language(language)
    app = QuietApp(tmp_path / "runs", screen="new")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen) and app.screen._facts is not None)
        screen = app.screen
        assert isinstance(screen, NewRunScreen)
        await until(pilot, lambda: screen.query_one(ConfigForm).has_focus)
        screen.model.set_text("model.preset", "tiny")
        screen.model.set_text("launch.device", "cpu")
        screen.model.set_text("data.source", "sample")
        screen.refresh_all()
        await until(pilot, lambda: screen._facts is not None and screen._facts[0].data.source == "sample")
        await hang(pilot, "usual", snapshot, lambda text: "sample" in text, tmp_path)
        await type_value(pilot, screen, "train.learning_rate", "fast")
        await pilot.press("enter")
        await hang(pilot, "failed", snapshot, lambda text: "'fast'" in text, tmp_path)
        await pilot.press("escape")
        screen.query_one(ConfigForm).go_to("data.source")
        screen.model.set_text("data.source", LONG_PATH)
        screen.refresh_all()
        await until(pilot, lambda: screen.model.problem("data.source") is not None)
        await hang(pilot, "very long", snapshot, lambda text: "naver-sentiment" in text, tmp_path)
        await pilot.press("slash", *"zzzz")
        await until(pilot, lambda: screen._query == "zzzz")
        await hang(pilot, "empty", snapshot, lambda text: "zzzz" in text, tmp_path)
        await pilot.press("escape", "question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await hang(pilot, "help", snapshot, lambda text: "ctrl+r" in text)
