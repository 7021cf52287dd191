"""One word or token, where it looks and who looks at it: two columns of the text, each with weights.

What bertviz's head view draws as lines between two columns, for one token at a time and with the numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from core.i18n import N_
from tui.heat_scale import HeatScale, colour, scale_of
from tui.heat_view import Unit
from tui.keymap import key, localise
from tui.plain_signs import TextOfOthers
from tui.signs import sign_for
from tui.widgets.line_view import LineView
from tui.widgets.top_bar import fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARK = 2
"""Columns of the cursor's sign."""

NUMBER = 7
"""Columns of a weight with the space around it."""


class TokenLinks(TextOfOthers, LineView, can_focus=True):
    """The units of a text in order, one a line; up and down choose one. Posts `Moved` when another is chosen.

    cursor: index of the chosen unit.
    """

    DEFAULT_CSS = """
    TokenLinks { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("up,k", "move(-1)", N_("Up"), N_("Word before")),
        key("down,j", "move(1)", N_("Down"), N_("Next word")),
        key("pageup", "move(-8)", N_("Page up"), N_("Eight words back")),
        key("pagedown", "move(8)", N_("Page down"), N_("Eight words on")),
        key("home,g", "corner(0)", N_("First"), N_("The first word")),
        key("end,G", "corner(1)", N_("Last"), N_("The last word")),
    ]

    class Moved(Message):
        """Another unit is chosen."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self.units: tuple[Unit, ...] = ()
        self.matrix: NDArray[np.floating[Any]] = np.zeros((0, 0))
        self.cursor = 0

    def show(self, matrix: NDArray[np.floating[Any]], units: tuple[Unit, ...]) -> None:
        """Show `matrix` (U × U, rows ask) of `units`. The chosen unit stays where the units stay."""
        if len(units) != len(self.units):
            self.cursor = 0
        self.matrix, self.units = matrix, units
        self.virtual_size = Size(0, len(units))
        self.refresh()
        self.post_message(self.Moved())

    def on_resize(self) -> None:
        """What stands above the columns is as wide as they are."""
        self.post_message(self.Moved())

    @property
    def looks(self) -> NDArray[np.floating[Any]]:
        """Where the chosen unit looks: one weight a unit."""
        return self.matrix[self.cursor]

    @property
    def looked_at(self) -> NDArray[np.floating[Any]]:
        """Who looks at the chosen unit: one weight a unit."""
        return self.matrix[:, self.cursor]

    def top(self) -> float:
        """The end of the scale of both columns."""
        return float(max(self.looks.max(), self.looked_at.max())) if self.units else 0.0

    def choose(self, unit: int) -> None:
        """Choose a unit, or as near as there is."""
        place = max(0, min(unit, len(self.units) - 1))
        if not self.units or place == self.cursor:
            return
        self.cursor = place
        y, height = self.scroll_offset.y, self.scrollable_content_region.height
        if not y <= place < y + height:
            self.scroll_to(0, place if place < y else place - height + 1, animate=False, immediate=True, force=True)
        self.refresh()
        self.post_message(self.Moved())

    def action_move(self, step: int) -> None:
        """Choose another unit."""
        self.choose(self.cursor + step)

    def action_corner(self, last: int) -> None:
        """Choose the first or the last unit."""
        self.choose((len(self.units) - 1) * last)

    def on_click(self, event: events.Click) -> None:
        """Choose the unit under the mouse."""
        place = event.get_content_offset(self)
        if place is not None and place.y + self.scroll_offset.y < len(self.units):
            self.choose(place.y + self.scroll_offset.y)

    def render_line(self, y: int) -> Strip:
        """One unit in both columns."""
        base, width = self.base_style, self.scrollable_content_region.width
        row = y + self.scroll_offset.y
        if row >= len(self.units):
            return Strip.blank(width, base)
        scale, here = scale_of(self.app), row == self.cursor
        sign = sign_for(self.app, "▸") if here else " "
        accent = Style(color=colour(self.app, "accent" if self.has_focus else "foreground"), bold=True)
        column = (width - MARK) // 2
        segments = [Segment(sign.ljust(MARK), accent)]
        for weights in (self.looks, self.looked_at):
            segments += self._column(row, float(weights[row]), column, scale, accent if here else None)
        return Strip(segments).apply_style(base).adjust_cell_length(width, base)

    def _column(self, row: int, weight: float, width: int, scale: HeatScale, accent: Style | None) -> list[Segment]:
        unit, top = self.units[row], self.top()
        step = int(scale.steps([weight], top)[0])
        room = min(18, max(4, (width - NUMBER) // 2))
        label = fit(unit.label, room, sign_for(self.app, "…"))
        style = accent or Style(italic=unit.special)
        if not scale.shaded and step:
            style = scale.styles[step] + Style(bold=accent is not None, italic=unit.special)
        bar = max(0, width - room - NUMBER - 1)
        cells = round(bar * weight / top) if top > 0 else 0
        block = sign_for(self.app, "█")
        return [
            Segment(label, style),
            Segment(" " * (room - cell_len(label))),
            Segment(f" {weight:.3f} ", Style(color=colour(self.app, "foreground" if step else "secondary"))),
            Segment(block * cells, scale.tone(len(scale.styles) - 1)),
            Segment(" " * (bar - cells + 1)),
        ]
