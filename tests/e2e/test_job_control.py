"""The app among a shell's jobs: stopped, continued, and left without a terminal at any moment."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pexpect
import psutil
import pytest

from tests.e2e.test_terminal import Terminal

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks into /proc")


OTHERS = b"\x1b[2J\x1b[H$ another program's lines"


# Of every part of the picture a word.
PARTS = ("nsmc-tui", "state", "small-run", "accuracy", "Keys")


def whole(text: str) -> bool:
    return all(part in text for part in PARTS) and "another program" not in text


def threads(pid: int) -> int:
    """How many threads a process has."""
    return psutil.Process(pid).num_threads()


def test_continued_without_having_been_stopped_it_goes_on_as_before(run_copy: Path) -> None:
    terminal = Terminal("--runs", str(run_copy.parent), "--lang", "en")
    terminal.until(lambda text: "small-run" in text)
    time.sleep(1.0)
    before = threads(terminal.child.pid)
    order = random.Random(7)
    for _ in range(40):
        # Pictures are on their way while it comes.
        terminal.press("\x0c")
        terminal.read(order.random() * 0.02)
        os.kill(terminal.child.pid, signal.SIGCONT)
    terminal.press("?")
    terminal.until(lambda text: "Next line" in text)
    assert threads(terminal.child.pid) <= before + 1
    terminal.press("\x1b")
    terminal.until(lambda text: "Next line" not in text)
    terminal.press("q")
    assert terminal.end() == 0
    assert b"\x1b[?1049l" in terminal.raw


def test_stopped_by_others_it_draws_itself_anew(run_copy: Path) -> None:
    terminal = Terminal("--runs", str(run_copy.parent), "--lang", "en")
    terminal.until(whole)
    os.kill(terminal.child.pid, signal.SIGSTOP)
    terminal.stream.feed(OTHERS)
    os.kill(terminal.child.pid, signal.SIGCONT)
    terminal.until(whole)
    terminal.press("q")
    assert terminal.end() == 0


def test_suspended_it_gives_the_terminal_back_and_takes_it_again(run_copy: Path) -> None:
    terminal = Terminal("--runs", str(run_copy.parent), "--lang", "en")
    terminal.until(whole)
    os.kill(terminal.child.pid, signal.SIGTSTP)
    deadline = time.monotonic() + 240
    while psutil.Process(terminal.child.pid).status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        terminal.read(0.05)
    assert psutil.Process(terminal.child.pid).status() == psutil.STATUS_STOPPED
    terminal.until(lambda _: b"\x1b[?1049l" in terminal.raw)
    terminal.stream.feed(OTHERS)
    os.kill(terminal.child.pid, signal.SIGCONT)
    terminal.until(whole)
    terminal.press("q")
    assert terminal.end() == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_terminal_that_is_closed_ends_it_whatever_it_was_doing(run_copy: Path, seed: int) -> None:
    order = random.Random(seed)
    terminal = Terminal("--runs", str(run_copy.parent), "--lang", "en")
    terminal.until(lambda text: "small-run" in text)
    app = psutil.Process(terminal.child.pid)
    for _ in range(5):
        terminal.press("\x0c")
        terminal.read(order.random() * 0.01)
    # As a terminal multiplexer does when its window is closed.
    os.kill(app.pid, signal.SIGHUP)
    os.kill(app.pid, signal.SIGCONT)
    # It may take longer than pexpect waits.
    with contextlib.suppress(pexpect.ExceptionPexpect):
        terminal.child.close(force=False)
    deadline = time.monotonic() + 240
    while app.is_running() and app.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it lives on without a terminal"
        time.sleep(0.05)
