"""Lines of a log, drawn one by one as they come into view."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import work
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.worker import get_current_worker

from core.i18n import N_
from core.log_file import LONGEST, LogFile, LogLine
from tui.keymap import key, localise
from tui.log_source import (
    LEVELS,
    Entry,
    FileRows,
    ListRows,
    Rows,
    entry_line,
    filtered,
    first_error,
    nearest,
    passes,
)
from tui.sideways import beside, in_view
from tui.widgets.top_bar import fit

# A line is drawn no further than this, which is as much as is read of a line in a file.
WIDEST = LONGEST
EARLIER = 32


class LogView(ScrollView, can_focus=True):
    """Rows with their levels' colours. Stays at the newest row while `following`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log-view--error",
        "log-view--warning",
        "log-view--match",
        "log-view--here",
        "log-view--cut",
    }
    DEFAULT_CSS = """
    LogView { scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }
    LogView > .log-view--error { color: $error; }
    LogView > .log-view--warning { color: $warning; }
    LogView > .log-view--match { text-style: reverse; }
    LogView > .log-view--here { background: $block-cursor-background; }
    LogView > .log-view--cut { color: $accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("up,k", "line(-1)"),
        key("down,j", "line(1)"),
        key("pageup,ctrl+b", "page(-1)"),
        key("pagedown,ctrl+f", "page(1)"),
        key("left,h", "sideways(-1)", N_("Sideways"), N_("Long lines: back to the left"), show=True, display="← →"),
        key("right,l", "sideways(1)", N_("Right"), N_("Long lines: further to the right")),
        key("home,g", "top"),
        key("end,G", "bottom"),
    ]
    following: reactive[bool] = reactive(True)
    when_empty: reactive[str] = reactive("")
    """What stands there while there is no line."""

    class Found(Message):
        """A search is over; `row` is where, or None."""

        def __init__(self, row: int | None) -> None:
            super().__init__()
            self.row = row

    class Filtered(Message):
        """What passes the filter is known."""

    class _Searched(Message):
        def __init__(self, file: LogFile, row: int | None) -> None:
            super().__init__()
            self.file = file
            self.row = row

    class _Passed(Message):
        def __init__(self, file: LogFile, lines: list[LogLine], partly: int) -> None:
            super().__init__()
            self.file = file
            self.lines = lines
            self.partly = partly

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self._rows: Rows = ListRows([])
        self._file: LogFile | None = None
        self._entries: list[LogLine] = []
        self.level = LEVELS[0]
        self.pattern: re.Pattern[str] | None = None
        self.partly = 0
        # The row that a search found.
        self._here: int | None = None
        self._width = 0

    # -- what is shown -----------------------------------------------------------------------------------------

    def show_entries(self, entries: list[Entry], *, anew: bool = False) -> None:
        """Show a run's messages (time, level, text)."""
        if anew:
            self._begin()
        self._file = None
        self._entries = [entry_line(entry) for entry in entries]
        self._list_rows()

    def show_file(self, path: Path) -> None:
        """Show the log at `path`, from its end."""
        self._begin()
        self._file = LogFile(path)
        self._rows = FileRows(self._file)
        self.refresh_file()
        if self.level != LEVELS[0]:
            self.set_level(self.level)

    def _list_rows(self) -> None:
        self._rows = ListRows([line for line in self._entries if passes(line.level, self.level)])
        self._resized()

    def _begin(self) -> None:
        self.workers.cancel_group(self, "log")
        self._here, self._width, self.partly = None, 0, 0
        self.scroll_to(x=0, animate=False, immediate=True)
        self.following = True

    def refresh_file(self) -> None:
        """Look whether the file has grown."""
        file = self._file
        if file is None:
            return
        before = file.count
        try:
            changed = file.refresh()
        except OSError:
            # It cannot be read any more: what was read is gone from here as well.
            changed, self._file = True, LogFile(file.path)
            self._rows = FileRows(self._file)
        if not changed:
            return
        if isinstance(self._rows, ListRows):
            fresh = FileRows(file).rows(before, file.count - before) if file.count > before else []
            self._rows.lines += [line for line in fresh if passes(line.level, self.level)]
        self._resized()

    def _resized(self) -> None:
        self.virtual_size = Size(self._width, self._rows.count)
        if self.following:
            self._to_the_end()
        self.refresh()

    def set_level(self, level: str) -> None:
        """Show only lines of `level` (one of `LEVELS`) and worse."""
        self.level = level
        self._here = None
        if self._file is None:
            self._list_rows()
        elif level == LEVELS[0]:
            self.partly = 0
            self._rows = FileRows(self._file)
            self._resized()
        else:
            self._filter(self._file.path, level)

    @work(thread=True, exclusive=True, group="log")
    def _filter(self, path: Path, level: str) -> None:
        worker = get_current_worker()
        try:
            found = filtered(path, level, lambda: worker.is_cancelled)
        except OSError:
            found = LogFile(path), [], 0
        if not worker.is_cancelled:
            self.post_message(self._Passed(*found))

    def on_log_view__passed(self, event: _Passed) -> None:
        """Show what passed."""
        event.stop()
        self._file, self.partly = event.file, event.partly
        self._rows = ListRows(event.lines)
        self._resized()
        self.post_message(self.Filtered())

    # -- searching ---------------------------------------------------------------------------------------------

    def set_pattern(self, pattern: re.Pattern[str] | None) -> None:
        """Mark what matches."""
        self.pattern, self._here = pattern, None
        self.refresh()

    def find(self, direction: int) -> None:
        """Go to the nearest match below (1) or above (-1) the last one found, else the end of what is in view."""
        if self.pattern is None:
            return
        if self._here is not None:
            start = self._here + direction
        else:
            bottom = min(self._rows.count, self.scroll_offset.y + max(1, self.size.height)) - 1
            start = bottom if direction < 0 else self.scroll_offset.y
        self._look(self.pattern, start, direction)

    def _look(self, pattern: re.Pattern[str], start: int, direction: int) -> None:
        if isinstance(self._rows, FileRows):
            self._search(self._rows.file.path, pattern, start, direction, self._rows.file)
            return
        rows = self._rows.rows(0, self._rows.count)
        order = range(start, len(rows)) if direction > 0 else range(min(start, len(rows) - 1), -1, -1)
        self._arrive(next((row for row in order if pattern.search(rows[row].text)), None))

    @work(thread=True, exclusive=True, group="log")
    def _search(self, path: Path, pattern: re.Pattern[str], start: int, direction: int, known: LogFile) -> None:
        worker = get_current_worker()
        file = LogFile(path)
        row: int | None = None
        try:
            file.refresh()
            while not file.complete and file.first_block > known.first_block:
                file.load_earlier(file.first_block - known.first_block)
            start += file.ahead_of(known)
            row = nearest(file, pattern, start, direction, lambda: worker.is_cancelled)
        except OSError:
            row = None
        if not worker.is_cancelled:
            self.post_message(self._Searched(file, row))

    def find_first_error(self) -> None:
        """Go to the first line that tells of an error."""
        if self._file is not None and isinstance(self._rows, FileRows):
            self._search_error(self._file.path)
            return
        rows = self._rows.rows(0, self._rows.count)
        self._arrive(next((row for row, line in enumerate(rows) if line.level == "error"), None))

    @work(thread=True, exclusive=True, group="log")
    def _search_error(self, path: Path) -> None:
        worker = get_current_worker()
        try:
            file, row = first_error(path, lambda: worker.is_cancelled)
        except OSError:
            file, row = LogFile(path), None
        if not worker.is_cancelled:
            self.post_message(self._Searched(file, row))

    def on_log_view__searched(self, event: _Searched) -> None:
        """Take the file as the search left it, with more of its lines known, and go to what was found."""
        event.stop()
        if not isinstance(self._rows, FileRows) or self._file is None or event.file.path != self._file.path:
            return
        if event.row is not None:
            ahead = event.file.ahead_of(self._file)
            self._file = event.file
            self._rows = FileRows(self._file)
            self.virtual_size = Size(self._width, self._rows.count)
            if not self.following:
                self.scroll_to(y=self.scroll_offset.y + ahead, animate=False, immediate=True)
        self._arrive(event.row)

    def _arrive(self, row: int | None) -> None:
        if row is not None:
            self._here = row
            self.following = False
            text = self._rows.rows(row, 1)[0].text[:WIDEST]
            self._widen_to(cell_len(text))
            x = beside(text, self.pattern, self.scroll_offset.x, self._room)
            self.scroll_to(x, max(0, row - self.size.height // 2), animate=False, immediate=True)
            self.refresh()
        self.post_message(self.Found(row))

    # -- moving ------------------------------------------------------------------------------------------------

    def _bottom(self) -> int:
        return max(0, self._rows.count - self.size.height)

    def _go(self, row: int) -> None:
        if row < 0 and self._earlier():
            row = self.scroll_offset.y - 1
        row = max(0, min(row, self._bottom()))
        self.following = row >= self._bottom() and self._rows.count > 0
        self.scroll_to(y=row, animate=False, immediate=True)

    def _earlier(self, blocks: int = EARLIER) -> bool:
        """Make earlier lines known; what is in view stays where it is."""
        if not isinstance(self._rows, FileRows) or self._rows.file.complete:
            return False
        try:
            more = self._rows.file.load_earlier(blocks)
        except OSError:
            return False
        if self._here is not None:
            self._here += more
        self.virtual_size = Size(self._width, self._rows.count)
        self.scroll_to(y=self.scroll_offset.y + more, animate=False, immediate=True)
        return more > 0

    def _to_the_end(self) -> None:
        # By force: whether a scrollbar is needed is not known yet when the rows have just come.
        self.scroll_to(y=self._rows.count, animate=False, immediate=True, force=True)

    def watch_following(self, following: bool) -> None:
        """Back to the newest row."""
        if following:
            self._to_the_end()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The wheel and the scroll bar count as moving, too."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and new_value < self._bottom():
            self.following = False

    def on_resize(self) -> None:
        """Stay at the newest row, and within the widest one."""
        if self.following:
            self._to_the_end()
        self.action_sideways(0)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """To the side there is a way only where a line is wider than the room."""
        return action != "sideways" or self._width > self._room

    def action_line(self, step: int) -> None:
        """A line up or down."""
        self._go(self.scroll_offset.y + step)

    def action_page(self, step: int) -> None:
        """A page up or down."""
        row = self.scroll_offset.y + step * max(1, self.size.height - 1)
        self._go(row if row >= 0 or self.scroll_offset.y == 0 else 0)

    def action_sideways(self, step: int) -> None:
        """Half a screen to the side."""
        most = max(0, self._width - self._room)
        x = max(0, min(most, self.scroll_offset.x + step * max(1, self._room // 2)))
        self.scroll_to(x=x, animate=False, immediate=True)

    def action_top(self) -> None:
        """To the first line there is."""
        if isinstance(self._rows, FileRows) and not self._rows.file.complete:
            # All at once: only the ends of lines are counted.
            while self._earlier(4096):
                pass
        self._go(0)

    def action_bottom(self) -> None:
        """To the newest line, and stay there."""
        self.following = True
        self._go(self._bottom())

    # -- drawing -----------------------------------------------------------------------------------------------

    @property
    def _room(self) -> int:
        # The widget's own size counts the scrollbar's column, too.
        return self.scrollable_content_region.width

    def render_line(self, y: int) -> Strip:
        """One row, with what matches marked."""
        scroll_x, scroll_y = self.scroll_offset
        width = self._room
        rows = self._rows.rows(scroll_y + y, 1) if scroll_y + y < self._rows.count else []
        if not rows:
            told = self.when_empty if y == 0 and not self._rows.count else ""
            return Strip([Segment(fit(told, width), self.rich_style)]).extend_cell_length(width, self.rich_style)
        line, row = rows[0], scroll_y + y
        style = self.rich_style
        if line.level in ("error", "warning"):
            style += self.get_component_rich_style(f"log-view--{line.level}", partial=True)
        if row == self._here:
            style += self.get_component_rich_style("log-view--here", partial=True)
        text = line.text[:WIDEST]
        cells = len(text) if text.isascii() else cell_len(text)
        if cells > self._width:
            self.call_after_refresh(self._widen_to, cells)
        strip = Strip(self._segments(text, style), cells)
        cut = style + self.get_component_rich_style("log-view--cut", partial=True)
        sign = Segment("…", cut)
        return in_view(strip, scroll_x, width, style, sign, ends=len(line.text) <= WIDEST)

    def _widen_to(self, cells: int) -> None:
        if cells > self._width:
            before, self._width = self._width, cells
            self.virtual_size = Size(self._width, self._rows.count)
            if before <= self._room < cells:
                self.refresh_bindings()

    def _segments(self, text: str, style: Style) -> list[Segment]:
        if self.pattern is None:
            return [Segment(text, style)]
        marked = style + self.get_component_rich_style("log-view--match", partial=True)
        segments, at = [], 0
        for found in self.pattern.finditer(text):
            if found.end() > found.start():
                segments += [Segment(text[at : found.start()], style), Segment(found.group(), marked)]
                at = found.end()
        return [*segments, Segment(text[at:], style)]
