"""Logs of any size: the same lines as reading the whole file gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import log_file
from core.log_file import LogFile, level_of, readable


def every(log: LogFile) -> list[str]:
    log.refresh()
    while log.load_earlier(1):
        assert log.count
    assert log.complete
    return [line.text for line in log.lines(0, log.count)] if log.count else []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(alphabet=st.sampled_from("ab가\r "), max_size=30), max_size=40),
    st.integers(1, 40),
    st.booleans(),
)
def test_the_lines_are_those_of_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], block: int, ended: bool
) -> None:
    monkeypatch.setattr(log_file, "BLOCK", block)
    path = tmp_path / "worker.log"
    raw = "\n".join(lines).encode() + (b"\n" if ended and lines else b"")
    path.write_bytes(raw)
    expected = [readable(line) for line in (raw[:-1] if raw.endswith(b"\n") else raw).split(b"\n")] if raw else []
    assert every(LogFile(path)) == expected


def test_growth_truncation_and_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "BLOCK", 16)
    path = tmp_path / "worker.log"
    log = LogFile(path)
    assert log.refresh() is False
    assert log.count == 0
    text = ""
    for number in range(50):
        text += f"line {number}" + ("\n" if number % 3 else " and\n")
        path.write_text(text)
        assert log.refresh() is True
        assert log.refresh() is False
        assert log.line(log.count - 1).text == text.splitlines()[-1]
    while log.load_earlier():
        pass
    assert log.count == 50
    path.write_text("anew\n")
    assert log.refresh() is True
    assert [line.text for line in log.lines(0, 9)] == ["anew"]
    path.unlink()
    assert log.refresh() is True
    assert log.count == 0


def test_a_large_log_is_not_read_to_open_it(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    block = b"".join(b"line %07d of a log that has been growing for weeks\n" % n for n in range(5000))
    with path.open("wb") as file:
        # Sparse: hundreds of megabytes that nobody has written.
        file.seek(400 << 20)
        file.write(b"\n" + block)
    log = LogFile(path)
    log.refresh()
    assert log.line(log.count - 1).text.startswith("line 0004999")
    assert log.count < 12_000
    assert not log.complete


def test_progress_bars_show_their_last_state_and_control_bytes_are_visible() -> None:
    assert readable("  0%|   | 0/9\r 50%|█  | 5/9\r100%|██ | 9/9\r".encode()) == "100%|██ | 9/9"
    assert readable(b"\x1b[31mred\x1b[0m \x1b]0;title\x07 bell\x07") == "red  bell␇"
    assert readable(b"caf\xe9\t|") == "caf\ufffd    |"


def test_a_line_of_megabytes_shows_its_end(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    bar = b"".join(b"\r%5d/99999" % n for n in range(90_000))
    path.write_bytes(b"before\n" + bar + b"\nafter\n")
    log = LogFile(path)
    texts = every(log)
    assert texts == ["before", "89999/99999", "after"]


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("RuntimeError: CUDA out of memory", "error"),
        ("Traceback (most recent call last):", "error"),
        ("[ERROR] no", "error"),
        ("torch.cuda.OutOfMemoryError: x", "error"),
        ("UserWarning: lr_scheduler", "warning"),
        ("WARNING:root:slow", "warning"),
        ("{'loss': 0.3, 'terror': 1}", "info"),
        ("loaded 5 reviews", "info"),
    ],
)
def test_levels_are_read_from_words(text: str, level: str) -> None:
    assert level_of(text) == level


def test_finding_goes_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "BLOCK", 64)
    path = tmp_path / "worker.log"
    path.write_text("".join(f"line {n} {'여기' if n in (20, 5000) else ''}\n" for n in range(9000)))
    log = LogFile(path)
    every(log)

    def find(start: int, backwards: bool) -> int | None:
        return list(log.find(re.compile("여기"), start, backwards=backwards))[-1]

    assert find(0, False) == 20
    assert find(21, False) == 5000
    assert find(8999, True) == 5000
    assert find(4999, True) == 20
    assert find(19, True) is None


def test_two_looks_at_one_file_tell_how_far_apart_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "BLOCK", 64)
    path = tmp_path / "worker.log"
    path.write_text("".join(f"line {n}\n" for n in range(500)))
    near, far = LogFile(path), LogFile(path)
    near.refresh()
    every(far)
    ahead = far.ahead_of(near)
    assert ahead == far.count - near.count > 0
    assert far.line(ahead).text == near.line(0).text
