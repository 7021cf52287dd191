"""Leaving what the inspector is in the middle of: its answer is dropped, and it is free for the next question."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from core import inspector_questions as questions
from tests.tui.review_helpers import app_on, until
from tui.inspector_process import InspectorProcess
from tui.screens import what_if
from tui.screens.methods import MethodsScreen
from tui.screens.review import ReviewScreen
from tui.screens.what_if import WhatIfScreen
from tui.what_if_state import Draft

MANY = 20_000


class Pipe(InspectorProcess):
    """The real process, with what is asked of it written down; `freeze` stops it at the next word of progress."""

    def __init__(self, retries: int = 2) -> None:
        super().__init__(retries)
        self.taken_back: list[str] = []
        self.freeze = False
        self.frozen = False
        self._names: dict[int, str] = {}

    async def _send(self, message: dict[str, Any]) -> None:
        self._names[message["id"]] = message["op"]
        await super()._send(message)

    def _take_back(self, number: int) -> None:
        self.taken_back.append(self._names[number])
        super()._take_back(number)

    async def ask(self, request: dict[str, Any], on_progress: Any = None) -> Any:
        def progress(done: int, total: int) -> None:
            if self.freeze:
                self.freeze, self.frozen = False, True
                assert self.pid is not None
                os.kill(self.pid, signal.SIGSTOP)
            if on_progress is not None:
                on_progress(done, total)

        return await super().ask(request, progress)

    def go_on(self) -> None:
        self.frozen = False
        assert self.pid is not None
        os.kill(self.pid, signal.SIGCONT)


async def test_escape_while_the_inspector_computes(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(what_if, "FLIP_TRIES", MANY)
    monkeypatch.setattr("tui.inspector_client.InspectorProcess", Pipe)
    app = app_on(finished_run)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None, 60)
        review, pipe = app.screen, app.inspector._process
        assert isinstance(pipe, Pipe)
        # Review's neighbours are fetched ahead one after the other; between two of them the process is idle.
        ahead = app.inspector
        await until(pilot, lambda: ahead._prefetching is not None and ahead._prefetching.done() and pipe.idle, 30)
        pid = pipe.pid

        # The search of What if, in a text that keeps it busy.
        await pilot.press("enter", "i")
        await until(pilot, lambda: isinstance(app.screen, WhatIfScreen))
        screen = app.screen
        long = " ".join(screen.drafts.current.text.split() * 8)
        screen.drafts.put(Draft(long))
        screen._show_draft()
        await until(pilot, lambda: screen.inspection is not None and screen.inspection.text == long)
        pipe.freeze = True
        await pilot.press("X")
        await until(pilot, lambda: pipe.frozen)
        await pilot.press("escape")
        assert app.screen is screen
        await until(pilot, lambda: pipe.idle)
        assert pipe.taken_back == ["flip"]
        await pilot.press("x")
        shorter = screen.drafts.current.text
        assert shorter != long
        await until(pilot, lambda: not pipe.idle)
        pipe.go_on()
        await until(pilot, lambda: screen.inspection is not None and screen.inspection.text == shorter)
        assert screen.drafts.current.text == shorter
        assert not screen._searching
        real = await app.inspector.ask(questions.inspect(screen.subject.inspection.model, shorter, 64))
        assert screen.inspection.probabilities == real.probabilities
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is review)

        # All methods at once.
        pipe.freeze = True
        await pilot.press("M")
        await until(pilot, lambda: isinstance(app.screen, MethodsScreen) and pipe.frozen)
        left = app.screen
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is review and pipe.idle)
        assert pipe.taken_back[1:] in (["agreement"], ["deletion"])
        text = review.session.document(int(review.session.queue[-1]))
        asked = pilot.app.run_worker(app.inspector.ask(questions.inspect(review._opened.model, text + " 끝", 64)))
        await until(pilot, lambda: not pipe.idle)
        pipe.go_on()
        answer = await asked.wait()
        assert answer.text == text + " 끝"
        assert left.deletion is None
        assert pipe.pid == pid
