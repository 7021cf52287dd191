"""Widgets that draw themselves line by line, with what all lines share worked out once a picture."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from tui.painting import PlainLines


class LineView(ScrollView):
    """A scroll view whose `render_line` gives whole lines; it has neither border nor padding.

    What Textual works out from all ancestors at each call (`base_style`, `room`) is kept while a picture is drawn.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._styles_cache = self._lines_kept = PlainLines()
        self._shared: tuple[Style, tuple[int, int]] | None = None

    @property
    def base_style(self) -> Style:
        """Colour and ground of the widget."""
        return self._lines_kept.look(self).text if self._shared is None else self._shared[0]

    @property
    def room(self) -> tuple[int, int]:
        """Columns and lines that there are for it, without scrollbars."""
        if self._shared is not None:
            return self._shared[1]
        width, height = self.scrollable_content_region.size
        return width, height

    def render_lines(self, crop: Region) -> list[Strip]:
        """All lines of `crop`."""
        self._shared = self.base_style, self.room
        try:
            self.begin_picture()
            return super().render_lines(crop)
        finally:
            self._shared = None

    def refresh_content(self) -> None:
        """Draw all lines anew, but no scrollbar: those draw themselves when they change."""
        size = self.scrollable_content_region.size
        if size:
            self.refresh(size.region)
        else:
            self.refresh()

    def begin_picture(self) -> None:
        """Work out what the lines to be drawn share."""


class TextLines(Widget):
    """A widget whose `render` gives the lines of its text. One too long is cut, or wrapped where it `wraps`."""

    wraps = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._styles_cache = self._lines_kept = PlainLines()
        self._strips: list[Strip] = []

    def render(self) -> Text:
        """Its lines."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        """One of them."""
        if self._dirty_regions:
            self._dirty_regions.clear()
            base, (width, height) = self._lines_kept.look(self).text, self.size
            lines = [line_strip(line, base, width) for line in self.segments(width, height)]
            self._strips = lines + [Strip.blank(width, base)] * (height - len(lines))
        return self._strips[y] if y < len(self._strips) else Strip([])

    def segments(self, width: int, height: int) -> list[list[Segment]]:
        """Its lines for a room of this size."""
        console, lines = self.app.console, list[Text]()
        for line in self.render().split("\n", allow_blank=True):
            if line.cell_len <= width:
                lines.append(line)
            elif self.wraps:
                lines += line.wrap(console, width, overflow="fold", no_wrap=False)
            else:
                line.truncate(width, overflow="ellipsis")
                lines.append(line)
        return [list(line.render(console)) for line in lines]


def line_strip(segments: Iterable[Segment], base: Style, width: int) -> Strip:
    """`segments` on the ground and in the colour of `base`, filled up to, or cut at, `width` cells."""
    made, used = [], 0
    for text, style, _control in segments:
        made.append(Segment(text, base + style if style else base))
        used += cell_len(text)
    if used < width:
        made.append(Segment(" " * (width - used), base))
    strip = Strip(made, max(used, width))
    return strip.crop(0, width) if used > width else strip
