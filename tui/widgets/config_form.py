"""The list of settings: a line each, drawn by hand so that folding, marks and long values cost nothing."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.colour_depth import ascii_of
from tui.form_model import FormModel, Row
from tui.keymap import key, localise
from tui.widgets.top_bar import fit


def fit_end(text: str, width: int) -> str:
    """`text` cut to `width` cells; of a path, which says most at its end, the beginning goes."""
    if cell_len(text) <= width or "/" not in text:
        return fit(text, width)
    while text and cell_len(text) > width - 1:
        text = text[1:]
    return "…" + text


def shown_value(model: FormModel, setting: str) -> str:
    """A setting's value as a screen may show it."""
    return visible(model.text(setting))


class ConfigForm(ScrollView, can_focus=True):
    """Settings in groups with a cursor. Posts `Moved`, `Edit` and `Fold`; changes nothing itself."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "config-form--group",
        "config-form--rule",
        "config-form--section",
        "config-form--name",
        "config-form--value",
        "config-form--changed",
        "config-form--dim",
        "config-form--error",
        "config-form--mark",
        "config-form--cursor",
        "config-form--cursor-blurred",
    }
    DEFAULT_CSS = """
    ConfigForm { scrollbar-size-horizontal: 0; scrollbar-size-vertical: 1; }
    ConfigForm > .config-form--group { text-style: bold; }
    ConfigForm > .config-form--rule { color: $rule; }
    ConfigForm > .config-form--section { color: $secondary 60%; }
    ConfigForm > .config-form--name { color: $secondary; }
    ConfigForm > .config-form--value { color: $foreground; }
    ConfigForm > .config-form--changed { color: $foreground; text-style: bold; }
    ConfigForm > .config-form--dim { color: $secondary; }
    ConfigForm > .config-form--error { color: $error; text-style: bold; }
    ConfigForm > .config-form--mark { color: $accent; }
    ConfigForm > .config-form--cursor { background: $block-cursor-background; }
    ConfigForm > .config-form--cursor-blurred { background: $block-cursor-blurred-background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("up,k", "step(-1)", N_("Up"), N_("One setting up")),
        key("down,j", "step(1)", N_("Down"), N_("One setting down")),
        key("pageup,ctrl+b", "page(-1)", N_("Page up")),
        key("pagedown,ctrl+f", "page(1)", N_("Page down")),
        key("home,g", "edge(0)", N_("First"), N_("First setting")),
        key("end,G", "edge(1)", N_("Last"), N_("Last setting")),
        key("left,h", "turn(-1)", N_("Previous choice"), N_("Previous choice of a setting that has few")),
        key("right,l", "turn(1)", N_("Next choice"), N_("Next choice of a setting that has few")),
    ]

    class Moved(Message):
        """The cursor stands on another line."""

    class Edit(Message):
        """The setting under the cursor was clicked or chosen."""

    class Turn(Message):
        """The setting under the cursor should take its next or previous choice."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self, model: FormModel, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self.model = model
        self.rows: list[Row] = []
        self.empty = ""
        self.cursor = 0
        # Names are as wide as the longest: folding and searching must not move the column of values.
        self._name_width = 0

    # -- rows and cursor ---------------------------------------------------------------------------------------

    @property
    def row(self) -> Row | None:
        """The line under the cursor."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    @property
    def chosen(self) -> str:
        """The key of the setting under the cursor; empty on a title."""
        return self.row.key if self.row is not None else ""

    def show(self, rows: list[Row], model: FormModel | None = None, empty: str = "") -> None:
        """Show these lines; the cursor stays on its setting where that is still there."""
        before, kind = self.chosen, self.row.kind if self.row else ""
        self.model = model or self.model
        self.rows, self.empty = rows, empty
        names = [cell_len(self._title(row)) for row in rows if row.kind == "setting"]
        self._name_width = max([33, *names])
        self.virtual_size = Size(self.scrollable_content_region.width, len(rows))
        self.cursor = min(self.cursor, max(0, len(rows) - 1))
        if not (before and self.go_to(before)) and not (kind == "more" and self._go_to_more()):
            self._settle(1)
        self.refresh()

    def _go_to_more(self) -> bool:
        for index, row in enumerate(self.rows):
            if row.kind == "more":
                self._place(index)
                return True
        return False

    def go_to(self, setting: str) -> bool:
        """Put the cursor on `setting`; False where it is not in the list."""
        for index, row in enumerate(self.rows):
            if row.key == setting:
                self._place(index)
                return True
        return False

    def _settle(self, direction: int) -> None:
        # Titles and gaps are no place to stand; the title that unfolds is.
        index = self.cursor
        for _turn in range(2):
            while 0 <= index < len(self.rows):
                if self.rows[index].kind in ("setting", "more"):
                    self._place(index)
                    return
                index += direction
            direction, index = -direction, self.cursor
        self._place(0)

    def _place(self, index: int) -> None:
        self.cursor = index
        # The title of a group comes into view with its first line.
        top = index - 1 if index and self.rows[index - 1].kind == "group" else index
        self.scroll_to_region(Region(0, top, 1, index - top + 1), animate=False, force=True)
        self.refresh()
        self.post_message(self.Moved())

    def action_step(self, step: int) -> None:
        """Move to the next or previous setting."""
        index = self.cursor + step
        while 0 <= index < len(self.rows):
            if self.rows[index].kind in ("setting", "more"):
                self._place(index)
                return
            index += step

    def action_page(self, direction: int) -> None:
        """Move by a screenful."""
        height = max(1, self.scrollable_content_region.height - 1)
        self.cursor = max(0, min(len(self.rows) - 1, self.cursor + direction * height))
        self._settle(direction)

    def action_edge(self, last: int) -> None:
        """Go to the first or last setting."""
        self.cursor = max(0, len(self.rows) - 1) if last else 0
        self._settle(-1 if last else 1)

    def action_turn(self, step: int) -> None:
        """Ask for the next choice."""
        self.post_message(self.Turn(step))

    def on_click(self, event: events.Click) -> None:
        """Choose a line; choose it again to edit."""
        index = event.y + int(self.scroll_y)
        if not (0 <= index < len(self.rows)) or self.rows[index].kind not in ("setting", "more"):
            return
        if index == self.cursor:
            self.post_message(self.Edit())
        else:
            self._place(index)

    def on_resize(self) -> None:
        """Keep the cursor in view when the list gets shorter."""
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.rows))
        if self.rows:
            self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True)

    def on_focus(self) -> None:
        """The cursor line gets its stronger ground."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor line gets its weaker ground."""
        self.refresh()

    # -- drawing -----------------------------------------------------------------------------------------------

    def _title(self, row: Row) -> str:
        return row.key if row.full else self.model.setting(row.key).name

    def render_line(self, y: int) -> Strip:
        """One line, exactly as wide as the list."""
        width = self.scrollable_content_region.width
        index = y + int(self.scroll_y)
        base = self.rich_style
        if index >= len(self.rows):
            if y == 1 and not self.rows:
                return self._strip([("  " + self.empty, self._style("dim"))], width, base)
            return Strip.blank(width, base)
        row = self.rows[index]
        if index == self.cursor:
            base += self._style("cursor" if self.has_focus else "cursor-blurred")
        if row.kind == "gap":
            return Strip.blank(width, base)
        plain = ascii_of(self.app)
        if row.kind == "group":
            title = f" {row.text} "
            rule = ("-" if plain else "─") * max(0, width - cell_len(title) - 1)
            return self._strip([(title, self._style("group")), (rule, self._style("rule"))], width, base)
        mark = ((">" if plain else "▌") if index == self.cursor else " ", self._style("mark"))
        if row.kind == "more":
            sign = ("v " if plain else "▾ ") if row.full else ("> " if plain else "▸ ")
            return self._strip([mark, (sign, self._style("dim")), (row.text, self._style("group"))], width, base)
        return self._strip([mark, *self._setting(row, width - 1)], width, base)

    def _setting(self, row: Row, width: int) -> list[tuple[str, Style]]:
        changed = self.model.is_changed(row.key)
        bad = self.model.problem(row.key) is not None
        name = self._title(row)
        name_width = min(self._name_width, max(10, width * 3 // 5))
        mark = ("! ", self._style("error")) if bad else ("  ", self._style("dim"))
        parts = [mark]
        shown = fit(name, name_width)
        section, dot, rest = shown.partition(".") if row.full else ("", "", shown)
        # The section is the lesser half of a full name.
        parts.append((section + dot, self._style("section")))
        parts.append((rest, self._style("value") if changed else self._style("name")))
        parts.append((" " * (name_width - cell_len(shown) + 2), self._style("dim")))
        room = max(4, width - name_width - 5)
        value = shown_value(self.model, row.key)
        default = visible(self.model.default_text(row.key)) or "–"
        origin = ""
        if changed:
            origin = f"  ← {default}"
            if self.model.follows(row.key):
                origin += "  " + _("follows")
            origin = fit(origin, max(0, room // 2)) if cell_len(value) + cell_len(origin) > room else origin
        text = fit_end(value, room - cell_len(origin)) or "–"
        style = "error" if bad else "changed" if changed else "value" if value else "dim"
        parts.append((text, self._style(style)))
        parts.append((origin, self._style("dim")))
        return parts

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"config-form--{name}", partial=True)

    @staticmethod
    def _strip(parts: list[tuple[str, Style]], width: int, base: Style) -> Strip:
        segments, left = [], width
        for text, style in parts:
            if left <= 0:
                break
            cut = text if cell_len(text) <= left else set_cell_size(text, left)
            segments.append(Segment(cut, base + style))
            left -= cell_len(cut)
        return Strip(segments).adjust_cell_length(width, base)
