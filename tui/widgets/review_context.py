"""Around a review: how the model learned it, the same and nearly the same reviews in train, and the nearest ones."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on, work
from textual.binding import BindingType
from textual.message import Message
from textual.timer import Timer

from core import dynamics, neighbours
from core.errors import NsmcTuiError
from tui.keymap import localise
from tui.train_lookup import TrainLookup
from tui.widgets.context_lines import ContextLines, Subject
from tui.widgets.vector_building import VectorBuilding

if TYPE_CHECKING:
    from tui.app import NsmcTuiApp

DEBOUNCE = 0.1
"""While `n` is held down reviews fly by whose surroundings nobody wants."""

ASK_AGAIN = 3.0
"""Seconds between two looks for nearest reviews while their vectors are being made."""


class ReviewContext(ContextLines, VectorBuilding, can_focus=True):
    """What is known of the review in view beyond itself. `open_run` once, `show_review` for each review.

    Nothing is asked about a review while the pane is hidden. The vectors of train are made once, while the user reads
    and the machine has time (`tui.idle_time`), or at once when the key asks for it; `building` tells whether they are
    to be made at all. Another review, and another screen, stop it until it is quiet again.
    """

    DEFAULT_CSS = """
    ReviewContext { height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*VectorBuilding.BINDINGS]

    class Found(Message):
        """A part of what is shown is there: `value`, or the error in its place. `token` says for which review."""

        def __init__(self, part: str, value: Any, token: int | None = None) -> None:
            super().__init__()
            self.part = part
            self.value = value
            self.token = token

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self.start_building()
        self._run_dir: Path | None = None
        self._max_length: int | None = None
        self._lookup: TrainLookup | None = None
        self._token = 0
        self._asked: int | None = None
        self._again: Timer | None = None

    # -- what is asked -----------------------------------------------------------------------------------------

    def open_run(self, run_dir: Path, model: Path | None, max_length: int | None) -> None:
        """The run that reviews are from, and its model (None where there is none)."""
        self._run_dir, self._model, self._max_length = run_dir, model, max_length
        self._lookup = TrainLookup(run_dir)
        self._found, self._progress = {}, None

    def show_review(self, text: str, review: str | None, split: str) -> None:
        """Another review is in view."""
        self._token += 1
        self._subject = Subject(text, review, split)
        for part in ("history", "alike", "nearest"):
            self._found.pop(part, None)
        self.scroll_home(animate=False)
        self._ask()
        self.build_later()

    def on_show(self) -> None:
        """The pane came into view: what was not asked for is asked."""
        self._ask()

    @property
    def nsmc(self) -> NsmcTuiApp:
        """The app, typed."""
        return cast("NsmcTuiApp", self.app)

    def _ask(self) -> None:
        self._draw()
        if self._subject is None or self._run_dir is None or not self.is_on_screen:
            return
        if self._asked != self._token:
            self._asked = self._token
            self._read(self._token, self._subject)

    @property
    def _built(self) -> bool:
        return self._progress is not None and self._progress.finished

    @work(exclusive=True, group="context")
    async def _read(self, token: int, subject: Subject) -> None:
        await asyncio.sleep(DEBOUNCE)
        assert self._run_dir is not None
        assert self._lookup is not None
        if subject.id is not None:
            try:
                kept = await asyncio.to_thread(dynamics.read, self._run_dir, subject.split)
                history: Any = None if kept is None else kept.history(subject.id)
            except NsmcTuiError as error:
                history = error
            self.post_message(self.Found("history", history, token))
        try:
            exclude = subject.id if subject.split == "train" else None
            alike: Any = await self._lookup.alike(subject.text, exclude, self._tell)
        except NsmcTuiError as error:
            self.post_message(self.Found("alike", error, token))
            return
        self.post_message(self.Found("alike", alike, token))
        await self._look(token, subject)

    def _tell(self, name: str, done: int, total: int) -> None:
        self.post_message(self.Found("making", f"{done * 100 // total} %" if total else ""))

    async def _look(self, token: int, subject: Subject) -> None:
        """The nearest reviews among the vectors that there are."""
        directory = self._lookup.directory if self._lookup is not None else None
        if self._model is None or directory is None:
            return
        seen = self._progress.done if self._progress is not None else 0
        exclude = [subject.id] if subject.id is not None and subject.split == "train" else []
        question = neighbours.nearest(
            self._model, subject.text, directory, self._max_length, exclude=exclude, seen=seen
        )
        try:
            nearest: Any = await self.nsmc.inspector.ask(question)
        except NsmcTuiError as error:
            nearest = error
        self.post_message(self.Found("nearest", nearest, token))

    # -- what comes --------------------------------------------------------------------------------------------

    @on(Found)
    def _take(self, message: Found) -> None:
        message.stop()
        if message.token is not None and message.token != self._token:
            return
        if message.part == "making":
            self._making = str(message.value)
        elif message.part == "progress":
            self._take_progress(message.value)
        else:
            self._found[message.part] = message.value
        self._draw()

    def _take_progress(self, value: Any) -> None:
        if isinstance(value, NsmcTuiError):
            self._found.setdefault("nearest", value)
            return
        before, self._progress = self._progress, value
        if before is None or value.finished:
            self._look_again()
        elif self._again is None:
            self._again = self.set_timer(ASK_AGAIN, self._look_again)

    def _look_again(self) -> None:
        self._again = None
        if self._subject is not None and "alike" in self._found and self.is_on_screen:
            self._search(self._token, self._subject)

    @work(exclusive=True, group="nearest")
    async def _search(self, token: int, subject: Subject) -> None:
        await self._look(token, subject)
