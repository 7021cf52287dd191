"""A run's log as columns of numbers: its `step` events in bulk, every other event as it is.

Parsing a long log line by line costs seconds; orjson takes a portion of it in one call, and numpy the numbers in
another. `scan` shares a really long log among processes, so that it is read on all cores and never holds up the keys.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson

from core.log_batch import PLACES, Batch, read_batch, write_batch

CHUNK = 1 << 20
# For a process of its own, where a long portion keeps nobody waiting.
LARGE_CHUNK = 4 << 20
# From here on processes pay: a smaller log is read before they have started.
SHARED_FROM = 24 << 20
MOST_PROCESSES = 4
NOT_DRAWN = frozenset({"v", "type", "max_steps", *PLACES})
NAN, GAP = float("nan"), float("inf")


def parse(data: bytes, end: int = 0) -> Batch:
    """The batch of whole lines `data`, which end at `end` in the file."""
    events, skipped = _events(data)
    others: list[tuple[int, dict[str, Any]]] = []
    steps: list[dict[str, Any]] = []
    for event in events:
        if type(event) is not dict:
            skipped += 1
        elif event.get("type") != "step":
            others.append((len(steps), event))
        elif _number(event.get("step")) < GAP:
            steps.append(event)
    if not steps:
        return Batch(others=others, end=end, skipped=skipped, crc=zlib.crc32(data))
    names, table = _table(steps)
    places = len(PLACES)
    x, y = table[:places], table[places:]
    with np.errstate(over="ignore"):
        small = y.astype(np.float32)
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(small)
    return Batch(names, x, y, others, steps[-1], end, skipped, zlib.crc32(data))


def _events(data: bytes) -> tuple[list[Any], int]:
    """The objects of all lines, and how many lines are none."""
    lines = data.strip()
    if not lines:
        return [], 0
    try:
        found = orjson.loads(b"[" + lines.replace(b"\n", b",") + b"]")
        if len(found) == lines.count(b"\n") + 1:
            return found, 0
    except orjson.JSONDecodeError:
        # Some line is not as it should be: each is taken for itself below.
        pass
    events, skipped = [], 0
    for line in lines.split(b"\n"):
        if not line.strip():
            continue
        try:
            events.append(_line(line))
        except ValueError:
            skipped += 1
    return events, skipped


def _line(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        # Others write NaN and Infinity, which JSON has not but Python's reader takes.
        return json.loads(line)


def _number(value: Any) -> float:
    """A finite number, or infinity for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return GAP
    try:
        number = float(value)
    except OverflowError:
        return GAP
    return number if abs(number) < GAP else GAP


def _table(steps: list[dict[str, Any]]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, and a float64 table (3 + names) × events."""
    first = steps[0]
    names = tuple(name for name, value in first.items() if name not in NOT_DRAWN and _drawable(value))
    width = len(first)
    if all(len(event) == width for event in steps):
        try:
            rows = list(map(itemgetter(*PLACES, *names), steps))
            table = np.array(rows, dtype=float)
        except (KeyError, ValueError, TypeError, OverflowError):
            # Events of several shapes, or a value that is no number.
            pass
        else:
            if table.shape == (len(steps), len(PLACES) + len(names)):
                return names, np.where(np.isfinite(table), table, GAP).T
    names = tuple(
        dict.fromkeys(
            name for event in steps for name, value in event.items() if name not in NOT_DRAWN and _drawable(value)
        )
    )
    columns = [[_number(event[name]) if name in event else NAN for event in steps] for name in (*PLACES, *names)]
    return names, np.array(columns, dtype=float).reshape(len(PLACES) + len(names), len(steps))


def _drawable(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def read_batches(
    path: Path, start: int, end: int, half: bytes = b"", chunk_size: int = CHUNK
) -> Iterator[tuple[Batch, bytes]]:
    """Batches of the bytes `start` to `end` of a log, each with the half line that is left behind it.

    `half` is what is known of the first line already. Stops early where the file has become shorter.
    """
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
            yield parse(data, place - len(half)), half


def scan(path: Path, start: int, end: int) -> Iterator[Batch]:
    """All whole lines between `start` (the beginning of a line) and `end`, in order; on several cores if it is long."""
    processes = min(MOST_PROCESSES, os.cpu_count() or 1)
    if end - start >= SHARED_FROM and processes > 1:
        edges = _line_edges(path, start, end, processes)
        yield from _shared(path, edges)
        return
    for batch, _half in read_batches(path, start, end):
        yield batch


def _line_edges(path: Path, start: int, end: int, parts: int) -> list[int]:
    """Places that cut the bytes `start` to `end` into `parts`, each the beginning of a line."""
    edges = [start]
    with path.open("rb") as file:
        for part in range(1, parts):
            file.seek(start + (end - start) * part // parts)
            file.readline()
            edges.append(min(end, file.tell()))
    return [*edges, end]


def _shared(path: Path, edges: list[int]) -> Iterator[Batch]:
    import queue
    import threading

    command = [sys.executable, "-P", "-m", "core.log_scan", str(path)]
    children = [
        subprocess.Popen(
            [*command, str(begin), str(stop)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # The app's terminal must never see what a child says.
            stderr=subprocess.DEVNULL,
        )
        for begin, stop in pairwise(edges)
    ]
    for child in children:
        _widen(child.stdout)
    waiting: list[queue.SimpleQueue[Batch | None]] = [queue.SimpleQueue() for _ in children]

    def collect(child: subprocess.Popen[bytes], box: queue.SimpleQueue[Batch | None]) -> None:
        # Read at once, so that a later part is not held up by a full pipe until the earlier ones are through.
        assert child.stdout is not None
        try:
            while (batch := read_batch(child.stdout)) is not None:
                box.put(batch)
        finally:
            box.put(None)

    for child, box in zip(children, waiting, strict=True):
        threading.Thread(target=collect, args=(child, box), daemon=True).start()
    try:
        for child, box, begin, stop in zip(children, waiting, edges, edges[1:], strict=False):
            done = begin
            while (batch := box.get()) is not None:
                done = batch.end
                yield batch
            if child.wait() != 0:
                # Killed, or no memory for it: what it has not given is read here.
                for batch, _half in read_batches(path, done, stop):
                    yield batch
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
            child.wait()


def _widen(pipe: IO[bytes] | None) -> None:
    """Give a pipe more room where the system can: each read of it has to wait for the interpreter."""
    import fcntl

    if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, CHUNK)


def main() -> None:
    """One share of `scan`: a log's path, where to begin and where to end; batches go to stdout."""
    path, start, end = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for batch, _half in read_batches(path, start, end, chunk_size=LARGE_CHUNK):
        write_batch(batch, sys.stdout.buffer)


if __name__ == "__main__":
    main()
