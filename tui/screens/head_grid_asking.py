"""What the inspector is asked about heads: numbers of each, and the answer without some of them."""

from __future__ import annotations

import asyncio

from textual import work
from textual.message import Message

from core import inspector_questions as questions
from core.errors import NsmcTuiError
from core.inspector_answers import HeadStats, KnockOut
from core.inspector_protocol import Inspection
from tui.attention_subject import Subject
from tui.screens.base import BaseScreen

DEBOUNCE = 0.1


class AskingHeads(BaseScreen):
    """The part of the screen of all heads that asks about `subject`; answers come as messages."""

    class Counted(Message):
        """The inspector has answered about the heads: numbers, what they do to the answer, or an error."""

        def __init__(self, face: str, answer: HeadStats | KnockOut | NsmcTuiError) -> None:
            super().__init__()
            self.face, self.answer = face, answer

    class Switched(Message):
        """The answer without the heads `off`, or an error."""

        def __init__(self, off: frozenset[tuple[int, int | None]], answer: Inspection | NsmcTuiError) -> None:
            super().__init__()
            self.off, self.answer = off, answer

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.subject = subject

    def show_progress(self, done: int, total: int) -> None:
        """So many heads of all have been switched off in turn."""
        raise NotImplementedError

    @property
    def target(self) -> int:
        """The class whose probability is looked at."""
        return self.subject.pred

    @work(exclusive=True, group="count")
    async def count(self) -> None:
        """Ask for the numbers of each head."""
        inspection = self.subject.inspection
        try:
            answer: HeadStats | NsmcTuiError = await self.nsmc.inspector.ask(
                questions.head_stats(
                    inspection.model,
                    inspection.text,
                    inspection.max_length,
                    # Left to the model where it is its own answer: the question may have been asked before.
                    target=None if self.target == inspection.pred else self.target,
                )
            )
        except NsmcTuiError as error:
            answer = error
        self.post_message(self.Counted("stats", answer))

    @work(exclusive=True, group="sweep")
    async def sweep(self) -> None:
        """Ask what becomes of the answer without each of the heads in turn."""
        inspection = self.subject.inspection
        try:
            answer: KnockOut | NsmcTuiError = await self.nsmc.inspector.ask(
                questions.knock_out(inspection.model, inspection.text, inspection.max_length), self.show_progress
            )
        except NsmcTuiError as error:
            answer = error
        self.post_message(self.Counted("knock_out", answer))

    @work(exclusive=True, group="switch")
    async def ask_without(self, off: frozenset[tuple[int, int | None]]) -> None:
        """Ask for the answer without the heads `off`, unless more of them are switched at once."""
        await asyncio.sleep(DEBOUNCE)
        inspection = self.subject.inspection
        try:
            answer: Inspection | NsmcTuiError = await self.nsmc.inspector.ask(
                questions.inspect(
                    inspection.model, inspection.text, inspection.max_length, attention=False, knocked=off
                )
            )
        except NsmcTuiError as error:
            answer = error
        self.post_message(self.Switched(off, answer))
