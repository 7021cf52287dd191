"""Who looks at whom: a map of words or tokens, rows asking and columns answering, with a cursor that reads it out.

Drawn line by line from steps computed once, so that 128 × 128 scrolls as fluidly as 10 × 10.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from core.i18n import N_
from core.text import clusters
from tui.heat_scale import HeatScale, colour, per_cent, scale_of
from tui.keymap import key, localise
from tui.painting import paint
from tui.plain_signs import TextOfOthers
from tui.signs import sign_for
from tui.widgets.line_view import LineView, line_strip
from tui.widgets.top_bar import fit
from tui.widgets.virtual_size import set_virtual_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 2
"""Columns of a cell: as wide as a Hangul syllable, which stands over it."""

LABEL = 10
"""Widest row label in cells."""

HEAD_ROWS = 3
"""Most syllables of a column's label, one below the other."""


@lru_cache(maxsize=4096)
def syllables(label: str, count: int) -> tuple[str, ...]:
    """The first `count` characters of `label` as a reader sees them, each padded to a cell's width.

    What is wider than a cell (or has no width) gives way to a dot; `label` is safe text already.
    """
    shown = []
    for cluster in clusters(label)[:count]:
        width = cell_len(cluster.display)
        shown.append(cluster.display + " " * (CELL - width) if 1 <= width <= CELL else "· ")
    return (*shown, *[" " * CELL] * (count - len(shown)))


class HeatMap(TextOfOthers, LineView, can_focus=True):
    """A square map of weights with row and column titles; arrows move a cursor. Posts `Moved` when it does.

    Row titles stay at the left and column titles on top while the cells scroll. Space marks the row's unit as asking
    (`Marked`); the marked have a sign beside their titles. `digits` writes the weights into the cells, in per cent.
    Without a map it shows a message.
    """

    DEFAULT_CSS = """
    HeatMap { overflow-x: auto; overflow-y: auto; scrollbar-size: 1 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("up,k", "move(-1, 0)", N_("Up"), N_("Asking word before")),
        key("down,j", "move(1, 0)", N_("Down"), N_("Next asking word")),
        key("left", "move(0, -1)", N_("Left"), N_("Answering word before")),
        key("right", "move(0, 1)", N_("Right"), N_("Next answering word")),
        key("pageup", "move(-8, 0)", N_("Page up"), N_("Eight asking words back")),
        key("pagedown", "move(8, 0)", N_("Page down"), N_("Eight asking words on")),
        key("home", "corner(0)", N_("First"), N_("The first cell")),
        key("end", "corner(1)", N_("Last"), N_("The last cell")),
        key("space", "mark", N_("Asking word"), N_("Sum the heat of several asking words: mark this row's")),
        key("D", "digits", N_("Digits"), N_("The weights in the cells, in per cent")),
    ]

    class Moved(Message):
        """The cursor stands elsewhere, or on something else."""

    class Marked(Message):
        """The unit of row `row` is to be marked as asking, or no longer."""

        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self.matrix: NDArray[np.floating[Any]] = np.zeros((0, 0))
        self.labels: tuple[str, ...] = ()
        self.cursor = (0, 0)
        self.message = ""
        self.asking: tuple[int, ...] = ()
        self.digits = False
        self.pinned: float | None = None
        # Called where `Moved` is posted: a message's answer would often be a picture of its own, 1/60 s later.
        self.at_once: Callable[[], None] | None = None
        self._steps: list[list[int]] = []
        self._steps_for: tuple[Any, ...] = ()
        self._rows, self._columns = range(0), range(0)
        self._row_titles: list[str] = []
        self._column_titles: list[tuple[str, ...]] = []
        self._title_width = 0
        self._tallest = 1
        self._scale: HeatScale | None = None
        self._looks: list[Style] = []
        self._drawn: dict[int, Strip] = {}
        self._drawn_for: tuple[Any, ...] = ()

    # -- what it shows -----------------------------------------------------------------------------------------

    def show(self, matrix: NDArray[np.floating[Any]], labels: tuple[str, ...], asking: tuple[int, ...] = ()) -> None:
        """Show `matrix` (U × U, rows ask) with safe `labels`, one a unit. The cursor stays where the units stay.

        asking: the rows that are marked.
        """
        same = labels == self.labels and not self.message
        if not same:
            self.cursor = (0, 0)
            self.scroll_to(0, 0, animate=False, force=True)
        self.matrix, self.labels, self.message, self.asking = matrix, labels, "", asking
        self._steps_for = ()
        if same:
            self._drawn.clear()
            self.refresh_content()
        else:
            self._measure()
        self.post_message(self.Moved())

    def show_message(self, message: str) -> None:
        """Show safe text instead of a map: what is being waited for, or why there is none."""
        self.matrix, self.labels, self.message, self.asking = np.zeros((0, 0)), (), message, ()
        self.cursor = (0, 0)
        self._measure()
        self.post_message(self.Moved())

    @property
    def top(self) -> float:
        """The end of the scale: the highest value, or where it is `pinned`."""
        if self.pinned is not None:
            return self.pinned
        return float(self.matrix.max()) if self.matrix.size else 0.0

    @property
    def value(self) -> float | None:
        """The value under the cursor."""
        return float(self.matrix[self.cursor]) if self.matrix.size else None

    @property
    def readout(self) -> str:
        """`나쁘진 → 아니잖아 0.214`: who asks, who answers, how much."""
        return self.readout_in(2 * 20 + 10)

    def readout_in(self, width: int) -> str:
        """The readout in at most `width` cells: the words are cut, never the value."""
        if self.value is None:
            return ""
        value = f"{self.value:.3f}"
        row, column = self.cursor
        label = max(4, (width - len(" →   ") - len(value)) // 2)
        asks, answers = (fit(self.labels[unit], label, sign_for(self.app, "…")) for unit in (row, column))
        return f"{asks} → {answers}  {value}"

    # -- measures ----------------------------------------------------------------------------------------------

    @property
    def _head(self) -> int:
        """Lines of column titles: one where lines are scarce."""
        if self.room[1] < 14:
            return 1
        return self._tallest

    def _measure(self) -> None:
        self._drawn.clear()
        count = len(self.labels)
        self._row_titles = [fit(label, LABEL, sign_for(self.app, "…")) for label in self.labels]
        self._title_width = max((cell_len(title) for title in self._row_titles), default=0) + 1 if count else 0
        self._column_titles = [syllables(label, HEAD_ROWS) for label in self.labels]
        heights = (sum(part != " " * CELL for part in title) for title in self._column_titles)
        self._tallest = max(heights, default=1)
        if count:
            set_virtual_size(self, Size(self._title_width + CELL * count, self._head + count))
        else:
            set_virtual_size(self, Size(0, 0))
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """The room for titles may have changed."""
        self._measure()
        self._follow_cursor()

    def watch_show_vertical_scrollbar(self) -> None:
        """A scrollbar takes room without a resize: the cursor may be under it."""
        self._follow_cursor()

    def watch_show_horizontal_scrollbar(self) -> None:
        """The same at the bottom."""
        self._follow_cursor()

    @property
    def _first_column(self) -> int:
        # Scroll positions count single columns; a cell is never cut in half, so the last one must fit whole.
        return -(-self.scroll_offset.x // CELL)

    @property
    def _columns_in_view(self) -> int:
        return max(0, (self.room[0] - self._title_width) // CELL)

    @property
    def _rows_in_view(self) -> int:
        return max(0, self.room[1] - self._head)

    # -- the cursor --------------------------------------------------------------------------------------------

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor."""
        self.move_to(self.cursor[0] + rows, self.cursor[1] + columns)

    def action_corner(self, last: int) -> None:
        """Move the cursor to the first or the last cell."""
        end = (len(self.labels) - 1) * last
        self.move_to(end, end)

    def move_to(self, row: int, column: int) -> None:
        """Put the cursor on a cell, or as near as there is."""
        last = len(self.labels) - 1
        place = (max(0, min(row, last)), max(0, min(column, last)))
        if last < 0 or place == self.cursor:
            return
        before, self.cursor = self.cursor, place
        if self._follow_cursor():
            self.refresh_content()
        else:
            # The titles of the cursor's row and column are marked, which concerns the head and two lines.
            first, width = self._head - self.scroll_offset.y, self.scrollable_content_region.width
            lines = (Region(0, first + line, width, 1) for line in (before[0], place[0]))
            self.refresh(Region(0, 0, width, self._head), *lines)
        if self.at_once is not None:
            self.at_once()
        paint(self.screen)
        self.post_message(self.Moved())

    def action_mark(self) -> None:
        """Mark the cursor's row as asking, or no longer."""
        if self.labels:
            self.post_message(self.Marked(self.cursor[0]))

    def action_digits(self) -> None:
        """Write the weights into the cells, or no longer."""
        self.digits = not self.digits
        self._drawn.clear()
        self.refresh_content()

    def _follow_cursor(self) -> bool:
        """Scroll to where the cursor is in view; whether that was necessary."""
        if not self.labels:
            return False
        row, column = self.cursor
        x, y = self.scroll_offset
        if row < y:
            y = row
        elif row >= y + self._rows_in_view:
            y = row - self._rows_in_view + 1
        if column < self._first_column:
            x = column * CELL
        elif column >= self._first_column + self._columns_in_view:
            x = (column - self._columns_in_view + 1) * CELL
        if (x, y) == tuple(self.scroll_offset):
            return False
        # By force: whether scrollbars are needed is not known yet when the map has just been given.
        self.scroll_to(x, y, animate=False, immediate=True, force=True)
        return True

    def on_click(self, event: events.Click) -> None:
        """Put the cursor under the mouse."""
        place = event.get_content_offset(self)
        if place is None or not self.labels or place.y < self._head or place.x < self._title_width:
            return
        row = place.y - self._head + self.scroll_offset.y
        column = (place.x - self._title_width) // CELL + self._first_column
        if row < len(self.labels) and column < len(self.labels):
            self.move_to(row, column)

    # -- drawing -----------------------------------------------------------------------------------------------

    def begin_picture(self) -> None:
        """Find out which cells are in view, and their steps."""
        if not self.labels:
            return
        scale, base, first, (width, _height) = scale_of(self.app), self.base_style, self._first_column, self.room
        state = (width, first, base, self.has_focus, scale)
        if state != self._drawn_for:
            self._drawn.clear()
            self._drawn_for = state
            self._scale, self._looks = scale, [base + style for style in scale.styles]
        count, top = len(self.labels), self.scroll_offset.y
        self._columns = range(first, min(count, first + self._columns_in_view))
        self._rows = range(top, min(count, top + self._rows_in_view))
        wanted = (self._rows, self._columns, scale, self.top)
        if wanted != self._steps_for:
            if wanted[1:] != self._steps_for[1:]:
                self._drawn.clear()
            self._steps_for = wanted
            cells = self.matrix[self._rows.start : self._rows.stop, first : self._columns.stop]
            self._steps = scale.steps(cells, self.top).tolist()

    def render_line(self, y: int) -> Strip:
        """A line of column titles, or one row."""
        base, (width, _height) = self.base_style, self.room
        if not self.labels:
            return self._message_line(y, width, base)
        if self._shared is None:
            self.begin_picture()
        head = self._head
        if y < head:
            return line_strip(self._heads(y), base, width)
        row = y - head + self._rows.start
        if row not in self._rows:
            return Strip.blank(width, base)
        if row == self.cursor[0]:
            return self._row(row, width, base)
        strip = self._drawn.get(row)
        if strip is None:
            strip = self._drawn[row] = self._row(row, width, base)
        return strip

    def _message_line(self, y: int, width: int, base: Style) -> Strip:
        lines = list(Text(self.message).wrap(self.app.console, max(10, width - 2))) if self.message else []
        # One line free above, so that it does not stick to the title.
        text = sign_for(self.app, lines[y - 1].plain.rstrip()) if 0 < y <= len(lines) else ""
        style = Style(color=colour(self.app, "secondary"))
        return Strip([Segment(text, style)]).apply_style(base).adjust_cell_length(width, base)

    def _title_style(self, here: bool) -> Style:
        if not here:
            return Style(color=colour(self.app, "secondary"))
        tone = colour(self.app, "accent") if self.has_focus else colour(self.app, "foreground")
        return Style(color=tone, bold=True)

    def _heads(self, y: int) -> list[Segment]:
        corner = "" if y < self._head - 1 else sign_for(self.app, "↓ → ")
        width = self._title_width
        quiet, bright = self._title_style(False), self._title_style(True)
        columns, here = self._columns, self.cursor[1]
        titles = [self._column_titles[column][y] for column in columns]
        segments = [Segment(" " * max(0, width - len(corner)) + corner[:width], quiet)]
        if here in columns:
            place = here - columns.start
            before, after = "".join(titles[:place]), "".join(titles[place + 1 :])
            segments += [Segment(before, quiet), Segment(titles[place], bright), Segment(after, quiet)]
        else:
            segments.append(Segment("".join(titles), quiet))
        return segments

    def _row(self, row: int, width: int, base: Style) -> Strip:
        scale, looks = self._scale, self._looks
        assert scale is not None
        title = self._row_titles[row]
        mark = sign_for(self.app, "●") if row in self.asking else ""
        title += " " * (self._title_width - cell_len(title) - len(mark)) + mark
        segments = [Segment(title, base + self._title_style(row == self.cursor[0]))]
        columns = self._columns
        steps = self._steps[row - self._rows.start]
        if self.digits:
            values = self.matrix[row, columns.start : columns.stop]
            segments += [
                Segment(per_cent(value), looks[step]) for value, step in zip(values.tolist(), steps, strict=True)
            ]
        else:
            # Runs of one step are one segment: what goes over the line is a fraction of the cells.
            segments += [
                Segment(_cell(scale.shade(step)) * len(list(run)), looks[step]) for step, run in groupby(steps)
            ]
        used = self._title_width + CELL * len(steps)
        if used < width:
            segments.append(Segment(" " * (width - used), base))
        strip = Strip(segments, max(used, width))
        if row == self.cursor[0] and self.cursor[1] in columns:
            strip = self._with_cursor(strip, self.cursor[1] - columns.start, steps[self.cursor[1] - columns.start])
        return strip

    def _with_cursor(self, strip: Strip, place: int, step: int) -> Strip:
        """The cell under the cursor in brackets: they leave its colour to be seen, and need none themselves."""
        start = self._title_width + CELL * place
        reverse = self._scale is not None and self._scale.shaded and self.has_focus
        style = self._looks[step] + Style(bold=True, reverse=reverse)
        marked = Strip([Segment("[]", style)])
        return Strip.join([strip.crop(0, start), marked, strip.crop(start + CELL)])


def _cell(shade: str) -> str:
    """A cell of one shade; a dot alone would make a dense row look busy, so it stands once."""
    return "· " if shade == "·" else shade * CELL
