"""The charts of Monitor: a grid of metrics in one widget, which sends only the cells that changed to the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Blur, Click, Focus, Resize
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.chart_drawing import BEST, LABEL, LINE, MARK, RAW, RUN, RUN_RAW, SIGNS, Chart, Drawing, Look, Source
from tui.chart_model import (
    SMOOTHING,
    X_AXES,
    Metric,
    Reading,
    View,
    axis_of,
    axis_text,
    find_metrics,
    matches,
    read_at,
)
from tui.colour_depth import ascii_of
from tui.keymap import key, localise
from tui.plot import CURSOR, PlotError
from tui.strips import changed_regions
from tui.widgets.top_bar import fit

# Okabe & Ito's colours (2008), for the ground of each theme: apart under every common colour blindness.
DARK_RUNS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2", "#999999")
LIGHT_RUNS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b6100", "#000000")
LEAST_WIDTH, LEAST_HEIGHT = 36, 6
GUTTER = 2
MOST_COLUMNS = 5


@dataclass
class Choices:
    """What the user chose to see; kept in the settings."""

    filter: str = ""
    smoothing: float = 0.9
    axis: str = "step"
    log: list[str] = field(default_factory=list)
    columns: int = 0

    @classmethod
    def of(cls, settings: Any) -> Choices:
        """From the settings file, where anything may stand; what does not fit is left at its default."""
        made = cls()
        if not isinstance(settings, dict):
            return made
        if isinstance(settings.get("filter"), str):
            made.filter = settings["filter"]
        if settings.get("smoothing") in SMOOTHING:
            made.smoothing = float(settings["smoothing"])
        if settings.get("axis") in X_AXES:
            made.axis = settings["axis"]
        if isinstance(settings.get("log"), list):
            made.log = [name for name in settings["log"] if isinstance(name, str)]
        columns = settings.get("columns")
        if isinstance(columns, int) and 0 <= columns <= MOST_COLUMNS:
            made.columns = columns
        return made

    def settings(self) -> dict[str, Any]:
        """For the settings file."""
        return {
            "filter": self.filter,
            "smoothing": self.smoothing,
            "axis": self.axis,
            "log": list(self.log),
            "columns": self.columns,
        }


class ChartGrid(Widget, can_focus=True):
    """Charts of one run, or of several over one another. `show` gives the runs and draws what changed."""

    DEFAULT_CSS = """
    ChartGrid { height: 1fr; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "enlarge", N_("Enlarge"), N_("The chosen chart alone, and back"), show=True),
        key("c", "cursor", N_("Cursor"), N_("Read values off all charts at once; ← → move it"), show=True),
        key("slash", "filter", N_("Filter"), N_("Choose metrics by a regular expression"), display="/"),
        key(
            "plus,equals_sign", "zoom(0.5)", N_("Zoom in"), N_("Half as much of the x-axis, on all charts"), display="+"
        ),
        key("minus", "zoom(2.0)", N_("Zoom out"), N_("Twice as much of the x-axis"), display="-"),
        key("0", "whole", N_("All"), N_("All of the x-axis, following the newest")),
        key("h,shift+left", "pan(-0.25)", N_("Earlier"), N_("Move the window to earlier values")),
        key("l,shift+right", "pan(0.25)", N_("Later"), N_("Move the window to later values")),
        key("f", "follow", N_("Follow"), N_("Follow the newest values, or hold the window")),
        key("Y", "log", N_("Log scale"), N_("Logarithmic y-axis for the chosen chart")),
        key("n,pagedown", "page(1)", N_("Next page"), N_("Next page of charts")),
        key("p,pageup", "page(-1)", N_("Previous page"), N_("Previous page of charts")),
        key("left_square_bracket", "columns(-1)", N_("Larger charts"), N_("Fewer charts in a row"), display="["),
        key("right_square_bracket", "columns(1)", N_("Smaller charts"), N_("More charts in a row"), display="]"),
        key("left", "move(-1,0)", show=False),
        key("right", "move(1,0)", show=False),
        key("up,k", "move(0,-1)", show=False),
        key("down,j", "move(0,1)", show=False),
        key("g,home", "edge(0)", show=False),
        key("G,end", "edge(1)", show=False),
    ]

    class Filter(Message):
        """The user wants to choose metrics."""

    class Changed(Message):
        """A choice was made that is worth keeping."""

        def __init__(self, choices: Choices) -> None:
            super().__init__()
            self.choices = choices

    def __init__(self, choices: Choices) -> None:
        super().__init__(id="charts")
        localise(self)
        self.choices = choices
        self.view = View()
        self.sources: list[Source] = []
        self.live = False
        self.message = ""
        self.enlarged = False
        self.cursor: float | None = None
        self.metrics: list[Metric] = []
        self._all: list[Metric] = []
        self._selected = ""
        self._charts: dict[tuple[str, int, int], Chart] = {}
        self._drawn: dict[str, Drawing] = {}
        self._strips: list[Strip] = []
        self._styles: dict[int, Style] = {}
        self._base = Style()

    def on_mount(self) -> None:
        """Other colours, another picture."""
        self.watch(self.app, "theme", self._recolour, init=False)

    def _recolour(self) -> None:
        self._make_styles()
        self.redraw()

    # -- what is shown -----------------------------------------------------------------------------------------

    def show(self, sources: Sequence[Source], *, live: bool, message: str = "") -> None:
        """Draw these runs, the first being the one that is watched. `message` stands where nothing is to be drawn."""
        self.sources = list(sources)
        self.live, self.message = live, message
        self._all = find_metrics(source.telemetry for source in self.sources)
        self._choose()
        self.redraw()

    def filter(self, pattern: str) -> None:
        """Show the metrics that `pattern` finds."""
        self.choices.filter = pattern
        self._choose()
        self.redraw()

    def _choose(self) -> None:
        self.metrics = matches(self._all, self.choices.filter)
        keys = [metric.key for metric in self.metrics]
        if self._selected not in keys:
            self._selected = keys[0] if keys else ""

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
        width, height = self.size.width, self.size.height - 1
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
        if not self.is_mounted or self.size.width < 8 or self.size.height < 3:
            return
        if not self._styles or self.rich_style != self._base:
            self._make_styles()
        strips = self._compose_strips()
        before, self._strips = self._strips, strips
        if len(before) != len(strips) or (before and before[0].cell_length != self.size.width):
            self.refresh()
        else:
            regions = changed_regions(before, strips)
            if regions:
                self.refresh(*regions)
        if any(not drawing.complete for drawing in self._drawn.values()):
            self.set_timer(0.02, self.redraw)

    def render_line(self, y: int) -> Strip:
        """A line as it was drawn last."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def _make_styles(self) -> None:
        variables = self.app.theme_variables
        light = not self.app.current_theme.dark
        runs = LIGHT_RUNS if light else DARK_RUNS
        faint, accent = variables.get("faint", "#777777"), variables.get("accent", "#ffffff")
        styles = {
            LABEL: Style(color=variables.get("secondary")),
            RAW: Style(color=faint),
            LINE: Style(color=accent),
            MARK: Style(color=variables.get("foreground")),
            BEST: Style(color=variables.get("warning"), bold=True),
            CURSOR: Style(color=variables.get("foreground"), bgcolor=variables.get("block-cursor-blurred-background")),
        }
        ground = variables.get("background", "#000000")
        base = self._base = self.rich_style
        for number, colour in enumerate(runs):
            styles[RUN + number] = Style(color=colour)
            styles[RUN_RAW + number] = Style(color=_between(colour, ground))
        self._styles = {tone: base + style for tone, style in styles.items()}

    def _style(self, tone: int) -> Style:
        for base in (RUN_RAW, RUN):
            if tone >= base:
                return self._styles[base + (tone - base) % len(DARK_RUNS)]
        return self._styles.get(tone, self._styles[LABEL])

    def _compose_strips(self) -> list[Strip]:
        width, height = self.size
        window, _whole = self.bounds()
        lines: list[list[Segment]] = [self._heading(width, window)]
        columns, rows = self._grid()
        shown = self.shown
        if not shown:
            return self._empty(lines[0], width, height)
        column_width = (width - GUTTER * (columns - 1)) // columns
        readings_height = self._readings_height()
        row_height = (height - 1 - readings_height) // rows
        self._drawn = {}
        for row in range(rows):
            cells = [
                self._chart_lines(metric, column_width, row_height, window)
                for metric in shown[row * columns : (row + 1) * columns]
            ]
            for line in range(row_height):
                segments: list[Segment] = []
                for number, cell in enumerate(cells):
                    if number:
                        segments.append(Segment(" " * GUTTER))
                    segments += cell[line]
                lines.append(segments)
        lines += self._readings(width, readings_height)
        while len(lines) < height:
            lines.append([])
        return [self._strip(segments, width) for segments in lines[:height]]

    def _strip(self, segments: list[Segment], width: int) -> Strip:
        base = self._base
        made = Strip([Segment(text, style or base) for text, style, _control in segments])
        return made.adjust_cell_length(width, base)

    def _empty(self, heading: list[Segment], width: int, height: int) -> list[Strip]:
        if self._all and not self.metrics:
            text = (
                _("No metric fits {pattern}.").format(pattern=visible(self.choices.filter)) + " " + _("/ changes it.")
            )
        else:
            text = self.message
        lines = [heading, [], *([Segment(fit(line, width), self._styles[LABEL])] for line in text.split("\n"))]
        lines += [[] for _line in range(height - len(lines))]
        return [self._strip(segments, width) for segments in lines[:height]]

    def _heading(self, width: int, window: tuple[float, float]) -> list[Segment]:
        """The runs, or the page, at the left; how it is drawn at the right."""
        quiet, strong = (
            self._styles[LABEL],
            self._base + Style(color=self.app.theme_variables.get("foreground"), bold=True),
        )
        left: list[Segment] = []
        if self.cursor is not None:
            names = {"step": _("step"), "epoch": "epoch", "samples": _("samples"), "time": _("time")}
            text = f"{names[self.choices.axis]} {axis_text(self.choices.axis, self.cursor)}  "
            left.append(Segment(text, strong))
        if len(self.sources) > 1:
            room = max(8, (width - 34) // len(self.sources) - 4)
            for number, source in enumerate(self.sources):
                name = fit(visible(source.name), room)
                left.append(Segment(f"{SIGNS[number % len(SIGNS)]} {name}  ", self._style(RUN + number)))
        elif self.metrics and len(self.shown) < len(self.metrics):
            first = self.metrics.index(self.shown[0]) + 1
            text = _("metrics {first}–{last} of {all}")
            left.append(
                Segment(text.format(first=first, last=first + len(self.shown) - 1, all=len(self.metrics)) + "  ", quiet)
            )
        right = [{"step": _("step"), "epoch": "epoch", "samples": _("samples"), "time": _("time")}[self.choices.axis]]
        if self.choices.smoothing:
            right.append(f"EMA {self.choices.smoothing:g}")
        if self.choices.filter:
            right.append(f"/{visible(self.choices.filter)}")
        right.append(_("following") if self.view.right is None else _("held"))
        text = fit(" · ".join(right), max(8, width // 2))
        used = sum(segment.cell_length for segment in left)
        if used + cell_len(text) + 1 > width:
            left = Strip(left).crop(0, max(0, width - cell_len(text) - 1))._segments
            used = sum(segment.cell_length for segment in left)
        return [*left, Segment(" " * max(1, width - used - cell_len(text))), Segment(text, quiet)]

    def _chart_lines(self, metric: Metric, width: int, height: int, window: tuple[float, float]) -> list[list[Segment]]:
        chart = self._charts.setdefault((metric.key, width, height), Chart(metric))
        look = Look(
            self.choices.axis,
            window,
            self.choices.smoothing,
            metric.key in self.choices.log,
            self.cursor,
            ascii_of(self.app),
        )
        try:
            drawing = chart.draw(self.sources, look, width, height - 1)
        except PlotError as error:
            drawing = Drawing([])
            note = fit(visible(str(error)), width)
        else:
            note = fit(_("nothing to draw here"), width)
        self._drawn[metric.key] = drawing
        lines = [self._caption(metric, drawing, width)]
        if drawing.rows:
            lines += [[Segment(run.text, self._style(run.tone)) for run in row] for row in drawing.rows]
        else:
            lines.append([Segment(note, self._styles[LABEL])])
        filled = [[*line, Segment(" " * (width - sum(part.cell_length for part in line)))] for line in lines]
        return filled + [[Segment(" " * width)] for _line in range(height - len(filled))]

    def _caption(self, metric: Metric, drawing: Drawing, width: int) -> list[Segment]:
        variables = self.app.theme_variables
        chosen = metric.key == self._selected
        focused = chosen and self.has_focus
        style = self._base + Style(color=variables.get("accent" if focused else "secondary"), bold=focused or None)
        values = self._values(metric)
        title = ((">" if ascii_of(self.app) else "›") if chosen else " ") + " " + metric.title
        notes = []
        if metric.key in self.choices.log:
            notes.append("log")
        if drawing.gaps:
            notes.append(_("{n} NaN").format(n=f"{drawing.gaps:,}"))
        if drawing.left_out:
            notes.append(_("{n} ≤ 0 left out").format(n=f"{drawing.left_out:,}"))
        note = f" ({', '.join(notes)})" if notes else ""
        used = sum(segment.cell_length for segment in values)
        room = max(4, width - used - 1)
        text = fit(title + note, room)
        return [
            Segment(text, style),
            Segment(" " * max(0, width - used - cell_len(text))),
            *values,
        ]

    def _values(self, metric: Metric) -> list[Segment]:
        """At the right of a caption: the newest value, or what the cursor reads off; one for each run."""
        variables = self.app.theme_variables
        strong = self._base + Style(color=variables.get("foreground"), bold=True)
        parts: list[Segment] = []
        for number, source in enumerate(self.sources):
            smoothed = source.smooth(metric, self.choices.smoothing)
            several = len(self.sources) > 1
            style = self._style(RUN + number) if several else strong
            sign = f"{SIGNS[number % len(SIGNS)]}:" if several else ""
            if self.cursor is not None:
                reading = self._read(source, metric, smoothed)
                if reading is None:
                    continue
                text = metric.text(reading.raw)
                if reading.smooth is not None:
                    text = metric.text(reading.smooth) if several else f"{text} ~{metric.text(reading.smooth)}"
            else:
                column = metric.column(source.telemetry)
                if column is None:
                    continue
                text = metric.text(smoothed.newest if smoothed is not None else column.newest)
            parts.append(Segment((" " if parts else "") + sign + text, style))
        return parts

    def _read(self, source: Source, metric: Metric, smoothed: Any) -> Reading | None:
        assert self.cursor is not None
        return read_at(source.telemetry, metric, self.choices.axis, self.cursor, smoothed)

    def _readings_height(self) -> int:
        return len(self.sources) + 1 if self.enlarged and self.cursor is not None else 0

    def _readings(self, width: int, height: int) -> list[list[Segment]]:
        """Under the enlarged chart: for each run the event at the cursor, its value and the smoothed one."""
        metric = self.selected
        if not height or metric is None:
            return []
        quiet = self._styles[LABEL]
        header = "".join(f"{name:>14}" for name in ("step", self.choices.axis, "value", "smoothed"))
        lines = [[Segment(header, quiet)]]
        for number, source in enumerate(self.sources):
            reading = self._read(source, metric, source.smooth(metric, self.choices.smoothing))
            if reading is None:
                cells = ["-", "-", "-", "-"]
            else:
                smooth = metric.text(reading.smooth) if reading.smooth is not None else "-"
                x = axis_text(self.choices.axis, reading.x)
                cells = [f"{reading.step:,.0f}", x, metric.text(reading.raw), smooth]
            text = "".join(" " * max(1, 14 - cell_len(cell)) + cell for cell in cells)
            name = f"  {SIGNS[number % len(SIGNS)]} {visible(source.name)}" if len(self.sources) > 1 else ""
            style = (
                self._style(RUN + number)
                if len(self.sources) > 1
                else Style(color=self.app.theme_variables.get("foreground"))
            )
            lines.append([Segment(fit(text + name, width), style)])
        return lines

    # -- events ------------------------------------------------------------------------------------------------

    def on_resize(self, event: Resize) -> None:
        """Another size, other charts."""
        self._charts.clear()
        self.redraw()

    def on_focus(self, event: Focus) -> None:
        """The chosen chart's caption takes the accent."""
        self.redraw()

    def on_blur(self, event: Blur) -> None:
        """And gives it back."""
        self.redraw()

    def on_click(self, event: Click) -> None:
        """Choose the chart that was clicked."""
        columns, rows = self._grid()
        offset = event.get_content_offset(self)
        if offset is None or not self.shown or offset.y < 1:
            return
        column = offset.x * columns // max(1, self.size.width)
        row = (offset.y - 1) * rows // max(1, self.size.height - 1)
        number = row * columns + column
        if number < len(self.shown):
            self._selected = self.shown[number].key
            self.redraw()

    # -- keys --------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        self.post_message(self.Changed(self.choices))
        self.redraw()

    def action_filter(self) -> None:
        """Ask for a pattern; the screen has the line for it."""
        self.post_message(self.Filter())

    def action_enlarge(self) -> None:
        """The chosen chart alone, or all again."""
        self.enlarged = not self.enlarged and self.selected is not None
        self.redraw()

    def action_cursor(self) -> None:
        """Show the cursor at the newest value, or take it away."""
        if self.cursor is None:
            (left, right), whole = self.bounds()
            self.cursor = min(right, max(left, whole[1]))
        else:
            self.cursor = None
        self.redraw()

    def _column_step(self) -> float:
        columns, _rows = self._grid()
        width = (self.size.width - GUTTER * (columns - 1)) // columns
        (left, right), _whole = self.bounds()
        return (right - left) / max(1, width - 8)

    def action_move(self, right: int, down: int) -> None:
        """Choose another chart; sideways move the cursor where there is one."""
        if self.cursor is not None and right:
            (low, high), _whole = self.bounds()
            self.cursor = min(high, max(low, self.cursor + right * self._column_step()))
            self.redraw()
            return
        keys = [metric.key for metric in self.metrics]
        if not keys:
            return
        columns, _rows = self._grid()
        place = keys.index(self._selected) + right + down * columns
        if 0 <= place < len(keys):
            self._selected = keys[place]
            self.redraw()

    def action_edge(self, last: int) -> None:
        """The first or last chart; the ends of the window for the cursor."""
        if self.cursor is not None:
            (low, high), whole = self.bounds()
            self.cursor = min(high, whole[1]) if last else max(low, whole[0])
        elif self.metrics:
            self._selected = self.metrics[-1 if last else 0].key
        self.redraw()

    def action_page(self, pages: int) -> None:
        """Another page of charts."""
        columns, rows = self._grid()
        keys = [metric.key for metric in self.metrics]
        if not keys:
            return
        size = columns * rows
        page = keys.index(self._selected) // size + pages
        if 0 <= page * size < len(keys):
            self._selected = keys[page * size]
            self.redraw()

    def action_columns(self, more: int) -> None:
        """More or fewer charts in a row."""
        now, _rows = self._grid()
        self.choices.columns = min(MOST_COLUMNS, max(1, now + more))
        self._keep()

    def action_zoom(self, factor: float) -> None:
        """See less or more of the x-axis."""
        window, whole = self.bounds()
        if whole[1] > whole[0]:
            self.view.zoom(factor, window, whole, self.cursor)
            self._keep_cursor()

    def action_whole(self) -> None:
        """See all of the x-axis."""
        self.view = View()
        self.redraw()

    def action_pan(self, share: float) -> None:
        """Move the window."""
        window, whole = self.bounds()
        self.view.pan(share, window, whole)
        self._keep_cursor()

    def _keep_cursor(self) -> None:
        if self.cursor is not None:
            (low, high), _whole = self.bounds()
            self.cursor = min(high, max(low, self.cursor))
        self.redraw()

    def action_follow(self) -> None:
        """Hold the window where it is, or follow the newest values."""
        window, _whole = self.bounds()
        self.view.right = window[1] if self.view.right is None else None
        self.redraw()

    def action_log(self) -> None:
        """Logarithmic or linear y-axis."""
        if not self._selected:
            return
        if self._selected in self.choices.log:
            self.choices.log.remove(self._selected)
        else:
            self.choices.log.append(self._selected)
        self._keep()

    def next_axis(self) -> None:
        """The next x-axis; the window begins anew, its numbers mean something else."""
        self.choices.axis = X_AXES[(X_AXES.index(self.choices.axis) + 1) % len(X_AXES)]
        self.view = View()
        if self.cursor is not None:
            self.cursor = None
            self.action_cursor()
        self._keep()

    def next_smoothing(self) -> None:
        """The next weight of smoothing."""
        self.choices.smoothing = SMOOTHING[(SMOOTHING.index(self.choices.smoothing) + 1) % len(SMOOTHING)]
        self._keep()


def _between(colour: str, ground: str) -> str:
    from textual.color import Color

    return Color.parse(ground).blend(Color.parse(colour), 0.4).hex[:7]
