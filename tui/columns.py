"""Series of any length that are drawn in the time of a short one: blocks of numbers under a pyramid of extremes.

A point costs 4 bytes and a share of the pyramid (an eighth of that), adding it takes amortised constant time, and a
picture reads some thousand numbers whatever the length. Values are float32: infinity says that there was a value that
is no finite number (a gap in the line), NaN that there was none.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

BLOCK = 4096
FAN = 16
LEVELS = 5
NAN, GAP = float("nan"), float("inf")
AXES = ("step", "time", "epoch")


class Growing:
    """An array that grows at its end; room doubles, so that appending is amortised O(1)."""

    def __init__(self, kind: type[np.floating]) -> None:
        self._data = np.empty(64, kind)
        self.count = 0

    def put(self, start: int, values: np.ndarray) -> None:
        """Set the values from `start` on; what was behind them is gone."""
        end = start + len(values)
        if end > len(self._data):
            grown = np.empty(max(end, len(self._data) + len(self._data) // 2), self._data.dtype)
            grown[:start] = self._data[:start]
            self._data = grown
        self._data[start:end] = values
        self.count = end

    def view(self) -> np.ndarray:
        """The values so far."""
        return self._data[: self.count]


class Pyramid:
    """The lowest and highest of every 16, 256, 4,096 … values.

    A group without a finite value is infinite when one of its values is, else NaN.
    """

    def __init__(self) -> None:
        self._low = [Growing(np.float32) for _ in range(LEVELS)]
        self._high = [Growing(np.float32) for _ in range(LEVELS)]
        # From this group of 16 on the levels above are behind: they are made when somebody looks.
        self._behind: int | None = None

    @property
    def low(self) -> list[Growing]:
        """The lowest values, level by level."""
        self._catch_up()
        return self._low

    @property
    def high(self) -> list[Growing]:
        """The highest values, level by level."""
        self._catch_up()
        return self._high

    def update(self, start: int, values: np.ndarray) -> None:
        """Take the values from `start` (a multiple of 16) to the end."""
        start //= FAN
        low, high = _groups(values, values)
        self._low[0].put(start, low)
        self._high[0].put(start, high)
        self._behind = start if self._behind is None else min(start, self._behind)

    def _catch_up(self) -> None:
        if self._behind is None:
            return
        start, self._behind = self._behind, None
        for level in range(1, LEVELS):
            start = start // FAN
            below = slice(start * FAN, None)
            low, high = _groups(self._low[level - 1].view()[below], self._high[level - 1].view()[below])
            self._low[level].put(start, low)
            self._high[level].put(start, high)


def _groups(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rest = -len(low) % FAN
    if rest:
        fill = np.full(rest, NAN, np.float32)
        low, high = np.concatenate([low, fill]), np.concatenate([high, fill])
    # Turned round, numpy compares many groups at once instead of one after the other.
    lows = np.fmin.reduce(np.ascontiguousarray(low.reshape(-1, FAN).T), axis=0)
    highs = np.fmax.reduce(np.ascontiguousarray(high.reshape(-1, FAN).T), axis=0)
    if np.isinf(highs).any():
        finite = np.where(np.isinf(high), np.float32(NAN), high).reshape(-1, FAN)
        highs = np.fmax.reduce(np.ascontiguousarray(finite.T), axis=0)
        highs = np.where(np.isnan(highs), lows, highs)
    return lows, highs


class Column:
    """The values of one metric, one for each event of its track."""

    def __init__(self) -> None:
        # A block whose values are all the same (a metric that is not told, a constant) is kept as that value.
        self._blocks: list[np.ndarray | np.float32] = []
        self._tail = np.empty(BLOCK, np.float32)
        self.count = 0
        self.pyramid = Pyramid()
        # Values that are no finite number, that are one, and those of them that a logarithm has no place for.
        self.gaps = 0
        self.finite = 0
        self.not_positive = 0
        self.newest = NAN
        self.rewinds = 0

    def extend(self, values: np.ndarray) -> None:
        """Append float32 values."""
        if not len(values):
            return
        start = self.count
        finite = np.isfinite(values)
        many = int(np.count_nonzero(finite))
        self.finite += many
        self.not_positive += int(np.count_nonzero(values <= 0))
        if many == len(values):
            self.newest = float(values[-1])
        else:
            self.gaps += int(np.count_nonzero(np.isinf(values)))
            if many:
                self.newest = float(values[finite][-1])
        self._store(values)
        aligned = start // FAN * FAN
        self.pyramid.update(aligned, self.slice(aligned, self.count) if aligned != start else values)

    def _store(self, values: np.ndarray) -> None:
        taken = 0
        while taken < len(values):
            place = self.count % BLOCK
            piece = values[taken : taken + BLOCK - place]
            self._tail[place : place + len(piece)] = piece
            self.count += len(piece)
            taken += len(piece)
            if self.count % BLOCK == 0:
                first = self._tail[0]
                same = np.isnan(self._tail).all() if np.isnan(first) else (self._tail == first).all()
                self._blocks.append(np.float32(first) if same else self._tail.copy())

    def block(self, number: int) -> np.ndarray:
        """Block `number`, the last one perhaps not full."""
        if number < len(self._blocks):
            block = self._blocks[number]
            return block if isinstance(block, np.ndarray) else np.full(BLOCK, block, np.float32)
        return self._tail[: self.count - number * BLOCK]

    def slice(self, start: int, stop: int) -> np.ndarray:
        """The values from `start` up to `stop`."""
        stop = min(stop, self.count)
        if stop <= start:
            return np.empty(0, np.float32)
        first, last = start // BLOCK, (stop - 1) // BLOCK
        if first == last:
            return self.block(first)[start - first * BLOCK : stop - first * BLOCK]
        pieces = [self.block(number) for number in range(first, last + 1)]
        return np.concatenate(pieces)[start - first * BLOCK : stop - first * BLOCK]

    def truncate(self, count: int) -> None:
        """Forget all values from place `count` on."""
        if count >= self.count:
            return
        gone = self.slice(count, self.count)
        self.gaps -= int(np.count_nonzero(np.isinf(gone)))
        self.finite -= int(np.count_nonzero(np.isfinite(gone)))
        self.not_positive -= int(np.count_nonzero(gone <= 0))
        start = count // BLOCK * BLOCK
        kept = self.slice(start, count).copy()
        del self._blocks[start // BLOCK :]
        self.count = start
        self._store(kept)
        self.rewinds += 1
        self.pyramid.update(start, kept)
        self.newest = self._last_finite()

    def _last_finite(self) -> float:
        for number in range((self.count - 1) // BLOCK, -1, -1):
            block = self.block(number)
            found = np.flatnonzero(np.isfinite(block))
            if len(found):
                return float(block[found[-1]])
        return NAN


class Places:
    """Where the events of a track lie on one x-axis: float64 values that never fall.

    A full block keeps float32 distances from its first value, or only the stride where it is even.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[float, float, np.ndarray | None]] = []
        self._firsts: list[float] = []
        self._tail = np.empty(BLOCK)
        self.levels = [Growing(np.float64) for _ in range(LEVELS)]
        self.count = 0
        self.newest = NAN

    def extend(self, values: np.ndarray) -> None:
        """Append values; one that is no number, or falls behind, stays where the line was."""
        if not len(values):
            return
        values = np.where(np.isfinite(values), values, NAN)
        before = self.newest if self.count else (values[np.isfinite(values)][:1].sum() if len(values) else 0.0)
        values = np.fmax.accumulate(np.concatenate([[before], values]))[1:]
        start = self.count
        for level in range(LEVELS):
            size = FAN ** (level + 1)
            first = -(-start // size)
            self.levels[level].put(first, values[first * size - start :: size])
        self.newest = float(values[-1])
        self._store(values)

    def _store(self, values: np.ndarray) -> None:
        taken = 0
        while taken < len(values):
            place = self.count % BLOCK
            piece = values[taken : taken + BLOCK - place]
            if place == 0:
                self._firsts.append(float(piece[0]))
            self._tail[place : place + len(piece)] = piece
            self.count += len(piece)
            taken += len(piece)
            if self.count % BLOCK == 0:
                self._blocks.append(_pack(self._tail))

    def block(self, number: int) -> np.ndarray:
        """Block `number`, the last one perhaps not full."""
        if number < len(self._blocks):
            base, stride, offsets = self._blocks[number]
            return base + (np.arange(BLOCK) * stride if offsets is None else offsets.astype(float))
        return self._tail[: self.count - number * BLOCK]

    def slice(self, start: int, stop: int) -> np.ndarray:
        """The places from `start` up to `stop`."""
        stop = min(stop, self.count)
        if stop <= start:
            return np.empty(0)
        first, last = start // BLOCK, (stop - 1) // BLOCK
        pieces = [self.block(number) for number in range(first, last + 1)]
        whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return whole[start - first * BLOCK : stop - first * BLOCK]

    def at(self, index: int) -> float:
        """The place of event `index`."""
        return float(self.block(index // BLOCK)[index % BLOCK])

    def first_from(self, value: float) -> int:
        """The first event at `value` or behind it; the count when there is none."""
        number = max(0, bisect_right(self._firsts, value) - 1)
        # Equal places may reach back into the block before.
        while number > 0 and self._firsts[number] >= value:
            number -= 1
        while number * BLOCK < self.count:
            block = self.block(number)
            found = int(np.searchsorted(block, value, side="left"))
            if found < len(block):
                return number * BLOCK + found
            number += 1
        return self.count

    def truncate(self, count: int) -> None:
        """Forget all places from `count` on."""
        if count >= self.count:
            return
        start = count // BLOCK * BLOCK
        kept = self.slice(start, count).copy()
        del self._blocks[start // BLOCK :]
        del self._firsts[start // BLOCK :]
        self.count = start
        for level in range(LEVELS):
            growing = self.levels[level]
            growing.count = min(growing.count, -(-count // FAN ** (level + 1)))
        self._store(kept)
        self.newest = self.at(count - 1) if count else NAN


def _pack(values: np.ndarray) -> tuple[float, float, np.ndarray | None]:
    base = float(values[0])
    stride = float(values[1]) - base
    if np.array_equal(values, base + np.arange(BLOCK) * stride):
        return base, stride, None
    return base, 0.0, (values - base).astype(np.float32)


class Track:
    """Events of one kind: their places on each x-axis, and a column for each number they hold."""

    def __init__(self) -> None:
        self.places = {axis: Places() for axis in AXES}
        self.columns: dict[str, Column] = {}
        self.count = 0

    def extend(self, x: np.ndarray, names: tuple[str, ...], y: np.ndarray) -> None:
        """Append events: `x` 3 × n (step, time, epoch), `y` names × n."""
        many = x.shape[1]
        if not many:
            return
        for axis, values in zip(AXES, x, strict=True):
            self.places[axis].extend(values)
        for name, values in zip(names, y, strict=True):
            column = self.columns.get(name)
            if column is None:
                column = self.columns[name] = Column()
            self._fill(column, self.count)
            column.extend(values)
        self.count += many
        for column in self.columns.values():
            self._fill(column, self.count)

    @staticmethod
    def _fill(column: Column, count: int) -> None:
        missing = count - column.count
        if missing > 0:
            column.extend(np.full(missing, NAN, np.float32))

    def truncate(self, count: int) -> None:
        """Forget all events from place `count` on."""
        for places in self.places.values():
            places.truncate(count)
        for column in self.columns.values():
            column.truncate(count)
        self.count = min(self.count, count)
