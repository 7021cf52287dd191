"""The history of single reviews over the evaluations of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import dynamics
from core.dynamics import History, Keeper
from core.errors import RunError
from core.predictions import Predictions


def history(label: int, *prob_1: float) -> History:
    return History(tuple(range(len(prob_1))), prob_1, label)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (history(1, 0.6, 0.9, 0.95), "always"),
        (history(0, 0.6, 0.3, 0.05), "learned"),
        (history(1, 0.1, 0.2, 0.1), "never"),
        # A half is crossed by chance before anything is learned: that is no knowing.
        (history(1, 0.51, 0.2, 0.1), "never"),
        (history(1, 0.9, 0.8, 0.3), "forgotten"),
        (history(0, 0.1, 0.9, 0.1, 0.9, 0.2), "wavering"),
        (history(0, 0.49, 0.51, 0.49, 0.51, 0.1), "learned"),
    ],
)
def test_kinds(found: History, kind: str) -> None:
    assert found.kind == kind


def test_measures_are_those_of_dataset_cartography() -> None:
    found = history(0, 0.1, 0.7, 0.4)
    of_label = np.array([0.9, 0.3, 0.6])
    assert found.confidence == pytest.approx(of_label.mean())
    assert found.variability == pytest.approx(of_label.std())
    assert found.correctness == pytest.approx(2 / 3)
    assert found.forgetting == 1
    # A tie is 부정, as `argmax` has it.
    assert history(0, 0.5).right == (True,)
    assert history(1, 0.5).right == (False,)


def logits_of(prob_1: list[float]) -> np.ndarray:
    p = np.array(prob_1)
    return np.stack([np.zeros(len(p)), np.log(p / (1 - p))], axis=1)


def test_the_file_grows_with_each_evaluation_and_forgets_what_a_resumed_run_gave_up(tmp_path: Path) -> None:
    ids, labels = ["7", "8", "x"], [0, 1, 1]
    keeper = Keeper(tmp_path, ids, labels)
    assert dynamics.read(tmp_path) is None
    for step, value in ((10, 0.25), (20, 0.5), (30, 0.75)):
        keeper.add(step, logits_of([value, 0.5, 0.9]))
    found = dynamics.read(tmp_path)
    assert found is not None
    assert found.steps.tolist() == [10, 20, 30]
    assert found.prob_1.dtype == np.float16
    review = found.history("7")
    assert review is not None
    assert review.prob_1 == (0.25, 0.5, 0.75)
    assert found.history("nobody") is None
    resumed = Keeper(tmp_path, ids, labels, resumed=20)
    found = dynamics.read(tmp_path)
    assert found is not None
    assert found.steps.tolist() == [10, 20]
    resumed.add(25, logits_of([0.1, 0.1, 0.1]))
    # The same step once more, after a checkpoint that came before it.
    resumed.add(25, logits_of([0.2, 0.2, 0.2]))
    found = dynamics.read(tmp_path)
    assert found is not None
    assert found.steps.tolist() == [10, 20, 25]
    assert found.prob_1[-1].tolist() == pytest.approx([0.2] * 3, abs=1e-3)
    # A new run in the same directory, or other reviews, have no past.
    Keeper(tmp_path, ["other"], [0], resumed=20).add(30, logits_of([0.5]))
    found = dynamics.read(tmp_path)
    assert found is not None
    assert found.steps.tolist() == [30]
    Keeper(tmp_path, ids, labels)
    assert dynamics.read(tmp_path) is None


def test_counts_agree_with_the_single_histories() -> None:
    dice = np.random.default_rng(3)
    labels = dice.integers(0, 2, 300).astype(np.int8)
    prob_1 = np.clip(labels + dice.normal(0, 0.6, 300) + dice.normal(0, 0.4, (6, 300)), 0.01, 0.99).astype(np.float16)
    ids = np.array([str(n) for n in range(300)])
    found = dynamics.Dynamics(ids, labels, np.arange(6), prob_1)
    counted = dict.fromkeys(dynamics.KINDS, 0)
    for review in ids.tolist():
        single = found.history(review)
        assert single is not None
        counted[single.kind] += 1
    assert found.kinds() == counted
    assert min(counted.values()) > 0


def test_a_file_that_is_none_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    dynamics.path_for(tmp_path).write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(RunError) as caught:
        dynamics.read(tmp_path)
    assert caught.value.hint
    np.savez(dynamics.path_for(tmp_path), ids=["a"], labels=[0], steps=[1, 2], prob_1=np.zeros((1, 1)))
    with pytest.raises(RunError, match="do not fit"):
        dynamics.read(tmp_path)
    # Pickles are never read.
    np.savez(dynamics.path_for(tmp_path), ids=np.array([object()]), labels=[0], steps=[1], prob_1=np.zeros((1, 1)))
    with pytest.raises(RunError):
        dynamics.read(tmp_path)


def test_a_real_run_keeps_every_dev_review_at_every_evaluation(finished_run: Path) -> None:
    found = dynamics.read(finished_run)
    assert found is not None
    predictions = Predictions(finished_run, "dev")
    assert found.ids.tolist() == predictions.table.column("id").to_pylist()
    assert found.labels.tolist() == predictions.column("label").tolist()
    assert len(found.steps) == 2
    # The model that the run stands for is that of one of the evaluations.
    gaps = np.abs(found.prob_1.astype(np.float64) - predictions.column("prob_1")).max(axis=1)
    assert gaps.min() < 1e-3
