"""What Review, the screens beside it and its dialogs look like: waiting, failed, usual; in both sizes and languages."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.widgets import Input, OptionList

from core import predictions
from core.decision import Decision
from core.i18n import set_language
from core.review_log import Opinion, ReviewLog
from tests.tui.fixed_answers import FixedInspector
from tests.tui.gallery import QuietApp, hang
from tests.tui.picture import picture
from tests.tui.review_helpers import REVIEWS, make_run
from tests.tui.test_screens import until
from tui.screens.apply_dialog import ApplyDialog
from tui.screens.base import BaseScreen
from tui.screens.export_dialog import ExportDialog
from tui.screens.filter_dialog import FilterDialog
from tui.screens.head_grid import HeadGridScreen
from tui.screens.methods import MethodsScreen
from tui.screens.model_picker import ModelPicker
from tui.screens.patterns import PatternsScreen
from tui.screens.review import ReviewScreen
from tui.screens.token_links import TokenLinksScreen
from tui.screens.two_models import TwoModelsScreen
from tui.screens.what_if import WhatIfScreen
from tui.widgets.review_list import ReviewList

OTHER = "20251231-235959-kcelectra-base-v2022-lr3e-5-bs64-epoch3-seed42"


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Paths on the screen are the same everywhere, and nobody's own settings count.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "home" / "settings.toml"))
    monkeypatch.setenv("NSMC_TUI_CACHE", str(tmp_path / "cache"))


def keep_waiting(file: Path) -> None:
    """Whoever opens `file` from now on waits."""
    file.unlink()
    os.mkfifo(file)


def let_go(file: Path) -> None:
    """`file` is there again, and no table; who waits finds nothing."""
    # To write and to read: this side waits for nobody. The next look finds a file.
    pipe = os.open(file, os.O_RDWR)
    file.unlink()
    file.write_bytes(b"not a table")
    os.close(pipe)


def app_with(run_dir: Path, screen: str, inspector: FixedInspector) -> QuietApp:
    """The app on a run that has (something like) a model."""
    (run_dir / "model").mkdir()
    (run_dir / "model" / "config.json").write_text("{}")
    app = QuietApp(run_dir.parent, run=run_dir, screen=screen)
    app._inspector = inspector  # type: ignore[assignment]
    return app


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_review(snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    run_dir, inspector = make_run(Path("runs")), FixedInspector()
    file = predictions.path_for(run_dir, "test")
    content = file.read_bytes()
    app = app_with(run_dir, "review", inspector)
    keep_waiting(file)
    async with app.run_test(size=(80, 24)) as pilot:
        try:
            await until(pilot, lambda: isinstance(app.screen, ReviewScreen))
            await hang(pilot, "loading", snapshot, lambda text: "…" in text)
        finally:
            let_go(file)
        await until(pilot, lambda: ".parquet" in picture(app, colours=False))
        app.show_run(run_dir, "review")
        await hang(pilot, "failed", snapshot, lambda text: ".parquet" in text and "lseek" not in text)
        file.write_bytes(content)
        inspector.gate.clear()
        app.show_run(run_dir, "review")
        await until(pilot, lambda: isinstance(app.focused, ReviewList))
        review: Any = app.screen
        await reading(pilot, app)
        await until(pilot, lambda: review._waiting_for is not None)
        await hang(pilot, "loading the model", snapshot, lambda text: "…" in text)
        inspector.broken = "its log says why"
        inspector.gate.set()
        await until(pilot, lambda: review._waiting_for is None)
        await reading(pilot, app)
        await hang(pilot, "model failed", snapshot, lambda text: "its log says why" in text)
        inspector.broken = ""
        await pilot.press("n", "p")
        await until(pilot, lambda: review.attention.heat is not None)
        await reading(pilot, app)
        await until(pilot, lambda: review.context._complete)
        await hang(pilot, "usual", snapshot, str.strip)


async def reading(pilot: Any, app: QuietApp) -> None:
    """The text alone, where there is room for one pane."""
    await pilot.resize_terminal(80, 24)
    await until(pilot, lambda: app.screen.size == (80, 24) and app.screen.has_class("-narrow"))
    if not app.screen.has_class("-reading"):
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.has_class("-reading"))


async def on_review(pilot: Any, app: QuietApp) -> Any:
    """Review with its heat, the text opened."""
    await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None)
    review = app.screen
    await pilot.press("enter")
    return review


async def beside(pilot: Any, app: QuietApp, key: str, screen: type[Any]) -> Any:
    """The screen that `key` opens."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, screen))
    return app.screen


async def back(pilot: Any, app: QuietApp, screen: BaseScreen) -> None:
    """To `screen` again."""
    await pilot.press("escape")
    await until(pilot, lambda: app.screen is screen)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_beside_review(snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    run_dir, inspector = make_run(Path("runs")), FixedInspector()
    shutil.copytree(run_dir, run_dir.with_name(OTHER))
    app = app_with(run_dir, "review", inspector)
    (run_dir.with_name(OTHER) / "model").mkdir()
    (run_dir.with_name(OTHER) / "model" / "config.json").write_text("{}")
    app.decisions.put(run_dir.with_name(OTHER), Decision(0.95, "dev", True))
    async with app.run_test(size=(80, 24)) as pilot:
        review = await on_review(pilot, app)
        await until(pilot, lambda: not review.context.is_on_screen or review.context._complete)
        screen = await beside(pilot, app, "i", WhatIfScreen)
        await pilot.press("right", "x", "right", "space")
        await until(pilot, lambda: screen.inspection is not None and screen.pane.heat is not None)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: screen.query_one(OptionList).option_count == 1)
        await hang(pilot, "what if", snapshot, str.strip)
        await pilot.press("i", "end", *" 강추")
        await until(pilot, lambda: screen.inspection is not None)
        await hang(pilot, "typing", snapshot, str.strip)
        await pilot.press("escape")
        await back(pilot, app, review)
        inspector.silent.add("deletion")
        screen = await beside(pilot, app, "M", MethodsScreen)
        await until(pilot, lambda: screen.agreement is not None and screen._progress)
        await hang(pilot, "methods waiting", snapshot, str.strip)
        inspector.silent.clear()
        inspector.gate.set()
        await until(pilot, lambda: screen.deletion is not None)
        await hang(pilot, "methods", snapshot, str.strip)
        await back(pilot, app, review)
        await hang_model_picker(pilot, app, snapshot)
        await until(
            pilot,
            lambda: isinstance(app.screen, TwoModelsScreen) and all(side.inspection for side in app.screen.sides),
        )
        await hang(pilot, "two models", snapshot, str.strip)
        await back(pilot, app, review)
        await beside(pilot, app, "T", TokenLinksScreen)
        await pilot.press("down", "down")
        await hang(pilot, "token to token", snapshot, str.strip)
        await back(pilot, app, review)
        screen = await beside(pilot, app, "o", HeadGridScreen)
        await hang(pilot, "heads", snapshot, str.strip)
        await pilot.press("o")
        await until(pilot, lambda: screen.stats is not None and screen.face != "maps")
        await hang(pilot, "heads as numbers", snapshot, str.strip)
        await back(pilot, app, review)


async def hang_model_picker(pilot: Any, app: QuietApp, snapshot: SnapshotAssertion) -> None:
    """Which other model; the only one is taken."""
    await beside(pilot, app, "C", ModelPicker)
    await hang(pilot, "which model", snapshot, lambda text: OTHER in text)
    await pilot.press("enter")


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_over_review(snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    run_dir = make_run(Path("runs"))
    ReviewLog(run_dir, "test", "kim").keep([("1005", Opinion("label_wrong", 0, ("알바",)))])
    app = app_with(run_dir, "review", FixedInspector())
    app.decisions.put(run_dir, Decision(0.625, "dev", True))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None)
        review = app.screen
        await beside(pilot, app, "F", FilterDialog)
        await pilot.press(*" -judged")
        await hang(pilot, "filter", snapshot, lambda text: "-judged" in text)
        await back(pilot, app, review)
        await beside(pilot, app, "A", ApplyDialog)
        await pilot.press("0")
        await hang(pilot, "apply", snapshot, str.strip)
        await back(pilot, app, review)
        # The command has the place of the runs in it.
        app.runs_dir = Path("/data/runs")
        dialog = await beside(pilot, app, "e", ExportDialog)
        dialog.query_one(Input).value = "/tmp"
        await hang(pilot, "export", snapshot, lambda text: "/tmp/" in text)
        await pilot.press(*["down"] * 6)
        await hang(pilot, "export of a page", snapshot, lambda text: "reviews.html" in text)
        await back(pilot, app, review)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_patterns(snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    long = "최고의영화라고생각했던사람들에게는정말로 " + "그런데말입니다아무도모르게[bold]" + "ㅋ" * 30 + " 끝"
    rows = [*REVIEWS, *((f"{long} {n}번째{n}리뷰", n % 2, 3.0 - n % 4) for n in range(40))]
    run_dir, inspector = make_run(Path("runs"), rows), FixedInspector()
    tags = ("아주긴태그이름을붙여보았습니다", "알바", "비꼼")
    ReviewLog(run_dir, "test", "kim").keep(
        [(str(1007 + n), Opinion("ambiguous", None, tags[: n % 4])) for n in range(9)]
    )
    file = predictions.path_for(run_dir, "test")
    content = file.read_bytes()
    app = app_with(run_dir, "review", inspector)
    app.decisions.put(run_dir, Decision(0.625, "dev", True))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.focused, ReviewList))
        keep_waiting(file)
        try:
            app.push_screen(PatternsScreen(run_dir))
            await until(pilot, lambda: isinstance(app.screen, PatternsScreen))
            await hang(pilot, "loading", snapshot, lambda text: "…" in text)
        finally:
            let_go(file)
        await until(pilot, lambda: ".parquet" in picture(app, colours=False))
        app.push_screen(PatternsScreen(run_dir))
        await hang(pilot, "failed", snapshot, lambda text: ".parquet" in text and "lseek" not in text)
        file.unlink()
        app.push_screen(PatternsScreen(run_dir))
        await hang(pilot, "empty", snapshot, lambda text: "4" in text and ".parquet" not in text)
        file.write_bytes(content)
        inspector.silent.add("head_stats")
        app.push_screen(PatternsScreen(run_dir))
        await until(pilot, lambda: isinstance(app.screen, PatternsScreen) and app.screen._progress is not None)
        await hang(pilot, "counting", snapshot, lambda text: " / " in text)
        inspector.silent.clear()
        inspector.gate.set()
        await until(pilot, lambda: app.screen.found is not None and not app.screen.busy)  # type: ignore[attr-defined]
        app.screen.found = two_days_old(app.screen.found)  # type: ignore[attr-defined]
        app.screen.show_about()  # type: ignore[attr-defined]
        await hang(pilot, "very long", snapshot, str.strip)
        await pilot.press("tab", "tab", "tab")
        await hang(pilot, "very long, slices", snapshot, str.strip)


def two_days_old(found: Any) -> Any:
    """As if it had been counted two days ago."""
    return replace(found, moment=time.time() - 200_000)
