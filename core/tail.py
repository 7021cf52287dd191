"""Reading a log of JSON lines while it is being written."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from core import foreign_json

CHUNK = 1 << 20


class JsonlTail:
    """Gives the new records of a file at each `read`, and never more work than asked for.

    A half line counts as not yet written; a line that is no JSON object is skipped and counted in `skipped`.
    A file that shrank (was replaced) is read from its start, which `restarts` counts.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.skipped = 0
        self.restarts = 0
        self._offset = offset
        self._half = b""
        self._inode = 0

    def read(self, max_records: int = 5000, max_seconds: float = 0.05) -> list[dict[str, Any]]:
        """The records that came since the last call, `max_records` or `max_seconds` worth at most.

        `pending` tells whether more is waiting. A missing file has no records yet.
        """
        records: list[dict[str, Any]] = []
        deadline = time.monotonic() + max_seconds
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return records
        if status.st_size < self._offset or (self._inode and status.st_ino != self._inode):
            self._offset, self._half = 0, b""
            self.restarts += 1
        self._inode = status.st_ino
        if status.st_size == self._offset:
            return records
        with self.path.open("rb") as file:
            file.seek(self._offset)
            while len(records) < max_records and time.monotonic() < deadline:
                chunk = file.read(CHUNK)
                if not chunk:
                    break
                self._take(chunk, records, max_records)
        return records

    def _take(self, chunk: bytes, records: list[dict[str, Any]], limit: int) -> None:
        data = self._half + chunk
        start = 0
        while len(records) < limit:
            end = data.find(b"\n", start)
            if end < 0:
                break
            line = data[start:end]
            start = end + 1
            if line.strip():
                self._parse(line, records)
        rest = data[start:]
        if b"\n" in rest:
            # Stopped by the limit: the lines that are left are read again next time.
            self._offset += len(chunk) - len(rest)
            self._half = b""
        else:
            self._offset += len(chunk)
            self._half = rest

    def _parse(self, line: bytes, records: list[dict[str, Any]]) -> None:
        try:
            record = foreign_json.parse(line)
        except ValueError:
            self.skipped += 1
            return
        if isinstance(record, dict):
            records.append(record)
        else:
            self.skipped += 1

    @property
    def pending(self) -> bool:
        """Whether whole lines may be waiting beyond what was read."""
        try:
            return self.path.stat().st_size > self._offset
        except FileNotFoundError:
            return False
