"""A plot as lines of cells, laid out by plotext: its axes and ticks, and in its canvas the cells of our lines.

plotext joins points one by one and knows no extremes, so lines come as cells (tui.raster), which plotext places as
markers. While the frame stays, only cells that changed are put into plotext's matrix. All text in it is ASCII, because
plotext counts a wide character as one cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LABEL_WIDTH = 7
SPACE = ord(" ")
# The tone of the labels; tones of cells are other numbers, which the widget turns into colours.
LABELS = 0
# The tone with a ground of its own, which blanks beside it must not take over.
CURSOR = 5


@dataclass(frozen=True)
class Frame:
    """What surrounds a plot: its size in cells, labels of the y-axis (row from the bottom, text), of the x-axis."""

    width: int
    height: int
    y_labels: tuple[tuple[int, str], ...]
    x_labels: tuple[tuple[int, str], ...]

    @property
    def canvas(self) -> tuple[int, int]:
        """Columns and rows that are left for lines."""
        return canvas_size(self.width, self.height)


def canvas_size(width: int, height: int) -> tuple[int, int]:
    """Columns and rows for lines in a plot of this size."""
    return max(0, width - LABEL_WIDTH), max(0, height - 1)


@dataclass(frozen=True)
class Run:
    """Neighbouring cells of one tone."""

    text: str
    tone: int


class PlotError(Exception):
    """plotext could not draw; the message says what it said."""


class Plotter:
    """Draws one plot again and again."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._figure: Any = None
        self._chars = np.zeros((0, 0), int)
        self._tones = np.zeros((0, 0), int)
        self._rows: list[list[Run]] = []

    def draw(self, frame: Frame, chars: np.ndarray, tones: np.ndarray) -> list[list[Run]]:
        """Rows of the plot from the top. `chars` (code points, 0: empty) and `tones` have a number for each cell of
        the canvas, the top row first. Raises PlotError."""
        try:
            if frame != self._frame:
                self._build(frame, chars, tones)
                changed = list(range(frame.height))
                rows: list[list[Run]] = [[] for _row in changed]
            else:
                changed = self._change(chars, tones)
                rows = list(self._rows)
            matrix = self._figure.monitor.matrix
            for row in changed:
                rows[row] = _runs(matrix.marker[frame.height - 1 - row], matrix.fullground[frame.height - 1 - row])
        except (ValueError, TypeError, IndexError, AttributeError, ZeroDivisionError) as error:
            self._frame = None
            raise PlotError(f"{type(error).__name__}: {error}") from error
        self._frame, self._chars, self._tones, self._rows = frame, chars, tones, rows
        return rows

    def _build(self, frame: Frame, chars: np.ndarray, tones: np.ndarray) -> None:
        from plotext._figure import _figure_class

        if self._figure is None:
            self._figure = _figure_class()
        figure = self._figure
        columns, rows = frame.canvas
        figure.clear_figure()
        # plotext would cut a plot to the size of the terminal that it thinks it is in.
        figure._limit_size(False, False)
        figure.plot_size(frame.width, frame.height)
        figure.frame(False)
        figure.grid(False, False)
        figure.xlim(0, max(1, columns - 1))
        figure.ylim(0, max(1, rows - 1))
        figure.yticks(
            [row for row, _text in frame.y_labels], [text.rjust(LABEL_WIDTH) for _row, text in frame.y_labels]
        )
        figure.xticks([column for column, _text in frame.x_labels], [text for _column, text in frame.x_labels])
        # A blank at the origin: without any point plotext draws no ticks either.
        figure.scatter([0], [0], marker=[" "], color=LABELS)
        for tone in sorted(set(tones[chars > 0].tolist())):
            row, column = np.nonzero((chars > 0) & (tones == tone))
            markers = [chr(code) for code in chars[row, column].tolist()]
            figure.scatter(column.tolist(), (rows - 1 - row).tolist(), marker=markers, color=int(tone))
        figure.build()

    def _change(self, chars: np.ndarray, tones: np.ndarray) -> list[int]:
        """Put what is different into the matrix; which rows that were, counted from the top."""
        matrix = self._figure.monitor.matrix
        rows = chars.shape[0]
        different = np.argwhere((chars != self._chars) | (tones != self._tones)).tolist()
        for row, column in different:
            code, tone = int(chars[row, column]), int(tones[row, column])
            matrix.insert_element(
                matrix.Cols_canvas[0] + column, matrix.Rows_canvas[0] + rows - 1 - row, chr(code or SPACE), tone
            )
        return sorted({row for row, _column in different})


def _runs(markers: Sequence[str], colours: Sequence[Any]) -> list[Run]:
    """A row of plotext's matrix. What has no tone of ours is a label; a blank belongs to what stands before it, which
    makes fewer changes of colour for the terminal."""
    runs: list[Run] = []
    begin, tone = 0, LABELS
    for place, (mark, colour) in enumerate(zip(markers, colours, strict=True)):
        if mark == " ":
            own = LABELS if tone == CURSOR else tone
        else:
            own = colour if isinstance(colour, int) else LABELS
        if own != tone:
            if place > begin:
                runs.append(Run("".join(markers[begin:place]), tone))
            begin, tone = place, own
    runs.append(Run("".join(markers[begin:]), tone))
    return runs
