"""The words around charts: the heading over all, each chart's caption with its newest value, what the cursor reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip

from core.i18n import gettext as _
from core.text import visible
from tui.chart_choices import Choices
from tui.chart_drawing import RUN, SIGNS, Drawing, Source
from tui.chart_model import Metric, Reading, axis_text, read_at
from tui.widgets.chart_palette import Palette
from tui.widgets.top_bar import fit

READING = 14
"""Cells of a figure under the enlarged chart."""


@dataclass(frozen=True)
class Captions:
    """Words about these runs, as they are chosen to be seen; `cursor` is a place on the x-axis."""

    sources: Sequence[Source]
    choices: Choices
    cursor: float | None
    palette: Palette

    @property
    def several(self) -> bool:
        """Whether runs lie over one another."""
        return len(self.sources) > 1

    @staticmethod
    def _sign(number: int) -> str:
        return SIGNS[number % len(SIGNS)]

    def _axis_name(self) -> str:
        return {"step": _("step"), "epoch": _("epoch"), "samples": _("samples"), "time": _("time")}[self.choices.axis]

    def heading(self, width: int, page: str, *, following: bool) -> list[Segment]:
        """The cursor's place, the runs or the `page` at the left; how it is drawn at the right."""
        quiet = self.palette.quiet
        left: list[Segment] = []
        if self.cursor is not None:
            text = f"{self._axis_name()} {axis_text(self.choices.axis, self.cursor)}  "
            left.append(Segment(text, self.palette.strong))
        if self.several:
            room = max(8, (width - 34) // len(self.sources) - 4)
            for number, source in enumerate(self.sources):
                name = fit(visible(source.name), room)
                left.append(Segment(f"{self._sign(number)} {name}  ", self.palette.style(RUN + number)))
        elif page:
            left.append(Segment(page + "  ", quiet))
        right = [self._axis_name()]
        if self.choices.smoothing:
            right.append(f"EMA {self.choices.smoothing:g}")
        if self.choices.filter:
            right.append(f"/{visible(self.choices.filter)}")
        right.append(_("following") if following else _("held"))
        text = fit(" · ".join(right), max(8, width // 2))
        used = sum(segment.cell_length for segment in left)
        if used + cell_len(text) + 1 > width:
            left = list(Strip(left).crop(0, max(0, width - cell_len(text) - 1)))
            used = sum(segment.cell_length for segment in left)
        return [*left, Segment(" " * max(1, width - used - cell_len(text))), Segment(text, quiet)]

    def caption(self, metric: Metric, drawing: Drawing, width: int, *, chosen: bool, focused: bool) -> list[Segment]:
        """The metric with what is not drawn of it, and its values."""
        values = self._values(metric)
        title = ((">" if self.palette.plain else "›") if chosen else " ") + " " + metric.title
        notes = []
        if metric.key in self.choices.log:
            notes.append("log")
        if drawing.gaps:
            notes.append(_("{n} NaN").format(n=f"{drawing.gaps:,}"))
        if drawing.left_out:
            notes.append(_("{n} ≤ 0 left out").format(n=f"{drawing.left_out:,}"))
        note = f" ({', '.join(notes)})" if notes else ""
        used = sum(segment.cell_length for segment in values)
        text = fit(title + note, max(4, width - used - 1))
        return [
            Segment(text, self.palette.accent if chosen and focused else self.palette.quiet),
            Segment(" " * max(0, width - used - cell_len(text))),
            *values,
        ]

    def _values(self, metric: Metric) -> list[Segment]:
        """At the right of a caption: the newest value, or what the cursor reads off; one for each run."""
        parts: list[Segment] = []
        for number, source in enumerate(self.sources):
            smoothed = source.smooth(metric, self.choices.smoothing)
            style = self.palette.style(RUN + number) if self.several else self.palette.strong
            sign = f"{self._sign(number)}:" if self.several else ""
            if self.cursor is not None:
                reading = self._read(source, metric)
                if reading is None:
                    continue
                raw, smooth = reading.raw, reading.smooth
            else:
                column = metric.column(source.telemetry)
                if column is None:
                    continue
                raw, smooth = column.newest, smoothed.newest if smoothed is not None else None
            # As it was told, as `watch` and `show` have it, and smoothed; of several runs there is room for one.
            text = metric.text(raw)
            if smooth is not None:
                shown = metric.text(smooth)
                if self.several:
                    text = f"~{shown}"
                elif shown != text:
                    text = f"{text} ~{shown}"
            parts.append(Segment((" " if parts else "") + sign + text, style))
        return parts

    def newest(self, metric: Metric) -> list[Segment]:
        """The newest value of each run that has one."""
        parts: list[Segment] = []
        for number, source in enumerate(self.sources):
            column = metric.column(source.telemetry)
            if column is not None:
                style = self.palette.style(RUN + number) if self.several else self.palette.strong
                sign = f"{self._sign(number)}:" if self.several else ""
                parts.append(Segment((" " if parts else "") + sign + metric.text(column.newest), style))
        return parts

    def _read(self, source: Source, metric: Metric) -> Reading | None:
        assert self.cursor is not None
        smoothed = source.smooth(metric, self.choices.smoothing)
        return read_at(source.telemetry, metric, self.choices.axis, self.cursor, smoothed)

    def readings(self, metric: Metric, width: int) -> list[list[Segment]]:
        """Under the enlarged chart, a line more than there are runs: for each the event at the cursor, its value and
        the smoothed one."""
        # The place on the x-axis, where that is not the step itself.
        other = self.choices.axis != "step"
        names = (_("step"), *([self._axis_name()] if other else []), _("value"), _("smoothed"))
        lines = [[Segment("".join(map(_cell, names)), self.palette.quiet)]]
        for number, source in enumerate(self.sources):
            reading = self._read(source, metric)
            if reading is None:
                cells = ["-"] * len(names)
            else:
                smooth = metric.text(reading.smooth) if reading.smooth is not None else "-"
                x = [axis_text(self.choices.axis, reading.x)] if other else []
                cells = [f"{reading.step:,.0f}", *x, metric.text(reading.raw), smooth]
            text = "".join(map(_cell, cells))
            name = f"  {self._sign(number)} {visible(source.name)}" if self.several else ""
            style = self.palette.style(RUN + number) if self.several else self.palette.base
            lines.append([Segment(fit(text + name, width), style)])
        return lines


def _cell(text: str) -> str:
    return " " * max(1, READING - cell_len(text)) + text
