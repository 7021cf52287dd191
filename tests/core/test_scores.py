"""Scores, intervals and predictions against independent computations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import metrics, predictions
from core.errors import RunError

cells = st.integers(0, 500)


@given(cells, cells, cells, cells)
def test_scores_from_the_matrix_are_sklearns(tn: int, fp: int, fn: int, tp: int) -> None:
    labels = np.array([0] * (tn + fp) + [1] * (fn + tp))
    preds = np.array([0] * tn + [1] * fp + [0] * fn + [1] * tp)
    if len(labels) == 0:
        return
    assert metrics.confusion(labels, preds) == [[tn, fp], [fn, tp]]
    expected = metrics.scores(labels, preds)
    for name, value in metrics.from_confusion([[tn, fp], [fn, tp]]).items():
        assert value == pytest.approx(expected[name], abs=1e-12), name


def test_scikit_learn_is_imported_beside_the_work() -> None:
    code = (
        "import sys, threading\nfrom core import metrics\nassert 'sklearn' not in sys.modules\nmetrics.load_ahead()\n"
        "[thread.join() for thread in threading.enumerate() if thread is not threading.current_thread()]\n"
        "print('sklearn.metrics' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def test_wilson_is_the_score_interval() -> None:
    # 90 of 100: the roots of (p - x)^2 = z^2 x (1 - x) / n.
    low, high = metrics.wilson(90, 100)
    for x in (low, high):
        assert (0.9 - x) ** 2 == pytest.approx(1.959964**2 * x * (1 - x) / 100, rel=1e-6)
    assert metrics.wilson(0, 0) == [0.0, 1.0]


def test_bootstrap_of_f1_agrees_with_resampling_reviews() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 400)
    preds = np.where(rng.random(400) < 0.85, labels, 1 - labels)
    found = metrics.intervals(metrics.confusion(labels, preds), 4000)
    draws = []
    for _ in range(1500):
        rows = rng.integers(0, 400, 400)
        draws.append(metrics.from_confusion(metrics.confusion(labels[rows], preds[rows]))["f1"])
    assert found["f1"] == pytest.approx(list(np.percentile(draws, [2.5, 97.5])), abs=0.01)


@pytest.fixture
def table_dir(tmp_path: Path) -> Path:
    logits = np.array([[2.0, -1.0], [-3.0, 3.0], [0.5, 0.4], [0.0, 1.0], [50.0, -50.0]], dtype=np.float32)
    labels = np.array([0, 0, 1, 1, 1])
    rows = predictions.table("abcde", ["좋다", "별로", "음", "", "x\ty"], labels, logits, np.array([3, 4, 9, 2, 5]))
    predictions.write(tmp_path, "test", rows)
    return tmp_path


def test_predictions_have_the_contracts_columns_and_values(table_dir: Path) -> None:
    loaded = predictions.Predictions(table_dir)
    assert loaded.table.column_names == list(predictions.COLUMNS)
    row = loaded.row(1)
    p1 = np.exp(3.0) / (np.exp(3.0) + np.exp(-3.0))
    assert (row.id, row.label, row.pred, row.kind, row.n_tokens) == ("b", 0, 1, "fp", 4)
    assert row.prob_1 == pytest.approx(p1, abs=1e-12)
    assert row.loss == pytest.approx(-np.log(1 - p1), abs=1e-9)
    assert row.margin == pytest.approx(1 - 2 * p1, abs=1e-12)
    assert loaded.row(4).loss == pytest.approx(100.0)
    assert loaded.row(4).document == "x\ty"
    assert loaded.confusion() == [[1, 1], [2, 1]]


@pytest.mark.parametrize(
    ("kind", "sort", "expected"),
    [
        ("all", "loss", [4, 1, 2]),
        ("fp", "loss", [1]),
        ("fn", "loss", [4, 2]),
        ("all", "id", [1, 2, 4]),
        ("all", "length", [2, 4, 1]),
        ("all", "confidence", [4, 1, 2]),
        ("all", "margin", [4, 1, 2]),
        ("correct", "id", [0, 3]),
        ("any", "id", [0, 1, 2, 3, 4]),
    ],
)
def test_selection(table_dir: Path, kind: str, sort: str, expected: list[int]) -> None:
    assert predictions.Predictions(table_dir).select(kind, sort).tolist() == expected


def test_missing_and_broken_predictions_are_told(table_dir: Path) -> None:
    with pytest.raises(RunError, match="no predictions of dev"):
        predictions.Predictions(table_dir, "dev")
    with pytest.raises(RunError, match="no review z"):
        predictions.Predictions(table_dir).find_id("z")
    predictions.path_for(table_dir, "dev").write_bytes(b"PAR1 nonsense")
    with pytest.raises(RunError, match="cannot read"):
        predictions.Predictions(table_dir, "dev")
