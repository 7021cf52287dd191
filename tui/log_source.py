"""What a log pane shows, without widgets: rows from a file of any length or from a run's own messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from core.i18n import gettext as _
from core.log_file import BLOCK, LogFile, LogLine, error_pattern
from core.text import visible

# A message of a run: when, its level, and what it says.
Entry = tuple[float, str, str]
LEVELS = ("all", "warning", "error")
WARNINGS, ERRORS = LEVELS[1:]
# Filtering reads every line: of a larger log only its end.
FILTER_BYTES = 64 << 20
FILTER_LINES = 20_000


def pattern_of(typed: str) -> tuple[re.Pattern[str] | None, str]:
    """What to look for: `/…/` is a regular expression, anything else stands for itself; capitals do not count.

    Second what is wrong with it. Nothing typed is no pattern.
    """
    text = typed.strip()
    if not text:
        return None, ""
    source = text[1:-1] if len(text) > 2 and text[0] == text[-1] == "/" else re.escape(text)
    try:
        return re.compile(source, re.IGNORECASE), ""
    except re.error as error:
        return None, _("no regular expression: {reason}").format(reason=error)


def passes(level: str, wanted: str) -> bool:
    """Whether a line of `level` is shown by the choice `wanted` of `LEVELS`."""
    return wanted == LEVELS[0] or level == "error" or (wanted == WARNINGS and level == "warning")


class Rows(Protocol):
    """Rows that can be shown, numbered from the first one known."""

    @property
    def count(self) -> int:
        """How many rows there are."""
        ...

    def rows(self, start: int, count: int) -> Sequence[LogLine]:
        """Up to `count` rows from `start` on."""
        ...


class ListRows:
    """Rows that are held in memory: a run's messages, or the lines that passed a filter."""

    def __init__(self, lines: list[LogLine]) -> None:
        self.lines = lines

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.lines)

    def rows(self, start: int, count: int) -> Sequence[LogLine]:
        """Up to `count` rows from `start` on."""
        return self.lines[start : start + count]


class FileRows:
    """Rows of a log file; one that goes away under the reader has none."""

    def __init__(self, file: LogFile) -> None:
        self.file = file

    @property
    def count(self) -> int:
        """How many rows are known."""
        return self.file.count

    def rows(self, start: int, count: int) -> Sequence[LogLine]:
        """Up to `count` rows from `start` on."""
        try:
            return self.file.lines(start, count)
        except (OSError, IndexError):
            return []


def entry_line(entry: Entry) -> LogLine:
    """A message of a run (time, level, text) as a row."""
    moment, level, text = entry
    return LogLine(f"{datetime.fromtimestamp(moment):%H:%M:%S}  {visible(text)}", level)


def filtered(path: Path, wanted: str, cancelled: Callable[[], bool]) -> tuple[LogFile, list[LogLine], int]:
    """The lines of the log at `path` that pass `wanted`: for a thread.

    Returns the file as it was looked at, the lines, and how many megabytes of its end they are of (0: all of it).
    """
    file = LogFile(path)
    found: list[LogLine] = []
    file.refresh()
    while not file.complete and file.known_bytes < FILTER_BYTES and not cancelled():
        file.load_earlier(FILTER_BYTES // BLOCK)
    start = 0
    while start < file.count and not cancelled():
        lines = file.lines(start, 5000)
        found += [line for line in lines if passes(line.level, wanted)]
        start += len(lines)
    return file, found[-FILTER_LINES:], 0 if file.complete else FILTER_BYTES >> 20


def nearest(
    file: LogFile, pattern: re.Pattern[str], start: int, direction: int, cancelled: Callable[[], bool]
) -> int | None:
    """The nearest line from `start` on that matches, making earlier lines known as it goes; for a thread.

    The number is one of `file` as it is afterwards. None when there is none, or when it was called off.
    """
    while True:
        for found in file.find(pattern, start, backwards=direction < 0):
            if found is not None:
                return found
            if cancelled():
                return None
        if direction > 0 or file.complete:
            return None
        start = file.load_earlier(256) - 1


def first_error(path: Path, cancelled: Callable[[], bool]) -> tuple[LogFile, int | None]:
    """The first line of the log that tells of an error; for a thread."""
    file = LogFile(path)
    file.refresh()
    while not file.complete and not cancelled():
        file.load_earlier(256)
    return file, nearest(file, error_pattern(), 0, 1, cancelled)
