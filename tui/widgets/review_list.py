"""The queue as a list: draws only the lines in view, so that 50,000 reviews scroll like 50."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from core.i18n import N_
from core.i18n import gettext as _
from core.review_log import Opinion
from core.text import visible
from tui.colour_depth import ascii_of
from tui.heat_scale import colour
from tui.keymap import key, localise
from tui.plain_signs import TextOfOthers
from tui.review_session import ReviewSession
from tui.signs import sign_for
from tui.widgets.line_view import LineView, line_strip
from tui.widgets.top_bar import fit
from tui.widgets.virtual_size import set_virtual_size

# Emoji sequences and NFD take several code points a cell; more than this many need not be looked at.
CODE_POINTS_A_CELL = 8
KEPT_LINES = 500


@dataclass(frozen=True)
class Columns:
    """Widths in cells of the columns before the text: mark, loss, p(positive), kind (0: not shown), verdict."""

    loss: int
    prob: int
    kind: int
    verdict: int = 2

    @property
    def before_text(self) -> int:
        """Where the text begins."""
        return 2 + self.loss + 2 + self.prob + 2 + (self.kind + 2 if self.kind else 0) + self.verdict + 1


def columns(kind: str) -> Columns:
    """The columns of a queue of `kind`; in a queue of one kind only, the kind need not stand on every line."""
    return Columns(
        loss=max(5, cell_len(_("loss"))),
        prob=max(5, cell_len(_("p(pos)"))),
        kind=0 if kind in ("fp", "fn", "tp", "tn") else 2,
    )


def right(text: str, width: int) -> str:
    """`text` at the right of `width` cells."""
    return " " * (width - cell_len(text)) + text


def heading(kind: str) -> Text:
    """The captions over the columns."""
    widths = columns(kind)
    captions = f"  {right(_('loss'), widths.loss)}  {right(_('p(pos)'), widths.prob)}  "
    captions += " " * (widths.kind + 2 if widths.kind else 0) + " " * (widths.verdict + 1)
    return Text(captions + _("review"), no_wrap=True)


def verdict_sign(opinion: Opinion) -> str:
    """A verdict in two cells: the new label behind an arrow, or the key that gives it; `#` for tags or a note alone."""
    if opinion.verdict == "label_wrong":
        return f"→{'?' if opinion.new_label is None else opinion.new_label}"
    keys = {"model_wrong": "d", "ambiguous": "a", "sarcasm": "s", "needs_context": "c"}
    if opinion.verdict is not None:
        return keys.get(opinion.verdict, "*")
    return "" if opinion.empty else "#"


class ReviewList(TextOfOthers, LineView, can_focus=True):
    """Loss, p(positive), kind and the beginning of each review of a queue, one a line.

    Posts `Moved` when another line is chosen and `Opened` for enter.
    """

    DEFAULT_CSS = """
    ReviewList { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    ReviewList > .review-list--cursor {
        background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
    }
    ReviewList:focus > .review-list--cursor {
        background: $block-cursor-background; color: $block-cursor-foreground;
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"review-list--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        key("down,j", "move(1)", N_("Down"), N_("Next line")),
        key("up,k", "move(-1)", N_("Up"), N_("Line before")),
        key("pagedown,ctrl+d", "page(1)", N_("Page down"), N_("A page on")),
        key("pageup,ctrl+u", "page(-1)", N_("Page up"), N_("A page back")),
        key("home", "move(-1000000000)", N_("First"), N_("First review")),
        key("end", "move(1000000000)", N_("Last"), N_("Last review")),
        # In the footer only where it is the way to the text; beside the text it takes one to the map.
        key("enter", "open", N_("Read"), N_("Show the review with its attention"), show=True),
        key("enter", "open_beside", N_("Map"), N_("To the map of who looks at whom")),
    ]
    # Two lines are drawn for a change, not the list.
    cursor: reactive[int] = reactive(0, repaint=False)

    class Moved(Message):
        """The line at `position` of the queue was chosen."""

        def __init__(self, position: int) -> None:
            super().__init__()
            self.position = position

    class Opened(Message):
        """The chosen line was opened."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self._session: ReviewSession | None = None
        self._columns = columns("all")
        # Scrolling by a line draws one line, not the screen.
        self._drawn: dict[tuple[object, ...], Strip] = {}

    def show(self, session: ReviewSession) -> None:
        """Show the queue of `session` with its place."""
        self._session = session
        self._columns = columns(session.kind)
        self._drawn.clear()
        set_virtual_size(self, Size(self.scrollable_content_region.width, len(session)))
        self.set_reactive(ReviewList.cursor, session.position)
        self._scroll_to_cursor()
        self.refresh()

    def refresh_reviews(self, reviews: Collection[str]) -> None:
        """Draw the lines of these reviews anew, where they are in view."""
        session, top = self._session, self.scroll_offset.y
        if session is None or len(reviews) > 1:
            self.refresh()
            return
        for position in range(top, min(len(session), top + self.scrollable_content_region.height)):
            if session.review_id(int(session.queue[position])) in reviews:
                self.refresh_line(position)

    def on_resize(self, event: events.Resize) -> None:
        """Fit the lines to the new width."""
        count = len(self._session) if self._session is not None else 0
        set_virtual_size(self, Size(self.scrollable_content_region.width, count))
        self._scroll_to_cursor()
        self.refresh()

    def watch_cursor(self, old: int, new: int) -> None:
        """Draw the two lines that changed and keep the chosen one in view."""
        self.refresh_line(old)
        self.refresh_line(new)
        self._scroll_to_cursor()

    def _scroll_to_cursor(self) -> None:
        height = self.scrollable_content_region.height
        top = self.scroll_offset.y
        if height > 0 and not top <= self.cursor < top + height:
            # A step beyond the edge scrolls by two thirds: a list that moves with every key has to be drawn whole for
            # every key. By force: whether a scrollbar is needed is not known yet when the queue was just given.
            above = height // 3 if self.cursor >= top + height else 2 * height // 3
            self.scroll_to(y=max(0, self.cursor - above), animate=False, immediate=True, force=True)

    def _choose(self, position: int) -> None:
        if self._session is None or not len(self._session):
            return
        position = max(0, min(position, len(self._session) - 1))
        if position != self.cursor:
            self.cursor = position
            self.post_message(self.Moved(position))

    def action_move(self, step: int) -> None:
        """Choose the line `step` further on."""
        self._choose(self.cursor + step)

    def action_page(self, step: int) -> None:
        """Choose the line a page further on."""
        self._choose(self.cursor + step * max(1, self.scrollable_content_region.height - 1))

    def action_open(self) -> None:
        """Open the chosen line."""
        if self._session is not None and len(self._session):
            self.post_message(self.Opened())

    def action_open_beside(self) -> None:
        """The same where the text is beside the list."""
        self.action_open()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One of the two meanings of enter, by the room there is; none while there is no review."""
        if action in ("open", "open_beside"):
            return not self.screen.has_class("-empty") and self.screen.has_class("-narrow") == (action == "open")
        return super().check_action(action, parameters)

    def on_click(self, event: events.Click) -> None:
        """Choose the line under the mouse; a second click opens it."""
        line = event.get_content_offset(self)
        if line is None or self._session is None:
            return
        position = line.y + self.scroll_offset.y
        if position < len(self._session):
            self._choose(position)
            if event.chain == 2:
                self.action_open()

    def render_line(self, y: int) -> Strip:
        """The line of one review."""
        width = self.scrollable_content_region.width
        base = self.base_style
        position = y + self.scroll_offset.y
        session = self._session
        if session is None or position >= len(session):
            return Strip.blank(width, base)
        row = int(session.queue[position])
        chosen = position == self.cursor
        if chosen:
            base += self.get_component_rich_style("review-list--cursor")
        opinion = session.log.shown(session.review_id(row)) if session.log is not None else Opinion()
        sign, marked = sign_for(self.app, verdict_sign(opinion)), row in session.marked
        plain, theme = ascii_of(self.app), self.app.theme
        look = (row, chosen, width, base, sign, marked, int(session.pred[row]), theme, plain, self._columns)
        strip = self._drawn.get(look)
        if strip is None:
            if len(self._drawn) > KEPT_LINES:
                self._drawn.clear()
            strip = self._drawn[look] = self._line(session, row, chosen, width, base, sign, marked)
        return strip

    def _line(
        self, session: ReviewSession, row: int, chosen: bool, width: int, base: Style, sign: str, marked: bool
    ) -> Strip:
        widths = self._columns
        quiet = Style() if chosen else Style(color=colour(self.app, "secondary"))
        segments = [
            Segment(
                sign_for(self.app, "▌") if chosen else " ",
                Style(color=colour(self.app, "accent")) if chosen else Style(),
            ),
            Segment(sign_for(self.app, "•") if marked else " ", Style(color=colour(self.app, "accent"))),
            Segment(right(f"{session.loss[row]:.2f}", widths.loss) + "  "),
            Segment(right(f"{session.prob_1[row]:.3f}", widths.prob) + "  ", quiet),
        ]
        if widths.kind:
            kind = (("TN", "FP"), ("FN", "TP"))[int(session.label[row])][int(session.pred[row])]
            tone = colour(self.app, "positive" if session.pred[row] else "negative")
            segments.append(Segment(kind + "  ", Style(color=tone)))
        segments.append(Segment(sign + " " * (widths.verdict - cell_len(sign) + 1), quiet + Style(bold=True)))
        room = max(0, width - widths.before_text)
        text = fit(visible(session.document(row)[: room * CODE_POINTS_A_CELL]), room, sign_for(self.app, "…"))
        segments.append(Segment(text))
        return line_strip(segments, base, width)
