"""Pictures for the terminal in little time: only what changed is drawn, and each line of it once.

For a part of the screen Textual asks every widget on it for its lines, cuts all of them at the edges of all widgets,
and derives the colours of each line anew. `QuickCompositor` asks the widgets in front whose cells changed, and only
for the lines with those; `PlainLines` takes a widget's lines as they are; `paint` draws what a key brought about at
once and in one picture, where Textual waits until each widget's own queue has told of it.

These are Textual's own classes with another way to the same cells; what they override is private, and Textual is
pinned.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual._compositor import Compositor
from textual._styles_cache import StylesCache
from textual.color import Color
from textual.filter import ANSIToTruecolor
from textual.geometry import Region
from textual.screen import Screen, ScreenResultType
from textual.strip import Strip
from textual.widget import Widget

from tui import collecting
from tui.terminal_output import Piece, Pieces

Spans = dict[int, list[tuple[int, int]]]
"""For lines of the screen, their columns from … to …"""


class QuickCompositor(Compositor):
    """A screen's compositor that draws of a change what can be seen of it."""

    def render_partial_update(self) -> Any:
        """Draw the cells that changed, taking each from the widget in front."""
        regions = self._dirty_regions.copy()
        self._dirty_regions.clear()
        if not regions:
            return None
        wanted: Spans = {}
        screen = self.size.region
        for y, first, last in self._regions_to_spans(regions):
            if 0 <= y < screen.height and last > 0 and first < screen.width:
                wanted.setdefault(y, []).append((max(0, first), min(last, screen.width)))
        pieces: dict[int, list[Piece]] = {}
        for widget, (region, clip) in self.visible_widgets.items():
            if not wanted:
                break
            seen = region.intersection(clip)
            found, wanted = _within(wanted, seen)
            if not found:
                continue
            top, bottom = min(found), max(found) + 1
            lines = widget.render_lines(Region(seen.x - region.x, top - region.y, seen.width, bottom - top))
            for y, spans in found.items():
                strip = lines[y - top]
                for first, last in spans:
                    whole = first == seen.x and last == seen.right
                    piece = strip if whole else cut(strip, first - seen.x, last - seen.x)
                    pieces.setdefault(y, []).append((first, last, piece))
        return Pieces(pieces)


class QuickScreen(Screen[ScreenResultType]):
    """A screen that is drawn by a `QuickCompositor`, also while it is seen below a dialog."""

    def __init__(self) -> None:
        super().__init__()
        self._compositor = QuickCompositor()

    def _compositor_refresh(self) -> None:
        # The name is private; Textual is pinned.
        app, changed = self.app, self._compositor._dirty_regions
        if app._batch_count:
            # While the app collects updates, Textual draws the picture here and throws it away. It is put off instead:
            # what is to be painted stays known, and the first picture is made once.
            self._layout_required = True
        elif self is not app.screen:
            # Textual would draw all of the dialog's screen again, and once more at the next change. A change below may
            # end in the middle of a wide letter of the dialog: whole lines are looked at. One by one: all of them in
            # one region, as when another screen comes over this one, would be sent as a whole picture.
            if changed and self.is_current:
                width, lines = self.size.width, {y for region in changed for y in region.line_range}
                app.screen._set_dirty(*(Region(0, y, width, 1) for y in lines))
                # `refresh` would forget the dialog's own widgets that wait for their turn.
                app.screen._dirty_widgets.add(app.screen)
                app.screen.check_idle()
            changed.clear()
        else:
            super()._compositor_refresh()


def _within(wanted: Spans, seen: Region) -> tuple[Spans, Spans]:
    """What of `wanted` lies in `seen`, and the rest of it."""
    left, right = seen.x, seen.right
    found: Spans = {}
    if seen.height < len(wanted):
        lines = [y for y in range(seen.y, seen.bottom) if y in wanted]
    else:
        lines = [y for y in wanted if seen.y <= y < seen.bottom]
    for y in lines:
        spans = wanted[y]
        if len(spans) == 1 and left <= spans[0][0] and spans[0][1] <= right:
            found[y] = wanted.pop(y)
            continue
        inside, rest = [], []
        for first, last in spans:
            if last <= left or right <= first:
                rest.append((first, last))
                continue
            inside.append((max(first, left), min(last, right)))
            if first < left:
                rest.append((first, left))
            if right < last:
                rest.append((right, last))
        if inside:
            found[y] = inside
            if rest:
                wanted[y] = rest
            else:
                del wanted[y]
    return found, wanted


def cut(strip: Strip, first: int, last: int) -> Iterable[Segment]:
    """The cells from `first` until before `last`; of a wide character that is cut in two, a space is left."""
    if not first and last == strip.cell_length:
        return strip
    if first:
        return strip.crop(first, last)
    result, x = [], 0
    for segment in strip:
        end = x + segment.cell_length
        if end >= last:
            result.append(segment if end == last else Segment(set_cell_size(segment.text, last - x), segment.style))
            break
        result.append(segment)
        x = end
    return result


class Look(NamedTuple):
    """A widget's colours. text: of its text, ground included. ground: of what is empty. background: the same, plain."""

    text: Style
    ground: Style
    background: Color


class PlainLines(StylesCache):
    """The drawn lines of a widget that has neither border nor outline nor opacity; it may have padding at its sides.

    Its `render_line` gives lines that are as wide as its content, in all their colours. `look` is worked out again only
    when a style of the widget or of an ancestor changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._look: Look | None = None
        self._look_for: tuple[int, ...] = ()

    def look(self, widget: Widget) -> Look:
        """The colours of `widget`, whose cache this is."""
        key = tuple([node.styles._cache_key for node in widget.ancestors_with_self])
        if self._look is None or key != self._look_for:
            base, background = widget.background_colors
            ground = self.get_inner_outer(base, background)[0].rich_style
            self._look, self._look_for = Look(widget.rich_style, ground, background), key
        return self._look

    def render_widget(self, widget: Widget, crop: Region) -> list[Strip]:
        """The lines of `crop`."""
        size = widget.outer_size
        if size.width != self._width:
            self.clear()
            self._width = size.width
        kept, dirty = self._cache, self._dirty_lines
        missing = [y for y in crop.line_range if y not in kept or y in dirty]
        if missing:
            ground, background = self.look(widget)[1:]
            top, right, bottom, left = widget.styles.padding
            filters = widget.get_line_filters()
            for y in missing:
                strip = Strip.blank(size.width, ground)
                if top <= y < size.height - bottom:
                    strip = _padded(widget.render_line(y - top), left, right, size.width, ground)
                for line_filter in filters:
                    # Few lines have colours or dimmed text for it to change; a line that is the same needs no copy.
                    if not isinstance(line_filter, ANSIToTruecolor) or not all(_true(part[1]) for part in strip):
                        strip = strip.apply_filter(line_filter, background)
                kept[y] = strip
            dirty.difference_update(missing)
        lines = [kept[y] for y in crop.line_range]
        if crop.column_span != (0, size.width):
            lines = [line.crop(*crop.column_span) for line in lines]
        return lines


@lru_cache(maxsize=4096)
def _true(style: Style | None) -> bool:
    """Whether a style has true colours only, and nothing that is dimmed."""
    if style is None:
        return True
    return not style.dim and all(c is None or c.triplet is not None for c in (style.color, style.bgcolor))


def _padded(strip: Strip, left: int, right: int, width: int, ground: Style) -> Strip:
    strip = strip.adjust_cell_length(width - left - right, ground)
    if not left and not right:
        return strip
    sides = [Segment(" " * left, ground)] if left else [], [Segment(" " * right, ground)] if right else []
    return Strip([*sides[0], *strip, *sides[1]], width)


def paint(screen: Screen[Any]) -> None:
    """Draw at once what is to be drawn, in one picture, unless the screen has to be laid out for it."""
    collecting.key_pressed()
    if not screen.is_current or screen.app._batch_count or screen._layout_required or screen._scroll_required:
        return
    changed = {widget for widget in screen._compositor.visible_widgets if widget._repaint_required}
    if any(widget._layout_required or widget._scroll_required for widget in changed):
        return
    for widget in changed:
        widget._repaint_required = False
    screen._dirty_widgets.update(changed)
    screen._on_timer_update()
