"""A scroll view that draws itself line by line, with what all lines share worked out once a picture."""

from __future__ import annotations

from rich.style import Style
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.strip import Strip


class LineView(ScrollView):
    """`base_style` is the widget's `rich_style`, which Textual derives from all ancestors at each call."""

    _base: Style | None = None

    @property
    def base_style(self) -> Style:
        """Colour and ground of the widget, for `render_line`."""
        return self.rich_style if self._base is None else self._base

    def render_lines(self, crop: Region) -> list[Strip]:
        """All lines of `crop`."""
        self._base = self.rich_style
        try:
            return super().render_lines(crop)
        finally:
            self._base = None
