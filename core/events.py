"""The event log of a run: one JSON object a line, appended by one writer, read by anyone.

The types and their keys are listed in docs/run-directory.md. Numbers that are not finite are written as null,
because JSON has no NaN; the alert beside them says which it was.
"""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

VERSION = 1
EVENTS_FILE = "events.jsonl"

Event = dict[str, Any]


def jsonable(value: Any) -> Any:
    """`value` as JSON can hold it: no NaN or infinity, numpy and torch scalars as numbers, paths as text."""
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    return str(value)


def encode(record: Event) -> str:
    """One line of a log: compact JSON without lone surrogates, newline included."""
    text = json.dumps(jsonable(record), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace").decode("utf-8") + "\n"


def append_line(path: Path, record: Event) -> None:
    """Append one record in a single write, so that two writers never interleave within a line.

    Half a line that somebody left is closed off, so that this one is on a line of its own.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        half = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (b"\n" if half else b"") + encode(record).encode())
    finally:
        os.close(descriptor)


class EventWriter:
    """Appends events to `events.jsonl`; safe to call from the worker's threads.

    Every event is flushed to the file at once (readers see it), `sync` forces it to the disk.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / EVENTS_FILE
        self._lock = threading.Lock()
        # A writer that died in the middle of a line leaves half a record: it is closed off so that the next
        # one starts on a line of its own.
        half = self._path.exists() and self._path.stat().st_size > 0 and self._last_byte() != b"\n"
        self._file = self._path.open("ab", buffering=0)
        self._half = half

    def _last_byte(self) -> bytes:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1)

    def emit(self, kind: str, /, **fields: Any) -> Event:
        """Append one event of type `kind` and return it. Raises OSError when the disk does not take all of it."""
        event: Event = {"v": VERSION, "ts": round(time.time(), 3), "type": kind, **fields}
        line = encode(event).encode()
        with self._lock:
            if self._half:
                line = b"\n" + line
            written = self._file.write(line) or 0
            # A disk that is nearly full takes part of a line and says nothing.
            self._half = 0 < written < len(line) or (self._half and written == 0)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return event

    def sync(self) -> None:
        """Force what was written to the disk."""
        with self._lock:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; further events are an error."""
        with self._lock:
            self._file.close()
