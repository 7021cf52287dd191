"""Reading a run's log as columns, alone or, where it is really long, with several processes.

They take the portions of a long log in turn, so that it is read on all cores and never holds up the keys.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.log_batch import Batch
from core.log_parse import GAP, NAN, Parser, parse

if TYPE_CHECKING:
    from core.log_share import SharedScan

__all__ = ["GAP", "NAN", "Scan", "parse", "read_batches", "scan"]

CHUNK = 1 << 20
# From here on processes pay: a smaller log is read before they have started.
SHARED_FROM = 24 << 20
MOST_PROCESSES = 4


def read_batches(
    path: Path, start: int, end: int, half: bytes = b"", chunk_size: int = CHUNK
) -> Iterator[tuple[Batch, bytes]]:
    """Batches of the bytes `start` to `end` of a log, each with the half line that is left behind it.

    `half` is what is known of the first line already. Stops early where the file has become shorter.
    """
    parser = Parser()
    with path.open("rb") as file:
        file.seek(start)
        place = start
        while place < end:
            chunk = file.read(min(chunk_size, end - place))
            if not chunk:
                return
            place += len(chunk)
            cut = chunk.rfind(b"\n") + 1
            if not cut:
                half += chunk
                continue
            data, half = half + chunk[:cut], chunk[cut:]
            yield parser.parse(data, place - len(half)), half


class Scan:
    """All whole lines between `start` (the beginning of a line) and `end` of a log; on several cores if it is long.

    Processes begin when it is made, so that they are ahead when somebody asks for `batches`. `close` ends them.
    """

    def __init__(self, path: Path, start: int, end: int) -> None:
        self._place = path, start, end
        self._shared: SharedScan | None = None
        processes = min(MOST_PROCESSES, os.cpu_count() or 1)
        if end - start >= SHARED_FROM and processes > 1:
            # Most logs that are read are short.
            from core.log_share import SharedScan

            self._shared = SharedScan(path, start, end, processes)

    def batches(self) -> Iterator[Batch]:
        """The batches in order, once."""
        if self._shared is not None:
            yield from self._shared.batches()
            return
        for batch, _half in read_batches(*self._place):
            yield batch

    def close(self) -> None:
        """Read no further."""
        if self._shared is not None:
            self._shared.close()


def scan(path: Path, start: int, end: int) -> Iterator[Batch]:
    """All whole lines between `start` (the beginning of a line) and `end`, in order."""
    return Scan(path, start, end).batches()
