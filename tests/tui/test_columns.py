"""Series under their pyramids: whatever the length, an extreme is never lost, and nothing is rounded away."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.columns import BLOCK, Column, Places, Track
from tui.raster import Window, braille, column_spans, letters, nice_bounds
from tui.series import Smoothed, ema, extremes

VALUES = st.one_of(
    st.floats(-1000, 1000, width=32), st.just(math.nan), st.just(math.inf), st.sampled_from([0.0, 1e30, -1e30])
)
PIECES = st.lists(st.lists(VALUES, min_size=0, max_size=90), min_size=1, max_size=9)


def column_of(pieces: list[list[float]]) -> Column:
    """A column that was given its values piece by piece."""
    column = Column()
    for piece in pieces:
        column.extend(np.array(piece, np.float32))
    return column


def places_of(count: int, stride: float = 1.0) -> Places:
    """Places 0, `stride`, …"""
    places = Places()
    places.extend(np.arange(count) * stride)
    return places


@given(PIECES, st.data())
def test_extremes_of_any_window_are_kept(pieces: list[list[float]], data: st.DataObject) -> None:
    column = column_of(pieces)
    flat = np.array([value for piece in pieces for value in piece], np.float32)
    assert column.count == len(flat)
    np.testing.assert_array_equal(column.slice(0, column.count), flat)
    start = data.draw(st.integers(0, len(flat)))
    stop = data.draw(st.integers(start, len(flat)))
    groups = data.draw(st.integers(1, 40))
    found = extremes(places_of(len(flat)), column, start, stop, groups)
    window = flat[start:stop]
    finite = window[np.isfinite(window)]
    low, high = found.low[np.isfinite(found.low)], found.high[np.isfinite(found.high)]
    assert len(found.x) <= 16 * groups + 64 or len(found.x) == len(window)
    if len(finite):
        assert low.min() == finite.min()
        assert high.max() == finite.max()
    else:
        assert not len(low)
        assert not len(high)
    assert column.gaps == np.isinf(flat).sum()
    assert column.finite == np.isfinite(flat).sum()


@given(PIECES, st.data())
def test_what_was_cut_off_leaves_no_trace(pieces: list[list[float]], data: st.DataObject) -> None:
    column = column_of(pieces)
    flat = [value for piece in pieces for value in piece]
    count = data.draw(st.integers(0, len(flat)))
    column.truncate(count)
    again = data.draw(st.lists(VALUES, max_size=40))
    column.extend(np.array(again, np.float32))
    fresh = column_of([flat[:count] + again])
    np.testing.assert_array_equal(column.slice(0, column.count), fresh.slice(0, fresh.count))
    assert (column.gaps, column.finite, column.not_positive) == (fresh.gaps, fresh.finite, fresh.not_positive)
    assert column.newest == fresh.newest or (math.isnan(column.newest) and math.isnan(fresh.newest))
    for level in range(2):
        np.testing.assert_array_equal(column.pyramid.low[level].view(), fresh.pyramid.low[level].view())
        np.testing.assert_array_equal(column.pyramid.high[level].view(), fresh.pyramid.high[level].view())


def test_long_columns_agree_with_plain_arrays() -> None:
    chance = np.random.default_rng(3)
    values = chance.normal(size=5 * BLOCK + 77).astype(np.float32)
    values[BLOCK : 2 * BLOCK] = 7.0
    values[3 * BLOCK + 5] = np.inf
    moments = np.cumsum(chance.random(len(values)))
    column, places = Column(), Places()
    for start in range(0, len(values), 1000):
        column.extend(values[start : start + 1000])
        places.extend(moments[start : start + 1000])
    np.testing.assert_array_equal(column.slice(0, len(values)), values)
    np.testing.assert_allclose(places.slice(0, len(values)), moments, atol=1e-3)
    for value in (0.0, moments[BLOCK - 1] + 0.001, moments[-1] + 1, moments[2 * BLOCK]):
        assert abs(places.first_from(value) - int(np.searchsorted(moments, value))) <= 1
    found = extremes(places, column, 10, len(values) - 10, 50)
    inner = values[10 : len(values) - 10]
    assert found.low.min() == inner.min()
    assert found.high[np.isfinite(found.high)].max() == inner[np.isfinite(inner)].max()
    assert (np.diff(found.x) >= 0).all()


def test_even_steps_cost_no_memory_and_falling_places_stand_still() -> None:
    places = places_of(3 * BLOCK, 2.0)
    assert places.at(2 * BLOCK + 1) == 2.0 * (2 * BLOCK + 1)
    assert places.first_from(9.0) == 5
    places = Places()
    places.extend(np.array([math.nan, 5.0, 4.0, math.nan, 6.0]))
    assert places.slice(0, 5).tolist() == [5.0, 5.0, 5.0, 5.0, 6.0]


def test_a_metric_that_comes_late_lies_at_its_own_places() -> None:
    track = Track()
    track.extend(np.array([[1.0, 2.0], [10, 20], [0, 0]]), ("loss",), np.array([[0.5, 0.4]], np.float32))
    both = np.array([[0.3], [9.0]], np.float32)
    track.extend(np.array([[3.0], [30], [0]]), ("loss", "extra"), both)
    assert np.isnan(track.columns["extra"].slice(0, 2)).all()
    assert track.columns["extra"].slice(2, 3)[0] == 9.0
    assert track.columns["extra"].gaps == 0


def plain_ema(values: list[float], weight: float) -> list[float]:
    """TensorBoard's formula, one value after the other."""
    last, count, smooth = 0.0, 0, []
    for value in values:
        if not math.isfinite(value):
            smooth.append(value)
            continue
        last = last * weight + (1 - weight) * value
        count += 1
        smooth.append(last / (1 - weight**count))
    return smooth


@given(st.lists(st.one_of(st.floats(-1000, 1000, width=32), st.just(math.inf)), max_size=400),
       st.sampled_from([0.1, 0.6, 0.9, 0.97, 0.999]), st.integers(0, 400))  # fmt: skip
def test_smoothing_is_tensorboards(values: list[float], weight: float, cut: int) -> None:
    first, total, count = ema(np.array(values[:cut], np.float32), weight)
    second, _total, _count = ema(np.array(values[cut:], np.float32), weight, total, count)
    expected = plain_ema([float(np.float32(value)) for value in values], weight)
    np.testing.assert_allclose(np.concatenate([first, second]), expected, rtol=1e-6, atol=1e-6)


def test_a_smoothed_column_follows_its_column() -> None:
    chance = np.random.default_rng(5)
    values = chance.normal(2, 1, 3 * BLOCK + 100).astype(np.float32)
    values[70] = np.inf
    column = Column()
    smoothed = Smoothed(column, 0.97)
    for start in range(0, len(values), 777):
        column.extend(values[start : start + 777])
        while not smoothed.sync():
            pass
    expected = np.array(plain_ema(values.tolist(), 0.97))
    np.testing.assert_allclose(smoothed.slice(0, len(values)), expected, rtol=1e-4)
    assert smoothed.newest == pytest.approx(expected[-1], rel=1e-5)
    places = places_of(len(values))
    found = extremes(places, smoothed, 0, len(values), 30)
    finite = expected[np.isfinite(expected)]
    assert found.low[np.isfinite(found.low)].min() == pytest.approx(finite.min(), rel=1e-4)
    assert found.high[np.isfinite(found.high)].max() == pytest.approx(finite.max(), rel=1e-4)
    column.truncate(1000)
    column.extend(np.array([5.0], np.float32))
    while not smoothed.sync():
        pass
    again = plain_ema([*values[:1000].tolist(), 5.0], 0.97)
    assert smoothed.count == 1001
    assert smoothed.newest == pytest.approx(again[-1], rel=1e-5)


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=600), st.integers(4, 60), st.integers(2, 12))
def test_the_picture_holds_the_highest_and_the_lowest(values: list[float], columns: int, rows: int) -> None:
    column = column_of([values])
    found = extremes(places_of(len(values)), column, 0, len(values), columns * 2)
    low, high = nice_bounds(float(np.float32(min(values))), float(np.float32(max(values))))
    window = Window(0, max(1, len(values) - 1), low, high)
    lows, highs = column_spans(found, window, columns * 2)
    assert np.nanmin(lows) == pytest.approx(float(window.heights(np.array([min(values)]))[0]), abs=1e-6)
    assert np.nanmax(highs) == pytest.approx(float(window.heights(np.array([max(values)]))[0]), abs=1e-6)
    cells = braille(lows, highs, rows)
    assert cells.shape == (rows, columns)
    # The line runs through every column from the first value to the last.
    assert (cells > 0).any(axis=0).all() or len(values) == 1
    signs = letters(*column_spans(found, window, columns), rows, "*")
    assert set(np.unique(signs)) <= {0, ord("*")}


def test_a_gap_stays_a_gap_and_a_logarithm_leaves_out_what_is_not_positive() -> None:
    values = np.array([1.0, 2.0, np.inf, np.inf, 2.0, 1.0, -1.0, 0.0, 3.0, 4.0])
    column = column_of([values.tolist()])
    found = extremes(places_of(10), column, 0, 10, 10)
    low, _high = column_spans(found, Window(0, 9, 0, 4), 10)
    assert np.isnan(low[[2, 3]]).all()
    assert np.isfinite(low[[0, 1, 4, 5, 6, 7, 8, 9]]).all()
    low, _high = column_spans(found, Window(0, 9, 0, 1, log=True), 10)
    assert np.isnan(low[[2, 3, 6, 7]]).all()
    assert np.isfinite(low[[0, 1, 4, 5, 8, 9]]).all()
    assert column.not_positive == 2
