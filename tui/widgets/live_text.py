"""Lines of text whose figures change all the time: only the cells that changed go to the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from tui.strips import changed_regions


class LiveText(Widget):
    """`show` takes one Text a line; lines that are too long are cut."""

    DEFAULT_CSS = "LiveText { height: auto; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[Text] = []
        self._strips: list[Strip] = []

    def show(self, lines: Sequence[Text]) -> None:
        """Show these lines."""
        before, self._lines = len(self._lines), list(lines)
        if len(self._lines) != before and self.styles.is_auto_height:
            self.refresh(layout=True)
        self._draw()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as there are."""
        return len(self._lines)

    def on_resize(self) -> None:
        """Cut the lines to the new width."""
        self._draw()

    def _draw(self) -> None:
        width, height = self.content_size
        if not width or not height:
            return
        strips, base = [], self.rich_style
        for number in range(height):
            line = self._lines[number].copy() if number < len(self._lines) else Text()
            line.truncate(width, overflow="ellipsis")
            strips.append(Strip(line.render(self.app.console)).adjust_cell_length(width).apply_style(base))
        before, self._strips = self._strips, strips
        if len(before) != len(strips) or (before and before[0].cell_length != width):
            self.refresh()
            return
        regions = changed_regions(before, strips)
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """A line as it was drawn last."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.content_size.width, self.rich_style)
