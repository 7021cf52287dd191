"""What is held of a review: verdict, tags, note, other reviewers, and the slices its text is in."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.i18n import gettext as _
from core.review_log import Opinion, verdict_name
from core.slices import Slice, slices_of
from core.text import visible
from tui.heat_scale import colour
from tui.widgets.line_view import TextLines


class ReviewAbout(TextLines):
    """One thing a line, or all in one line where there is only one. Of a fixed height: another review moves nothing."""

    wraps = True
    DEFAULT_CSS = """
    ReviewAbout { height: 4; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._slices: list[Slice] = []
        self._opinion = Opinion()
        self._others: list[Opinion] = []
        self._me = ""

    def show_review(self, document: str) -> None:
        """Another review is in view, of which nothing is held."""
        self._slices = slices_of(document)
        self._opinion, self._others = Opinion(), []
        self.refresh()

    def show_opinions(self, shown: Opinion, opinions: Sequence[Opinion], me: str) -> None:
        """Show what counts; `opinions` are those of all reviewers, `me` is the one at the keys."""
        self._opinion = shown
        self._others = [opinion for opinion in opinions if opinion.by != shown.by and opinion.says() != shown.says()]
        self._me = me
        self.refresh()

    def lines(self) -> list[Text]:
        """The lines, the most telling first."""
        quiet, accent = colour(self.app, "secondary"), colour(self.app, "accent")
        opinion = self._opinion
        first = Text(no_wrap=True, overflow="ellipsis")
        if opinion.verdict is None:
            first.append(_("not judged"), quiet)
        else:
            first.append(verdict_name(opinion.verdict, opinion.new_label), f"bold {accent}")
        if opinion.by != self._me and not opinion.empty:
            first.append(f" {visible(opinion.by)}", quiet)
        for tag in opinion.tags:
            first.append(f"  #{visible(tag)}")
        lines = [first]
        for other in self._others:
            parts = [verdict_name(other.verdict, other.new_label), *(f"#{visible(tag)}" for tag in other.tags)]
            if other.note:
                parts.append(f"“{visible(other.note)}”")
            said = f"⚠ {visible(other.by)}: {'  '.join(parts)}"
            lines.append(Text(said, colour(self.app, "warning"), no_wrap=True, overflow="ellipsis"))
        if opinion.note:
            lines.append(Text(f"“{visible(opinion.note)}”", no_wrap=True, overflow="ellipsis"))
        if self._slices:
            names = " · ".join(part.shown for part in self._slices)
            lines.append(Text(names, quiet, no_wrap=True, overflow="ellipsis"))
        return lines

    def render(self) -> Text:
        """As many lines as there is room for; one line holds them all, one after the other."""
        lines = self.lines()
        if self.size.height == 1 and len(lines) > 1:
            return Text("  ·  ", colour(self.app, "secondary"), no_wrap=True, overflow="ellipsis").join(lines)
        return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)
