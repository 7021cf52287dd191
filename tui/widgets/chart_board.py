"""A grid of charts as one widget, which sends only the cells that changed to the terminal; without keys of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.segment import Segment
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from core.i18n import gettext as _
from core.text import visible
from tui.chart_choices import Choices
from tui.chart_drawing import Chart, Drawing, Look, Source
from tui.chart_model import Metric, View, axis_of, find_metrics, matches
from tui.painting import PlainLines
from tui.plot import PlotError
from tui.widgets.chart_captions import Captions
from tui.widgets.chart_palette import Palette
from tui.widgets.chart_values import value_lines, value_rows
from tui.widgets.top_bar import fit

LEAST_WIDTH, LEAST_HEIGHT = 36, 6
# Of so many lines for charts, and more, the table of single values takes at most one in `VALUES_SHARE`.
VALUES_FROM, VALUES_SHARE = 4 * LEAST_HEIGHT, 4
GUTTER = 2
# Smoothing a long run takes several turns of the event loop; seconds between two of them.
GO_ON = 0.02


class ChartBoard(Widget):
    """Charts of one run, or of several over one another. `show` gives the runs and draws what changed."""

    def __init__(self, choices: Choices, **options: Any) -> None:
        super().__init__(**options)
        self._styles_cache = PlainLines()
        self.choices = choices
        self.view = View()
        self.sources: list[Source] = []
        self.live = False
        self.message = ""
        self.enlarged = False
        self.cursor: float | None = None
        self.metrics: list[Metric] = []
        self.values: list[Metric] = []
        self._all: list[Metric] = []
        self._selected = ""
        # The one that nobody chose: it is the first, which may be another one once more is known.
        self._first = ""
        self._charts: dict[tuple[str, int, int], Chart] = {}
        self._drawn: dict[str, Drawing] = {}
        self._strips: list[Strip] = []
        self._palette: Palette | None = None

    def on_mount(self) -> None:
        """Other colours, another picture."""
        self.watch(self.app, "theme", self._recolour, init=False)

    def _recolour(self) -> None:
        self._palette = None
        self.redraw()

    def on_resize(self, event: Resize) -> None:
        """Another size, other charts."""
        if not self._fits():
            self.redraw()

    # -- what is shown -----------------------------------------------------------------------------------------

    def show(self, sources: Sequence[Source], *, live: bool, message: str = "") -> None:
        """Draw these runs, the first being the one that is watched. `message` stands where nothing is to be drawn."""
        self.sources = list(sources)
        self.live, self.message = live, message
        self._all = find_metrics(source.telemetry for source in self.sources)
        self._choose()
        self.redraw()

    def smooth_ahead(self, source: Source) -> None:
        """Smooth a portion of the lines of a run that is still being read, for the metrics in view."""
        for metric in self.shown:
            made = source.smooth(metric, self.choices.smoothing)
            if made is not None:
                made.sync()

    def filter(self, pattern: str) -> None:
        """Show the metrics that `pattern` finds."""
        self.choices.filter = pattern
        self._choose()
        self.redraw()

    def _choose(self) -> None:
        chosen = matches(self._all, self.choices.filter)
        # One value is no line. A live run's steps and samples go on: theirs are charts from the first one.
        self.values = [metric for metric in chosen if self._is_single(metric)]
        self.metrics = [metric for metric in chosen if metric not in self.values]
        keys = [metric.key for metric in self.metrics]
        if self._selected == self._first or self._selected not in keys:
            self._selected = self._first = keys[0] if keys else ""

    def _is_single(self, metric: Metric) -> bool:
        if self.live and not metric.evaluation:
            return False
        columns = [metric.column(source.telemetry) for source in self.sources]
        return all(column is None or column.finite + column.gaps < 2 for column in columns)

    @property
    def selected(self) -> Metric | None:
        """The chosen metric."""
        return next((metric for metric in self.metrics if metric.key == self._selected), None)

    @property
    def shown(self) -> list[Metric]:
        """The metrics on the page in view."""
        chosen = self.selected
        if chosen is None:
            return []
        if self.enlarged:
            return [chosen]
        columns, rows = self._grid()
        size = columns * rows
        page = self.metrics.index(chosen) // size
        return self.metrics[page * size : (page + 1) * size]

    def _grid(self) -> tuple[int, int]:
        """Columns and rows of charts."""
        width, height = self.size.width, self.room
        if self.enlarged:
            return 1, 1
        fit_in = max(1, (width + GUTTER) // (LEAST_WIDTH + GUTTER))
        columns = min(self.choices.columns or fit_in, max(1, (width + GUTTER) // (20 + GUTTER)))
        rows = max(1, height // LEAST_HEIGHT)
        if not self.choices.columns:
            # No more places than metrics: few metrics get large charts.
            while columns * rows > len(self.metrics) and rows > 1 and columns * (rows - 1) >= len(self.metrics):
                rows -= 1
            while columns > 1 and (columns - 1) * rows >= len(self.metrics):
                columns -= 1
        return columns, rows

    @property
    def room(self) -> int:
        """Lines for charts: without the heading, and without the table of single values."""
        return self.size.height - 1 - self._value_height()

    def _value_height(self) -> int:
        height = self.size.height - 1
        wanted = value_rows(len(self.values), self.size.width)
        if self.enlarged:
            return 0
        if not self.metrics:
            return min(wanted, height)
        # Charts come first: where there is little room the table takes what their rows leave over.
        given = height // VALUES_SHARE if height >= VALUES_FROM else height % LEAST_HEIGHT
        return min(wanted, given) if given > 1 else 0

    def bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The window in view, and all there is, on the x-axis in use."""
        firsts: list[float] = []
        lasts: list[float] = []
        for source in self.sources:
            for track in source.telemetry.tracks.values():
                if track.count:
                    axis = axis_of(source.telemetry, track, self.choices.axis)
                    for values, place in ((firsts, axis.places.at(0)), (lasts, axis.places.newest)):
                        if math.isfinite(place):
                            values.append(axis.value(place))
        whole = (min(firsts, default=0.0), max(lasts, default=1.0))
        return self.view.bounds(*whole, self.live), whole

    # -- drawing -----------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw everything in view, and have the terminal told of the cells that changed."""
        if not self._can_draw():
            return
        before, self._strips = self._strips, self._draw()
        if not self._fits(before):
            self.refresh()
        else:
            # Whole lines: which of their cells differ is found out once, where they are written.
            pairs = enumerate(zip(before, self._strips, strict=True))
            changed = [Region(0, row, self.size.width, 1) for row, (old, new) in pairs if old != new]
            if changed:
                self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """A line as it was drawn last; at a size that nothing was drawn for, the charts are drawn now.

        So the first picture of a screen has its charts: the size is known to the one that paints before it is told.
        """
        if not self._fits() and self._can_draw():
            self._strips = self._draw()
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def _can_draw(self) -> bool:
        return self.is_mounted and self.size.width >= 8 and self.size.height >= 3

    def _fits(self, strips: list[Strip] | None = None) -> bool:
        drawn = self._strips if strips is None else strips
        return len(drawn) == self.size.height and bool(drawn) and drawn[0].cell_length == self.size.width

    def _draw(self) -> list[Strip]:
        if not self._fits():
            self._charts.clear()
        base = self.rich_style
        palette = self._palette
        if palette is None or palette.base != base:
            palette = self._palette = Palette.of(self.app, base)
        strips = self._compose_strips(palette)
        if any(not drawing.complete for drawing in self._drawn.values()):
            self.set_timer(GO_ON, self.redraw)
        return strips

    def _compose_strips(self, palette: Palette) -> list[Strip]:
        width, height = self.size
        window, _whole = self.bounds()
        captions = Captions(self.sources, self.choices, self.cursor, palette)
        shown = self.shown
        lines = [captions.heading(width, self._page(shown), following=self.view.right is None)]
        self._drawn = {}
        most = self._value_height()
        values = value_lines(captions, self.values, width, most) if most else []
        if not shown and values:
            return self._filled(lines + values, palette)
        if not shown:
            lines += [[], *([Segment(fit(line, width), palette.quiet)] for line in self._nothing().split("\n"))]
            return self._filled(lines, palette)
        columns, rows = self._grid()
        column_width = (width - GUTTER * (columns - 1)) // columns
        readings = captions.readings(shown[0], width) if self.enlarged and self.cursor is not None else []
        row_height = (self.room - len(readings)) // rows
        for row in range(rows):
            cells = [
                self._chart_lines(metric, column_width, row_height, window, captions)
                for metric in shown[row * columns : (row + 1) * columns]
            ]
            for line in range(row_height):
                segments: list[Segment] = []
                for number, cell in enumerate(cells):
                    if number:
                        segments.append(Segment(" " * GUTTER))
                    segments += cell[line]
                lines.append(segments)
        # At the bottom, whatever the rows of charts leave over.
        lines += [[] for _line in range(height - len(readings) - len(values) - len(lines))]
        return self._filled(lines + readings + values, palette)

    def _filled(self, lines: list[list[Segment]], palette: Palette) -> list[Strip]:
        """The lines as strips that fill the widget."""
        width, height = self.size
        base = palette.base
        lines = lines[:height] + [[] for _line in range(height - len(lines))]
        return [
            Strip([Segment(text, style or base) for text, style, _control in segments]).adjust_cell_length(width, base)
            for segments in lines
        ]

    def _nothing(self) -> str:
        """What stands there instead of charts."""
        if self._all and not self.metrics and not self.values:
            pattern = visible(self.choices.filter)
            return _("No metric fits {pattern}.").format(pattern=pattern) + " " + _("/ changes it.")
        return self.message

    def _page(self, shown: Sequence[Metric]) -> str:
        """Which of the metrics are in view, when not all are."""
        parts = []
        if shown and len(shown) < len(self.metrics):
            first = self.metrics.index(shown[0]) + 1
            text = _("metrics {first}–{last} of {all}")
            parts.append(text.format(first=first, last=first + len(shown) - 1, all=len(self.metrics)))
        if shown and self.values and not self.enlarged and not self._value_height():
            parts.append(_("/ finds {n} of one value").format(n=len(self.values)))
        return " · ".join(parts)

    def _chart_lines(
        self, metric: Metric, width: int, height: int, window: tuple[float, float], captions: Captions
    ) -> list[list[Segment]]:
        palette = captions.palette
        chart = self._charts.setdefault((metric.key, width, height), Chart(metric))
        log = metric.key in self.choices.log
        look = Look(self.choices.axis, window, self.choices.smoothing, log, self.cursor, palette.plain)
        try:
            drawing = chart.draw(self.sources, look, width, height - 1)
        except PlotError as error:
            drawing = Drawing([])
            note = fit(visible(str(error)), width)
        else:
            note = fit(_("nothing to draw here"), width)
        self._drawn[metric.key] = drawing
        lines = [
            captions.caption(metric, drawing, width, chosen=metric.key == self._selected, focused=self.has_focus),
        ]
        if drawing.rows:
            lines += [[Segment(run.text, palette.style(run.tone)) for run in row] for row in drawing.rows]
        else:
            lines.append([Segment(note, palette.quiet)])
        filled = [[*line, Segment(" " * (width - sum(part.cell_length for part in line)))] for line in lines]
        return filled + [[Segment(" " * width)] for _line in range(height - len(filled))]
