"""A log's events become the same columns in bulk as one by one, whatever its lines hold."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import log_parse, log_scan, log_share
from core.log_batch import PLACES, Batch
from core.log_parse import NOT_DRAWN, Parser
from core.log_scan import Scan, read_batches, scan
from core.log_share import SharedScan

NUMBERS = ["0", "-0.0", "1e400", "-1E400", "9007199254740993", "1" + "0" * 400, "NaN", "-Infinity", "null", "0.5", "7"]
ODD = ["null", "true", '"2"', '"NaN"', "[1]", '{"a":1}', '"\\ud800"', '"손실\\u0000"', "tru", "01", "1.5"]
KEYS = ["loss", "손실/x", "more", 'a"b', "text", "epoch", "ts", "v", "max_steps", "step", "type"]
REGULAR = b'{"v":1,"ts":1.5,"type":"step","step":2,"epoch":1,"loss":0.5,"rate":1e-5,"text":"y"}'
OTHERS = [
    b'{"v":1,"ts":2.5,"type":"eval","metrics":{"step":1}}',
    *(
        b"",
        b" ",
        b"7",
        b"[1]",
        b'{"half',
        b'{"type":"step"}',
        b'"step"',
        b"{}{}",
        b'{"type":"\xff"}',
        b"\xef\xbb\xbf{}",
    ),
    b'{"type":"step","step":2,"ts":1,\n"epoch":3,"loss":1}',
    # What two writers leave of two lines: both on one, and a line that is empty.
    *(REGULAR + REGULAR + b"\n", REGULAR + b" " + REGULAR, REGULAR + b"\r", b"\x0c" + REGULAR, REGULAR + b"\x0c"),
    REGULAR[:-1] + b',"text":' + b"[" * 5000 + b"]" * 5000 + b"}",
]


def number_text(chance: random.Random) -> str:
    """A number as JSON writes it, often with more digits than a float holds."""
    digits = "".join(chance.choices("0123456789", k=chance.randint(1, 25)))
    sign = chance.choice(["", "-"])
    return chance.choice([
        chance.choice(NUMBERS),
        repr(struct.unpack("<d", chance.randbytes(8))[0]).replace("inf", "Infinity").replace("nan", "NaN"),
        f"{sign}{chance.randint(0, 99)}.{digits}e{chance.randint(-330, 330)}",
        f"{sign}{chance.randint(0, 10**18)}.{digits}",
    ])  # fmt: skip


def event_line(chance: random.Random) -> bytes:
    """A line as a worker writes it, often with something else in it."""
    told = [("v", "1"), ("ts", "1795378356.633"), ("type", '"step"'), ("step", "7"), ("epoch", "0.25")]
    told += [("loss", number_text(chance)), ("rate", number_text(chance)), ("text", '"x"')]
    for _number in range(chance.choice([0, 0, 0, 1, 2])):
        place, odd = chance.randrange(len(told)), chance.choice([*ODD, number_text(chance)])
        match chance.randrange(4):
            case 0:
                told[place] = told[place][0], odd
            case 1:
                told.insert(place, (chance.choice(KEYS), odd))
            case 2:
                del told[place]
            case 3:
                told.append(told.pop(place))
    plain = chance.random() < 0.5
    return ("{" + ",".join(f"{json.dumps(key, ensure_ascii=plain)}:{value}" for key, value in told) + "}").encode()


def plainly(data: bytes) -> tuple[dict[str, list[float]], list[tuple[int, Any]], Any, int]:
    """Columns by name, other events, the last step and how many lines are no events: with Python's own reader."""
    steps: list[dict[str, Any]] = []
    others: list[tuple[int, Any]] = []
    skipped = 0
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            skipped += 1
            continue
        if not isinstance(event, dict):
            skipped += 1
        elif event.get("type") != "step":
            others.append((len(steps), event))
        elif math.isfinite(number(event.get("step"))):
            steps.append(event)
    drawn = {
        name
        for event in steps
        for name, value in event.items()
        if name not in NOT_DRAWN and (value is None or type(value) in (int, float))
    }
    columns = {
        name: [number(event[name]) if name in event else math.nan for event in steps] for name in (*PLACES, *drawn)
    }
    return columns, others, steps[-1] if steps else None, skipped


def number(value: Any) -> float:
    """A finite number, or infinity."""
    try:
        found = float(value) if type(value) in (int, float) else math.inf
    except OverflowError:
        return math.inf
    return found if math.isfinite(found) else math.inf


def same(batch: Batch, data: bytes, name: str) -> None:
    """Whether a batch holds what `data` does."""
    columns, others, last, skipped = plainly(data)
    assert {*PLACES, *batch.names} == set(columns), name
    for key, values in zip((*PLACES, *batch.names), (*batch.x, *batch.y), strict=True):
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(values, np.array(columns[key]).astype(values.dtype), name)
    assert repr((batch.others, batch.last, batch.skipped)) == repr((others, last, skipped)), name


def test_columns_are_those_of_the_plain_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(700):
        chance = random.Random(seed)
        many = chance.randint(0, 9)
        kinds = [[event_line(chance) for _number in range(many)], [REGULAR] * many, chance.choices(OTHERS, k=many)]
        lines = [chance.choices(found, (4, 3, 1))[0] for found in zip(*kinds, strict=True)]
        # What is learned of the first line is used for those behind it.
        data = b"\n".join([REGULAR, *lines, REGULAR]) + b"\n"
        monkeypatch.setattr(log_parse, "PIECE", chance.choice([1, 150, 400]))
        parser = Parser()
        for _time in range(2):
            same(parser.parse(data), data, f"seed {seed}")


def run_log(path: Path, steps: int = 6000) -> int:
    """A log of a run with evaluations that was resumed, its size."""
    made = []
    for step in [*range(1, steps), *range(steps // 2, steps)]:
        made.append(
            {"v": 1, "ts": step / 7, "type": "step", "step": step, "epoch": step / 3, "loss": 1 / step, "g": None}
        )
        if step % 500 == 0:
            made.append({"type": "eval", "step": step, "metrics": {"a": 1}})
    path.write_bytes(b"".join(json.dumps(event).encode() + b"\n" for event in made))
    return path.stat().st_size


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that processes read in some ten portions."""
    monkeypatch.setattr(log_share, "PORTION", 64 << 10)
    monkeypatch.setattr(log_share, "AHEAD", 3)
    monkeypatch.setattr(log_scan, "SHARED_FROM", 1)
    monkeypatch.setattr(log_scan.os, "cpu_count", lambda: 3)


def joined(batches: list[Batch]) -> tuple[Any, ...]:
    """What several batches hold together."""
    return (
        np.concatenate([batch.x for batch in batches], axis=1).tolist(),
        np.concatenate([batch.y for batch in batches], axis=1).tolist(),
        [event for batch in batches for _row, event in batch.others],
        batches[-1].last,
        batches[-1].end,
    )


def test_several_processes_read_what_one_reads(tmp_path: Path, small_portions: None) -> None:
    path = tmp_path / "log"
    size = run_log(path)
    alone = [batch for batch, _half in read_batches(path, 0, size)]
    shared = list(scan(path, 0, size))
    assert len(shared) > 8
    assert joined(shared) == joined(alone)
    with path.open("ab") as file:
        file.write(b'{"type":"st')
    assert list(scan(path, 0, size + 11))[-1].end == size
    # A file that has become shorter ends where it ends.
    os.truncate(path, size // 2)
    short = list(scan(path, 0, size))
    assert size // 2 - 200 < short[-1].end <= size // 2
    reading = Scan(path, 0, size // 2)
    reading.close()
    reading.close()


def test_what_a_killed_process_has_taken_is_read_without_it(tmp_path: Path, small_portions: None) -> None:
    path = tmp_path / "log"
    size = run_log(path)
    alone = [batch for batch, _half in read_batches(path, 0, size)]
    shared = SharedScan(path, 0, size, 2)
    (child,) = shared._children
    os.kill(child.pid, signal.SIGKILL)
    assert joined(list(shared.batches())) == joined(alone)
    assert all(child.returncode is not None for child in shared._children)
