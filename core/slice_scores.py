"""How each Korean slice of a split scores against the rest of it: where a model is weak, and whether that is chance.

Light: numpy only. What is found once answers for every threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.predictions import THRESHOLD
from core.review_text import Texts
from core.slices import SLICES, Slice, SliceTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_EXPECTED = 5
"""Errors, and right answers, that a part has to expect for the test to be worth anything (Cochran 1954)."""


@dataclass(frozen=True)
class SliceScore:
    """A slice with `n` reviews, `errors` of them wrong; `rest` is the accuracy of all others (None: there are none).

    p: the chance of such a difference where there is none, over all slices together; 1 where the numbers are too small.
    """

    part: Slice
    n: int
    errors: int
    rest: float | None
    p: float

    @property
    def accuracy(self) -> float:
        """The share that was got right."""
        return 1 - self.errors / self.n

    @property
    def difference(self) -> float:
        """Accuracy less that of the rest."""
        return self.accuracy - self.rest if self.rest is not None else 0.0

    @property
    def stars(self) -> str:
        """The usual signs: *** below 0.001, ** below 0.01, * below 0.05."""
        return "*" * sum(self.p < limit for limit in (0.05, 0.01, 0.001))


class _Part:
    """Some reviews: how many are wrong at any threshold."""

    def __init__(self, label: NDArray[np.int64], prob_1: NDArray[np.float64], wrong: NDArray[np.bool_]) -> None:
        self.n = len(label)
        self._own = int(wrong.sum())
        self._positive = np.sort(prob_1[label == 1])
        self._negative = np.sort(prob_1[label != 1])

    def errors(self, threshold: float) -> int:
        if threshold == THRESHOLD:
            # An exact tie is the model's to break.
            return self._own
        missed = int(np.searchsorted(self._positive, threshold, side="left"))
        return missed + len(self._negative) - int(np.searchsorted(self._negative, threshold, side="left"))


class SliceScores:
    """The slices that some of N reviews are in. `at` gives their scores at a threshold."""

    def __init__(
        self,
        documents: Sequence[str],
        label: NDArray[np.int64],
        pred: NDArray[np.int64],
        prob_1: NDArray[np.float64],
    ) -> None:
        wrong = label != pred
        slices = SliceTable(Texts(documents))
        self._all = _Part(label, prob_1, wrong)
        self._parts = []
        for part in SLICES:
            mask = slices.mask(part.name)
            if mask.any():
                self._parts.append((part, _Part(label[mask], prob_1[mask], wrong[mask])))

    def at(self, threshold: float = THRESHOLD) -> list[SliceScore]:
        """The scores where reviews from `threshold` on are taken as positive, the worst against the rest first.

        Those that are below it and no chance come before those that may be one.
        """
        total, errors = self._all.n, self._all.errors(threshold)
        found = []
        for part, reviews in self._parts:
            wrong, others = reviews.errors(threshold), total - reviews.n
            rest = 1 - (errors - wrong) / others if others else None
            p = difference_p(wrong, reviews.n, errors - wrong, others)
            found.append(SliceScore(part, reviews.n, wrong, rest, p))
        adjusted = holm([score.p for score in found])
        found = [replace(score, p=p) for score, p in zip(found, adjusted, strict=True)]
        return sorted(found, key=lambda score: (not (score.stars and score.difference < 0), score.difference, -score.n))


def difference_p(wrong: int, n: int, other_wrong: int, others: int) -> float:
    """The two-sided p value of the pooled z test that two shares are the same; 1 where the numbers are too small."""
    total = n + others
    share = (wrong + other_wrong) / total if total else 0.0
    if min(n, others) * min(share, 1 - share) < LEAST_EXPECTED:
        return 1.0
    z = (wrong / n - other_wrong / others) / math.sqrt(share * (1 - share) * (1 / n + 1 / others))
    return math.erfc(abs(z) / math.sqrt(2))


def holm(values: Sequence[float]) -> list[float]:
    """p values that hold for all of them together (Holm 1979), in the same order."""
    order = sorted(range(len(values)), key=lambda n: values[n])
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = highest
    return adjusted


def as_document(scores: Sequence[SliceScore]) -> list[dict[str, Any]]:
    """For JSON: `name`, `n`, `errors`, `accuracy`, `rest`, `p` of each slice."""
    return [
        {
            "name": score.part.name,
            "n": score.n,
            "errors": score.errors,
            "accuracy": score.accuracy,
            "rest": score.rest,
            "p": score.p,
        }
        for score in scores
    ]
