"""The decision threshold: confusion at any, the best of a split, what is kept of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import metrics, predictions
from core.decision import Cuts, Decision, best_on, decided, load_decision, save_decision, threshold_of
from core.predictions import Predictions
from core.review_place import Place, load_place, place_file, save_place
from core.review_scores import after_review, read_verdicts
from tests.tui.review_helpers import make_run

REVIEWS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([-40.0, -2.0, -1.0, -0.3, 0.0, 0.2, 0.9, 3.0, 40.0])))


class Rows:
    """What `Cuts` reads of predictions."""

    def __init__(self, rows: list[tuple[int, float]]) -> None:
        logits = np.array([[0.0, difference] for _label, difference in rows]).reshape(-1, 2)
        labels = np.array([label for label, _difference in rows], dtype=np.int64)
        texts = [""] * len(rows)
        self.table = predictions.table(texts, texts, labels, logits, labels)

    column = Predictions.__dict__["column"]
    decided = Predictions.__dict__["decided"]
    confusion = Predictions.__dict__["confusion"]


def f1(matrix: list[list[int]]) -> float:
    return metrics.from_confusion(matrix)["f1"]


@given(REVIEWS, st.floats(0.001, 0.999))
def test_confusion_and_the_best_threshold_equal_trying(rows: list[tuple[int, float]], threshold: float) -> None:
    found = Rows(rows)
    cuts = Cuts(found)  # type: ignore[arg-type]
    label, prob_1, pred = (found.column(name) for name in ("label", "prob_1", "pred"))  # type: ignore[operator]
    if threshold != 0.5:
        assert cuts.confusion(threshold) == metrics.confusion(label, prob_1 >= threshold)
    assert cuts.confusion(0.5) == metrics.confusion(label, pred)
    best = cuts.best()
    assert 0 < best < 1
    tried = [f1(metrics.confusion(label, prob_1 >= value)) for value in np.linspace(1e-3, 1 - 1e-3, 400)]
    assert f1(cuts.confusion(best)) >= max([*tried, f1(cuts.confusion(0.5))])
    if f1(cuts.confusion(0.5)) == f1(cuts.confusion(best)):
        assert best == 0.5


def test_kept_beside_the_places_and_never_in_the_run(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    before = {path.name: path.read_bytes() for path in run_dir.iterdir()}
    assert load_decision(run_dir) == Decision()
    best = best_on(run_dir, "test")
    # Of p = .98 .95 .88 .27 .05 .08 .62 with labels 1 0 0 1 0 1 0: all down to .08, of which three are right.
    assert best == Decision(0.06, "test", True)
    assert Cuts(Predictions(run_dir)).confusion(best.threshold) == [[1, 3], [0, 3]]
    save_place(run_dir, "test", Place(review="1003"))
    save_decision(run_dir, best)
    save_place(run_dir, "dev", Place())
    assert load_decision(run_dir) == best
    assert load_place(run_dir, "test") == Place(review="1003")
    assert {path.name: path.read_bytes() for path in run_dir.iterdir()} == before
    assert Predictions(run_dir).decided(0.06).tolist() == [1, 1, 1, 1, 0, 1, 1]
    found = after_review(Predictions(run_dir), read_verdicts(run_dir, "test"), 0.06)
    assert (found["errors"], found["accuracy"]["as_labelled"]["accuracy"]) == (3, pytest.approx(4 / 7))
    place_file(run_dir).write_text('{"decision": {"threshold": 7.0, "split": "dev", "best": true}}')
    assert load_decision(run_dir) == Decision()


def test_what_can_be_typed() -> None:
    assert [threshold_of(text) for text in ("0.4", " .25 ", "0", "1", "nan", "x", "1e-3")] == [
        0.4, 0.25, None, None, None, None, 0.001,
    ]  # fmt: skip
    assert decided(0.5, "test") == Decision()
    assert decided(0.4, "test") == Decision(0.4, "test", False)
