"""A log as columns: the same numbers by whichever way it is read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from core.log_batch import Batch
from core.log_scan import parse, read_batches


def lines(events: list[Any]) -> bytes:
    """A log of these events."""
    return "".join(json.dumps(event) + "\n" for event in events).encode()


def step(number: int, **more: Any) -> dict[str, Any]:
    """A `step` event."""
    return {"v": 1, "ts": float(number), "type": "step", "step": number, "epoch": number / 10, **more}


def rows(batch: Batch) -> dict[str, list[float]]:
    """A batch's numbers by name."""
    return {name: values.tolist() for name, values in zip(batch.names, batch.y, strict=True)}


def test_steps_become_columns_and_the_rest_stays() -> None:
    found = parse(
        lines([step(1, loss=0.5, text="x"), {"type": "phase", "name": "eval"}, step(2, loss=None, text="y")]), 99
    )
    assert found.names == ("loss",)
    assert rows(found) == {"loss": [0.5, math.inf]}
    assert found.x.tolist() == [[1, 2], [1, 2], [0.1, 0.2]]
    assert found.others == [(1, {"type": "phase", "name": "eval"})]
    assert found.last is not None
    assert (found.last["step"], found.end, found.skipped) == (2, 99, 0)


def test_events_of_several_shapes_lie_side_by_side() -> None:
    found = parse(
        lines([step(1, loss=1.0), step(2, loss=1.0, extra=3), step(3, other=True, loss="2"), step(4, extra=10**400)])
    )
    told = rows(found)
    assert set(told) == {"loss", "extra"}
    np.testing.assert_array_equal(told["loss"], [1.0, 1.0, math.inf, math.nan])
    np.testing.assert_array_equal(told["extra"], [math.nan, 3.0, math.nan, math.inf])


def test_broken_lines_are_counted_and_nan_is_no_number() -> None:
    one = b'{"type":"step","step":1,"ts":1,"epoch":0,"loss":NaN}\n'
    two = b'{"type":"step","step":2,"ts":1,"epoch":0,"loss":2}\n{"type":"step"}\n'
    data = one + b'{"half\n\n[1]\n7\n' + two
    found = parse(data)
    assert rows(found) == {"loss": [math.inf, 2.0]}
    assert found.skipped == 3
    assert parse(b"\n\n").x.shape[1] == 0


def test_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(lines([step(1, loss=1.0)]) + b'{"type":"st')
    ((batch, half),) = read_batches(path, 0, path.stat().st_size)
    assert batch.x.shape[1] == 1
    assert half == b'{"type":"st'
    assert batch.end == path.stat().st_size - len(half)
