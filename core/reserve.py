"""Room on the disk that a run keeps for its last words. Light.

A run on a full disk ends like any other: what became of it has to be written, or it would read as crashed. Its
worker lays a file aside that holds enough room; whoever of the run's processes cannot write its last words frees it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from core.failures import is_disk_full

RESERVE_FILE = ".reserve"
# A status, two or three events, a traceback; in whole blocks, which may be large.
SIZE = 256 * 1024

Written = TypeVar("Written")


def keep(run_dir: Path) -> None:
    """Lay the room aside. Without that much of it left, or without permission, there is none."""
    path = run_dir / RESERVE_FILE
    try:
        # Bytes that differ: some file systems store no zeros.
        with path.open("wb") as file:
            file.write(os.urandom(SIZE))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        free(run_dir)


def free(run_dir: Path) -> None:
    """Give the room back, if there is any."""
    # In a directory that cannot be written nothing was laid aside.
    with suppress(OSError):
        (run_dir / RESERVE_FILE).unlink(missing_ok=True)


def with_room(run_dir: Path, write: Callable[[], Written]) -> Written:
    """`write()`; a second time with the room freed where the disk is full. Raises what it raises then."""
    try:
        return write()
    except OSError as error:
        if not is_disk_full(error):
            raise
        free(run_dir)
    return write()
