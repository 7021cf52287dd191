"""What was read of a long log, kept as columns: opening it again takes a fraction of reading it.

An entry lies in the cache, named after the log's path; run directories may be read-only. It holds a line that says
which file it is of, and then batches from the log's beginning on, to which more are appended when the log has grown.
Every batch has a check of itself and one of the bytes of the log that it was read from:

- a log whose inode, size and time are those of the last reading is taken as it was read;
- one that has grown, or was touched, is compared with the checks, and read again from where it differs;
- another file in its place begins a new entry.

A new entry is renamed into its place; appending is for one app at a time (`flock`), and whoever reads meanwhile stops
before what is not whole. An entry that cannot be read or written costs the reading, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from core.log_batch import Batch, read_batch, write_batch
from core.paths import cache_dir

VERSION = 2
"""Raise it when the same log would give other columns."""
# Shorter logs, and shorter ends of long ones, are read in no time.
LEAST = 4 << 20
# All entries together, in bytes.
MOST = 1 << 30
# A log that was written to so recently may be written to again without its time telling, in seconds.
RACY = 2.0
# Files that an app left behind which was killed while it wrote, in seconds.
ABANDONED = 3600.0
CHECKED = 1 << 20
# The line about the log has room for any inode and time: it is written anew in its place.
HEAD = 255
ENDING = ".columns"


class LogCache:
    """The entry of one log, whose `status` was asked for before any of it is read. First `read`, then `keep` what is
    read beyond it."""

    def __init__(self, log: Path, status: os.stat_result) -> None:
        self.log = log
        name = hashlib.sha256(os.fsencode(os.path.realpath(log))).hexdigest()[:32]
        self.entry = cache_dir() / "logs" / f"{name}{ENDING}"
        self._status = status
        self._stamp = _stamp(status, time.time())
        # Whether the log is as it was at the last writing, and how far log and entry are known to agree.
        self._same = False
        self._end = self._place = self._inode = 0

    @property
    def known(self) -> bool:
        """Whether there is an entry that may hold what `read` gives."""
        try:
            with self.entry.open("rb") as entry:
                head = _line(entry)
        except OSError:
            return False
        return bool(head.get("version") == VERSION and head.get("file") == _identity(self._status))

    def read(self) -> Iterator[Batch]:
        """The batches that are kept and still hold."""
        try:
            with self.entry.open("rb") as entry, self.log.open("rb") as log:
                head = _line(entry)
                if head.get("version") != VERSION or head.get("file") != _identity(self._status):
                    return
                self._inode, self._place = os.fstat(entry.fileno()).st_ino, entry.tell()
                self._same = head.get("stamp") == _stamp(self._status)
                while (batch := read_batch(entry)) is not None and batch.end <= self._status.st_size:
                    if not self._same and not _holds(log, self._end, batch):
                        break
                    self._end, self._place = batch.end, entry.tell()
                    yield batch
            # What was not used for longest goes first when room is made.
            os.utime(self.entry)
        except OSError:
            # No entry, or none that can be read: the log itself is there.
            return

    def keep(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass on what is read of the log beyond what `read` gave, and keep it."""
        writer = None
        if not self._same or self._status.st_size - self._end >= LEAST:
            head = {"version": VERSION, "file": _identity(self._status), "stamp": self._stamp}
            place = (self._inode, self._place) if self._end else None
            with suppress(OSError):
                writer = _Writer(self.entry, json.dumps(head), place)
        try:
            for batch in batches:
                if writer is not None and not writer.write(batch):
                    writer = None
                yield batch
        finally:
            if writer is not None:
                writer.close()


def _line(entry: IO[bytes]) -> dict[str, Any]:
    """The line about the log, {} where it is not one."""
    try:
        head = json.loads(entry.read(HEAD + 1))
    except ValueError:
        return {}
    return head if isinstance(head, dict) else {}


def _identity(status: os.stat_result) -> list[int]:
    return [status.st_dev, status.st_ino]


def _stamp(status: os.stat_result, now: float | None = None) -> list[int]:
    """Size and time of a log; a time so near to `now` that it may not tell of the next change is none."""
    racy = now is not None and now - status.st_mtime < RACY
    return [status.st_size, 0 if racy else status.st_mtime_ns]


def _holds(log: IO[bytes], start: int, batch: Batch) -> bool:
    """Whether the log still has the bytes that `batch` was read from."""
    log.seek(start)
    crc, left = 0, batch.end - start
    while left > 0:
        piece = log.read(min(CHECKED, left))
        if not piece:
            return False
        crc, left = zlib.crc32(piece, crc), left - len(piece)
    return crc == batch.crc


class _Writer:
    """Writes batches behind a `place` (inode and byte) of an entry, or into a new one. Raises OSError."""

    def __init__(self, entry: Path, head: str, place: tuple[int, int] | None) -> None:
        import fcntl

        self._entry, self._head = entry, head
        self._new = None if place else entry.with_name(f".{entry.name}.{os.getpid()}.{time.monotonic_ns()}")
        entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = self._new.open("xb") if self._new is not None else entry.open("r+b")
        try:
            if place is None:
                # Until all is written it says of no log that it was read.
                self._file.write(b"{}".ljust(HEAD) + b"\n")
            else:
                # Another app that appends at this moment does it for both.
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(self._file.fileno()).st_ino != place[0]:
                    raise FileExistsError(entry)
                self._file.seek(place[1])
                self._file.truncate()
        except OSError:
            self._file.close()
            raise

    def write(self, batch: Batch) -> bool:
        """Append a batch; whether that went well."""
        try:
            write_batch(batch, self._file)
        except OSError:
            # No room: what there is of a new entry goes, of an old one it stays.
            self._file.close()
            if self._new is not None:
                self._new.unlink(missing_ok=True)
            return False
        return True

    def close(self) -> None:
        """Say which log this is and how it was when it was read; put a new entry in its place."""
        try:
            with self._file:
                self._file.seek(0)
                self._file.write(self._head.ljust(HEAD).encode() + b"\n")
            if self._new is not None:
                os.replace(self._new, self._entry)
            _make_room(self._entry)
        except OSError:
            if self._new is not None:
                self._new.unlink(missing_ok=True)


def _make_room(entry: Path) -> None:
    """Delete the entries that were not used for longest, and what killed apps left, until the rest fits."""
    found = []
    for path in entry.parent.iterdir():
        with suppress(FileNotFoundError):
            status = path.stat()
            if path.suffix == ENDING and not path.name.startswith("."):
                found.append((path == entry, status.st_mtime, status.st_size, path))
            elif time.time() - status.st_mtime > ABANDONED:
                path.unlink()
    room = MOST
    for _own, _used, size, path in sorted(found, reverse=True):
        room -= size
        if room < 0:
            path.unlink(missing_ok=True)
