"""From the bytes of a log to columns: its `step` events in bulk, every other event as it is.

Nearly all lines of a long log are `step` events with the same keys. From the first of them `Parser` makes a msgspec
structure of just those keys, which decodes such a line in the time that a `dict` of it would take to be filled, and
numpy takes the numbers of some hundred lines at once. A line that does not fit is read as JSON for itself, and where a
`step` event has other keys or values, all lines around it are: both ways give the same columns.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec.structs import astuple

from core.log_batch import PLACES, Batch

# Bytes that are parsed in one go: their events stay in a core's cache until the columns are made.
PIECE = 64 << 10
# A log whose events keep changing their shape is not tried in bulk for ever.
MOST_MISSES = 4
NOT_DRAWN = frozenset({"v", "type", "max_steps", *PLACES})
NAN, GAP = float("nan"), float("inf")
Decoder = msgspec.json.Decoder[Any]

# What a decoder raises for a line that it cannot read; the latter for one that is nested too deeply.
UNREADABLE = (ValueError, RecursionError)

_json = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class _Part:
    """The events of a piece: `table` is float64, 3 + names × n; `texts` are keys of its `step` events that never hold a
    number."""

    names: tuple[str, ...] = ()
    table: np.ndarray = field(default_factory=lambda: np.empty((len(PLACES), 0)))
    others: Sequence[tuple[int, dict[str, Any]]] = ()
    last: bytes | dict[str, Any] | None = None
    skipped: int = 0
    texts: frozenset[str] = frozenset()


class Parser:
    """Makes batches of whole lines, and remembers which keys `step` events have. Not for two threads at once."""

    def __init__(self) -> None:
        # Keys that hold numbers, in the order in which they were told, and keys that hold something else.
        self._names: tuple[str, ...] = ()
        self._texts: frozenset[str] = frozenset()
        self._decoder: Decoder | None = None
        self._misses = 0
        self._only_steps = True

    def parse(self, data: bytes, end: int = 0) -> Batch:
        """The batch of the whole lines `data`, which end at `end` in the file."""
        parts = [self._part(piece) for piece in _pieces(data)] if self._misses < MOST_MISSES else []
        drawn = {name for part in parts for name in part.names}
        if not parts or any(not drawn.isdisjoint(part.texts) for part in parts):
            # What is a text here and a number there has to be known where it is a text.
            parts = [_one_by_one(data.split(b"\n"))]
        steps = [part for part in parts if part.table.shape[1]]
        names = tuple(dict.fromkeys(name for part in steps for name in part.names))
        table = np.concatenate([_aligned(part, names) for part in steps], axis=1) if steps else _Part().table
        others: list[tuple[int, dict[str, Any]]] = []
        before = 0
        for part in parts:
            others += [(before + row, event) for row, event in part.others]
            before += part.table.shape[1]
        last = steps[-1].last if steps else None
        with np.errstate(over="ignore"):
            y = table[len(PLACES) :].astype(np.float32)
        return Batch(
            names,
            table[: len(PLACES)].copy(),
            y,
            others,
            _event(last) if isinstance(last, bytes) else last,
            end,
            sum(part.skipped for part in parts),
            zlib.crc32(data),
        )

    def _part(self, piece: bytes) -> _Part:
        found = None
        if self._decoder is not None:
            if self._only_steps:
                found = _only_steps(piece, self._decoder, self._names)
            if found is None:
                found = _in_bulk(piece.split(b"\n"), self._decoder, self._names)
            if found is not None:
                # Where other events are frequent, it is not tried without them.
                self._only_steps = not found.others and not found.skipped
                self._misses = 0
                return replace(found, texts=self._texts)
            self._misses += 1
        part = _one_by_one(piece.split(b"\n"))
        if part.table.shape[1]:
            self._learn(part)
        return part

    def _learn(self, part: _Part) -> None:
        names = tuple(dict.fromkeys((*self._names, *part.names)))
        texts = (self._texts | part.texts) - {*names}
        if (names, texts) != (self._names, self._texts) or self._decoder is None:
            self._names, self._texts = names, texts
            self._decoder = _decoder(names, texts)


def parse(data: bytes, end: int = 0) -> Batch:
    """The batch of the whole lines `data`, which end at `end` in the file."""
    return Parser().parse(data, end)


def _pieces(data: bytes) -> Iterable[bytes]:
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start + PIECE) + 1 or len(data)
        # JSON's white space only: a line that has other at its end is none.
        piece = data[start:stop].strip(b" \t\r\n")
        start = stop
        if piece:
            yield piece


def _aligned(part: _Part, names: tuple[str, ...]) -> np.ndarray:
    """A part's table with a row for each of `names`."""
    if part.names == names:
        return part.table
    table = np.full((len(PLACES) + len(names), part.table.shape[1]), NAN)
    table[: len(PLACES)] = part.table[: len(PLACES)]
    for name, row in zip(part.names, part.table[len(PLACES) :], strict=True):
        table[len(PLACES) + names.index(name)] = row
    return table


# -- one by one ------------------------------------------------------------------------------------------------------


def _event(line: bytes) -> Any:
    """What a line holds. Raises ValueError where it is no JSON, RecursionError where it is nested too deeply."""
    try:
        return _json(line)
    except UNREADABLE:
        # Others write NaN and Infinity, which JSON has not but Python's reader takes.
        return json.loads(line)


def _told(line: bytes) -> dict[str, Any] | None:
    """The event that a line tells; None where it tells none."""
    try:
        event = _event(line)
    except UNREADABLE:
        return None
    return event if type(event) is dict else None


def _one_by_one(lines: list[bytes]) -> _Part:
    others: list[tuple[int, dict[str, Any]]] = []
    steps: list[dict[str, Any]] = []
    skipped = 0
    for line in lines:
        if not line.strip():
            continue
        event = _told(line)
        if event is None:
            skipped += 1
        elif event.get("type") != "step":
            others.append((len(steps), event))
        elif _number(event.get("step")) < GAP:
            steps.append(event)
    if not steps:
        return _Part(others=others, skipped=skipped)
    names = tuple(
        dict.fromkeys(
            name for event in steps for name, value in event.items() if name not in NOT_DRAWN and _drawable(value)
        )
    )
    columns = [[_number(event[name]) if name in event else NAN for event in steps] for name in (*PLACES, *names)]
    texts = {name for event in steps for name in event} - {*names, *NOT_DRAWN}
    return _Part(names, np.array(columns, dtype=float), others, steps[-1], skipped, frozenset(texts))


def _number(value: Any) -> float:
    """A finite number, or infinity for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return GAP
    try:
        number = float(value)
    except OverflowError:
        return GAP
    return number if abs(number) < GAP else GAP


def _drawable(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


# -- in bulk ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _decoder(names: tuple[str, ...], texts: frozenset[str]) -> Decoder | None:
    """Decodes a `step` event that has no other keys than these; None where msgspec has no room for one of them.

    A number that is not told becomes NaN, which JSON cannot hold; any other mismatch is a ValueError.
    """
    number, text = float | None, str | bool | list | dict
    fields: list[Any] = [("step", float, msgspec.field(name="step"))]
    fields += [(f"n{place}", number, msgspec.field(default=NAN, name=name)) for place, name in enumerate(names, 1)]
    fields[1:1] = [(place, number, msgspec.field(default=NAN, name=place)) for place in PLACES if place != "step"]
    fields.append(("kind", Literal["step"], msgspec.field(name="type")))
    fields += [(name, Any, msgspec.field(default=None, name=name)) for name in ("v", "max_steps")]
    fields += [(f"t{place}", text, msgspec.field(default="", name=name)) for place, name in enumerate(sorted(texts))]
    try:
        # Numbers cannot be part of a cycle: the garbage collector need not know of them.
        made = msgspec.defstruct("StepEvent", fields, kw_only=True, forbid_unknown_fields=True, gc=False)
    except ValueError:
        return None
    return msgspec.json.Decoder(made)


def _only_steps(piece: bytes, decoder: Decoder, names: tuple[str, ...]) -> _Part | None:
    """A piece whose lines are all `step` events of the decoder's shape; None where one is not."""
    # An event over two lines, or two on one, are JSON for the decoder, and no events of a log. Where every line break
    # lies between two objects, there are as many objects as lines only if each line is one.
    breaks = piece.count(b"\n")
    if piece.count(b"}\n{") != breaks:
        return None
    try:
        rows = decoder.decode_lines(piece)
    except UNREADABLE:
        return None
    if len(rows) != breaks + 1:
        return None
    return _Part(names, _table(rows, names), last=piece[piece.rfind(b"\n") + 1 :])


def _in_bulk(lines: list[bytes], decoder: Decoder, names: tuple[str, ...]) -> _Part | None:
    """The events of `lines`; None where a `step` event is not of the decoder's shape."""
    rows: list[Any] = []
    others: list[tuple[int, dict[str, Any]]] = []
    left, skipped, strange, last = iter(lines), 0, 0, b""
    while True:
        before = len(rows)
        try:
            rows.extend(map(decoder.decode, left))
        except UNREADABLE:
            # What was decoded before it is in `rows`, and `left` goes on behind it.
            line: bytes | None = lines[len(rows) + strange]
        else:
            line = None
        if len(rows) > before:
            last = lines[len(rows) + strange - 1]
        if line is None:
            break
        strange += 1
        if not line.strip():
            continue
        event = _told(line)
        if event is None:
            skipped += 1
        elif event.get("type") != "step":
            others.append((len(rows), event))
        elif _number(event.get("step")) < GAP:
            return None
    if not rows:
        return _Part(others=others, skipped=skipped)
    return _Part(names, _table(rows, names), others, last, skipped)


def _table(rows: list[Any], names: tuple[str, ...]) -> np.ndarray:
    """The columns of decoded `step` events."""
    count = len(rows)
    columns = islice(zip(*map(astuple, rows), strict=True), len(PLACES) + len(names))
    table = np.empty((len(PLACES) + len(names), count))
    for place, column in enumerate(columns):
        if column[0] is None and column.count(None) == count:
            table[place] = GAP
            continue
        table[place] = np.fromiter(column, float, count)
        # NaN stands for a number that was not told; `null`, of which numpy makes the same, is one that is none.
        for row in np.flatnonzero(np.isnan(table[place])).tolist():
            if column[row] is None:
                table[place, row] = GAP
    return table
