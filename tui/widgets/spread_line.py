"""One line with something at the left and something at the right: captions, titles, legends."""

from __future__ import annotations

from rich.text import Text

from tui.widgets.line_view import TextLines


class SpreadLine(TextLines):
    """Two texts on one line; the left one is cut (with an ellipsis) where both do not fit."""

    DEFAULT_CSS = """
    SpreadLine { height: 1; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._left, self._right, self._shorter = Text(), Text(), ""

    @property
    def plain(self) -> str:
        """What it says, without styles."""
        return f"{self._left.plain} {self._right.plain}".strip()

    def show(self, left: Text | str = "", right: Text | str = "", shorter: str = "") -> None:
        """Show these; strings are safe text (never markup). shorter: what stands at the right where both do not fit."""
        if shorter != self._shorter:
            self._shorter = shorter
            self.refresh()
        left = Text(left) if isinstance(left, str) else left
        right = Text(right) if isinstance(right, str) else right
        if (left, left.style, right, right.style) != (self._left, self._left.style, self._right, self._right.style):
            self._left, self._right = left, right
            self.refresh()

    def render(self) -> Text:
        """One line exactly as wide as the widget."""
        width = self.size.width
        right = self._right.copy()
        left = self._left.copy()
        gap = 2 if right.cell_len and left.cell_len else 0
        if self._shorter and left.cell_len + gap + right.cell_len > width:
            right = Text(self._shorter, right.style)
        if right.cell_len > width:
            right.truncate(width, overflow="ellipsis")
        room = max(0, width - right.cell_len - gap)
        if left.cell_len > room:
            left.truncate(room, overflow="ellipsis")
        line = left + Text(" " * max(0, width - left.cell_len - right.cell_len)) + right
        line.no_wrap = True
        return line
