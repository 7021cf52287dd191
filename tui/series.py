"""Lines for charts: smoothing and thinning that never hides a spike. Arrays in, arrays out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


class Ema:
    """Exponential moving average as TensorBoard draws it: debiased, so that it starts at the first value.

    Grows with its series: `extend` costs only the new values. Values that are no numbers leave it unchanged.
    (s ← w·s + (1−w)·x, shown as s / (1 − wⁿ); TensorBoard's scalar smoothing.)
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.values: list[float] = []
        self._sum = 0.0
        self._count = 0

    def extend(self, series: Sequence[float]) -> list[float]:
        """Take what `series` has beyond what was taken; start anew when it has become shorter."""
        if len(series) < len(self.values):
            self.values, self._sum, self._count = [], 0.0, 0
        for value in series[len(self.values) :]:
            if math.isfinite(value):
                self._sum = self.weight * self._sum + (1 - self.weight) * value
                self._count += 1
            bias = 1 - self.weight**self._count
            self.values.append(self._sum / bias if bias > 0 else math.nan)
        return self.values


def thin(x: np.ndarray, y: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """At most 2 × `columns` points of a line: the lowest and the highest of each of `columns` pieces, in order.

    Points whose y is no finite number are left out first.
    """
    fine = np.isfinite(y) & np.isfinite(x)
    x, y = x[fine], y[fine]
    count = len(x)
    if columns < 1 or count <= 2 * columns:
        return x, y
    edges = np.linspace(0, count, columns + 1).astype(int)[:-1]
    lows = np.minimum.reduceat(y, edges)
    piece = np.repeat(np.arange(columns), np.diff(np.append(edges, count)))
    highs = np.maximum.reduceat(y, edges)
    first_low = _first(y == lows[piece], piece, columns)
    first_high = _first(y == highs[piece], piece, columns)
    chosen = np.unique(np.concatenate([first_low, first_high]))
    return x[chosen], y[chosen]


def _first(hits: np.ndarray, piece: np.ndarray, columns: int) -> np.ndarray:
    where = np.flatnonzero(hits)
    _pieces, index = np.unique(piece[where], return_index=True)
    return where[index]
