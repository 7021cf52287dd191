"""All heads of a model at once, layers down and heads across: each a small map, or one number.

Small maps are drawn with half blocks, two rows a line; where there are no colours to spare with shades, the higher of
two rows. Drawn line by line, so that 24 × 16 heads scroll as fluidly as 2 × 2.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from core.i18n import N_
from tui.colour_depth import ascii_of
from tui.heat_scale import HeatScale, colour, scale_of
from tui.keymap import key, localise
from tui.painting import paint
from tui.widgets.line_view import LineView, line_strip

if TYPE_CHECKING:
    from numpy.typing import NDArray

TITLE = 4
"""Columns of the layers' numbers."""

NUMBER = 6
"""Columns of a number: a sign, a digit, a point, two decimals, and one between neighbours."""

LEAST, MOST = 4, 24
"""Sides of a small map in pixels (a column wide, half a line high)."""


def side_for(width: int, height: int, layers: int, heads: int, shaded: bool = False) -> int:
    """The side in pixels of small maps for `layers` × `heads` of them in a room of columns × lines: even, LEAST to
    MOST; where not all of them fit, as many heads as LEAST allows, and the rest has to be scrolled to."""
    across = (width - TITLE - 1) // max(1, heads) - 1
    down = ((height - 2) // max(1, layers) - 1) * 2
    return max(LEAST, min(MOST, across, down) // 2 * 2)


class HeadGrid(LineView, can_focus=True):
    """The grid. `show_maps` or `show_numbers` says what is drawn; posts `Moved`, and `Opened` on enter.

    cursor: (layer, head). off: the heads that are switched off, (layer, None) for all of a layer; marked by a cross.
    """

    DEFAULT_CSS = """
    HeadGrid { overflow-x: auto; overflow-y: auto; scrollbar-size: 1 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("up,k", "move(-1, 0)", N_("Up"), N_("Layer before")),
        key("down,j", "move(1, 0)", N_("Down"), N_("Next layer")),
        key("left,h", "move(0, -1)", N_("Left"), N_("Head before")),
        key("right,l", "move(0, 1)", N_("Right"), N_("Next head")),
        key("home,g", "corner(0)", N_("First"), N_("The first head of the first layer")),
        key("end,G", "corner(1)", N_("Last"), N_("The last head of the last layer")),
        key("enter", "open", N_("Open"), N_("Show this head in Review"), show=True),
    ]

    class Moved(Message):
        """Another head is chosen, or the grid shows something else."""

    class Opened(Message):
        """The chosen head is to be opened."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self.cursor = (0, 0)
        self.n_layers, self.n_heads = 0, 0
        self.maps: NDArray[np.float32] | None = None
        self.numbers: NDArray[np.floating[Any]] | None = None
        self.top: float | None = None
        self.signed = False
        self.off: frozenset[tuple[int, int | None]] = frozenset()
        self._steps: NDArray[np.int64] = np.zeros((0, 0, 0, 0), dtype=np.int64)
        # Called where `Moved` is posted: a message's answer would often be a picture of its own, 1/60 s later.
        self.at_once: Callable[[], None] | None = None
        self._scale: HeatScale | None = None
        self._base = Style()
        self._pairs: dict[tuple[int, int], Style] = {}
        # A head's part of a line, by layer, line of the layer and head: most stay the same while one walks around.
        self._parts: dict[tuple[int, int, int], list[Segment]] = {}

    # -- what it shows -----------------------------------------------------------------------------------------

    def show_maps(self, maps: NDArray[np.float32], top: float | None = None) -> None:
        """Show `maps` (layers × heads × side × side); `top` ends the scale, None: each map has a scale of its own."""
        self.maps, self.numbers, self.top, self.signed = maps, None, top, False
        self._show(*maps.shape[:2])

    def show_numbers(
        self, numbers: NDArray[np.floating[Any]], top: float | None = None, *, signed: bool = False
    ) -> None:
        """Show `numbers` (layers × heads), nan for none; `top` ends the scale, None: their highest magnitude."""
        self.maps, self.numbers, self.top, self.signed = None, numbers, top, signed
        self._show(*numbers.shape)

    @property
    def end(self) -> float | None:
        """The end of the scale, None where each map has its own."""
        if self.top is not None or self.numbers is None:
            return self.top
        finite = self.numbers[np.isfinite(self.numbers)]
        return float(np.abs(finite).max()) if finite.size else 0.0

    def switch(self, off: frozenset[tuple[int, int | None]]) -> None:
        """Mark the heads that are switched off."""
        self.off = off
        self.refresh()

    def is_off(self, layer: int, head: int) -> bool:
        """Whether a head is switched off."""
        return (layer, head) in self.off or (layer, None) in self.off

    def choose(self, layer: int, head: int) -> None:
        """Put the cursor on a head, or as near as there is."""
        place = (max(0, min(layer, self.n_layers - 1)), max(0, min(head, self.n_heads - 1)))
        if place == self.cursor or not self.n_layers:
            return
        before, self.cursor = self.cursor, place
        if self._follow_cursor():
            self.refresh_content()
        else:
            # The outline of one head goes, that of another comes, and the numbers on top change.
            width, height = self.room
            below = Region(0, 1, width, height - 1)
            self.refresh(Region(0, 0, width, 1), *(self._region(*head).intersection(below) for head in (before, place)))
        if self.at_once is not None:
            self.at_once()
        paint(self.screen)
        self.post_message(self.Moved())

    def _region(self, layer: int, head: int) -> Region:
        """Where a head stands with its outline."""
        (columns, lines), (x, y) = self._pitch, self.scroll_offset
        return Region(TITLE + head * columns - x, 1 + layer * lines - y, columns + 1, lines + 1)

    def _show(self, layers: int, heads: int) -> None:
        self.n_layers, self.n_heads = layers, heads
        self.cursor = (min(self.cursor[0], layers - 1), min(self.cursor[1], heads - 1))
        self._scale = None
        self._measure()
        self.post_message(self.Moved())

    # -- measures ----------------------------------------------------------------------------------------------

    @property
    def _inside(self) -> tuple[int, int]:
        """Columns and lines of one head."""
        if self.maps is None:
            return NUMBER - 1, 1
        side = self.maps.shape[2]
        return side, -(-side // 2)

    @property
    def _pitch(self) -> tuple[int, int]:
        columns, lines = self._inside
        return columns + 1, lines if self.maps is None else lines + 1

    def _measure(self) -> None:
        across, down = self._pitch
        above = 0 if self.maps is None else 1
        self.virtual_size = Size(TITLE + 1 + self.n_heads * across, 1 + above + self.n_layers * down)
        self._follow_cursor()
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Keep the chosen head in view."""
        self._follow_cursor()

    def watch_show_vertical_scrollbar(self) -> None:
        """A scrollbar takes room without a resize: the chosen head may be under it."""
        self._follow_cursor()

    def watch_show_horizontal_scrollbar(self) -> None:
        """The same at the bottom."""
        self._follow_cursor()

    def _follow_cursor(self) -> bool:
        """Scroll to where the chosen head is in view; whether that was necessary."""
        if not self.n_layers:
            return False
        (columns, lines), (width, height) = self._pitch, self.room
        x, y = self.scroll_offset
        left, top = self.cursor[1] * columns, self.cursor[0] * lines
        # The line above belongs to the outline; the head's own numbers stay on top.
        bottom = top + lines + (0 if self.maps is None else 1)
        if top < y:
            y = top
        elif bottom > y + height - 1:
            y = bottom - height + 1
        if left < x:
            x = left
        elif left + columns + 1 > x + width - TITLE:
            x = left + columns + 1 - width + TITLE
        if (x, y) == tuple(self.scroll_offset):
            return False
        self.scroll_to(max(0, x), max(0, y), animate=False, immediate=True, force=True)
        return True

    # -- keys and mouse ----------------------------------------------------------------------------------------

    def action_move(self, layers: int, heads: int) -> None:
        """Go to a neighbour."""
        self.choose(self.cursor[0] + layers, self.cursor[1] + heads)

    def action_corner(self, last: int) -> None:
        """Go to the first or the last head."""
        self.choose((self.n_layers - 1) * last, (self.n_heads - 1) * last)

    def action_open(self) -> None:
        """Ask for the chosen head to be opened."""
        if self.n_layers:
            self.post_message(self.Opened())

    def on_click(self, event: events.Click) -> None:
        """Choose the head under the mouse; a second click opens it."""
        place = event.get_content_offset(self)
        if place is None or place.y < 1 or place.x < TITLE:
            return
        (columns, lines), (x, y) = self._pitch, self.scroll_offset
        target = ((place.y - 1 + y) // lines, (place.x - TITLE + x) // columns)
        if target[0] < self.n_layers and target[1] < self.n_heads:
            if target == self.cursor:
                self.action_open()
            self.choose(*target)

    # -- drawing -----------------------------------------------------------------------------------------------

    def begin_picture(self) -> None:
        """Work out the steps of all cells, where they are others than in the picture before."""
        if not self.n_layers:
            return
        scale, base = scale_of(self.app, signed=self.signed), self.base_style
        if scale is not self._scale or base != self._base:
            self._scale, self._base = scale, base
            self._steps = self._in_steps(scale)
            self._pairs.clear()
            self._parts.clear()

    def render_line(self, y: int) -> Strip:
        """The heads' numbers, or a line of the layers."""
        base, (width, _height) = self.base_style, self.room
        if not self.n_layers:
            return Strip.blank(width, base)
        if self._shared is None:
            self.begin_picture()
        assert self._scale is not None
        if y == 0:
            title, body = " " * TITLE, self._head_numbers()
        else:
            title, body = self._line(y - 1 + self.scroll_offset.y, self._scale)
        quiet = Style(color=colour(self.app, "secondary"))
        x = self.scroll_offset.x
        if x:
            body = list(Strip(body).crop(x, x + width - TITLE))
        return line_strip([Segment(title, quiet), *body], base, width)

    def _in_steps(self, scale: HeatScale) -> NDArray[np.int64]:
        if self.maps is None:
            assert self.numbers is not None
            return scale.steps(self.numbers, self.end or 0.0)
        if self.top is not None:
            return scale.steps(self.maps, self.top)
        tops = self.maps.max(axis=(2, 3), keepdims=True)
        return scale.steps(np.divide(self.maps, tops, out=np.zeros_like(self.maps), where=tops > 0), 1.0)

    def _tone(self, here: bool) -> Style:
        if here:
            return Style(color=colour(self.app, "accent" if self.has_focus else "foreground"), bold=True)
        return Style(color=colour(self.app, "secondary"))

    def _head_numbers(self) -> list[Segment]:
        columns, _lines = self._pitch
        segments = []
        for head in range(self.n_heads):
            text = f" {head}"[: columns - 1] if columns > 3 else str(head)
            segments.append(Segment(text.ljust(columns), self._tone(head == self.cursor[1])))
        return segments

    def _line(self, line: int, scale: HeatScale) -> tuple[str, list[Segment]]:
        """The layer's number and the cells of body line `line`, without what is scrolled out."""
        _columns, lines = self._pitch
        layer, within = divmod(line, lines)
        if self.maps is None:
            if layer >= self.n_layers:
                return " " * TITLE, []
            return f"{layer:>{TITLE - 1}} ", self._number_line(layer, scale)
        if within == 0:
            return " " * TITLE, self._rule(layer)
        if layer >= self.n_layers:
            return " " * TITLE, []
        title = f"{layer:>{TITLE - 1}} " if within == 1 else " " * TITLE
        return title, self._map_line(layer, within - 1, scale)

    def _number_line(self, layer: int, scale: HeatScale) -> list[Segment]:
        assert self.numbers is not None
        segments: list[Segment] = []
        for head in range(self.n_heads):
            value, step = float(self.numbers[layer, head]), int(self._steps[layer, head])
            text = number_text(value, self.signed).rjust(NUMBER - 1)
            here = (layer, head) == self.cursor
            after = (layer, head) == (self.cursor[0], self.cursor[1] + 1)
            if self.is_off(layer, head):
                segments.append(self._cross())
            else:
                segments.append(Segment("[" if here else "]" if after else " ", self._tone(here or after)))
            segments.append(Segment(text, scale.styles[step] if np.isfinite(value) else self._tone(False)))
        last = self.cursor == (layer, self.n_heads - 1)
        segments.append(Segment("]" if last else " ", self._tone(last)))
        return segments

    def _rule(self, layer: int) -> list[Segment]:
        """The line above `layer`: empty but for the outline of the chosen head."""
        (columns, _lines), (chosen, head) = self._pitch, self.cursor
        if layer not in (chosen, chosen + 1):
            return []
        if ascii_of(self.app):
            left, right, line = "+", "+", "-"
        else:
            left, right, line = ("┌", "┐", "─") if layer == chosen else ("└", "┘", "─")
        return [Segment(" " * (head * columns)), Segment(left + line * (columns - 1) + right, self._tone(True))]

    def _map_line(self, layer: int, line: int, scale: HeatScale) -> list[Segment]:
        (columns, _lines), (chosen, chosen_head) = self._pitch, self.cursor
        x, (width, _height) = self.scroll_offset.x, self.room
        first, last = x // columns, min(self.n_heads, (x + width) // columns + 1)
        wall = "|" if ascii_of(self.app) else "│"
        segments = [Segment(" " * (first * columns))]
        for head in range(first, last):
            edge = layer == chosen and head in (chosen_head, chosen_head + 1)
            if line == 0 and self.is_off(layer, head):
                segments.append(self._cross())
            else:
                segments.append(Segment(wall if edge else " ", self._tone(edge)))
            segments += self._part(layer, line, head, scale)
        edge = layer == chosen and chosen_head == self.n_heads - 1 and last == self.n_heads
        segments.append(Segment(wall if edge else " ", self._tone(edge)))
        return segments

    def _part(self, layer: int, line: int, head: int, scale: HeatScale) -> list[Segment]:
        """Two rows of a small map."""
        part = self._parts.get((layer, line, head))
        if part is not None:
            return part
        rows = self._steps[layer, head, 2 * line : 2 * line + 2]
        upper = rows[0].tolist()
        lower = rows[1].tolist() if len(rows) > 1 else [scale.zero] * len(upper)
        if scale.shaded or ascii_of(self.app):
            part = [Segment(scale.shade(step), scale.styles[step]) for step in map(max, upper, lower)]
        else:
            part = [
                Segment("▀" * len(list(run)), self._pair(*pair, scale))
                for pair, run in groupby(zip(upper, lower, strict=True))
            ]
        self._parts[layer, line, head] = part
        return part

    def _cross(self) -> Segment:
        return Segment("x" if ascii_of(self.app) else "✕", Style(color=colour(self.app, "warning"), bold=True))

    def _pair(self, upper: int, lower: int, scale: HeatScale) -> Style:
        """Two pixels, one above the other: the letter's colour is the upper one's ground."""
        style = self._pairs.get((upper, lower))
        if style is None:
            grounds = scale.styles[upper].bgcolor, scale.styles[lower].bgcolor
            style = self._pairs[upper, lower] = Style(color=grounds[0], bgcolor=grounds[1])
        return style


def number_text(value: float, signed: bool) -> str:
    """`value` in at most five columns: two decimals, with its sign where it may have one."""
    if not np.isfinite(value):
        return "-"
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    if len(text) > NUMBER - 1:
        text = f"{value:.0f}"
    return text.replace("-", "−")
