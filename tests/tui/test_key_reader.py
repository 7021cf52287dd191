"""Keys come from a real terminal device, whole and in order, and nobody wakes while there are none."""

from __future__ import annotations

import contextlib
import os
import pty
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from textual.events import Key
from textual.message import Message

from tui.key_reader import Ending, KeyReader


@dataclass
class Desk:
    """A terminal whose keys are read in a thread."""

    keyboard: int
    ending: Ending
    thread: threading.Thread
    came: list[Message] = field(default_factory=list)

    def keys(self, count: int) -> list[str]:
        """Wait for so many keys."""
        deadline = time.monotonic() + 240
        while len(found := [one.key for one in self.came if isinstance(one, Key)]) < count:
            assert time.monotonic() < deadline, found
            time.sleep(0.005)
        return found


@pytest.fixture
def desk() -> Iterator[Desk]:
    keyboard, terminal = pty.openpty()
    tty.setraw(terminal)
    ending = Ending()
    made = Desk(keyboard, ending, threading.Thread(target=lambda: reader.run(), daemon=True))
    reader = KeyReader(terminal, ending, made.came.append)
    made.thread.start()
    yield made
    ending.set()
    made.thread.join(10)
    assert not made.thread.is_alive()
    os.close(keyboard)
    os.close(terminal)


def test_keys_characters_and_sequences_come_in_order(desk: Desk) -> None:
    os.write(desk.keyboard, "a\x1b[A한".encode())
    assert desk.keys(3) == ["a", "up", "한"]


def test_a_character_may_come_in_parts_and_bytes_that_are_none_end_nothing(desk: Desk) -> None:
    whole = "글".encode()
    os.write(desk.keyboard, whole[:1])
    time.sleep(0.05)
    os.write(desk.keyboard, whole[1:] + b"\xffz")
    assert desk.keys(3)[0] == "글"
    assert desk.keys(3)[-1] == "z"


def test_esc_alone_is_told_without_another_key(desk: Desk) -> None:
    os.write(desk.keyboard, b"\x1b")
    assert desk.keys(1) == ["escape"]
    os.write(desk.keyboard, b"n")
    assert desk.keys(2) == ["escape", "n"]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_without_keys_the_thread_sleeps(desk: Desk) -> None:
    os.write(desk.keyboard, b"a")
    desk.keys(1)
    time.sleep(0.05)
    status = Path(f"/proc/self/task/{desk.thread.native_id}/status")

    def waited() -> int:
        lines = status.read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("voluntary_ctxt_switches")).split()[1])

    before = waited()
    time.sleep(1.0)
    assert waited() - before <= 1


def test_the_end_wakes_it_and_it_can_begin_anew() -> None:
    keyboard, terminal = pty.openpty()
    tty.setraw(terminal)
    ending = Ending()
    for key in "ab":
        came: list[Message] = []
        thread = threading.Thread(target=KeyReader(terminal, ending, came.append).run, daemon=True)
        thread.start()
        os.write(keyboard, key.encode())
        deadline = time.monotonic() + 240
        while not came and time.monotonic() < deadline:
            time.sleep(0.005)
        ending.set()
        ending.set()
        thread.join(10)
        assert not thread.is_alive()
        assert [one.key for one in came if isinstance(one, Key)] == [key]
        ending.clear()
    os.close(keyboard)
    os.close(terminal)


def test_a_terminal_that_has_gone_takes_no_core() -> None:
    keyboard, terminal = pty.openpty()
    tty.setraw(terminal)
    os.close(keyboard)
    ending = Ending()
    used: list[float] = []

    def read() -> None:
        # Reading gives nothing at once, for ever, or an error.
        with contextlib.suppress(OSError):
            KeyReader(terminal, ending, lambda message: None).run()
        used.append(time.thread_time())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    time.sleep(1.0)
    ending.set()
    thread.join(10)
    assert used
    assert used[0] < 0.3
    os.close(terminal)
