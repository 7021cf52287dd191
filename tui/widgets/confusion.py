"""The confusion matrix, a cell of which can be chosen and entered."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from core.i18n import N_
from core.i18n import gettext as _
from tui.colour_depth import ascii_of
from tui.keymap import key, localise

KINDS = (("tn", "fp"), ("fn", "tp"))
LABEL, CELL = 10, 13


class Confusion(Widget, can_focus=True):
    """Rows are true labels, columns predictions. Arrows choose a cell, enter sends `Chosen` with its kind."""

    DEFAULT_CSS = """
    Confusion { width: 50; height: 9; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("up,k", "move(-1,0)", show=False),
        key("down,j", "move(1,0)", show=False),
        key("left,h", "move(0,-1)", show=False),
        key("right,l", "move(0,1)", show=False),
        key("enter", "choose", N_("These reviews"), N_("Review the reviews of this cell"), show=True),
    ]
    matrix: reactive[tuple[tuple[int, int], tuple[int, int]] | None] = reactive(None)
    cursor: reactive[tuple[int, int]] = reactive((0, 1))

    class Chosen(Message):
        """The cell that was entered: `tn`, `fp`, `fn` or `tp`."""

        def __init__(self, kind: str) -> None:
            super().__init__()
            self.kind = kind

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)

    def render(self) -> Text:
        """Title, head, two rows with counts and shares of the true label."""
        variables = self.app.theme_variables
        focus = variables.get("accent", "") if self.has_focus else variables.get("secondary", "")
        text = Text(no_wrap=True)
        text.append(_("confusion matrix"), style=f"bold {focus}" if self.has_focus else focus)
        text.append("   " + _("rows true, columns predicted") + "\n\n", style="dim")
        if self.matrix is None:
            return text
        names = (_("negative"), _("positive"))
        colours = (variables.get("negative", ""), variables.get("positive", ""))
        text.append(" " * LABEL)
        for name, colour in zip(names, colours, strict=True):
            text.append(" " * (CELL - cell_len(name)) + name, style=colour)
        text.append("\n")
        for row, (name, colour) in enumerate(zip(names, colours, strict=True)):
            text.append(name + " " * (LABEL - cell_len(name)), style=colour)
            for column in (0, 1):
                text.append(*self._cell(row, column, f"{self.matrix[row][column]:,}", variables))
            text.append("\n" + " " * LABEL)
            total = sum(self.matrix[row]) or 1
            for column in (0, 1):
                share = f"{self.matrix[row][column] / total:.1%}"
                text.append(f"{KINDS[row][column].upper()} {share}".rjust(CELL), style="dim")
            text.append("\n")
        return text

    def _cell(self, row: int, column: int, count: str, variables: dict[str, str]) -> tuple[str, str]:
        if (row, column) != self.cursor:
            return count.rjust(CELL), "bold" if row != column else ""
        name = "block-cursor-background" if self.has_focus else "block-cursor-blurred-background"
        mark = ">" if ascii_of(self.app) else "▌"
        return f"{mark}{count}".rjust(CELL), f"bold on {variables.get(name, '')}"

    def action_move(self, rows: int, columns: int) -> None:
        """Choose a neighbouring cell."""
        row, column = self.cursor
        self.cursor = (min(1, max(0, row + rows)), min(1, max(0, column + columns)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A cell's reviews are offered when there are cells."""
        return action != "choose" or self.matrix is not None

    def action_choose(self) -> None:
        """Enter the chosen cell."""
        if self.matrix is not None:
            self.post_message(self.Chosen(KINDS[self.cursor[0]][self.cursor[1]]))

    @property
    def kind(self) -> str:
        """The chosen cell's kind."""
        return KINDS[self.cursor[0]][self.cursor[1]]
