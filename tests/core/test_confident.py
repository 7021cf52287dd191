"""Likely label errors, against cleanlab and against the definition written out review by review."""

from __future__ import annotations

import numpy as np
import pytest

from core import confident


def noisy(n: int = 3000, seed: int = 0, flipped: float = 0.08) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of which some were flipped, probabilities of the true classes, and which were flipped."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.4).astype(np.int64)
    positive = 1 / (1 + np.exp(-(rng.normal(size=n) * 1.5 + np.where(truth == 1, 2.5, -2.0))))
    wrong = rng.random(n) < flipped
    return np.where(wrong, 1 - truth, truth), np.column_stack([1 - positive, positive]), wrong


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_reviews_as_cleanlab(seed: int) -> None:
    from cleanlab.count import compute_confident_joint, get_confident_thresholds
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    labels, probabilities, _wrong = noisy(seed=seed)
    np.testing.assert_allclose(
        confident.thresholds(labels, probabilities), get_confident_thresholds(labels, probabilities), atol=1e-12
    )
    theirs = compute_confident_joint(labels, probabilities, calibrate=False)
    ours = confident.confident_joint(labels, probabilities)
    # cleanlab counts those that are confidently of no class into their given one.
    np.testing.assert_array_equal(ours[~np.eye(2, dtype=bool)], theirs[~np.eye(2, dtype=bool)])
    found = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    np.testing.assert_array_equal(confident.label_errors(labels, probabilities), found)
    quality = get_label_quality_scores(labels, probabilities, method="normalized_margin")
    np.testing.assert_allclose(confident.label_quality(labels, probabilities), quality, atol=1e-12)


@pytest.mark.parametrize("digits", [1, 2, 16])
def test_the_same_reviews_as_cleanlab_s_default(digits: int) -> None:
    from cleanlab.filter import find_label_issues

    rng = np.random.default_rng(digits)
    differs = 0
    # Small sets and rounded probabilities: ties, halves, classes of one review, thresholds that are met exactly.
    for n in (3, 4, 5, 6, 7, 9, 12, 20, 31, 50, 200, 3000) * 4:
        labels, probabilities, _wrong = noisy(n, seed=int(rng.integers(1 << 30)), flipped=rng.random() / 2)
        if len(set(labels.tolist())) < 2:
            continue
        rounded = np.round(probabilities[:, 1], digits)
        probabilities = np.column_stack([1 - rounded, rounded])
        theirs = find_label_issues(labels, probabilities, filter_by="prune_by_noise_rate", n_jobs=1)
        np.testing.assert_array_equal(confident.pruned_errors(labels, probabilities), theirs)
        differs += bool((theirs != confident.label_errors(labels, probabilities)).any())
    assert differs > 5


def test_the_definition_review_by_review() -> None:
    labels, probabilities, _wrong = noisy(200)
    t = [np.mean([p[j] for p, y in zip(probabilities, labels, strict=True) if y == j]) for j in (0, 1)]
    for p, y, said in zip(probabilities, labels, confident.label_errors(labels, probabilities), strict=True):
        confidently = [j for j in (0, 1) if p[j] >= t[j]]
        assert said == (bool(confidently) and max(confidently, key=lambda j: p[j]) != y)


def test_most_of_what_it_finds_was_flipped() -> None:
    labels, probabilities, wrong = noisy()
    found = confident.label_errors(labels, probabilities)
    assert wrong[found].mean() > 0.8
    worst = np.argsort(confident.label_quality(labels, probabilities))[:50]
    assert wrong[worst].mean() > 0.9


def test_one_class_only() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    labels = np.array([0, 0])
    assert confident.label_errors(labels, probabilities).tolist() == [False, False]
    assert confident.pruned_errors(labels, probabilities).tolist() == [False, False]
    assert len(confident.label_errors(np.empty(0, dtype=np.int64), np.empty((0, 2)))) == 0
    assert len(confident.pruned_errors(np.empty(0, dtype=np.int64), np.empty((0, 2)))) == 0
