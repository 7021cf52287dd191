"""Pictures come as seldom as their cost and the number of cores ask for."""

from __future__ import annotations

import math
import time

import pytest

from tui import collecting
from tui.pace import LATER, LONGEST, PART, SHARE, Pace


def work(seconds: float) -> None:
    """Use a core for so long."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_costly_pictures_wait_longer_on_fewer_cores() -> None:
    few, many = Pace(0.1, count=8), Pace(0.1, count=5000)
    few.drawn()
    many.drawn()
    begun = time.monotonic()
    work(0.02)
    waits = few.wait(), many.wait()
    passed = time.monotonic() - begun
    assert 0.02 / (SHARE * 8) - passed <= waits[0] <= LONGEST
    assert waits[1] <= 0.1
    assert waits[0] > waits[1]


def test_nobody_waits_longer_than_the_longest_and_urgent_news_wait_for_the_eye_only() -> None:
    pace = Pace(0.1, count=1)
    pace.drawn()
    work(0.2)
    assert pace.wait() <= LONGEST
    assert pace.wait(urgent=True) <= 0.1


def alone(seconds: float, monkeypatch: pytest.MonkeyPatch) -> Pace:
    """On one core, when nobody has looked for so long and a costly picture was drawn."""
    monkeypatch.setattr(collecting, "_last_key", -math.inf)
    pace = Pace(0.1, count=1)
    pace._looked -= seconds
    pace.drawn()
    work(0.2)
    pace.drawn()
    return pace


def test_a_run_that_is_left_alone_is_drawn_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    seldom = alone(LATER / PART / 2, monkeypatch)
    assert LONGEST < LATER / 2 <= seldom.usual <= LATER
    assert alone(LATER / PART, monkeypatch).usual == LATER
    assert alone(100 * LATER / PART, monkeypatch).usual == LATER


def test_a_key_is_as_good_as_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = alone(LATER / PART, monkeypatch)
    assert pace.patience == LATER
    # What is put off already is due at once, and the next pictures are.
    monkeypatch.setattr(collecting, "_last_key", math.inf)
    assert pace.patience == LONGEST
    work(0.02)
    pace.drawn()
    assert pace.usual == LONGEST


def test_the_first_picture_is_due_at_once() -> None:
    assert Pace(0.1).wait(urgent=True) <= 0
