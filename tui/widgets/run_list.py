"""The runs as lines: only those in view are drawn, so that a thousand runs scroll like ten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.i18n import N_
from core.run_values import Value
from core.runs import Run
from core.text import visible
from tui.keymap import key, localise
from tui.run_columns import GAP, NAME_WITH_DATE, Column, layout, run_title, text_of, title
from tui.widgets.top_bar import STATE_MARKS, fit

# Emoji sequences and NFD take several code points a cell; more than this many need not be looked at.
CODE_POINTS_A_CELL = 8


class RunList(ScrollView, can_focus=True):
    """Runs, one a line, under a line of titles. Posts `Moved` when another is chosen, `Opened` for a second click.

    The chosen run stays chosen while others come, go and change their places.
    """

    DEFAULT_CSS = """
    RunList { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    RunList > .run-list--cursor {
        background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
    }
    RunList:focus > .run-list--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"run-list--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        key("down,j", "move(1)", N_("Down"), N_("Next line")),
        key("up,k", "move(-1)", N_("Up"), N_("Line before")),
        key("pagedown,ctrl+d", "page(1)", N_("Page down"), N_("A page on")),
        key("pageup,ctrl+u", "page(-1)", N_("Page up"), N_("A page back")),
        key("home,g", "move(-1000000000)", N_("First"), N_("First run")),
        key("end,G", "move(1000000000)", N_("Last"), N_("Last run")),
    ]
    cursor: reactive[int] = reactive(0)

    class Moved(Message):
        """Another run was chosen."""

    class Opened(Message):
        """The chosen run was opened with the mouse."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self.runs: Sequence[Run] = ()
        self._names: tuple[str, ...] = ()
        self._columns: list[Column] = []
        self._settings: Mapping[str, Mapping[str, Value]] = {}
        self._marked: frozenset[Path] = frozenset()
        self._baseline: Run | None = None
        self._sort = ("", False)
        self._drawn: dict[int, list[Segment]] = {}
        self._width = 0
        # While the list is being read for the first time and nobody has moved, the cursor stays at its top.
        self._growing, self._moved = True, False

    @property
    def columns(self) -> list[Column]:
        """The columns that are shown."""
        return self._columns

    def show(
        self,
        runs: Sequence[Run],
        names: tuple[str, ...],
        settings: Mapping[str, Mapping[str, Value]],
        marked: frozenset[Path],
        baseline: Run | None,
        sort: tuple[str, bool],
        *,
        whole: bool = True,
    ) -> None:
        """Show these runs in the columns `names`; draws only the lines that became other ones.

        The cursor stays with its run, but at the top of a list that was not `whole` while nobody has moved it.
        """
        chosen = self.chosen
        same_places = len(runs) == len(self.runs)
        self.runs, self._names, self._settings = runs, names, settings
        self._marked, self._baseline, self._sort = marked, baseline, sort
        place = self.cursor
        if chosen is not None and not (place < len(runs) and runs[place].id == chosen.id):
            place = next((n for n, run in enumerate(runs) if run.id == chosen.id), place)
        if self._growing and not self._moved:
            place = 0
        self._growing = self._growing and not whole
        place = max(0, min(place, len(runs) - 1))
        laid_out = self._lay_out()
        if place != self.cursor:
            self.set_reactive(RunList.cursor, place)
            self._scroll_to_cursor()
            laid_out = True
        if laid_out or not same_places:
            self.virtual_size = Size(self.scrollable_content_region.width, len(runs) + 1)
            self.refresh()
        else:
            self.redraw_changed()

    def redraw_changed(self) -> None:
        """Draw the lines in view that say something else than when they were drawn, such as another age."""
        top = self.scroll_offset.y
        for y in range(self.scrollable_content_region.height):
            place = y - 1 if y == 0 else y + top - 1
            if self._drawn.get(place) not in (None, self._segments(place)):
                self.refresh(Region(0, y, self.size.width, 1))

    def _lay_out(self) -> bool:
        self._width = self.scrollable_content_region.width
        columns = layout(self._names, self.runs, self._width, self._baseline is not None)
        changed = columns != self._columns
        self._columns = columns
        return changed

    @property
    def chosen(self) -> Run | None:
        """The run under the cursor."""
        return self.runs[self.cursor] if 0 <= self.cursor < len(self.runs) else None

    def choose(self, place: int) -> None:
        """Choose the run on line `place`, the nearest there is."""
        self._moved = True
        place = max(0, min(place, len(self.runs) - 1))
        if self.runs and place != self.cursor:
            self.cursor = place
            self.post_message(self.Moved())

    def on_resize(self, event: events.Resize) -> None:
        """Choose the columns anew."""
        self._lay_out()
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.runs) + 1)
        self._scroll_to_cursor()
        self.refresh()

    def on_show(self) -> None:
        """A list that was hidden when it was given its runs had no room to lay them out in."""
        self._lay_out()
        self._scroll_to_cursor()
        self.refresh()
        if self.screen.focused is None:
            self.focus()

    def watch_cursor(self, old: int, new: int) -> None:
        """Draw the two lines that changed and keep the chosen one in view."""
        top = self.scroll_offset.y
        for place in (old, new):
            self.refresh(Region(0, place + 1 - top, self.size.width, 1))
        self._scroll_to_cursor()

    def _scroll_to_cursor(self) -> None:
        height = self.scrollable_content_region.height - 1
        if height < 1:
            return
        top = self.scroll_offset.y
        wanted = min(max(top, self.cursor - height + 1), self.cursor)
        if wanted != top:
            # By force: whether a scrollbar is needed is not known yet when the runs have just been given.
            self.scroll_to(y=wanted, animate=False, immediate=True, force=True)

    def action_move(self, step: int) -> None:
        """Choose the run `step` lines further on."""
        self.choose(self.cursor + step)

    def action_page(self, step: int) -> None:
        """Choose the run a page further on."""
        self.choose(self.cursor + step * max(1, self.scrollable_content_region.height - 2))

    def on_click(self, event: events.Click) -> None:
        """Choose the run under the mouse; a second click opens it."""
        line = event.get_content_offset(self)
        if line is None or line.y < 1:
            return
        place = line.y - 1 + self.scroll_offset.y
        if place < len(self.runs):
            self.choose(place)
            if event.chain == 2:
                self.post_message(self.Opened())

    # -- drawing -----------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """The titles on top, then the runs."""
        width = self.scrollable_content_region.width
        place = -1 if y == 0 else y + self.scroll_offset.y - 1
        base = self.rich_style
        if place >= len(self.runs):
            self._drawn.pop(place, None)
            return Strip.blank(width, base)
        if place == self.cursor:
            base += self.get_component_rich_style("run-list--cursor")
        if len(self._drawn) > 500:
            self._drawn.clear()
        self._drawn[place] = self._segments(place)
        return Strip(self._drawn[place]).apply_style(base).adjust_cell_length(width, base)

    def _segments(self, place: int) -> list[Segment]:
        if place < 0:
            return self._titles()
        if place >= len(self.runs):
            return []
        run, colours = self.runs[place], self.app.theme_variables
        chosen = place == self.cursor
        accent = Style(color=colours["accent"])
        quiet = Style() if chosen else Style(color=colours["secondary"])
        segments = [
            Segment("▌" if chosen else " ", accent),
            Segment("+" if run.path in self._marked else " ", accent + Style(bold=True)),
        ]
        for number, shown in enumerate(self._columns):
            if shown.name == "name":
                text = run_title(run, short=shown.width < NAME_WITH_DATE)
            else:
                text = text_of(run, shown.name, self._settings.get(run.id, {}), self._baseline)
            pinned = shown.name == "name" and self._baseline is not None and run.id == self._baseline.id
            if pinned:
                text += " ★"
            style = Style() if shown.name in ("name", "step", "accuracy", "f1") else quiet
            room = shown.width
            if shown.name == "state":
                mark, tone = STATE_MARKS.get(run.condition, ("·", "dim"))
                style = quiet if tone == "dim" else Style(color=colours[tone])
                segments.append(Segment(f"{mark} ", style))
                room -= 2
            text = fit(visible(text[: room * CODE_POINTS_A_CELL]), room)
            space = " " * (room - cell_len(text))
            pieces = [space, text] if shown.right else [text, space]
            if shown.name == "name" and run.tags and not chosen and cell_len(space) > 3:
                segments += [Segment(text, style), *_tags(run, len(space), quiet)]
            else:
                segments.append(Segment("".join(pieces), style))
            if number < len(self._columns) - 1:
                segments.append(Segment(" " * GAP))
        return segments

    def _titles(self) -> list[Segment]:
        style = Style(color=self.app.theme_variables["secondary"])
        text = "  "
        for number, shown in enumerate(self._columns):
            name = title(shown)
            if shown.name == self._sort[0]:
                # The sign of the order: from the best to the worst, or turned round.
                name += " ↑" if self._sort[1] else " ↓"
            name = fit(name, shown.width + (GAP if number and shown.right else 0))
            space = " " * max(0, shown.width - cell_len(name))
            if shown.right and cell_len(name) > shown.width:
                text = text[: -(cell_len(name) - shown.width)]
            text += space + name if shown.right else name + space
            text += " " * GAP
        return [Segment(text, style)]


def _tags(run: Run, room: int, style: Style) -> list[Segment]:
    tags = fit(visible("".join(f" #{tag}" for tag in run.tags)[: room * CODE_POINTS_A_CELL]), room)
    return [Segment(tags + " " * (room - cell_len(tags)), style)]
