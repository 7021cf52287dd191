"""Likely label errors among reviews that the model was not trained on: confident learning for two classes.

After Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels"
(arXiv:1911.00068). The probabilities have to be out of sample: those of dev and test are, those of train are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CLOSE = 1e-6
"""Probabilities nearer than this count as equal: the mean of equal numbers may come out above them."""


def thresholds(labels: NDArray[np.int64], probabilities: Floats) -> Floats:
    """The expected self-confidence of each class: t_j, the mean of p(j) over the reviews labelled j (eq. 2).

    `labels` N (0/1), `probabilities` N × 2. A class that no review has gets infinity: nothing can be confidently of it.
    """
    return np.array(
        [probabilities[labels == j, j].mean() if (labels == j).any() else np.inf for j in range(probabilities.shape[1])]
    )


def confident_class(labels: NDArray[np.int64], probabilities: Floats) -> NDArray[np.int64]:
    """The class that each review is confidently counted into: the likeliest of those with p(j) ≥ t_j; −1 for none."""
    above = probabilities >= thresholds(labels, probabilities) - CLOSE
    best = np.where(above, probabilities, -1.0).argmax(axis=1)
    return np.where(above.any(axis=1), best, -1)


def confident_joint(labels: NDArray[np.int64], probabilities: Floats) -> NDArray[np.int64]:
    """Counts of reviews by given label (rows) and confident class (columns), 2 × 2 (eq. 1, not calibrated)."""
    classes = confident_class(labels, probabilities)
    return np.array([[int(((labels == i) & (classes == j)).sum()) for j in (0, 1)] for i in (0, 1)])


def label_errors(labels: NDArray[np.int64], probabilities: Floats) -> NDArray[np.bool_]:
    """The reviews off the diagonal of the confident joint: confidently of the class that they are not labelled."""
    classes = confident_class(labels, probabilities)
    return np.asarray((classes >= 0) & (classes != labels))


def pruned_errors(labels: NDArray[np.int64], probabilities: Floats) -> NDArray[np.bool_]:
    """The reviews that cleanlab flags by default: those of `find_label_issues(filter_by="prune_by_noise_rate")`.

    Section 3.3, "prune by noise rate": of each class as many reviews as the confident joint, scaled to the class's
    size, counts into the other class, those with the largest margin p(other) − p(label), as far as the model's
    answer is the other class. `label_errors` are the counted reviews themselves.
    """
    found = np.zeros(len(labels), dtype=bool)
    joint = confident_joint(labels, probabilities)
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        # Of a class with a single review that one is kept.
        if len(rows) < 2:
            continue
        margin = probabilities[rows, 1 - label] - probabilities[rows, label]
        # Each class keeps one review that is labelled rightly, whatever was counted.
        counts = joint[label][1 - label], max(1, joint[label][label])
        worst = np.argsort(-margin)[: _share(len(rows), counts, label)]
        found[rows[worst]] = margin[worst] > CLOSE
    return found


def _share(size: int, counts: tuple[int, int], label: int) -> int:
    """How many of `size` reviews the first of `counts` is, of both together; halves as cleanlab rounds them."""
    exact = size * counts[0] / sum(counts)
    if exact % 1 != 0.5:
        return round(exact)
    # Both shares are halves. Rounded to even each, they may miss the size by one, which one of them then takes.
    whole, rest = round(exact), round(size - exact)
    missing = size - whole - rest
    taken_by = 1 if missing > 0 else 0
    return whole + (missing if taken_by == 1 - label else 0)


def label_quality(labels: NDArray[np.int64], probabilities: Floats) -> Floats:
    """How well each label fits, from 0 to 1: the normalised margin (p(label) − p(other) + 1) / 2, lowest first in a
    ranking (section 3.2, "normalized margin"; with two classes the order is that of self-confidence)."""
    rows = np.arange(len(labels))
    return np.asarray((probabilities[rows, labels] - probabilities[rows, 1 - labels] + 1) / 2)
