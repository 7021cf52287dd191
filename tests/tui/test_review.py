"""Review, walked through with keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from textual.widgets import Input, Static

from core.attention import token_row, word_weights
from core.i18n import language, set_language
from core.text import visible
from tests.core.tiny_models import save_model
from tests.tui.review_helpers import NASTY, REVIEWS, QuickInspector, app_on, make_run, screen_text, until
from tui.app import NsmcTuiApp
from tui.screens.review import ReviewScreen
from tui.screens.review_in_view import Answered
from tui.widgets.heatmap import HeatMap
from tui.widgets.prompt_line import PromptLine
from tui.widgets.review_context import ReviewContext
from tui.widgets.review_list import ReviewList
from tui.widgets.spread_line import SpreadLine
from tui.widgets.token_strip import TokenStrip

WIDE, MEDIUM, SMALL = (160, 48), (120, 30), (80, 24)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("TEXTUAL_THEME", "nsmc-dark")
    before = language()
    set_language("en")
    yield
    set_language(before)


def review_of(app: NsmcTuiApp) -> ReviewScreen:
    screen = app.screen
    assert isinstance(screen, ReviewScreen)
    return screen


def line(app: NsmcTuiApp, name: str) -> str:
    return app.screen.query_one(f"#{name}", SpreadLine).plain


def opened(app: NsmcTuiApp) -> bool:
    return isinstance(app.screen, ReviewScreen) and app.screen.session is not None


def heated(app: NsmcTuiApp) -> bool:
    return opened(app) and review_of(app).attention.heat is not None


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("size", [WIDE, MEDIUM, SMALL])
async def test_from_the_list_to_the_attention_and_on(tmp_path: Path, size: tuple[int, int], lang: str) -> None:
    set_language(lang)
    inspector = QuickInspector()
    app = app_on(make_run(tmp_path), inspector)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: heated(app))
        screen = review_of(app)
        narrow = size == SMALL
        assert isinstance(app.focused, ReviewList)
        assert screen.detail.display != narrow
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.focused, HeatMap))
        text = screen_text(app)
        assert all(cell_len(row) == size[0] for row in text.split("\n"))
        assert "[CLS]" in line(app, "legend")
        assert "아니잖아" in text
        heat_map = app.screen.query_one(HeatMap)
        await pilot.press("right", "down")
        assert heat_map.cursor == (1, 1)
        await until(pilot, lambda: f"{heat_map.value:.3f}" in line(app, "map-title"))
        await pilot.press("n")
        await until(pilot, lambda: heated(app) and screen.session.position == 1)
        assert screen.detail.review.document == REVIEWS[5][0]
        assert isinstance(app.focused, HeatMap)
        assert [bar.id for bar in app.screen.query(".-here")] == ["map-title"]
        await pilot.press("p", "p")
        assert screen.session.position == 0
        # What comes next was asked for in advance.
        await until(pilot, lambda: inspector.prefetched == [REVIEWS[n][0] for n in (5, 2, 3)])
        await pilot.press("escape")
        if narrow:
            assert app.screen is screen
            assert isinstance(app.focused, ReviewList)
            assert not screen.detail.display
            await pilot.press("escape")
        await until(pilot, lambda: app.screen is not screen)


async def test_the_heat_is_the_row_of_the_classification_token(tmp_path: Path) -> None:
    app = app_on(make_run(tmp_path), QuickInspector())
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: heated(app))
        detail = review_of(app).detail
        attention = detail.inspection.attention
        places, count = detail.inspection.token_words, len(detail.inspection.words)
        # The last layer first, then the mean, then from 0.
        for layer, head, pressed in ((1, None, ""), (None, None, "l"), (0, None, "l"), (0, 0, "h"), (0, None, "H")):
            if pressed:
                await pilot.press(pressed)
            layers = slice(None) if layer is None else slice(layer, layer + 1)
            heads = slice(None) if head is None else slice(head, head + 1)
            matrix = attention[layers, heads].mean(axis=(0, 1))
            expected = word_weights(token_row(matrix, "cls", 0), places, count)
            np.testing.assert_allclose(detail.attention.heat.row, expected, atol=1e-6)
            assert f"layer {'mean' if layer is None else layer}" in line(app, "legend")
            assert f"head {'mean' if head is None else head}" in line(app, "legend")
        await pilot.press("w")
        assert len(detail.attention.heat.units) == len(detail.inspection.tokens) - 2
        assert "tokens" in line(app, "map-title")
        await pilot.press("Z", "Z")
        assert len(detail.attention.heat.units) == len(detail.inspection.tokens)
        assert "shown" in line(app, "scale")
        await pilot.press("m")
        assert "rollout" in line(app, "legend")
        before = detail.attention.choice
        await pilot.press("h")
        assert detail.attention.choice == before


async def test_filter_sort_and_search(tmp_path: Path) -> None:
    app = app_on(make_run(tmp_path))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        session = review_of(app).session
        assert line(app, "queue").startswith("errors 5 · test · sort loss ↓")
        assert line(app, "queue").endswith("1 of 5")
        await pilot.press("G")
        assert line(app, "queue").endswith("5 of 5")
        await pilot.press("home", "j", "j", "k", "f")
        assert line(app, "queue").startswith("FP 3 ·")
        await pilot.press("f")
        assert line(app, "queue").startswith("FN 2 ·")
        await pilot.press(*"fffff", "S")
        assert "sort confidence ↓" in line(app, "queue")
        await pilot.press("slash", *"movie")
        await until(pilot, lambda: "“movie” in 1" in line(app, "queue"))
        assert session.current.document == REVIEWS[3][0]
        # While one types, letters are letters.
        assert app.screen.query_one("#prompt", Input).value == "movie"
        await pilot.press("n", "o")
        await until(pilot, lambda: app.screen.has_class("-empty"))
        assert "movieno" in str(app.screen.query_one("#empty", Static).render())
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.has_class("-empty"))
        assert len(session) == 5
        assert isinstance(app.focused, ReviewList)
        await pilot.press("slash", *"ㅠㅠ", "enter")
        await until(pilot, lambda: session.search == "ㅠㅠ")
        await pilot.press("escape")
        assert session.search == ""


async def test_korean_letters_of_the_same_keys_work(tmp_path: Path) -> None:
    app = app_on(make_run(tmp_path))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        await pilot.press("ㅜ", "ㅜ")
        assert review_of(app).session.position == 2
        await pilot.press("ㅔ", "ㄹ")
        assert review_of(app).session.kind == "fp"


async def test_a_kind_can_be_asked_for_and_be_empty(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, REVIEWS[:2])
    app = app_on(run_dir)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: opened(app))
        app.show_run(run_dir, "review", push=True, kind="fn")
        await until(pilot, lambda: opened(app) and review_of(app).session.kind == "fn")
        text = screen_text(app)
        assert "There are no FN in test" in text
        await pilot.press(*"fffff")
        await until(pilot, lambda: not app.screen.has_class("-empty"))
        assert review_of(app).session.kind == "all"


@pytest.mark.parametrize(
    ("state", "said"), [("finished", "no predictions to review"), ("starting", "The run is still at work")]
)
async def test_without_predictions_it_says_what_would_fill_it(tmp_path: Path, state: str, said: str) -> None:
    run_dir = make_run(tmp_path, [], state=state)
    app = app_on(run_dir)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: said in screen_text(app))
        await pilot.press("n", "f", "l", "slash", "y")
        assert not app.screen.query_one(PromptLine).display
        # They appear by themselves.
        make_run(tmp_path / "other")
        source = tmp_path / "other" / run_dir.name / "predictions-test.parquet"
        source.rename(run_dir / source.name)
        await until(pilot, lambda: opened(app))


async def test_without_a_model_the_reviews_can_be_read(tmp_path: Path) -> None:
    app = app_on(make_run(tmp_path))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        assert "has no model yet" in line(app, "legend")
        await pilot.press("n", "l", "h", "m", "Z", "w")
        assert review_of(app).session.position == 1
        assert REVIEWS[5][0].split()[0] in screen_text(app)


async def test_while_the_model_loads_and_when_it_fails(tmp_path: Path) -> None:
    inspector = QuickInspector()
    inspector.gate.clear()
    app = app_on(make_run(tmp_path), inspector)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        text = screen_text(app)
        assert "loading the model…" in text
        assert "아니잖아" in text
        assert "0.953" in text
        # Reviews that fly by are not asked for, and what was asked for one is not shown for another.
        for step in (1, 1, 1, -1):
            review_of(app).action_step(step)
        inspector.broken = "line one\nand [bold]\x1b[31m"
        inspector.gate.set()
        await until(pilot, lambda: "the inspector [/x] broke" in screen_text(app))
        assert "and [bold]␛[31m" in screen_text(app)
        assert len(inspector.asked) <= 2
        inspector.broken = ""
        await pilot.press("n")
        await until(pilot, lambda: heated(app))
        detail = review_of(app).detail
        assert detail.inspection.text == detail.review.document


async def test_a_stale_answer_is_dropped(tmp_path: Path) -> None:
    inspector = QuickInspector()
    app = app_on(make_run(tmp_path), inspector)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: heated(app))
        screen = review_of(app)
        first = screen.detail.inspection
        await pilot.press("n")
        await until(pilot, lambda: heated(app))
        screen.post_message(Answered(screen.session.queue[0], first))
        await pilot.pause()
        assert screen.detail.inspection.text == REVIEWS[5][0]


@pytest.mark.parametrize("size", [WIDE, SMALL])
async def test_a_nasty_review_is_harmless(tmp_path: Path, size: tuple[int, int]) -> None:
    app = app_on(make_run(tmp_path, [(NASTY, 0, 2.0)]), QuickInspector())
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: heated(app))
        for keys in (("enter",), ("w",), ("Z",), ("Z",), ("m",)):
            await pilot.press(*keys)
            text = screen_text(app)
            assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text.replace("\n", ""))
            assert "\x1b" not in app.export_screenshot()
            assert all(cell_len(row) == size[0] for row in text.split("\n"))
        drawn = "".join(app.screen.query_one(TokenStrip).lines())
        assert visible(NASTY).replace(" ", "") in drawn.replace(" ", "")
        await pilot.press("y")
        assert app.clipboard == NASTY


async def test_fifty_thousand_rows_scroll(tmp_path: Path) -> None:
    rows = [(f"리뷰 {n} 별로예요", n % 2, 1.0 if n % 2 == 0 else -1.0) for n in range(50_000)]
    app = app_on(make_run(tmp_path, rows))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        await pilot.press("G")
        await until(pilot, lambda: line(app, "queue").endswith("50,000 of 50,000"))
        review_list = app.screen.query_one(ReviewList)
        await until(pilot, lambda: review_list.scroll_offset.y > 49_000)
        assert "▌" in screen_text(app)
        await pilot.press("pageup", "up")
        assert review_list.cursor < 49_990


async def test_a_click_chooses_a_review(tmp_path: Path) -> None:
    app = app_on(make_run(tmp_path), QuickInspector())
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: heated(app))
        await pilot.click(ReviewList, offset=(10, 3))
        await until(pilot, lambda: review_of(app).session.position == 3)


@pytest.mark.timeout(600)
async def test_with_a_real_model_and_inspector(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, [(NASTY, 0, 2.0), ("이 영화 정말 재미있어요 ㅋㅋㅋ", 1, -1.0)])
    save_model(run_dir / "model", "bert")
    app = app_on(run_dir)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: heated(app), 120)
        detail = review_of(app).detail
        assert detail.inspection.text == NASTY
        assert detail.attention.model_size == (2, 4)
        row = detail.inspection.attention[1].mean(axis=0)[detail.inspection.cls]
        expected = word_weights(row, detail.inspection.token_words, len(detail.inspection.words))
        shown = {
            (unit.start, unit.end): weight
            for unit, weight in zip(detail.attention.heat.units, detail.attention.heat.row, strict=True)
        }
        for word, weight in zip(detail.inspection.words, expected, strict=True):
            if (word.start, word.end) in shown:
                assert shown[(word.start, word.end)] == pytest.approx(weight, abs=1e-6)
        # A random model does not repeat the made-up probabilities, and the screen says so.
        assert "the model says p" in line(app, "numbers")
        await pilot.press("n")
        await until(pilot, lambda: heated(app) and detail.review.label == 1, 30)
        assert detail.inspection.text.startswith("이 영화")


async def test_the_next_review_is_one_picture_of_what_differs(tmp_path: Path) -> None:
    inspector = QuickInspector()
    app = app_on(make_run(tmp_path), inspector)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: heated(app))
        # Past the second, which is so long that it gets a scrollbar; there and back, so that all is fetched.
        for key in ("n", "n", "n", "p"):
            await pilot.press(key)
            await until(pilot, lambda: heated(app) and review_of(app).detail.query_one(ReviewContext)._complete)
        screen, queue = review_of(app), app.screen.query_one(ReviewList)
        laid_out: list[object] = []
        drawn: list[int] = []
        screen.screen_layout_refresh_signal.subscribe(screen, laid_out.append)
        draw = queue.render_line
        queue.render_line = lambda y: drawn.append(y) or draw(y)  # type: ignore[func-returns-value, method-assign]
        await pilot.press("n")
        assert heated(app)
        await until(pilot, lambda: drawn)
        assert set(drawn) == {2, 3}
        assert not laid_out
