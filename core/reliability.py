"""Whether probabilities mean what they say: of the reviews given p(positive) near 0.8, are 80% positive?

Light: numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 10


@dataclass(frozen=True)
class Bin:
    """The reviews with p(positive) from `low` up to `high`: how many of each label, and their mean p(positive)."""

    low: float
    high: float
    negatives: int
    positives: int
    mean: float

    @property
    def n(self) -> int:
        """How many reviews."""
        return self.negatives + self.positives

    @property
    def share(self) -> float:
        """The share that is labelled positive; 0 of nothing."""
        return self.positives / self.n if self.n else 0.0

    @property
    def gap(self) -> float:
        """How much more was promised than is there: above 0 the model is too sure of positive."""
        return self.mean - self.share if self.n else 0.0


def reliability(label: NDArray[np.int64], prob_1: NDArray[np.float64], bins: int = BINS) -> tuple[Bin, ...]:
    """N labels (0/1) and p(positive) in `bins` parts of equal width; 1.0 is in the last one."""
    place = np.minimum((np.asarray(prob_1) * bins).astype(np.int64), bins - 1)
    positive = np.asarray(label) == 1
    total = np.bincount(place, minlength=bins)
    positives = np.bincount(place[positive], minlength=bins)
    sums = np.bincount(place, weights=prob_1, minlength=bins)
    return tuple(
        Bin(
            n / bins,
            (n + 1) / bins,
            int(total[n] - positives[n]),
            int(positives[n]),
            float(sums[n] / total[n]) if total[n] else 0.0,
        )
        for n in range(bins)
    )


def calibration_error(bins: Sequence[Bin]) -> float:
    """The expected calibration error of a binary classifier (Naeini, Cooper and Hauskrecht 2015): the mean distance of
    promise and share over the bins, by their number of reviews; 0 of nothing."""
    total = sum(part.n for part in bins)
    return sum(part.n * abs(part.gap) for part in bins) / total if total else 0.0


def as_document(bins: Sequence[Bin]) -> dict[str, Any]:
    """For JSON: `ece` and the bins that hold reviews."""
    return {
        "ece": calibration_error(bins),
        "bins": [
            {
                "low": part.low,
                "high": part.high,
                "negatives": part.negatives,
                "positives": part.positives,
                "mean_prob_1": part.mean,
                "share_1": part.share,
            }
            for part in bins
            if part.n
        ],
    }
