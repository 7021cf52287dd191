"""One chart as rows of cells: its lines with their extremes, marks on them, the cursor, labels at both axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tui.chart_model import Axis, Metric, axis_of, axis_text
from tui.columns import Column
from tui.plot import CURSOR, Frame, Plotter, Run, canvas_size
from tui.raster import Window, braille, column_spans, letters, nice_bounds, nice_step
from tui.series import Extremes, Smoothed, extremes
from tui.telemetry import Telemetry

LABEL, RAW, LINE, MARK, BEST = range(5)
# Line and raw line of run k among several are RUN + k and RUN_RAW + k.
RUN, RUN_RAW = 10, 30
EVALUATED, SAVED, BEST_SIGN = "o", "+", "*"
SIGNS = "123456789"


@dataclass
class Source:
    """A run in the charts: what it has told, and the smoothed lines made of it."""

    telemetry: Telemetry
    name: str = ""
    smoothed: dict[str, Smoothed] = field(default_factory=dict)

    def smooth(self, metric: Metric, weight: float) -> Smoothed | None:
        """The smoothed line of a metric, not yet synced; None without smoothing and where it would say less."""
        column = metric.column(self.telemetry)
        if column is None or weight <= 0 or not metric.smooth:
            return None
        known = self.smoothed.get(metric.key)
        if known is None or known.weight != weight or known.column is not column:
            known = self.smoothed[metric.key] = Smoothed(column, weight)
        return known


@dataclass(frozen=True)
class Drawing:
    """A drawn chart. `complete` is False while smoothing is under way; `gaps` and `left_out` count what is not drawn
    (no number; not above zero on a logarithmic scale)."""

    rows: list[list[Run]]
    complete: bool = True
    gaps: int = 0
    left_out: int = 0


@dataclass(frozen=True)
class Look:
    """How charts are drawn."""

    axis: str
    bounds: tuple[float, float]
    smoothing: float
    log: bool = False
    cursor: float | None = None
    plain: bool = False


@dataclass(frozen=True)
class _Line:
    number: int
    source: Source
    column: Column
    axis: Axis
    raw: Extremes
    smooth: Extremes | None


@dataclass(frozen=True)
class _Picture:
    """A chart's cells without the cursor, and what surrounds them."""

    frame: Frame
    chars: np.ndarray
    tones: np.ndarray


class Chart:
    """Draws a metric of one or several runs again and again; what has not changed is not drawn anew."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._plotter = Plotter()
        self._known: Any = None
        self._picture: _Picture | None = None
        self._cursor_at: float | None = None
        self._drawing = Drawing([])

    def draw(self, sources: Sequence[Source], look: Look, width: int, height: int) -> Drawing:
        """The chart in `width` × `height` cells. Raises PlotError."""
        columns, rows = canvas_size(width, height)
        if columns < 4 or rows < 1:
            return Drawing([])
        complete = True
        shown = []
        for source in sources:
            column = self.metric.column(source.telemetry)
            made = source.smooth(self.metric, look.smoothing)
            if made is not None:
                complete = made.sync() and complete
            if column is not None:
                shown.append((id(column), column.count, column.rewinds, made.count if made is not None else 0))
        marks = [(len(source.telemetry.evals), len(source.telemetry.checkpoints)) for source in sources[:1]]
        known = (replace(look, cursor=None), width, height, shown, marks, len(sources))
        if known == self._known and look.cursor == self._cursor_at:
            return self._drawing
        if known != self._known:
            self._picture = self._paint(sources, look, width, height)
        picture = self._picture
        if picture is None:
            self._drawing = Drawing([], complete)
        else:
            chars, tones = picture.chars, picture.tones
            if look.cursor is not None:
                chars, tones = chars.copy(), tones.copy()
                self._cursor(chars, tones, look)
            told = [column for source in sources if (column := self.metric.column(source.telemetry)) is not None]
            self._drawing = Drawing(
                self._plotter.draw(picture.frame, chars, tones),
                complete,
                sum(column.gaps for column in told),
                sum(column.not_positive for column in told) if look.log else 0,
            )
        self._known, self._cursor_at = known, look.cursor
        return self._drawing

    def _paint(self, sources: Sequence[Source], look: Look, width: int, height: int) -> _Picture | None:
        columns, rows = canvas_size(width, height)
        fine = columns if look.plain else columns * 2
        lines = self._lines(sources, look, columns * 2)
        window = self._window(lines, look, rows)
        if window is None:
            return None
        chars, tones = np.zeros((rows, columns), int), np.full((rows, columns), LABEL)
        several = len(sources) > 1
        for line in lines:
            if line.smooth is not None:
                tone = RUN_RAW + line.number if several else RAW
                self._put(chars, tones, column_spans(line.raw, window, fine), look, ".", tone)
        spans: list[tuple[np.ndarray, np.ndarray]] = []
        for line in lines:
            shown = line.smooth if line.smooth is not None else line.raw
            span = column_spans(shown, window, fine)
            self._put(chars, tones, span, look, "#", RUN + line.number if several else LINE)
            spans.append(span)
        for line, span in zip(lines, spans, strict=True):
            if several:
                self._sign(chars, tones, span, line.number, len(sources))
            if line.number == 0:
                self._mark(chars, tones, line, window)
        frame = Frame(width, height, self._y_labels(window, rows), self._x_labels(look, columns))
        return _Picture(frame, chars, tones)

    def _lines(self, sources: Sequence[Source], look: Look, groups: int) -> list[_Line]:
        lines = []
        left, right = look.bounds
        for number, source in enumerate(sources):
            column = self.metric.column(source.telemetry)
            if column is None:
                continue
            track = source.telemetry.tracks[self.metric.track]
            axis = axis_of(source.telemetry, track, look.axis)
            # One event more on each side, so that the line reaches the edges.
            start = max(0, axis.places.first_from(axis.place(left)) - 1)
            stop = min(column.count, axis.places.first_from(axis.place(right)) + 1)
            raw = _moved(extremes(axis.places, column, start, stop, groups), axis)
            smooth = None
            made = source.smooth(self.metric, look.smoothing)
            if made is not None:
                smooth = _moved(extremes(axis.places, made, start, stop, groups), axis)
            lines.append(_Line(number, source, column, axis, raw, smooth))
        return lines

    def _window(self, lines: Sequence[_Line], look: Look, rows: int) -> Window | None:
        """The plane that holds every value in sight, its edges at round numbers."""
        left, right = look.bounds
        values = []
        for line in lines:
            inside = (line.raw.x >= left) & (line.raw.x <= right)
            # A line that only passes through has no value inside.
            inside = inside if inside.any() else np.ones(len(line.raw.x), bool)
            values += [line.raw.low[inside], line.raw.high[inside]]
        found = np.concatenate(values) if values else np.empty(0)
        found = found[np.isfinite(found)]
        if look.log:
            found = np.log10(found[found > 0])
        if not len(found):
            return None
        low, high = nice_bounds(float(found.min()), float(found.max()), 4 if rows < 6 else 8)
        return Window(left, right, low, high, look.log)

    @staticmethod
    def _put(
        chars: np.ndarray,
        tones: np.ndarray,
        span: tuple[np.ndarray, np.ndarray],
        look: Look,
        letter: str,
        tone: int,
    ) -> None:
        rows = chars.shape[0]
        cells = letters(*span, rows, letter) if look.plain else braille(*span, rows)
        taken = cells > 0
        chars[taken] = cells[taken]
        tones[taken] = tone

    @staticmethod
    def _sign(
        chars: np.ndarray, tones: np.ndarray, span: tuple[np.ndarray, np.ndarray], number: int, runs: int
    ) -> None:
        """A run's own sign on its line, at places where no other run has its own: colour is not all that tells."""
        rows, columns = chars.shape
        low, high = span
        scale = len(low) / columns
        for part in range(2):
            wanted = (number + 1 + part * (runs + 1)) / (2 * (runs + 1)) * columns
            for column in np.argsort(np.abs(np.arange(columns) - wanted), kind="stable").tolist():
                height = (low[int(column * scale)] + high[int(column * scale)]) / 2
                if math.isfinite(height):
                    row = _row(height, rows)
                    chars[row, column], tones[row, column] = ord(SIGNS[number % len(SIGNS)]), RUN + number
                    break

    def _mark(self, chars: np.ndarray, tones: np.ndarray, line: _Line, window: Window) -> None:
        """Evaluations and checkpoints on the loss, evaluations on their own lines; the best one has another sign."""
        telemetry = line.source.telemetry
        saved = {step for step, _best in telemetry.checkpoints}
        best = next((step for step, best in reversed(telemetry.checkpoints) if best), None)
        if self.metric.evaluation:
            count = min(line.column.count, chars.shape[1] * 4)
            first = line.column.count - count
            steps = telemetry.tracks[self.metric.track].places["step"].slice(first, line.column.count).tolist()
            found = [(step, EVALUATED) for step in steps] if count * 2 <= chars.shape[1] or count < 4 else []
            saved = set()
        elif self.metric.key == "loss":
            found = [
                (float(step), EVALUATED)
                for step, split, _metrics, final in telemetry.evals
                if split == "dev" and not final
            ]
        else:
            return
        signs = dict(found) | {float(step): SAVED for step in saved}
        if best is not None and (float(best) in signs or self.metric.key == "loss"):
            signs[float(best)] = BEST_SIGN
        steps = telemetry.tracks[self.metric.track].places["step"]
        shown = line.smooth if line.smooth is not None else line.raw
        known = np.isfinite(shown.low)
        if not known.any():
            return
        rows, columns = chars.shape
        for step, sign in signs.items():
            index = min(steps.first_from(step), line.column.count - 1)
            x = line.axis.value(line.axis.places.at(index))
            if not window.left <= x <= window.right:
                continue
            middle = np.interp(x, shown.x[known], (shown.low[known] + shown.high[known]) / 2)
            height = float(window.heights(np.array([middle]))[0])
            if not math.isfinite(height):
                continue
            column = math.floor((x - window.left) / (window.right - window.left) * (columns - 1) + 0.5)
            row = _row(height, rows)
            if chars[row, column] != ord(BEST_SIGN) or tones[row, column] != BEST:
                chars[row, column], tones[row, column] = ord(sign), BEST if sign == BEST_SIGN else MARK

    @staticmethod
    def _cursor(chars: np.ndarray, tones: np.ndarray, look: Look) -> None:
        columns = chars.shape[1]
        left, right = look.bounds
        assert look.cursor is not None
        column = math.floor((look.cursor - left) / (right - left) * (columns - 1) + 0.5)
        if 0 <= column < columns:
            empty = chars[:, column] == 0
            chars[empty, column] = ord("|")
            tones[:, column] = CURSOR

    def _y_labels(self, window: Window, rows: int) -> tuple[tuple[int, str], ...]:
        count = 3 if rows >= 5 else 2 if rows >= 2 else 1
        span = window.top - window.bottom
        # A label in the middle tells the value at its row, not at the middle.
        places = sorted({round(part / max(1, count - 1) * (rows - 1)) for part in range(count)})
        values = [window.bottom + span * (row / max(1, rows - 1)) for row in places]
        if window.log:
            values = [10**value for value in values]
        texts = self.metric.ticks(values, nice_step(values[-1] - values[0] or span, 16), log=window.log)
        return tuple((row, text + " ") for row, text in zip(places, texts, strict=True))

    @staticmethod
    def _x_labels(look: Look, columns: int) -> tuple[tuple[int, str], ...]:
        left, right = look.bounds
        texts = [axis_text(look.axis, left), axis_text(look.axis, right)]
        labels = [(0, texts[0]), (columns - 1, texts[1])]
        if columns > 3 * (len(texts[0]) + len(texts[1])):
            middle = (columns - 1) // 2
            text = axis_text(look.axis, left + (right - left) * middle / (columns - 1))
            labels.insert(1, (middle, text))
        # Of a single place one label says as much as three.
        first: dict[str, int] = {}
        for column, text in labels:
            first.setdefault(text, column)
        return tuple((column, text) for text, column in first.items())


def _moved(found: Extremes, axis: Axis) -> Extremes:
    return Extremes(found.x * axis.scale - axis.origin, found.low, found.high)


def _row(height: float, rows: int) -> int:
    """The row, from the top, of the cell that holds a line's dot at this share of the height."""
    return rows - 1 - math.floor(min(1.0, max(0.0, height)) * (rows * 4 - 1) + 0.5) // 4
