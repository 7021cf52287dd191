"""Evaluation's decision threshold: moved by keys, figures at once, the queue that opens, what is kept; whose scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from core import metrics
from core.decision import Decision, best_on, load_decision
from core.i18n import set_language
from core.predictions import Predictions
from core.review_log import Opinion, ReviewLog
from tests.tui.review_helpers import make_run, screen_text, until
from tui.app import NsmcTuiApp
from tui.screens.evaluation import EvaluationScreen
from tui.screens.review import ReviewScreen
from tui.widgets.confusion import Confusion


def shown_matrix(app: NsmcTuiApp) -> list[list[int]]:
    matrix = app.screen.query_one(Confusion).matrix
    return [list(row) for row in matrix] if matrix is not None else []


@pytest.mark.parametrize(("size", "lang"), [((80, 24), "en"), ((160, 48), "ko")])
async def test_moved_by_keys_and_used_by_the_queue(run_copy: Path, size: tuple[int, int], lang: str) -> None:
    set_language(lang)
    predictions = Predictions(run_copy, "test")
    file = predictions.path.read_bytes()
    label, prob_1 = predictions.column("label"), predictions.column("prob_1")
    ReviewLog(run_copy, "test", "kim").keep([(predictions.row(0).id, Opinion("ambiguous"))])
    app = NsmcTuiApp(run_copy.parent, run=run_copy, screen="evaluation")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: shown_matrix(app) == predictions.confusion())
        await pilot.press("minus", "minus")
        moved = metrics.confusion(label, prob_1 >= 0.48)
        assert shown_matrix(app) == moved
        text = screen_text(app)
        assert "0.48" in text.splitlines()[2]
        wanted, usual = metrics.from_confusion(moved), metrics.from_confusion(predictions.confusion())
        for name in ("accuracy", "f1", "precision", "recall"):
            assert f"{wanted[name]:.4f}" in text
            assert f"{usual[name]:.4f}" in text
        assert all(cell_len(line) == size[0] for line in text.split("\n"))
        # What the verdicts say follows.
        await until(pilot, lambda: app.screen._scored.review is not None)
        assert app.screen._scored.review["errors"] == moved[0][1] + moved[1][0]

        # Typed, into the queue of a cell, and another there.
        await pilot.press("equals_sign", *["backspace"] * 4, *"1.5", "enter")
        assert shown_matrix(app) == moved
        await pilot.press(*["backspace"] * 3, *"0.3", "enter")
        await until(pilot, lambda: shown_matrix(app) == metrics.confusion(label, prob_1 >= 0.3))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.session is not None, 30)
        session = app.screen.session
        assert (session.kind, session.threshold) == ("fp", 0.3)
        assert len(session) == shown_matrix_fp(label, prob_1, 0.3)
        await until(pilot, lambda: len(app.screen.session) > 0)
        await pilot.press("equals_sign", "backspace", "4", "enter")
        await until(pilot, lambda: len(session) == shown_matrix_fp(label, prob_1, 0.4))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        await until(pilot, lambda: shown_matrix(app) == metrics.confusion(label, prob_1 >= 0.4))

        # The best one of dev, told as such on test.
        best = best_on(run_copy)
        await pilot.press("B")
        await until(pilot, lambda: app.screen._scored.decision == best)
        assert shown_matrix(app) == metrics.confusion(label, predictions.decided(best.threshold))
        said = {
            "en": "the highest F1 on dev; test had no say",
            "ko": "dev에서 F1이 가장 높은 값, test은",
        }[lang]
        assert best.usual or said in screen_text(app)
        await pilot.press("0", "plus")
    # The app kept the last one, and wrote nothing into the predictions.
    assert load_decision(run_copy) == Decision(0.51, "test")
    assert predictions.path.read_bytes() == file


def shown_matrix_fp(label: object, prob_1: object, threshold: float) -> int:
    return metrics.confusion(label, prob_1 >= threshold)[0][1]  # type: ignore[operator, arg-type]


@pytest.mark.parametrize(("size", "lang"), [((80, 24), "en"), ((80, 24), "ko"), ((160, 48), "ko")])
async def test_scores_of_an_earlier_model_are_told_as_such(tmp_path: Path, size: tuple[int, int], lang: str) -> None:
    set_language(lang)
    said = {
        "en": "of the model of step 1,200, before the run went on",
        "ko": "이어서 학습하기 전인 1,200스텝 모델의 점수",
    }[lang]
    run_dir = make_run(tmp_path)
    status = run_dir / "status.json"
    known = json.loads(status.read_text())
    app = NsmcTuiApp(tmp_path, run=run_dir, screen="evaluation")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: shown_matrix(app))
        assert said not in screen_text(app)
        # The run goes on while its scores are looked at.
        status.write_text(json.dumps({**known, "earlier_model": 1200}))
        await until(pilot, lambda: said in screen_text(app))
        await pilot.press("minus")
        await until(pilot, lambda: "0.49" in screen_text(app).splitlines()[3])
        assert said in screen_text(app).splitlines()[2]
        assert all(cell_len(line) == size[0] for line in screen_text(app).split("\n"))
        status.write_text(json.dumps(known))
        await until(pilot, lambda: said not in screen_text(app))
        assert "0.49" in screen_text(app).splitlines()[2]
