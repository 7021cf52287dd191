"""A review's own text with heat behind its characters, wrapped by cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.strip import Strip

from core.text import clusters
from tui.heat_scale import HeatScale, colour, scale_for, scale_of
from tui.heat_view import Heat
from tui.plain_signs import TextOfOthers
from tui.widgets.line_view import LineView, line_strip
from tui.widgets.virtual_size import set_virtual_size

CHIP = -1
NO_STYLE, ADDED, HOTTEST = Style(), Style(italic=True), Style(bold=True, underline=True)


class Cell(NamedTuple):
    """One grapheme cluster on the screen: what to draw, its width in cells, its span of the text.

    For a token that the tokenizer added, `start` is CHIP and `end` its number among them.
    """

    display: str
    width: int
    start: int
    end: int


def cells_of(text: str) -> list[Cell]:
    """The clusters of `text` as they are drawn; offsets are those of the raw text."""
    return [Cell(c.display, cell_len(c.display), c.start, c.end) for c in clusters(text)]


def wrap(cells: Sequence[Cell], width: int, text: str = "") -> list[list[Cell]]:
    """Lines of at most `width` cells, broken after spaces where there are any, and after each newline of `text`.

    A wide character is never cut. A space that would begin a line is left out.
    """
    lines: list[list[Cell]] = []
    line: list[Cell] = []
    used, after_space = 0, 0
    for cell in cells:
        space = cell.display.isspace()
        if used + cell.width > width and line:
            if space:
                lines.append(line)
                line, used, after_space = [], 0, 0
                continue
            rest = line[after_space:] if after_space else []
            lines.append(line[:after_space] if after_space else line)
            line, used, after_space = rest, sum(c.width for c in rest), 0
            if used + cell.width > width and line:
                lines.append(line)
                line, used = [], 0
        line.append(cell)
        used += cell.width
        if space:
            after_space = len(line)
        if cell.start >= 0 and text[cell.start : cell.end].endswith("\n"):
            lines.append(line)
            line, used, after_space = [], 0, 0
    if line or not lines:
        lines.append(line)
    return lines


class TokenStrip(TextOfOthers, LineView):
    """The text of one review: heat as ground colours, the hottest words bold and underlined, grey beyond the window.

    Without colours each line has a second one below it with shades. It can be focused when it has to scroll.
    """

    DEFAULT_CSS = """
    TokenStrip { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.can_focus = False
        self.text = ""
        self.heat: Heat | None = None
        self.top: float | None = None
        self._cut: int | None = None
        self._weights: list[float] = []
        self._end = 0.0
        self._character_steps: list[int | None] = []
        self._steps_for: tuple[object, ...] = ()
        self._scale_in_picture: HeatScale | None = None
        self._cells: list[Cell] = []
        self._lines: list[list[Cell]] = []

    def show(self, text: str) -> None:
        """Show the raw `text`, without heat for now."""
        self.text, self.heat, self._cut = text, None, None
        self._cells = cells_of(text)
        self.scroll_to(y=0, animate=False)
        self._layout_lines()

    def show_heat(self, heat: Heat | None, cut: int | None = None, top: float | None = None) -> None:
        """Lay `heat` of the text in view over it; `cut` is the offset from which the model did not see it.

        top: the end of the scale, None for the highest weight of `heat`.
        """
        chips = self.heat is not None and bool(self.heat.added)
        self.heat, self._cut, self.top = heat, cut, top
        self._weights = heat.characters.tolist() if heat is not None else []
        self._end = 0.0 if heat is None else heat.top if top is None else top
        if chips or (heat is not None and heat.added):
            self._layout_lines()
        else:
            self.refresh_content()

    def on_resize(self, event: events.Resize) -> None:
        """Wrap anew."""
        self._layout_lines()

    def watch_show_vertical_scrollbar(self) -> None:
        """A scrollbar takes a column without a resize."""
        if self.is_mounted:
            self._layout_lines()

    def lines(self) -> list[str]:
        """What stands on each line."""
        return ["".join(cell.display for cell in line) for line in self._lines]

    def _layout_lines(self) -> None:
        width = self.scrollable_content_region.width
        if width < 2:
            return
        self._lines = wrap(self._with_chips(), width, self.text)
        total = len(self._lines) * self._pitch
        set_virtual_size(self, Size(width, total))
        self.can_focus = total > self.scrollable_content_region.height
        self.refresh()

    def begin_picture(self) -> None:
        """One scale for all lines."""
        self._scale_in_picture = None
        self._scale_in_picture = self._scale

    @property
    def _scale(self) -> HeatScale:
        if self._shared is not None and self._scale_in_picture is not None:
            return self._scale_in_picture
        return scale_of(self.app) if self.heat is None else scale_for(self.app, self.heat)

    @property
    def _pitch(self) -> int:
        return 2 if self._scale.shaded else 1

    def _with_chips(self) -> list[Cell]:
        if self.heat is None or not self.heat.added:
            return self._cells
        chips = [Cell(label, cell_len(label), CHIP, number) for number, (label, _weight) in enumerate(self.heat.added)]
        space = Cell(" ", 1, CHIP, CHIP)
        # Most tokenizers put one in front and the others behind; where exactly, the map tells.
        return [chips[0], space, *self._cells, *(part for chip in chips[1:] for part in (space, chip))]

    def render_line(self, y: int) -> Strip:
        """One line of text, or of shades below one."""
        base = self.base_style
        number, below = divmod(y + self.scroll_offset.y, self._pitch)
        width, _height = self.room
        if number >= len(self._lines):
            return Strip.blank(width, base)
        parts = self._shades(self._lines[number]) if below else self._letters(self._lines[number])
        return line_strip(_merge(parts), base, width)

    def _steps(self, line: list[Cell]) -> list[int | None]:
        """The step of each cell; None without heat or beyond the window."""
        heat, scale = self.heat, self._scale
        if heat is None or heat.pending:
            return [None] * len(line)
        wanted = (heat, scale, self._end, self._cut)
        if wanted != self._steps_for:
            self._steps_for = wanted
            seen = heat.characters if self._cut is None else heat.characters[: self._cut]
            self._character_steps = scale.steps(seen, self._end).tolist()
            self._character_steps += [None] * (len(heat.characters) - len(seen))
        steps = self._character_steps
        return [
            steps[start] if start >= 0 and end - start == 1 else self._step_of(heat, scale, start, end)
            for _display, _width, start, end in line
        ]

    def _step_of(self, heat: Heat, scale: HeatScale, start: int, end: int) -> int | None:
        """The step of a cell that stands for several characters, or for none."""
        if start == CHIP:
            return None if end == CHIP else scale.step(heat.added[end][1], self._end)
        if self._cut is not None and start >= self._cut:
            return None
        return scale.step(max(self._weights[start:end], key=abs, default=0.0), self._end)

    def _letters(self, line: list[Cell]) -> Iterator[tuple[str, Style]]:
        scale = self._scale
        grey = Style(color=colour(self.app, "secondary"), dim=True)
        hottest = self.heat.hottest if self.heat is not None else ()
        hot = frozenset(place for start, end in hottest for place in range(start, end))
        heated = not scale.shaded
        for cell, step in zip(line, self._steps(line), strict=True):
            style = NO_STYLE
            if self._cut is not None and cell.start >= self._cut:
                style = grey
            elif heated and step is not None and step != scale.zero:
                style = scale.styles[step]
            if cell.start == CHIP:
                style += ADDED
            elif cell.start in hot:
                style += HOTTEST
            yield cell.display, style

    def _shades(self, line: list[Cell]) -> Iterator[tuple[str, Style]]:
        scale = self._scale
        for cell, step in zip(line, self._steps(line), strict=True):
            if step is None or (cell.start != CHIP and cell.display.isspace()):
                yield " " * cell.width, NO_STYLE
            else:
                yield scale.shade(step) * cell.width, scale.styles[step]


def _merge(parts: Iterator[tuple[str, Style]]) -> Iterator[Segment]:
    """Neighbours of one style as one segment: fewer bytes over a slow line."""
    run, current = "", None
    for text, style in parts:
        if current is not None and style != current:
            yield Segment(run, current)
            run = ""
        current = style
        run += text
    if run:
        yield Segment(run, current)
