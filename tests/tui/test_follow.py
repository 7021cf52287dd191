"""What following a run as lines tells while the run itself tells nothing, or only how far it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.i18n import set_language
from core.runs import Run
from tui.cli.follow import Lines, Silence


def run(state: str, phase: str = "") -> Run:
    return Run("id", Path(), "name", state, 0.0, 0.0, phase=phase)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("state", "phase", "language", "told"),
    [
        ("starting", "loading", "en", "… loading (6 s)"),
        ("paused", "training", "en", "… paused (6 s)"),
        ("queued", "", "en", "… queued (6 s)"),
        ("running", "saving", "ko", "… 저장 (6초)"),
        ("finished", "", "en", ""),
    ],
)
def test_a_silent_run_is_told_with_what_it_is_at(state: str, phase: str, language: str, told: str) -> None:
    set_language(language)
    clock = Clock()
    silence = Silence(clock)
    clock.now += 4
    assert silence.line(run(state, phase)) == ""
    clock.now += 2
    assert silence.line(run(state, phase)) == told


def test_silence_is_told_ever_more_seldom_and_ends_with_the_next_word() -> None:
    clock = Clock()
    silence = Silence(clock)
    told = []
    for _second in range(60):
        clock.now += 1
        if silence.line(run("starting", "loading")):
            told.append(clock.now - 100)
    assert told == [5, 10, 20, 40]
    silence.broken()
    clock.now += 4
    assert silence.line(run("starting", "loading")) == ""
    clock.now += 1
    assert silence.line(run("starting", "loading")) == "… loading (5 s)"


def test_a_long_phase_tells_how_far_it_is() -> None:
    lines = Lines(step_interval=0.0)

    def phase(name: str, done: int, total: int, **more: str) -> str:
        return lines.line({"type": "phase", "name": name, "done": done, "total": total, **more})

    assert phase("evaluating", 0, 0, split="test") == "evaluating test"
    assert phase("evaluating", 1200, 1563) == "evaluating 1,200/1,563"
    assert phase("evaluating", 1563, 1563) == ""
    assert phase("training", 0, 50) == "training"
    assert phase("training", 20, 50) == ""
    seldom = Lines(step_interval=float("inf"))
    assert seldom.line({"type": "phase", "name": "tokenizing", "done": 0, "total": 9}) == "tokenizing"
    assert seldom.line({"type": "phase", "name": "tokenizing", "done": 5, "total": 9}) == ""
