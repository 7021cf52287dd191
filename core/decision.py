"""The decision threshold: from which p(positive) a review is taken as positive, how it scores, and where it was chosen.

The predictions have what the model says (0.5); another threshold is the reader's own, kept beside the places in Review
and never in a run. A threshold chosen on the reviews that it is then scored on makes the score flattering, so it is
kept where it was chosen.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.predictions import THRESHOLD, Predictions
from core.review_place import keep, kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY = "decision"
"""The name in the file of a run's places."""


@dataclass(frozen=True)
class Decision:
    """A threshold, above 0 and below 1, and where it was chosen.

    split: the reviews it was chosen on, empty for the model's own 0.5. best: it is the one with the highest F1 there;
    otherwise somebody set it while looking at them.
    """

    threshold: float = THRESHOLD
    split: str = ""
    best: bool = False

    @property
    def usual(self) -> bool:
        """Whether it is the model's own."""
        return self.threshold == THRESHOLD


def decided(threshold: float, split: str) -> Decision:
    """What somebody set while looking at the reviews of `split`."""
    return Decision() if threshold == THRESHOLD else Decision(threshold, split)


def threshold_of(text: str) -> float | None:
    """The threshold that somebody typed; None where it is none."""
    try:
        threshold = float(text)
    except ValueError:
        return None
    return threshold if 0 < threshold < 1 else None


class Cuts:
    """N reviews sorted by p(positive), so that the confusion matrix at any threshold costs two searches."""

    def __init__(self, predictions: Predictions) -> None:
        label, prob_1 = predictions.column("label"), predictions.column("prob_1")
        order = np.argsort(prob_1, kind="stable")
        self._sorted: NDArray[np.float64] = prob_1[order]
        # Positives among the first n.
        self._positives = np.concatenate(([0], np.cumsum(label[order] == 1)))
        self._own = predictions.confusion()

    def confusion(self, threshold: float) -> list[list[int]]:
        """[[tn, fp], [fn, tp]] where reviews from `threshold` on are taken as positive; at 0.5 the file's own."""
        if threshold == THRESHOLD:
            # An exact tie is the model's to break.
            return self._own
        below = int(np.searchsorted(self._sorted, threshold, side="left"))
        total, positives = len(self._sorted), int(self._positives[-1])
        fn = int(self._positives[below])
        tn = below - fn
        return [[tn, total - positives - tn], [fn, positives - fn]]

    def best(self) -> float:
        """The threshold of the highest F1 of the positive class, the nearest to 0.5 of those that are equally good.

        Written with as few decimals as take no review over to the other side. 0.5 where nothing is better.
        """
        # Between two neighbours that differ all thresholds are the same; taking none as positive has F1 0.
        cuts = np.flatnonzero(np.diff(self._sorted, prepend=0.0) > 0)
        tp = self._positives[-1] - self._positives[cuts]
        taken = len(self._sorted) - cuts
        f1 = 2 * tp / np.maximum(taken + self._positives[-1], 1)
        (_tn, fp), (fn, own_tp) = self._own
        usual = 2 * own_tp / max(2 * own_tp + fp + fn, 1)
        if not len(f1) or f1.max() <= usual:
            return THRESHOLD
        above = self._sorted[cuts]
        below = self._sorted[np.maximum(cuts - 1, 0)] * (cuts > 0)
        nearest = np.clip(THRESHOLD, below, above)
        good = np.flatnonzero(f1 == f1.max())
        chosen = good[np.argmin(np.abs(nearest[good] - THRESHOLD))]
        return _short(float(below[chosen]), float(above[chosen]))


def _short(low: float, high: float) -> float:
    """The number of fewest decimals above `low` and at most `high` (and below 1) that lies about between them."""
    middle = (low + min(high, 1.0)) / 2
    for digits in range(2, 17):
        found = round(middle, digits)
        if low < found <= high and 0 < found < 1:
            return found
    return min(high, float(np.nextafter(1.0, 0.0)))


def best_on(run_dir: Path, split: str = "dev") -> Decision:
    """The threshold with the highest F1 on a split's predictions. Raises RunError when there are none."""
    return Decision(Cuts(Predictions(run_dir, split)).best(), split, best=True)


def load_decision(run_dir: Path) -> Decision:
    """The user's threshold for a run; the model's own where none is kept, or it cannot be read."""
    values: Any = kept(run_dir).get(KEY)
    if not isinstance(values, dict):
        return Decision()
    threshold, split, best = (values.get(name) for name in ("threshold", "split", "best"))
    if not (isinstance(threshold, float) and 0 < threshold < 1 and isinstance(split, str) and isinstance(best, bool)):
        return Decision()
    return Decision(threshold, split, best)


def save_decision(run_dir: Path, decision: Decision) -> None:
    """Keep it for the next time. Raises OSError when it cannot be written."""
    keep(run_dir, KEY, asdict(decision))
