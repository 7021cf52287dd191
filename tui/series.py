"""What a chart draws of a column: its smoothed line, and its extremes in a window. Arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tui.columns import BLOCK, FAN, LEVELS, NAN, Column, Places, Pyramid

# The smoothing of so many values is a product with a triangular matrix; longer ones are cut into rows of it.
ROW = 64
# From wⁿ = e⁻⁴⁰ on, 1 − wⁿ is 1 in float64.
DEBIASED = 40.0
# As many values are smoothed in one go: what takes a few milliseconds.
PORTION = 1 << 16


def ema(values: np.ndarray, weight: float, total: float = 0.0, count: int = 0) -> tuple[np.ndarray, float, int]:
    """The exponential moving average as TensorBoard draws it, and the state (`total`, `count`) to go on from.

    s ← w·s + (1−w)·x, shown as s / (1 − wⁿ), n being the number of finite values so far: debiased, so that it starts
    at the first value. A value that is no finite number is shown as it is and leaves the average alone (TensorBoard's
    `resmooth` in its scalar chart). `weight` lies in [0, 1).
    """
    smooth = values.astype(float)
    where = np.flatnonzero(np.isfinite(smooth))
    if not len(where) or weight <= 0:
        last = float(smooth[where[-1]]) if len(where) else total
        return smooth, last, count + len(where)
    rest = -len(where) % ROW
    rows = np.concatenate([smooth[where], np.zeros(rest)]).reshape(-1, ROW)
    powers, triangle = _weights(weight)
    sums = rows @ triangle.T
    whole = weight**ROW
    carries = np.empty(len(rows))
    carry = total
    for row, end in enumerate(sums[:, -1].tolist()):
        carries[row] = carry
        carry = carry * whole + end
    sums += carries[:, None] * (powers * weight)
    flat = sums.reshape(-1)[: len(where)]
    if count < DEBIASED / -np.log(weight):
        counts = np.arange(count + 1, count + len(where) + 1)
        smooth[where] = flat / -np.expm1(counts * np.log(weight))
    else:
        smooth[where] = flat
    return smooth, float(flat[-1]), count + len(where)


@lru_cache(maxsize=8)
def _weights(weight: float) -> tuple[np.ndarray, np.ndarray]:
    """The powers of a weight, and a triangle: row j holds the weights of values 0 … j in the sum after value j."""
    powers = weight ** np.arange(ROW)
    distance = np.arange(ROW)[:, None] - np.arange(ROW)[None, :]
    return powers, np.where(distance >= 0, (1 - weight) * powers[np.maximum(distance, 0)], 0.0)


class Smoothed:
    """A column's moving average under a pyramid of its own; only the pyramid is kept, values are made when needed.

    `sync` takes what the column has beyond what was taken.
    """

    def __init__(self, column: Column, weight: float) -> None:
        self.weight = weight
        self.column = column
        self._begin()

    def _begin(self) -> None:
        self.count = 0
        self.newest = NAN
        self.pyramid = Pyramid()
        # The state before the first value of each block.
        self._states: list[tuple[float, int]] = []
        self._total, self._taken = 0.0, 0
        self._rest = np.empty(0, np.float32)
        self._made: tuple[tuple[int, int, int], np.ndarray] = (-1, 0, 0), self._rest
        self._rewinds = self.column.rewinds

    def sync(self) -> bool:
        """Take a portion of what is new; whether that was all."""
        column = self.column
        if column.rewinds != self._rewinds:
            self._begin()
        stop = min(column.count, self.count + PORTION)
        while self.count < stop:
            if self.count % BLOCK == 0:
                self._states.append((self._total, self._taken))
            block = self.count // BLOCK
            raw = column.block(block)[self.count - block * BLOCK : stop - block * BLOCK]
            values, self._total, self._taken = ema(raw, self.weight, self._total, self._taken)
            small = values.astype(np.float32)
            finite = small[np.isfinite(small)]
            if len(finite):
                self.newest = float(finite[-1])
            aligned = self.count - len(self._rest)
            known = np.concatenate([self._rest, small])
            self.pyramid.update(aligned, known)
            self.count += len(small)
            self._rest = known[len(known) - self.count % FAN :]
        return self.count >= column.count

    def block(self, number: int) -> np.ndarray:
        """The averages of block `number`."""
        known = (number, self.count, self._rewinds)
        if self._made[0] != known:
            # A cursor asks for the same block again and again.
            total, taken = self._states[number]
            raw = self.column.block(number)[: self.count - number * BLOCK]
            self._made = known, ema(raw, self.weight, total, taken)[0].astype(np.float32)
        return self._made[1]

    def slice(self, start: int, stop: int) -> np.ndarray:
        """The averages from `start` up to `stop`."""
        stop = min(stop, self.count)
        if stop <= start:
            return np.empty(0, np.float32)
        first, last = start // BLOCK, (stop - 1) // BLOCK
        pieces = [self.block(number) for number in range(first, last + 1)]
        return np.concatenate(pieces)[start - first * BLOCK : stop - first * BLOCK]


@dataclass(frozen=True)
class Extremes:
    """Groups of neighbouring events: where each begins, and its lowest and highest value.

    A group without a finite value is infinite where there was a value, NaN where there was none.
    """

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray


def extremes(places: Places, source: Column | Smoothed, start: int, stop: int, groups: int) -> Extremes:
    """Events `start` up to `stop` in at least `groups` groups where there are so many, at most 16 × that and a few.

    The lowest and the highest value of the window are always among them.
    """
    stop = min(stop, source.count)
    if stop <= start:
        nothing = np.empty(0)
        return Extremes(nothing, nothing, nothing)
    level = 0
    while level < LEVELS and (stop - start) // FAN ** (level + 1) >= max(1, groups):
        level += 1
    if level == 0:
        values = source.slice(start, stop).astype(float)
        return Extremes(places.slice(start, stop), values, values)
    size = FAN**level
    first, last = -(-start // size), stop // size
    inner = slice(first, last)
    x = places.levels[level - 1].view()[inner]
    low = source.pyramid.low[level - 1].view()[inner].astype(float)
    high = source.pyramid.high[level - 1].view()[inner].astype(float)
    # What lies before the first whole group and behind the last one: groups of a lower level, down to single events.
    head = extremes(places, source, start, first * size, 1) if start < first * size else None
    tail = extremes(places, source, last * size, stop, 1) if last * size < stop else None
    parts = [part for part in (head, Extremes(x, low, high), tail) if part is not None]
    return Extremes(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.high for part in parts]),
    )
