"""A log of any size, read from its end: lines by number, without ever holding the file.

The file is cut into blocks of equal size, of which only the number of lines is kept. Blocks are counted from the end
backwards, as far as somebody looks; a line's bytes are read when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from core.text import visible

BLOCK = 1 << 18
# A progress bar may write megabytes without a line feed; of a longer line its end is read, and told by a `…`.
LONGEST = 1 << 14
# Enough to fill any screen at the first look.
FIRST_BLOCKS = 2
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_ERROR = re.compile(
    r"(?i:\b(?:error|critical|fatal|exception|traceback|aborted|killed)\b)|[A-Za-z]Error\b|[A-Za-z]Exception\b|\bNaN\b"
    # PyTorch's own messages begin with a letter for their level.
    r"|(?:^|[\s\[\]:])[EF]\d{4} \d\d:\d\d:"
)
_WARNING = re.compile(r"(?i:\bwarn(?:ing)?\b)|[A-Za-z]Warning\b|(?:^|[\s\[\]:])W\d{4} \d\d:\d\d:")


@dataclass(frozen=True)
class LogLine:
    """One line for showing: no control bytes, a progress bar's last state; `level` as its words suggest."""

    text: str
    level: str


def error_pattern() -> re.Pattern[str]:
    """What a line that tells of an error has in it."""
    return _ERROR


def level_of(text: str) -> str:
    """`error`, `warning` or `info`, by the words that Python and its libraries use."""
    if _ERROR.search(text):
        return "error"
    return "warning" if _WARNING.search(text) else "info"


def readable(raw: bytes) -> str:
    """A line of a log for showing: the last state of what was overwritten with `\\r`, colours dropped, UTF-8 mended."""
    text = raw.decode("utf-8", "replace").rstrip("\r")
    if "\r" in text:
        text = next((part for part in reversed(text.split("\r")) if part.strip()), "")
    return visible(_ANSI.sub("", text).expandtabs(4))


@lru_cache(maxsize=4096)
def _log_line(raw: bytes, headless: bool = False) -> LogLine:
    text = readable(raw)
    # What was overwritten is no loss.
    return LogLine(f"…{text}" if headless and b"\r" not in raw.rstrip(b"\r") else text, level_of(text))


def visible_text(raw: bytes) -> str:
    """Many lines at once for searching in: as `readable` makes them, but for what was overwritten."""
    return _ANSI.sub("", raw.decode("utf-8", "replace"))


class LogFile:
    """Lines of a growing file, numbered from the first one that is known.

    `refresh` looks for growth, `load_earlier` makes more lines known. Numbers move when earlier lines become known:
    by what `load_earlier` returns. A missing file has no lines. Not for use by two threads at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = 0
        self._inode = 0
        self._first = 0
        # Lines that begin in each block, from block `_first` on.
        self._counts: list[int] = []
        self._starts: dict[int, list[int]] = {}

    @property
    def count(self) -> int:
        """How many lines are known."""
        return sum(self._counts)

    @property
    def complete(self) -> bool:
        """Whether all lines back to the first are known."""
        return self._first == 0

    @property
    def first_block(self) -> int:
        """The first block whose lines are known; 0 when all are."""
        return self._first

    @property
    def known_bytes(self) -> int:
        """How much of the file's end is known."""
        return self._size - self._first * BLOCK

    def refresh(self) -> bool:
        """Look at the file; whether it changed. Raises OSError when it is there and cannot be read."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            changed = self._size > 0
            self._reset()
            return changed
        if status.st_size < self._size or (self._inode and status.st_ino != self._inode):
            self._reset()
        if status.st_size == self._size:
            return False
        fresh = self._size == 0
        self._size, self._inode = status.st_size, status.st_ino
        last = (self._size - 1) // BLOCK
        if fresh:
            self._first = max(0, last - FIRST_BLOCKS + 1)
        elif self._counts:
            # The block that grew is counted again.
            self._starts.pop(self._first + len(self._counts) - 1, None)
            self._counts.pop()
        with self.path.open("rb") as file:
            for block in range(self._first + len(self._counts), last + 1):
                self._counts.append(self._count(file, block))
        if self.count == 0:
            self.load_earlier()
        return True

    def _reset(self) -> None:
        self._size = self._inode = self._first = 0
        self._counts, self._starts = [], {}

    def load_earlier(self, blocks: int = 16) -> int:
        """Make the lines of `blocks` earlier blocks known, of more while no line begins there.

        Returns how many lines came before those known so far; 0 only when all were known.
        """
        found = 0
        while not self.complete and found == 0:
            first = max(0, self._first - blocks)
            with self.path.open("rb") as file:
                new = [self._count(file, block) for block in range(first, self._first)]
            self._first, self._counts = first, new + self._counts
            found = sum(new)
        return found

    def ahead_of(self, other: LogFile) -> int:
        """How many more lines at the beginning are known here than in `other`, a look at the same file."""
        return sum(self._counts[: max(0, other._first - self._first)])

    def _window(self, file: BinaryIO, block: int) -> tuple[int, bytes]:
        """The bytes that decide where lines begin in `block`: from the one before it to its last but one."""
        begin = max(0, block * BLOCK - 1)
        file.seek(begin)
        end = min((block + 1) * BLOCK, self._size) - 1
        return begin, file.read(max(0, end - begin))

    def _count(self, file: BinaryIO, block: int) -> int:
        return self._window(file, block)[1].count(b"\n") + (block == 0)

    def _starts_in(self, file: BinaryIO, block: int) -> list[int]:
        if block not in self._starts:
            begin, data = self._window(file, block)
            starts = [begin + found.end() for found in re.finditer(b"\n", data)]
            if len(self._starts) > 64:
                self._starts.clear()
            self._starts[block] = [0, *starts] if block == 0 else starts
        return self._starts[block]

    def _place(self, number: int) -> tuple[int, int]:
        """Block and place in it of line `number`."""
        for index, count in enumerate(self._counts):
            if number < count:
                return self._first + index, number
            number -= count
        raise IndexError(number)

    def line(self, number: int) -> LogLine:
        """Line `number` of those known. Raises IndexError beyond them, OSError when the file is gone."""
        return self.lines(number, 1)[0]

    def lines(self, number: int, count: int) -> list[LogLine]:
        """Up to `count` lines from `number` on."""
        block, place = self._place(number)
        found: list[LogLine] = []
        with self.path.open("rb") as file:
            while len(found) < count:
                starts = self._starts_in(file, block)
                if place >= len(starts):
                    block, place = block + 1, 0
                    if block >= self._first + len(self._counts):
                        break
                    continue
                end = starts[place + 1] if place + 1 < len(starts) else self._next_start(file, block)
                begin = max(starts[place], end - LONGEST)
                file.seek(begin)
                raw = file.read(end - begin).rstrip(b"\n")
                found.append(_log_line(raw, begin > starts[place]))
                place += 1
        return found

    def _next_start(self, file: BinaryIO, block: int) -> int:
        """Where the first line after `block` begins, or the file's end."""
        for later in range(block + 1, self._first + len(self._counts)):
            if self._counts[later - self._first]:
                return self._starts_in(file, later)[0]
        return self._size

    def find(self, pattern: re.Pattern[str], start: int, *, backwards: bool) -> Iterator[int | None]:
        """Look for the nearest line from `start` on (itself included) in which `pattern` is found.

        Only lines that are known are looked at. Yields None after each portion of work, and the line's number at
        last, if there is one.
        """
        if not 0 <= start < self.count:
            return
        block, place = self._place(start)
        index = block - self._first
        base = start - place
        while 0 <= index < len(self._counts):
            count = self._counts[index]
            if count and self._may_match(pattern, self._first + index):
                numbers = range(base, base + count)
                if backwards:
                    numbers = range(min(base + count - 1, start), base - 1, -1)
                elif base <= start:
                    numbers = range(start, base + count)
                texts = self.lines(base, count)
                for number in numbers:
                    if pattern.search(texts[number - base].text):
                        yield number
                        return
            yield None
            if backwards:
                index -= 1
                base -= self._counts[index] if index >= 0 else 0
            else:
                base += count
                index += 1

    def _may_match(self, pattern: re.Pattern[str], block: int) -> bool:
        """Whether `pattern` is found in the text of the lines that begin in `block`, before they are made readable."""
        with self.path.open("rb") as file:
            begin, end = self._starts_in(file, block)[0], self._next_start(file, block)
            file.seek(begin)
            return bool(pattern.search(visible_text(file.read(end - begin))))
