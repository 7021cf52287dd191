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
        self._size = 0, 0
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
            self._frame = self._figure = None
            raise PlotError(f"{type(error).__name__}: {error}") from error
        self._frame, self._chars, self._tones, self._rows = frame, chars, tones, rows
        return rows

    def _build(self, frame: Frame, chars: np.ndarray, tones: np.ndarray) -> None:
        columns, rows = frame.canvas
        figure = self._sized(frame.width, frame.height)
        figure.xlim(0, max(1, columns - 1))
        figure.ylim(0, max(1, rows - 1))
        figure.yticks(
            [row for row, _text in frame.y_labels], [text.rjust(LABEL_WIDTH) for _row, text in frame.y_labels]
        )
        figure.xticks([column for column, _text in frame.x_labels], [text for _column, text in frame.x_labels])
        # A blank at the origin: without any point plotext draws no ticks either.
        figure.scatter([0], [0], marker=[" "], color=LABELS)
        # `build` without the string for a terminal that it makes of the matrix in the end.
        figure._set_sizes()
        figure._build_matrix()
        self._put(np.argwhere(chars > 0).tolist(), chars, tones)

    def _sized(self, width: int, height: int) -> Any:
        """plotext's figure of this size without data. Only what a picture changes is reset: a figure that is cleared
        copies itself, which takes as long as drawing."""
        from plotext._figure import _figure_class

        if self._figure is None or (width, height) != self._size:
            figure = self._figure = _figure_class()
            # plotext would cut a plot to the size of the terminal that it thinks it is in.
            figure._limit_size(False, False)
            figure.plot_size(width, height)
            figure.frame(False)
            figure.grid(False, False)
            self._size = width, height
        else:
            self._figure.clear_data()
        return self._figure

    def _put(self, cells: list[list[int]], chars: np.ndarray, tones: np.ndarray) -> None:
        """Put `cells` (row from the top, column) of the canvas into plotext's matrix."""
        matrix = self._figure.monitor.matrix
        rows = chars.shape[0]
        left, bottom = matrix.Cols_canvas[0], matrix.Rows_canvas[0]
        for row, column in cells:
            code, tone = int(chars[row, column]), int(tones[row, column])
            matrix.insert_element(left + column, bottom + rows - 1 - row, chr(code or SPACE), tone)

    def _change(self, chars: np.ndarray, tones: np.ndarray) -> list[int]:
        """Put what is different into the matrix; which rows that were, counted from the top."""
        different = np.argwhere((chars != self._chars) | (tones != self._tones)).tolist()
        self._put(different, chars, tones)
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
