"""Metrics with one value only, as a table under the charts: a point alone is no line, and takes a chart's place."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment

from core.i18n import gettext as _
from core.i18n import ngettext
from tui.chart_model import Metric
from tui.widgets.chart_captions import Captions
from tui.widgets.top_bar import fit

LEAST_CELL, GUTTER = 24, 2


def value_rows(count: int, width: int) -> int:
    """Lines that `count` values take, their title included; 0 without any."""
    return 1 + -(-count // _columns(width)) if count else 0


def value_lines(captions: Captions, metrics: Sequence[Metric], width: int, most: int) -> list[list[Segment]]:
    """A title and the newest value of each metric, in at most `most` lines; what does not fit is counted."""
    columns = _columns(width)
    quiet = captions.palette.quiet
    room = (most - 1) * columns
    left = len(metrics) - room
    shown = metrics if left <= 0 else metrics[:room]
    title = _("one value each")
    if left > 0:
        title += " · " + ngettext("{n} more, / finds it", "{n} more, / finds them", left).format(n=left)
    lines = [[Segment(fit(title, width), quiet)]]
    cell = (width - GUTTER * (columns - 1)) // columns
    for first in range(0, len(shown), columns):
        line: list[Segment] = []
        for metric in shown[first : first + columns]:
            if line:
                line.append(Segment(" " * GUTTER))
            line += _cell(captions, metric, cell)
        lines.append(line)
    return lines[:most]


def _columns(width: int) -> int:
    return max(1, (width + GUTTER) // (LEAST_CELL + GUTTER))


def _cell(captions: Captions, metric: Metric, width: int) -> list[Segment]:
    values = captions.newest(metric)
    used = sum(segment.cell_length for segment in values)
    title = Segment(fit(metric.title, max(4, width - used - 1)), captions.palette.quiet)
    return [title, Segment(" " * max(1, width - used - title.cell_length)), *values]
