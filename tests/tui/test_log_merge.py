"""All logs of a run in one: the order of time, what comes later, a large log, and the pane that shows it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from core.log_file import LogLine
from core.log_time import moment_of
from tests.tui.machine_helpers import MOMENT, emit, live_run
from tests.tui.test_screens import screen_text, until
from tui.app import NsmcTuiApp
from tui.log_merge import MergedLog, other_logs
from tui.screens.monitor import MonitorScreen
from tui.widgets.log_view import LogView


def at(seconds: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return datetime.fromtimestamp(MOMENT + seconds).strftime(form)


def said(line: LogLine) -> str:
    """A row without the columns of time and file."""
    return line.text.split("| ")[-1].split("  ")[-1].strip()


def written(path: Path, text: str, seconds: float) -> Path:
    path.write_text(text)
    os.utime(path, (MOMENT + seconds,) * 2)
    return path


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        (f"{at(5)},250 - torch - WARNING", 5.25),
        (f"[{at(5, '%Y-%m-%dT%H:%M:%S')}] x", 5.0),
        (f"[rank1]:[W{at(5, '%m%d %H:%M:%S')}.500000 x.cpp:1] slow", 5.5),
        (f"E{at(5, '%m%d %H:%M:%S')} 77 x.py", 5.0),
        ("Traceback (most recent call last):", None),
        (f"the 40 cells at the beginning are over here {at(5)}", None),
        ("2025-19-45 25:00:00 no date", None),
    ],
)
def test_times_of_lines(line: str, seconds: float | None) -> None:
    assert moment_of(line, MOMENT + 60) == (None if seconds is None else MOMENT + seconds)


def test_messages_and_lines_stand_in_the_order_of_time(tmp_path: Path) -> None:
    log = f"first\n{at(10)},000 loaded\n  a line below it\n{at(30)} Traceback\nValueError: x\n"
    written(tmp_path / "worker.log", log, 40)
    written(tmp_path / "worker-node7.log", "all of it is as old as its end\n", 20)
    entries = [(MOMENT + second, "info", f"message {second}") for second in (5, 15, 35)]
    merged = MergedLog(other_logs(tmp_path, "worker.log"))
    merged.load(entries)
    assert [said(line) for line in merged.lines] == [
        "message 5", "first", f"{at(10)},000 loaded", "a line below it", "message 15",
        "all of it is as old as its end", f"{at(30)} Traceback", "ValueError: x", "message 35",
    ]  # fmt: skip
    assert "node7 |" in merged.lines[5].text
    assert [line.level for line in merged.lines].index("error") == 6
    # What comes later stands below, half lines are mended, nothing comes twice.
    with (tmp_path / "worker.log").open("a") as file:
        file.write("half")
    assert merged.take([*entries, (MOMENT + 50, "warning", "message 50")])
    with (tmp_path / "worker.log").open("a") as file:
        file.write(" a line\nmore\n")
    assert merged.take([*entries[1:], (MOMENT + 50, "warning", "message 50")])
    assert [said(line) for line in merged.lines[9:]] == ["message 50", "half a line", "more"]
    assert merged.take([*entries[1:], (MOMENT + 50, "warning", "message 50")]) is False
    assert merged.take([(1.0, "info", "of another run")]) is None
    written(tmp_path / "worker.log", "anew\n", 60)
    assert merged.take([*entries[1:], (MOMENT + 50, "warning", "message 50")]) is None


def test_of_a_large_log_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.log_merge.MOST_LINES", 500)
    (tmp_path / "worker.log").write_text("".join(f"line {number:07d}\n" for number in range(200_000)))
    merged = MergedLog(other_logs(tmp_path, "worker.log"))
    merged.load([(1.0, "info", "long ago")])
    assert (len(merged.lines), merged.partly) == (501, True)
    assert merged.lines[-1].text.endswith("line 0199999")


async def test_the_pane_shows_all_by_time_and_jumps_to_the_first_error(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    written(run / "worker.log", f"{at(-5)} before\n{at(5)} ValueError: between\n", 5)
    emit(run, "alert", level="warning", code="x", message="from the run", hint="")
    emit(run, "alert", MOMENT + 9, level="error", code="x", message="at last", hint="")
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and "from the run" in screen_text(app))
        view = app.screen.query_one(LogView)
        view.focus()
        await pilot.press("W", "W")
        await until(pilot, lambda: "all by time" in screen_text(app) and view._rows.count == 4)
        assert [line.text.rsplit(" ", 1)[-1] for line in view._rows.rows(0, 4)] == ["before", "run", "between", "last"]
        await pilot.press("E")
        await until(pilot, lambda: view._here == 2)
        with (run / "worker.log").open("a") as file:
            file.write("one more\n")
        await until(pilot, lambda: view._rows.count == 5)
        await pilot.press("F", "F")
        await until(pilot, lambda: view._rows.count == 2)
