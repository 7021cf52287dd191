"""One view of all that a run and its processes wrote, in the order of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from core.log_file import BLOCK, LogFile, LogLine
from core.log_time import moment_of
from core.text import visible
from tui.log_source import Entry, entry_line

# Of each file the end is read; `worker.log` alone can be gone through to its beginning.
MOST_BYTES = 4 << 20
MOST_LINES = 20_000
# As wide as the time of a message with the blanks behind it.
_NO_TIME = " " * 8


class _Part:
    """A file of the view: how far it was read, and the time of its last line."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.file = LogFile(path)
        self.taken = 0
        self.last: LogLine | None = None

    def written(self) -> float:
        """When the file was last written to; 0 where there is none."""
        try:
            return self.file.path.stat().st_mtime
        except OSError:
            return 0.0

    def row(self, line: LogLine, told: float | None) -> LogLine:
        """A line for showing: its own time in the column of the messages' times, where it has one."""
        clock = _NO_TIME if told is None else f"{datetime.fromtimestamp(told):%H:%M:%S}"
        return replace(line, text=f"{clock} {self.name}| {line.text}")


class MergedLog:
    """The run's messages and the lines of `files` (a short name, empty for the first, and a path), by time.

    A line without a time has that of the one before it in its file, the first ones that of the first line with one; in
    a file without any time all lines are as old as the file's last change. What comes later is appended as it comes.
    Not for use by two threads at once.
    """

    def __init__(self, files: Sequence[tuple[str, Path]]) -> None:
        self._parts = [_Part(f"{name} " if name else "", path) for name, path in files]
        self._entries: list[Entry] = []
        self._places: dict[_Part, int] = {}
        self.lines: list[LogLine] = []
        # Whether there are earlier lines in a file.
        self.partly = False

    def load(self, entries: list[Entry], cancelled: Callable[[], bool] = lambda: False) -> None:
        """Read all of it; for a thread. Raises OSError where a file is there and cannot be read."""
        rows: list[tuple[float, int, LogLine, _Part | None]] = [
            (entry[0], 0, entry_line(entry), None) for entry in entries
        ]
        for part in self._parts:
            part.file.refresh()
            while not part.file.complete and part.file.known_bytes < MOST_BYTES and not cancelled():
                part.file.load_earlier(MOST_BYTES // BLOCK)
            start = max(0, part.file.count - MOST_LINES)
            self.partly = self.partly or start > 0 or not part.file.complete
            lines = _lines(part, start)
            part.taken, part.last = start + len(lines), lines[-1] if lines else None
            written = part.written()
            told = [moment_of(line.text, written) for line in lines]
            # Stable: of one time, messages come first and a file's lines stay in their order.
            rows += [
                (moment, 1, part.row(line, own), part)
                for line, own, moment in zip(lines, told, _filled(told, written), strict=True)
            ]
        rows.sort(key=lambda row: row[:2])
        self.lines = [row[2] for row in rows]
        self._places = {part: place for place, (_at, _kind, _line, part) in enumerate(rows) if part is not None}
        self._entries = entries

    def take(self, entries: list[Entry]) -> bool | None:
        """Append what is new of the messages and of the files: whether anything is; None when all has to be loaded
        anew, because a file or the run's log is another one. Raises OSError."""
        fresh = _new(entries, self._entries)
        if fresh is None:
            return None
        self._entries = entries
        self.lines += [entry_line(entry) for entry in fresh]
        changed = bool(fresh)
        for part in self._parts:
            if not part.file.refresh():
                continue
            if part.file.count < part.taken:
                return None
            changed = True
            self._append(part)
        return changed

    def _append(self, part: _Part) -> None:
        # The last line may have been half a line, or a progress bar that was written over.
        lines = _lines(part, max(0, part.taken - 1))
        written = part.written()
        if part.taken and lines:
            place, line = self._places.get(part), lines.pop(0)
            if place is not None and line != part.last:
                self.lines[place] = part.row(line, moment_of(line.text, written))
            part.last = line
        if lines:
            self.lines += [part.row(line, moment_of(line.text, written)) for line in lines]
            self._places[part] = len(self.lines) - 1
            part.taken, part.last = part.taken + len(lines), lines[-1]


def other_logs(run_dir: Path, first: str) -> list[tuple[str, Path]]:
    """The logs of a run as `MergedLog` takes them: `first`, then those of machines that joined it, by their names."""
    stem, suffix = Path(first).stem, Path(first).suffix
    joined = sorted(run_dir.glob(f"{stem}-*{suffix}"))
    return [("", run_dir / first), *((visible(path.stem.removeprefix(f"{stem}-")), path) for path in joined)]


def _lines(part: _Part, start: int) -> list[LogLine]:
    return part.file.lines(start, part.file.count - start) if part.file.count > start else []


def _filled(told: list[float | None], written: float) -> list[float]:
    """A time for every line."""
    last = next((moment for moment in told if moment is not None), written)
    filled = []
    for moment in told:
        # A clock that was set back does not tear a file's lines apart.
        last = last if moment is None else max(last, moment)
        filled.append(last)
    return filled


def _new(entries: list[Entry], known: list[Entry]) -> list[Entry] | None:
    """What of `entries` came after those `known`, of which the oldest may have been dropped; None for other ones."""
    if not known:
        return entries
    for place in range(len(entries) - 1, -1, -1):
        if entries[place] == known[-1]:
            same = min(place + 1, len(known))
            if entries[place + 1 - same : place + 1] == known[len(known) - same :]:
                return entries[place + 1 :]
    return None
