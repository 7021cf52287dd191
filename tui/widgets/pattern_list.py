"""A small table with a cursor: a name and figures a line; what does not fit is left out from the right."""

from __future__ import annotations

from typing import Any, ClassVar

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
from tui.pattern_tables import Table
from tui.widgets.top_bar import fit
from tui.widgets.virtual_size import set_virtual_size

GAP = 2
LEAST_NAME = 8
NOTHING = Table((), (), ())


class PatternList(ScrollView, can_focus=True):
    """The lines of a `tui.pattern_tables.Table`. Posts `Opened` for a second click on a line."""

    DEFAULT_CSS = """
    PatternList { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    PatternList > .pattern-list--cursor {
        background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
    }
    PatternList:focus > .pattern-list--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"pattern-list--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        key("down,j", "move(1)", N_("Down"), N_("Next line")),
        key("up,k", "move(-1)", N_("Up"), N_("Line before")),
        key("pagedown,ctrl+d", "page(1)", N_("Page down"), N_("A page on")),
        key("pageup,ctrl+u", "page(-1)", N_("Page up"), N_("A page back")),
        key("home,g", "move(-1000000000)", N_("First"), N_("First line")),
        key("end,G", "move(1000000000)", N_("Last"), N_("Last line")),
    ]

    class Opened(Message):
        """The chosen line was opened with the mouse."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self.table = NOTHING
        self.message = ""
        self.cursor = 0

    def show(self, table: Table, message: str = "") -> None:
        """Show `table`; where it has no rows, the safe text `message`, a line each."""
        if (table, message) == (self.table, self.message):
            return
        kept = self.table.keys == table.keys
        self.table, self.message = table, message
        if not kept:
            self.cursor = 0
            self.scroll_to(y=0, animate=False, immediate=True)
        set_virtual_size(self, Size(0, len(table.rows) + 1 if table.rows else 0))
        self.refresh()

    @property
    def chosen(self) -> Any:
        """What the chosen line is about; None where there is none."""
        return self.table.keys[self.cursor] if self.cursor < len(self.table.keys) else None

    def action_move(self, step: int) -> None:
        """Choose the line `step` further on."""
        self._choose(self.cursor + step)

    def action_page(self, step: int) -> None:
        """Choose the line a page further on."""
        self._choose(self.cursor + step * max(1, self.scrollable_content_region.height - 2))

    def _choose(self, place: int) -> None:
        self.cursor = max(0, min(place, len(self.table.rows) - 1))
        height = self.scrollable_content_region.height - 1
        top = self.scroll_offset.y
        wanted = min(max(top, self.cursor - height + 1), self.cursor)
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, immediate=True, force=True)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Choose the line under the mouse; a second click opens it."""
        line = event.get_content_offset(self)
        if line is None or line.y < 1:
            return
        place = line.y - 1 + self.scroll_offset.y
        if place < len(self.table.rows):
            self._choose(place)
            if event.chain == 2:
                self.post_message(self.Opened())

    # -- drawing -----------------------------------------------------------------------------------------------

    def _columns(self, width: int) -> list[int]:
        """The widths of the columns that fit, the name's first."""
        needed = [
            max(cell_len(title), *(cell_len(row[n]) for row in self.table.rows))
            for n, title in enumerate(self.table.titles)
        ]
        while len(needed) > 1 and sum(needed[1:]) + GAP * (len(needed) - 1) + min(LEAST_NAME, needed[0]) > width - 2:
            needed.pop()
        room = width - 2 - sum(needed[1:]) - GAP * (len(needed) - 1)
        return [max(0, min(room, max(needed[0], LEAST_NAME))), *needed[1:]]

    def render_line(self, y: int) -> Strip:
        """The titles on top, then the lines; or the message."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        quiet = Style(color=colour(self.app, "secondary"))
        if not self.table.rows:
            return self._message_line(y, width, quiet).apply_style(base).adjust_cell_length(width, base)
        place = y - 1 + self.scroll_offset.y
        if place >= len(self.table.rows):
            return Strip.blank(width, base)
        widths = self._columns(width)
        cells = self.table.titles if y == 0 else self.table.rows[place]
        chosen = y > 0 and place == self.cursor
        mark = Segment("▌ " if chosen else "  ", Style(color=colour(self.app, "accent")))
        segments = [mark]
        for number, (cell, room) in enumerate(zip(cells, widths, strict=False)):
            text = fit(cell, room)
            space = " " * (room - cell_len(text))
            style = quiet if y == 0 or (number > 1 and not chosen) else None
            segments.append(Segment(text + space if number == 0 else " " * GAP + space + text, style))
        if chosen:
            base += self.get_component_rich_style("pattern-list--cursor")
        return Strip(segments).apply_style(base).adjust_cell_length(width, base)

    def _message_line(self, y: int, width: int, style: Style) -> Strip:
        lines: list[str] = []
        for line in self.message.split("\n"):
            lines += wrapped(line, max(1, width - 4))
        text = lines[y - 1] if 1 <= y <= len(lines) else ""
        return Strip([Segment("  " + text, style)])


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, broken at spaces where there are some."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and cell_len(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, fit(line, width)]
