"""Marks and baseline: kept beside the runs, and no reason to fail."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from core.run_marks import MARKS_FILE, RunMarks


def test_marks_are_kept_in_their_order_and_move_with_the_directory(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("a", "b", "c"):
        (runs / name).mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    marks = RunMarks(runs)
    assert marks.toggle(runs / "b")
    assert marks.toggle(runs / "a")
    assert marks.toggle(outside)
    assert marks.toggle(runs / "c")
    assert not marks.toggle(runs / "c")
    marks.pin(runs / "c")
    marks.save()
    moved = tmp_path / "moved"
    runs.rename(moved)
    again = RunMarks(moved)
    assert again.marked == [moved / "b", moved / "a", outside]
    assert again.baseline == moved / "c"


def test_runs_that_are_gone_are_not_marked(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    marks = RunMarks(tmp_path)
    marks.mark([tmp_path / "a", tmp_path / "b", tmp_path / "a"])
    marks.pin(tmp_path / "b")
    marks.save()
    (tmp_path / "b").rmdir()
    assert RunMarks(tmp_path).marked == [tmp_path / "a"]
    assert RunMarks(tmp_path).baseline is None
    marks.forget([tmp_path / "b"])
    assert (marks.marked, marks.baseline) == ([tmp_path / "a"], None)


@pytest.mark.parametrize("text", ["", "{half", "[]", '{"marked": 3, "baseline": []}', '{"marked": [1, null, {}]}'])
def test_a_file_of_another_kind_means_no_marks(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKS_FILE).write_text(text)
    marks = RunMarks(tmp_path)
    assert (marks.marked, marks.baseline) == ([], None)


def test_savings_at_once_leave_a_whole_file_with_the_newest_marks(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    marks = RunMarks(tmp_path)
    threads = [threading.Thread(target=marks.save) for _ in range(8)]
    marks.mark([tmp_path / "a"])
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads((tmp_path / MARKS_FILE).read_text())["marked"] == ["a"]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []
