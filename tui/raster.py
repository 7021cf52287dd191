"""Lines as cells of a terminal: which dots of which cell are set, so that no extreme is ever left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tui.series import Extremes

# Dots of a braille cell by row and column, as Unicode numbers them (U+2800 + the sum).
BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
BRAILLE_BASE = 0x2800


@dataclass(frozen=True)
class Window:
    """The part of the plane that is drawn. With `log`, `bottom` and `top` are decimal logarithms."""

    left: float
    right: float
    bottom: float
    top: float
    log: bool = False

    def heights(self, values: np.ndarray) -> np.ndarray:
        """Values as shares of the height, NaN for what cannot be drawn."""
        shown = values
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                shown = np.log10(np.where(values > 0, values, np.nan))
        with np.errstate(invalid="ignore"):
            return np.where(np.isfinite(shown), (shown - self.bottom) / (self.top - self.bottom), np.nan)


def column_spans(found: Extremes, window: Window, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest height of a line in each of `columns` columns, NaN where the line does not run.

    Between two neighbouring values the line is straight; where a value between them was no number it has a gap.
    """
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    if not len(found.x):
        return low, high
    span = window.right - window.left
    place = (found.x - window.left) / span * (columns - 1)
    lows, highs = window.heights(found.low), window.heights(found.high)
    if window.log:
        # A group that reaches below zero is drawn by its part above.
        lows = np.where(np.isnan(lows), highs, lows)
    known = np.isfinite(lows)
    gap = np.isinf(found.low) | (np.isfinite(found.low) & ~known)
    if known.any():
        _draw_between(place[known], lows[known], highs[known], low, high)
        if gap.any():
            _cut(place, known, gap, low, high)
        column = np.floor(place[known] + 0.5).astype(int)
        inside = (column >= 0) & (column < columns)
        np.fmin.at(low, column[inside], lows[known][inside])
        np.fmax.at(high, column[inside], highs[known][inside])
    return low, high


def _draw_between(place: np.ndarray, lows: np.ndarray, highs: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    columns = np.arange(len(low))
    within = (columns >= place[0]) & (columns <= place[-1])
    middle = (lows + highs) / 2
    straight = np.interp(columns[within], place, middle)
    low[within] = straight
    high[within] = straight


def _cut(place: np.ndarray, known: np.ndarray, gap: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Take the line away between the last value before a gap and the first behind it."""
    spots = np.flatnonzero(known)
    before = np.searchsorted(spots, np.flatnonzero(gap)) - 1
    for left in sorted(set(before.tolist())):
        start = place[spots[left]] if left >= 0 else -1.0
        stop = place[spots[left + 1]] if left + 1 < len(spots) else len(low)
        first, last = max(0, int(np.floor(start)) + 1), min(len(low), int(np.ceil(stop)))
        low[first:last] = np.nan
        high[first:last] = np.nan


def braille(low: np.ndarray, high: np.ndarray, rows: int) -> np.ndarray:
    """Braille characters (code points, 0: empty) of `rows` rows × half as many cells as there are columns."""
    mask = _mask(low, high, rows * 4)
    cells = mask.reshape(rows, 4, -1, 2) * BRAILLE[None, :, None, :]
    codes = cells.sum(axis=(1, 3))
    return np.where(codes > 0, codes + BRAILLE_BASE, 0)


def letters(low: np.ndarray, high: np.ndarray, rows: int, sign: str) -> np.ndarray:
    """The same in one sign a cell, for terminals or fonts without braille; a column is a cell."""
    return np.where(_mask(low, high, rows), ord(sign), 0)


def _mask(low: np.ndarray, high: np.ndarray, rows: int) -> np.ndarray:
    """rows × columns, the top row first: whether the line passes. Neighbours are joined by filling up the steps."""
    known = np.isfinite(low) & np.isfinite(high)
    scale = rows - 1
    bottom = np.floor(np.where(known, low, 0.0).clip(-1, 2) * scale + 0.5)
    top = np.floor(np.where(known, high, 0.0).clip(-1, 2) * scale + 0.5)
    pair = known[1:] & known[:-1]
    joined_bottom, joined_top = bottom.copy(), top.copy()
    up = pair & (bottom[1:] > top[:-1] + 1)
    down = pair & (top[1:] < bottom[:-1] - 1)
    joined_bottom[1:] = np.where(up, top[:-1] + 1, joined_bottom[1:])
    joined_top[1:] = np.where(down, bottom[:-1] - 1, joined_top[1:])
    levels = np.arange(rows)[::-1, None]
    return (levels >= joined_bottom) & (levels <= joined_top) & known


def nice_step(span: float, parts: int) -> float:
    """A step of 1, 2 or 5 × a power of ten that cuts `span` into about `parts`."""
    raw = span / max(1, parts)
    if not np.isfinite(raw) or raw <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(raw))
    share = raw / power
    for step in (1.0, 2.0, 5.0):
        if share <= step * 1.0000001:
            return float(step * power)
    return float(10 * power)


def nice_bounds(low: float, high: float, parts: int = 8) -> tuple[float, float]:
    """Bounds around `low` … `high` that stay the same while values change a little."""
    if high - low < 1e-12 * max(1.0, abs(high)):
        pad = abs(high) * 0.05 or 0.05
        return low - pad, high + pad
    step = nice_step(high - low, parts)
    return float(np.floor(low / step + 1e-9) * step), float(np.ceil(high / step - 1e-9) * step)
