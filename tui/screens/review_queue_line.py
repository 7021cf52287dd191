"""Review's line about the queue: which reviews, in which order, the place in it, and for a while what was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.timer import Timer

from core import formats
from core.i18n import gettext as _
from core.predictions import THRESHOLD
from core.text import visible
from tui.heat_scale import colour
from tui.review_session import ReviewSession, kind_name, sort_name
from tui.widgets.spread_line import SpreadLine

if TYPE_CHECKING:
    from tui.screens.base import RunScreen as Base
else:
    Base = object

KEPT_SECONDS = 4.0
"""How long the line of the queue says what was kept."""


class QueueLine(Base):
    """The part of the Review screen that says what the queue is, or why it is empty."""

    session: ReviewSession | None
    _kept = ""
    _kept_timer: Timer | None = None

    def why_empty(self, session: ReviewSession) -> tuple[str, str]:
        """Why nothing is in the queue, and the way out."""
        split, kind = session.predictions.split, kind_name(session.kind, session.threshold)
        if session.search:
            return (
                _("No review among the {kind} of {split} contains “{text}”.").format(
                    kind=kind, split=split, text=session.search
                ),
                _("esc clears the search, f shows other reviews."),
            )
        if session.query:
            return (
                _("None of the {kind} of {split} meets the filter {filter}.").format(
                    kind=kind, split=split, filter=session.place.where
                ),
                _("F changes the filter, f shows other reviews."),
            )
        return (
            _("There are no {kind} in {split}: {n} reviews, none of them here.").format(
                kind=kind, split=split, n=formats.count(len(session.predictions))
            ),
            _("f shows other reviews, 4 goes to Evaluation."),
        )

    def show_queue_line(self) -> None:
        """Say what the queue is, or what was just kept."""
        session = self.session
        assert session is not None
        quiet = colour(self.app, "secondary")
        if self._kept:
            left = Text.assemble(("✓ ", colour(self.app, "success")), self._kept)
        else:
            name = kind_name(session.kind, session.threshold)
            left = Text.assemble(
                (f"{name} {formats.count(session.unsearched)}", "bold"),
                (f" · {session.predictions.split} · ", quiet),
                (_("sort {order}").format(order=sort_name(session.sort)), quiet),
            )
            if session.threshold != THRESHOLD:
                left.append(" · " + _("threshold {value}").format(value=formats.threshold(session.threshold)), quiet)
            if session.searched:
                left.append(" · ", quiet)
                left.append(_("“{text}” in {n}").format(text=visible(session.search), n=formats.count(len(session))))
            if session.query:
                left.append(" · ", quiet)
                left.append(visible(session.place.where))
        place = _("{n} of {total}").format(
            n=formats.count(session.position + 1 if len(session) else 0), total=formats.count(len(session))
        )
        if session.judged:
            place = _("{n} judged").format(n=formats.count(session.judged)) + " · " + place
        self.query_one("#queue", SpreadLine).show(left, place)

    def show_kept(self, text: str) -> None:
        """Say what was kept in the queue's line, for a while."""
        if self._kept_timer is not None:
            self._kept_timer.stop()
        self._kept = text
        self.show_queue_line()
        self._kept_timer = self.set_timer(KEPT_SECONDS, self._kept_long_enough)

    def _kept_long_enough(self) -> None:
        self._kept = ""
        self.show_queue_line()
