"""The event log and its reader: whole lines only, broken ones counted, never lost."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.events import EventWriter, append_line, encode
from core.tail import JsonlTail


def test_events_have_version_time_and_type(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path)
    writer.emit("step", step=1, loss=float("nan"), rate=np.float32(0.5), path=Path("/x"), inf=math.inf)
    writer.close()
    event = json.loads((tmp_path / "events.jsonl").read_text())
    assert event["v"] == 1
    assert event["type"] == "step"
    assert event["ts"] > 1e9
    assert (event["loss"], event["inf"], event["rate"], event["path"]) == (None, None, 0.5, "/x")


@given(st.text())
def test_any_text_is_one_line(text: str) -> None:
    line = encode({"text": text})
    assert line.count("\n") == 1
    assert line.encode("utf-8")


def test_a_writer_after_a_crash_starts_on_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b'{"type":"step"}\n{"type":"st')
    writer = EventWriter(tmp_path)
    writer.emit("run_started")
    writer.close()
    tail = JsonlTail(tmp_path / "events.jsonl")
    assert [event["type"] for event in tail.read()] == ["step", "run_started"]
    assert tail.skipped == 1


def test_a_half_line_is_not_yet(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    tail = JsonlTail(path)
    assert tail.read() == []
    with path.open("ab", buffering=0) as file:
        file.write(b'{"a":1}\n{"a":')
        assert tail.read() == [{"a": 1}]
        assert tail.read() == []
        file.write('2}\nnot json\n[1]\n\n{"b":"가"}\n'.encode())
        assert tail.read() == [{"a": 2}, {"b": "가"}]
    assert tail.skipped == 2
    assert not tail.pending


@pytest.mark.parametrize("portion", [1, 2, 7])
def test_portions_lose_and_repeat_nothing(tmp_path: Path, portion: int) -> None:
    path = tmp_path / "log.jsonl"
    for number in range(20):
        append_line(path, {"n": number, "pad": "가" * number})
    tail = JsonlTail(path)
    found: list[int] = []
    while True:
        records = tail.read(max_records=portion)
        assert len(records) <= portion
        if not records:
            break
        found += [record["n"] for record in records]
    assert found == list(range(20))


def test_large_files_are_read_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.tail.CHUNK", 64)
    path = tmp_path / "log.jsonl"
    for number in range(50):
        append_line(path, {"n": number, "pad": "x" * (number * 3)})
    tail = JsonlTail(path)
    assert [record["n"] for record in tail.read(max_seconds=10)] == list(range(50))


def test_a_replaced_file_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    append_line(path, {"n": 1})
    append_line(path, {"n": 2})
    tail = JsonlTail(path)
    assert len(tail.read()) == 2
    path.unlink()
    append_line(path, {"n": 3})
    assert tail.read() == [{"n": 3}]
