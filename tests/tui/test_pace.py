"""Pictures come as seldom as their cost and the number of cores ask for."""

from __future__ import annotations

import time

import pytest

from tui import collecting
from tui import pace as paces
from tui.pace import LATER, LONGEST, SHARE, Pace


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


def test_a_run_that_is_left_alone_is_drawn_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paces, "LOOKING", 0.0)
    pace = Pace(0.1, count=1)
    pace.drawn()
    work(0.2)
    assert LONGEST < pace.wait() <= LATER


def test_a_key_is_as_good_as_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_last_key", 0.0)
    pace = Pace(0.1, count=1)
    pace._looked -= 2 * paces.LOOKING
    pace.drawn()
    work(0.2)
    pace.drawn()
    assert pace.usual == LATER
    collecting.key_pressed()
    work(0.02)
    pace.drawn()
    assert pace.usual == LONGEST


def test_the_first_picture_is_due_at_once() -> None:
    assert Pace(0.1).wait(urgent=True) <= 0
