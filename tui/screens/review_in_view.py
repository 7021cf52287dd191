"""Review's question to the inspector about the review in view, and what is drawn before and after its answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import work
from textual.message import Message

from core import inspector_questions as questions
from core.errors import NsmcTuiError
from core.i18n import gettext as _
from core.inspector_protocol import Inspection, Question
from core.predictions import Prediction
from tui.review_session import Opened, ReviewSession
from tui.widgets.review_detail import ReviewDetail

if TYPE_CHECKING:
    from tui.screens.base import RunScreen as Base
else:
    Base = object

DEBOUNCE = 0.06
PATIENCE = 0.4
"""Seconds without an answer after which the screen says that it waits; sooner would flicker."""


class Answered(Message):
    """The inspector has answered about row `row` of the split: with an inspection, or an error."""

    def __init__(self, row: int, answer: Inspection | NsmcTuiError) -> None:
        super().__init__()
        self.row = row
        self.answer = answer


class ViewActions(Base):
    """The part of the Review screen that shows the review in view."""

    session: ReviewSession | None
    _opened: Opened | None
    _waiting_for: int | None = None
    _answered = False

    # What the screen gives.
    def show_context(self, review: Prediction) -> None:
        """Show what is known around the review."""
        raise NotImplementedError

    @property
    def detail(self) -> ReviewDetail:
        """The pane of the review in view."""
        return self.query_one(ReviewDetail)

    def show_opinion(self) -> None:
        """Verdict, tags and note of the review in view."""
        session = self.session
        assert session is not None
        if session.log is not None and session.row is not None:
            review = session.review_id(session.row)
            self.detail.show_opinions(session.log.shown(review), session.log.opinions(review), session.log.by)

    def show_current(self) -> None:
        """Text and probabilities at once; heat as soon as there is some."""
        session = self.session
        assert session is not None
        review, row = session.current, session.row
        if review is None or row is None:
            return
        self.detail.show_review(review, session.threshold)
        self.show_opinion()
        self.show_context(review)
        self.cancel_question()
        assert self._opened is not None
        if self._opened.model is None:
            error = self._opened.model_error
            self.detail.show_message(error.message if error else "", error.hint if error else "")
            return
        question = self._question(review.document)
        kept = self.nsmc.inspector.kept(question)
        if kept is not None:
            self._show_inspection(kept)
            return
        self._waiting_for = row
        if self._answered:
            # Usually the answer is there before anyone could read that it is being waited for.
            self.detail.show_message("")
            self.set_timer(PATIENCE, lambda: self._show_waiting(row))
        else:
            self._show_waiting(row)
        self._ask(row, question)

    def _question(self, text: str) -> Question[Inspection]:
        """What the run's model makes of `text`."""
        assert self._opened is not None
        assert self._opened.model is not None
        return questions.inspect(self._opened.model, text, self._opened.max_length)

    def _show_waiting(self, row: int) -> None:
        if self._waiting_for == row:
            self.detail.show_message(_("asking the model…") if self._answered else _("loading the model…"))

    def cancel_question(self) -> None:
        """Nobody waits for the answer any more."""
        self._waiting_for = None
        self.workers.cancel_group(self, "attention")

    @work(exclusive=True, group="attention")
    async def _ask(self, row: int, question: Question[Inspection]) -> None:
        # While `n` is held down reviews fly by that nobody wants attention of.
        await asyncio.sleep(DEBOUNCE)
        try:
            answer: Inspection | NsmcTuiError = await self.nsmc.inspector.ask(question)
        except NsmcTuiError as error:
            answer = error
        self.post_message(Answered(row, answer))

    def on_answered(self, message: Answered) -> None:
        """Show the answer, if it is about the review in view."""
        if message.row != self._waiting_for:
            return
        self._waiting_for = None
        if isinstance(message.answer, NsmcTuiError):
            self.detail.show_message(message.answer.message, message.answer.hint)
        else:
            self._show_inspection(message.answer)

    def _show_inspection(self, inspection: Inspection) -> None:
        if inspection.notes and not self._answered:
            self.nsmc.say("\n".join(inspection.notes), severity="warning", timeout=15)
        self._answered = True
        self.detail.show_inspection(inspection)
        if self.session is not None and self._opened is not None and self._opened.model is not None:
            self.nsmc.inspector.prefetch([self._question(text) for text in self.session.neighbours()])
