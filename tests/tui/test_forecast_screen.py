"""The form's forecast: what it looks like, the real one of a small run, and that leaving it leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from syrupy.assertion import SnapshotAssertion

from core import config_file
from core.errors import NsmcTuiError
from core.forecast import Caution, DataFigures, Disk, Forecast, LengthRow, Memory, Parameters, Seconds, Steps
from core.i18n import set_language
from tests.tui.gallery import QuietApp, hang
from tests.tui.machine_helpers import letters
from tests.tui.test_new_run import form
from tests.tui.test_screens import screen_text, until
from tui.screens.forecast import Forecasted, ForecastScreen, Progressed
from tui.screens.new_run import NewRunScreen

GIB, MIB = 1 << 30, 1 << 20
SPLITS = {"train": 142_500, "dev": 7_500, "test": 50_000}
MADE = Forecast(
    Parameters(278_045_186, 278_045_186),
    DataFigures(
        142_500,
        SPLITS,
        128,
        3_181_204,
        3_243_900,
        0.0193,
        285,
        0.002,
        0.0004,
        0.62,
        (LengthRow(128, 0.002, 3_181_204),),
    ),
    Steps(4454, 4454, 4454, 500, 32.0, 1, 1, 1, 32.0),
    Memory("gpu0", 1112 * MIB, 1112 * MIB, 2224 * MIB, 11 * GIB, 12 * GIB, 13 * GIB, 24 * GIB, 24 * GIB, True),
    Seconds(0.071, 60, 12.0, 316.0, 21.0, 9.0, 25.0, 383.0, 9, 9),
    Disk(3336 * MIB, 3, 11 * GIB, 55 * GIB, "/data/runs"),
)
TIGHT = MADE.with_warnings(
    [
        Caution("memory", "the run needs 26.0 GB of memory, 11.2 GB are free on gpu0", "Lower the batch. " * 12),
        Caution("disk", "checkpoints and model need 11.0 GB, 2.0 GB are free in " + "/data/아주/긴/경로" * 6),
    ]
)


class FixedForecast(ForecastScreen):
    """Tries no steps."""

    def _forecast(self) -> None:  # type: ignore[override]
        """Nothing is tried."""


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("NSMC_TUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_pictures(tmp_path: Path, snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    app = QuietApp(tmp_path / "runs", screen="new")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen) and app.screen._facts is not None)
        app.push_screen(FixedForecast(config_file.validate({}), tmp_path))
        await until(pilot, lambda: isinstance(app.screen, ForecastScreen))
        for name, told in (
            ("loading", Progressed("probing", 12, 60)),
            ("usual", Forecasted(MADE)),
            ("failed", Forecasted(error=NsmcTuiError("GPU memory ran out", "Lower the batch."))),
            ("very long", Forecasted(TIGHT)),
        ):
            app.screen.post_message(told)
            await hang(pilot, name, snapshot, str.strip, tmp_path)


async def test_no_letter_is_lost_where_a_line_is_full(tmp_path: Path) -> None:
    set_language("ko")
    app = QuietApp(tmp_path / "runs", screen="new")
    async with app.run_test(size=(60, 48)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen) and app.screen._facts is not None)
        app.push_screen(FixedForecast(config_file.validate({}), tmp_path))
        await until(pilot, lambda: isinstance(app.screen, ForecastScreen))
        app.screen.post_message(Forecasted(MADE))
        told = "약6분:시작12초,학습5분,중간평가21초,저장9초,최종평가25초"
        for width in range(60, 84):
            await pilot.resize_terminal(width, 48)
            await until(pilot, lambda: app.screen.size.width == width)  # noqa: B023
            await until(pilot, lambda: told in "".join(letters(app, "VerticalScroll").split()))


async def test_what_the_form_describes_is_forecast(tmp_path: Path) -> None:
    async with form(tmp_path) as (pilot, screen):
        for key, text in (("model.preset", "tiny"), ("data.source", "sample"), ("launch.device", "cpu")):
            screen.model.set_text(key, text)
        screen.model.set_text("train.num_train_epochs", "1")
        screen.refresh_all()
        app = pilot.app
        # While something is typed it is a letter.
        await pilot.press("slash", "f")
        assert screen._query == "f"
        await pilot.press("escape", "f")
        await until(pilot, lambda: isinstance(app.screen, ForecastScreen))
        await until(pilot, lambda: "s a step, from" in screen_text(app))
        text = screen_text(app)
        assert "about" in text
        assert "needed at the longest batches" in text
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        assert not list((tmp_path / "runs").glob("*"))


async def test_one_that_is_left_takes_its_process_with_it(tmp_path: Path) -> None:
    async with form(tmp_path) as (pilot, screen):
        screen.model.set_text("model.preset", "tiny")
        screen.model.set_text("data.source", "sample")
        before = {child.pid for child in psutil.Process().children()}
        await pilot.press("f")
        await until(pilot, lambda: {child.pid for child in psutil.Process().children()} > before)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen)
        await until(pilot, lambda: {child.pid for child in psutil.Process().children()} <= before)
        assert not list((tmp_path / "cache").glob("forecast-*"))


async def test_settings_that_cannot_be_are_told_where_they_stand(tmp_path: Path) -> None:
    async with form(tmp_path) as (pilot, screen):
        screen.model.set_text("train.learning_rate", "fast")
        await pilot.press("f")
        await until(pilot, lambda: "fast" in screen_text(pilot.app))
        assert pilot.app.screen is screen
