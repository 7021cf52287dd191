"""What is around a review: its history, the same reviews in train, the nearest ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import ComposeResult

from core import dynamics
from core.dynamics import History
from core.i18n import set_language
from core.neighbours import Neighbours
from core.predictions import Prediction, Predictions
from core.train_index import build
from core.train_reviews import Alike, TrainReview, TrainReviews
from tests.tui.picture import picture
from tests.tui.review_helpers import screen_text, until
from tui import idle_time
from tui.app import NsmcTuiApp
from tui.screens.base import BaseScreen
from tui.widgets.review_context import ReviewContext


class Around(BaseScreen):
    """The pane alone on a screen."""

    def compose_body(self) -> ComposeResult:
        yield ReviewContext(id="pane")


def learned(run_dir: Path) -> Prediction:
    """A dev review with a history of two evaluations."""
    return Predictions(run_dir, "dev").row(0)


async def opened(pilot: object, app: NsmcTuiApp, run_dir: Path) -> ReviewContext:
    app.push_screen(Around())
    await until(pilot, lambda: isinstance(app.screen, Around) and app.screen.query(ReviewContext))
    pane = app.screen.query_one(ReviewContext)
    pane.open_run(run_dir, run_dir / "model", 64)
    pane.focus()
    return pane


async def test_all_three_parts_come_by_themselves(finished_run: Path) -> None:
    build(finished_run)
    review = learned(finished_run)
    app = NsmcTuiApp(finished_run.parent)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, app, finished_run)
        pane.show_review(review.document, review.id, "dev")
        await pilot.press("enter")
        await until(pilot, lambda: pane._built and "nearest" in pane._found, 120)
        text = screen_text(app)
        kept = dynamics.read(finished_run)
        assert kept is not None
        history = kept.history(review.id)
        assert history is not None
        assert dynamics.kind_name(history.kind) in text
        nearest = pane._found["nearest"]
        await until(pilot, lambda: pane._found["nearest"].done == nearest.total)
        assert len(pane._found["nearest"].reviews) == 10
        whole = pane.picture().plain
        for one in pane._found["nearest"].reviews:
            assert one.document[:12] in whole


async def test_while_one_reads_the_vectors_are_made_and_another_review_stops_it(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(run_copy)
    review = learned(run_copy)
    monkeypatch.setattr(idle_time, "IDLE", 0.2)
    busy = [True]
    monkeypatch.setattr(idle_time, "machine_busy", lambda: busy[0])
    app = NsmcTuiApp(run_copy.parent)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, app, run_copy)
        pane.show_review(review.document, review.id, "dev")
        await until(pilot, lambda: "nearest" in pane._found, 120)
        assert not pane.working
        busy[0] = False
        await until(pilot, lambda: pane.working or pane._built, 30)
        pane.show_review("아무 말", None, "test")
        await until(pilot, lambda: not pane.working)
        await until(pilot, lambda: pane._built, 120)


DOCUMENT = "정말 재미있어요 ㅋㅋㅋ [bold]강추[/bold] \x1b[31m"


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_how_it_looks(tmp_path: Path, size: tuple[int, int], lang: str, snapshot: object) -> None:
    set_language(lang)
    history = History((100, 200, 300, 400), (0.2, 0.7, 0.35, 0.93), 1)
    same = tuple(TrainReview(row, str(row), DOCUMENT, row % 2, 1.0) for row in range(3))
    near = (TrainReview(9, "9", "정말 재미있어요 " * 20, 1, 0.71),)
    nearest = tuple(
        TrainReview(row, str(row), f"가까운 리뷰 {row}", int(row > 1), 0.99 - row / 50) for row in range(10)
    )
    app = NsmcTuiApp(tmp_path)
    async with app.run_test(size=size) as pilot:
        pane = await opened(pilot, app, tmp_path / "20260101-000000-none")
        pane.show_review("본문", "1", "dev")
        token = pane._token
        await until(pilot, lambda: "alike" in pane._found)
        for part, value in (
            ("history", history),
            ("alike", Alike(same, (2, 1), near)),
            ("nearest", Neighbours(nearest, 1200, 142_500, 0.01)),
        ):
            pane.post_message(pane.Found(part, value, token))
        await until(pilot, lambda: "1,200" in pane.picture().plain)
        # The first line tells of this machine.
        assert picture(app, colours=False).split("\n", 1)[1] == snapshot


async def test_the_same_text_in_train_is_shown_with_its_labels(finished_run: Path) -> None:
    train = TrainReviews(build(finished_run))
    review = train.review(3)
    app = NsmcTuiApp(finished_run.parent)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, app, finished_run)
        pane.show_review(review.document + "  ", "nobody", "test")
        await until(pilot, lambda: "alike" in pane._found, 60)
        await until(pilot, lambda: "not evaluated during training" in screen_text(app))
        assert pane._found["alike"].same[0] == review
        # A text that was typed has no history, and a review that flew by is not shown.
        pane.show_review("아무 말", None, "test")
        pane.show_review(review.document, None, "test")
        await until(pilot, lambda: "alike" in pane._found, 60)
        assert pane._found["alike"].same[0] == review
        assert "typed" in screen_text(app)


async def test_a_run_that_does_not_say_its_data_says_so(finished_run: Path, tmp_path: Path) -> None:
    empty = tmp_path / "20260101-000000-empty"
    empty.mkdir()
    app = NsmcTuiApp(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(Around())
        await until(pilot, lambda: isinstance(app.screen, Around))
        pane = app.screen.query_one(ReviewContext)
        pane.open_run(empty, None, None)
        pane.show_review("본문", "1", "dev")
        await until(pilot, lambda: "does not say what it was trained on" in screen_text(app))
        assert "no model to ask" in screen_text(app)
        assert "None is kept" in screen_text(app)
