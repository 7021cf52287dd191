"""A portion of a run's log as columns, and how it is written down: for another process, and for the next opening."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

PLACES = ("step", "ts", "epoch")


@dataclass(frozen=True)
class Batch:
    """A portion of a log.

    `x`: float64, 3 × n: step, time (seconds since the epoch) and epoch of each `step` event. `y`: float32, names × n:
    its other numbers; infinity where the event has the key without a finite number, NaN where it has no such key.
    `others`: the other events, each with how many of the rows come before it. `last`: the last `step` event whole.
    `end`: the place in the file behind it; `skipped`: lines that are no JSON object; `crc`: the CRC-32 of the portion.
    """

    names: tuple[str, ...] = ()
    x: np.ndarray = field(default_factory=lambda: np.empty((3, 0)))
    y: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    others: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    last: dict[str, Any] | None = None
    end: int = 0
    skipped: int = 0
    crc: int = 0


def write_batch(batch: Batch, out: IO[bytes]) -> None:
    """Write a batch: a line with a CRC-32 and what is no column, and then the columns, those that change."""
    constant = {name: float(row[0]) for name, row in zip(batch.names, batch.y, strict=True) if _is_constant(row)}
    told = [row for name, row in zip(batch.names, batch.y, strict=True) if name not in constant]
    even = {place: _stride(row) for place, row in enumerate(batch.x)}
    head = {
        "names": batch.names,
        "rows": batch.x.shape[1],
        "constant": constant,
        "even": {str(place): stride for place, stride in even.items() if stride is not None},
        "others": batch.others,
        "last": batch.last,
        "end": batch.end,
        "skipped": batch.skipped,
        "crc": batch.crc,
    }
    parts = [json.dumps(head).encode() + b"\n"]
    parts += [row.tobytes() for place, row in enumerate(batch.x) if even[place] is None]
    parts += [row.tobytes() for row in told]
    check = 0
    for part in parts:
        check = zlib.crc32(part, check)
    out.write(b"%08x " % check)
    out.writelines(parts)


def _is_constant(row: np.ndarray) -> bool:
    if not len(row):
        return False
    return bool(np.isnan(row).all() if np.isnan(row[0]) else (row == row[0]).all())


def _stride(row: np.ndarray) -> list[float] | None:
    """First value and stride of an even row of finite numbers, which give it exactly."""
    if len(row) < 2 or not np.isfinite(row).all():
        return None
    first, stride = float(row[0]), float(row[1] - row[0])
    return [first, stride] if np.array_equal(row, first + np.arange(len(row)) * stride) else None


def read_batch(pipe: IO[bytes]) -> Batch | None:
    """The next batch that `write_batch` wrote; None at the end, and where what follows is not whole."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        return None
    try:
        check, head = int(line[:8], 16), json.loads(line[9:])
        names, rows, constant, even = tuple(head["names"]), head["rows"], head["constant"], head["even"]
        x, y = np.empty((len(PLACES), rows)), np.empty((len(names), rows), np.float32)
    except (ValueError, KeyError, TypeError):
        return None
    found = zlib.crc32(line[9:])
    for place in range(len(PLACES)):
        if (stride := even.get(str(place))) is not None:
            x[place] = stride[0] + np.arange(rows) * stride[1]
            continue
        raw = pipe.read(8 * rows)
        if len(raw) != 8 * rows:
            return None
        found = zlib.crc32(raw, found)
        x[place] = np.frombuffer(raw)
    for place, name in enumerate(names):
        if name in constant:
            y[place] = constant[name]
            continue
        raw = pipe.read(4 * rows)
        if len(raw) != 4 * rows:
            return None
        found = zlib.crc32(raw, found)
        y[place] = np.frombuffer(raw, np.float32)
    if found != check:
        return None
    others = [(int(row), event) for row, event in head["others"]]
    return Batch(names, x, y, others, head["last"], head["end"], head["skipped"], head["crc"])
