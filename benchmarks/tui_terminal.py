"""A program in a pseudo-terminal: what it writes and when, how it answers keys, what it costs."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil
import pyte

COLUMNS, LINES = 120, 40
# Output that pauses for so long has come to an end: a picture is written in one go.
QUIET = 0.03
# Braille characters with at least one dot; as many cells of them as six small charts have.
BLANK, FULL = "\u2800", "\u28ff"
ENOUGH_DOTS = 150
# What a terminal answers when it is asked who it is, what it can do, where the cursor stands and what its colours are.
ANSWERS = (
    (b"\x1b[c", b"\x1b[?62;22c"),
    (b"\x1b[0c", b"\x1b[?62;22c"),
    (b"\x1b[>0q", b"\x1bP>|bench\x1b\\"),
    (b"\x1b[6n", b"\x1b[1;1R"),
    (b"\x1b]11;?", b"\x1b]11;rgb:1414/1818/1b1b\x1b\\"),
    (b"\x1b]10;?", b"\x1b]10;rgb:d5d5/dada/dddd\x1b\\"),
    (b"\x1b[?2026$p", b"\x1b[?2026;2$y"),
)


@dataclass(frozen=True)
class Cost:
    """What a program cost while it was watched: share of one core, bytes and pictures a second, resident bytes."""

    cpu: float
    bytes_per_second: float
    frames_per_second: float
    rss: int


class Terminal:
    """Starts `command` in a terminal of 120 × 40; `close` ends it."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.chunks: list[tuple[float, bytes]] = []
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.begun = time.perf_counter()
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True, close_fds=True
        )
        os.close(slave)
        self._all = psutil.Process(self._process.pid)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        """End the program and what it started."""
        for process in self._tree():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self._process.wait()
        os.close(self._master)

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._all, *self._all.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def read(self, seconds: float) -> bytes:
        """What comes within `seconds`, at the first sign of it; questions are answered. Empty when nothing comes."""
        ready, _write, _error = select.select([self._master], [], [], max(0.0, seconds))
        if not ready:
            return b""
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            return b""
        self.chunks.append((time.perf_counter(), data))
        for question, answer in ANSWERS:
            if question in data:
                os.write(self._master, answer)
        return data

    def watch(self, seconds: float) -> None:
        """Take what comes for `seconds`."""
        deadline = time.perf_counter() + seconds
        while (rest := deadline - time.perf_counter()) > 0:
            self.read(rest)

    def wait_for(self, condition: Callable[[pyte.Screen], bool], seconds: float = 60) -> float:
        """Seconds from the start to the output after which `condition` holds of the screen. Raises TimeoutError."""
        screen = pyte.Screen(COLUMNS, LINES)
        stream = pyte.ByteStream(screen)
        deadline = time.perf_counter() + seconds
        seen = 0
        while time.perf_counter() < deadline:
            self.read(0.05)
            # Interpreting costs more than reading: it is done when the program pauses, and it is the time of the
            # output that counts.
            while seen < len(self.chunks) and not select.select([self._master], [], [], 0.002)[0]:
                moment, data = self.chunks[seen]
                stream.feed(_plain(data))
                seen += 1
                if condition(screen):
                    return moment - self.begun
        raise TimeoutError("\n".join(screen.display))

    def painted(self, seconds: float = 2.5) -> tuple[float, float]:
        """Seconds to the first output with charts in it and to the output after which no chart changes any more, of
        what came within `seconds` of the start. Raises TimeoutError when no chart was painted."""
        self.watch(self.begun + seconds - time.perf_counter())
        screen = pyte.Screen(COLUMNS, LINES)
        stream = pyte.ByteStream(screen)
        moments: list[float] = []
        shown: list[str] = []
        for moment, data in self.chunks:
            stream.feed(_plain(data))
            now = ["".join(c if BLANK < c <= FULL else " " for c in line) for line in screen.display]
            if now != shown and dots(screen) >= ENOUGH_DOTS:
                moments.append(moment - self.begun)
            shown = now
        if not moments:
            raise TimeoutError("\n".join(screen.display))
        return moments[0], moments[-1]

    def press(self, key: bytes, patience: float = 0.5) -> float | None:
        """Seconds from `key` to the last byte of what it brings about; None when nothing comes."""
        while self.read(0.002):
            pass
        sent = time.perf_counter()
        os.write(self._master, key)
        if not self.read(patience):
            return None
        while self.read(QUIET):
            pass
        return self.chunks[-1][0] - sent

    def cost(self, seconds: float) -> Cost:
        """Watch for `seconds`."""
        first, before, begun = len(self.chunks), self._cpu(), time.perf_counter()
        self.watch(seconds)
        taken = time.perf_counter() - begun
        new = self.chunks[first:]
        frames = sum(1 for place, (moment, _d) in enumerate(new) if place == 0 or moment - new[place - 1][0] > QUIET)
        return Cost((self._cpu() - before) / taken, sum(len(d) for _m, d in new) / taken, frames / taken, self.rss())

    def _cpu(self) -> float:
        total = 0.0
        for process in self._tree():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total

    def rss(self) -> int:
        """Resident bytes of the program and what it started."""
        total = 0
        for process in self._tree():
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


def _plain(data: bytes) -> bytes:
    """Without private sequences that pyte takes for text."""
    for noise in (b"\x1b[>1u", b"\x1b[<u", b"\x1b[>25u", b"\x1b[=1;1u"):
        data = data.replace(noise, b"")
    return data


def dots(screen: pyte.Screen) -> int:
    """Cells of a screen that hold braille dots."""
    return sum(1 for line in screen.display for character in line if BLANK < character <= FULL)
