"""Review's keys for finding reviews: kind, filter, search, order, going to one, the threshold."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import BindingType
from textual.message import Message

from core import formats
from core.decision import decided, threshold_of
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.keymap import key
from tui.review_session import Chosen, ReviewSession
from tui.widgets.prompt_line import PromptLine

if TYPE_CHECKING:
    from textual.widget import Widget

    from tui.screens.base import RunScreen as Base
else:
    Base = object

TYPING_PAUSE = 0.15
"""Seconds without a key before a slow search begins."""

ACTIONS = ("filter", "filter_dialog", "filter_beside", "search", "search_beside", "sort", "go_to", "last", "threshold")


class QueueComputed(Message):
    """A queue was worked out in the background for the settings numbered `number`, or could not be."""

    def __init__(self, number: int, answer: Chosen | NsmcTuiError) -> None:
        super().__init__()
        self.number = number
        self.answer = answer


class FindingActions(Base):
    """The part of the Review screen that decides which reviews are in the queue and which is in view."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("f", "filter(1)", N_("Kind"), N_("Next kind: errors, FP, FN, near the threshold, likely label errors …")),
        # At the bottom only where the list is alone: beside a review its own keys take the room.
        key("F", "filter_dialog", N_("Filter"), N_("Filter by slice, verdict, tag, figures, another run"), show=True),
        key("F", "filter_beside", N_("Filter"), N_("Filter by slice, verdict, tag, figures, another run")),
        key("slash", "search", N_("Search"), N_("Search: text, 초성 (ㅈㅁ), or /regex/"), show=True, display="/"),
        key("slash", "search_beside", N_("Search"), N_("Search: text, 초성 (ㅈㅁ), or /regex/"), display="/"),
        key("S", "sort", N_("Sort"), N_("Sort by loss, confidence, margin, threshold, label error, length …")),
        key("g", "go_to", N_("Go to"), N_("Go to a place in the queue, or to a review by its id")),
        key("G", "last", N_("Last"), N_("Last review of the queue")),
        key(
            "equals_sign", "threshold", N_("Threshold"), N_("From which p(positive) a review is positive"), display="="
        ),
    ]

    session: ReviewSession | None
    _settings = 0

    # What the screen gives.
    def show_queue(self) -> None:
        """Show the queue after it changed."""
        raise NotImplementedError

    def go_to_position(self, position: int) -> None:
        """Show the review at `position`."""
        raise NotImplementedError

    def resting_place(self) -> Widget:
        """What has the focus when nothing is typed."""
        raise NotImplementedError

    @property
    def prompt(self) -> PromptLine:
        """The line in which things are typed."""
        return self.query_one(PromptLine)

    def close_prompt(self) -> None:
        """End typing."""
        self.prompt.close()
        self.resting_place().focus()

    # -- the queue ---------------------------------------------------------------------------------------------

    def queue_changed(self) -> None:
        """Show the queue that new settings give, at once or when it has been worked out."""
        assert self.session is not None
        self._settings += 1
        if self.session.stale:
            self.prompt.note(_("looking …"))
            self._compute(self._settings)
        else:
            self.workers.cancel_group(self, "queue")
            self.show_queue()

    @work(exclusive=True, group="queue")
    async def _compute(self, number: int) -> None:
        await asyncio.sleep(TYPING_PAUSE)
        assert self.session is not None
        try:
            answer: Chosen | NsmcTuiError = await asyncio.to_thread(self.session.compute)
        except NsmcTuiError as error:
            answer = error
        self.post_message(QueueComputed(number, answer))

    def on_queue_computed(self, message: QueueComputed) -> None:
        """Take a queue that was worked out over, unless the settings are others by then."""
        if self.session is None or message.number != self._settings:
            return
        if isinstance(message.answer, NsmcTuiError):
            if self.prompt.purpose == "search":
                self.prompt.note(f"{message.answer.message} {message.answer.hint}", wrong=True)
            else:
                self.nsmc.report(message.answer)
            return
        self.prompt.note("")
        self.session.take(message.answer)
        self.show_queue()

    def action_filter(self, step: int) -> None:
        """The next kind of review."""
        if self.session is not None:
            self.session.cycle_kind(step)
            self.queue_changed()

    def action_sort(self) -> None:
        """The next order."""
        if self.session is not None:
            self.session.cycle_sort()
            self.queue_changed()

    def action_filter_dialog(self) -> None:
        """Choose among everything that can be asked of a review."""
        from tui.screens.filter_dialog import FilterDialog

        if self.session is not None:
            self.app.push_screen(FilterDialog(self.session, self.run_dir), self._filtered)

    def action_filter_beside(self) -> None:
        """The same beside a review."""
        self.action_filter_dialog()

    def offers_finding(self, action: str) -> bool | None:
        """Whether `action` is offered here and now; None for an action that is not of this part."""
        if action not in ACTIONS:
            return None
        alone = self.has_class("-empty") or (self.has_class("-narrow") and not self.has_class("-reading"))
        if action in ("filter_dialog", "search"):
            return self.session is not None and alone
        if action in ("filter_beside", "search_beside"):
            return self.session is not None and not alone
        return self.session is not None

    def _filtered(self, changed: bool | None) -> None:
        if changed:
            self.queue_changed()

    # -- search ------------------------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Open the line to type a search in."""
        if self.session is not None:
            self.prompt.ask("search", "/", self.session.search, _("text, ㅈㅁ for 재미, /regex/"))

    def action_search_beside(self) -> None:
        """The same beside a review."""
        self.action_search()

    def on_prompt_line_typed(self, message: PromptLine.Typed) -> None:
        """Search while one types."""
        if message.purpose == "search" and self.session is not None and message.text != self.session.search:
            self.session.set_search(message.text)
            if not self.session.stale:
                self.prompt.note("")
            self.queue_changed()

    def clear_search(self) -> None:
        """Show all reviews again that the search left out."""
        if self.session is not None and self.session.search:
            self.session.set_search("")
            self.queue_changed()

    # -- places ------------------------------------------------------------------------------------------------

    def action_go_to(self) -> None:
        """Ask where to go."""
        if self.session is not None:
            note = _("1 to {n}, or #id").format(n=formats.count(len(self.session)))
            self.prompt.ask("go_to", _("go to"), note=note)

    def action_last(self) -> None:
        """The last review of the queue."""
        if self.session is not None:
            self.go_to_position(len(self.session) - 1)

    def go_to_typed(self, text: str) -> None:
        """Go to the place or review that was typed."""
        session = self.session
        assert session is not None
        wanted = text.strip()
        if wanted.isdecimal() and 1 <= int(wanted) <= len(session):
            self.close_prompt()
            self.go_to_position(int(wanted) - 1)
            return
        review = wanted.removeprefix("#")
        place = session.place_of_id(review)
        if place is not None:
            self.close_prompt()
            self.go_to_position(place)
        elif review in session.table.rows_of_id:
            # It is in the split but not in this queue: all reviews are shown, so that one can look around it.
            self.close_prompt()
            session.search = ""
            session.set_query("any", ())
            session.position = session.place_of_id(review) or 0
            self.queue_changed()
            self.nsmc.say(
                _("#{id} was not in the queue: all reviews are shown, f goes back to kinds.").format(id=review)
            )
        else:
            self.prompt.note(
                _("no review {id} in {split}").format(id=visible(wanted), split=session.predictions.split), wrong=True
            )

    def action_threshold(self) -> None:
        """Ask for the threshold."""
        if self.session is not None:
            self.prompt.ask("threshold", _("threshold"), f"{self.session.threshold:g}", _("above 0, below 1"))

    def threshold_typed(self, text: str) -> None:
        """Take the threshold that was typed."""
        assert self.session is not None
        threshold = threshold_of(text)
        if threshold is None:
            self.prompt.note(_("above 0, below 1"), wrong=True)
            return
        self.close_prompt()
        self.session.set_threshold(threshold)
        self.nsmc.decisions.put(self.run_dir, decided(threshold, self.session.predictions.split))
        self.queue_changed()
