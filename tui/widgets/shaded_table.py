"""A table of numbers with grounds by their size: rows with labels, columns with titles, one column chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.i18n import N_
from tui.heat_scale import colour
from tui.keymap import key, localise
from tui.widgets.top_bar import fit

COLUMN = 8
"""Columns of a number with the space before it."""

LEAST_LABEL, MOST_LABEL = 8, 24


@dataclass(frozen=True)
class Row:
    """A line: safe `label`, and a text with its style a column. quiet: it is not compared with the others."""

    label: str
    cells: tuple[tuple[str, Style], ...]
    quiet: bool = False


class ShadedTable(ScrollView, can_focus=True):
    """The table. Left and right choose a column, up and down scroll. Posts `Moved` when another column is chosen."""

    DEFAULT_CSS = """
    ShadedTable { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("left,h", "column(-1)", N_("Left"), N_("Column before")),
        key("right,l", "column(1)", N_("Right"), N_("Next column")),
        key("up,k", "line(-1)", N_("Up"), N_("Up")),
        key("down,j", "line(1)", N_("Down"), N_("Down")),
    ]

    class Moved(Message):
        """Another column is chosen."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self.titles: tuple[str, ...] = ()
        self.rows: tuple[Row, ...] = ()
        self.column = 0
        self.message = ""

    def show(self, titles: Sequence[str], rows: Sequence[Row]) -> None:
        """Show `rows` under `titles`."""
        self.titles, self.rows, self.message = tuple(titles), tuple(rows), ""
        self.virtual_size = Size(0, 1 + len(rows))
        self.refresh()

    def show_message(self, message: str) -> None:
        """Show safe text instead: what is being computed, or why there is nothing."""
        self.titles, self.rows, self.message = (), (), message
        self.virtual_size = Size(0, 0)
        self.refresh()

    def choose(self, column: int) -> None:
        """Choose a column, or as near as there is."""
        place = max(0, min(column, len(self.titles) - 1))
        if place != self.column:
            self.column = place
            self.refresh()
            self.post_message(self.Moved())

    def action_column(self, step: int) -> None:
        """Choose another column."""
        self.choose(self.column + step)

    def action_line(self, step: int) -> None:
        """Scroll."""
        self.scroll_to(y=self.scroll_offset.y + step, animate=False)

    def on_click(self, event: events.Click) -> None:
        """Choose the column under the mouse."""
        place = event.get_content_offset(self)
        if place is not None and place.x >= self._label:
            self.choose((place.x - self._label) // COLUMN)

    @property
    def _label(self) -> int:
        room = self.scrollable_content_region.width - COLUMN * len(self.titles)
        widest = max((cell_len(row.label) for row in self.rows), default=0)
        return max(LEAST_LABEL, min(MOST_LABEL, room - 1, widest + 1))

    def render_line(self, y: int) -> Strip:
        """The titles, or one row."""
        base, width = self.rich_style, self.scrollable_content_region.width
        quiet = Style(color=colour(self.app, "secondary"))
        if not self.titles:
            text = self.message if y == 1 else ""
            return Strip([Segment(text, quiet)]).apply_style(base).adjust_cell_length(width, base)
        here = Style(color=colour(self.app, "accent" if self.has_focus else "foreground"), bold=True)
        label = self._label
        if y == 0:
            segments = [Segment(" " * label)]
            for number, title in enumerate(self.titles):
                text = fit(title, COLUMN - 1)
                segments.append(Segment(" " * (COLUMN - cell_len(text))))
                segments.append(Segment(text, here if number == self.column else quiet))
            return Strip(segments).apply_style(base).adjust_cell_length(width, base)
        place = y - 1 + self.scroll_offset.y
        if place >= len(self.rows):
            return Strip.blank(width, base)
        row = self.rows[place]
        text = fit(row.label, label - 1)
        segments = [Segment(text + " " * (label - cell_len(text)), quiet if row.quiet else None)]
        for text, style in row.cells:
            segments += [Segment(" "), Segment(" " * (COLUMN - 1 - cell_len(text)) + text, style)]
        return Strip(segments).apply_style(base).adjust_cell_length(width, base)
