"""The runs of a directory: read when they changed, the dead told from the silent, all that is odd survived."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core import run_index
from core.errors import RunError
from core.run_index import RunIndex
from core.run_labels import Labels, write_labels
from core.run_preview import PLACE_BYTES, WHOLE, preview, sparkline
from core.runs import create_run_dir, load_run, process_start, read_status, write_status


def make(runs: Path, slug: str, **status: object) -> Path:
    path = create_run_dir(runs, slug)
    write_status(path, {"state": "finished", "updated": time.time(), "host": os.uname().nodename, **status})
    return path


def names(index: RunIndex) -> list[str]:
    return [run.name for run in index.refresh().runs]


def test_only_what_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [make(tmp_path, f"run-{number}") for number in range(5)]
    read: list[str] = []

    def spy(path: Path) -> dict[str, object]:
        read.append(path.name)
        return read_status(path)

    monkeypatch.setattr(run_index, "read_status", spy)
    index = RunIndex(tmp_path)
    first = index.refresh()
    assert len(first.runs) == 5
    assert len(read) == 5
    read.clear()
    assert index.refresh() == first
    assert read == []
    write_status(paths[2], {"state": "failed", "error": "no room", "name": "changed"})
    write_labels(paths[3], Labels(name="labelled", tags=("x",)))
    again = {run.path: run for run in index.refresh().runs}
    assert sorted(read) == sorted([paths[2].name, paths[3].name])
    assert again[paths[2]].error == "no room"
    assert (again[paths[3]].name, again[paths[3]].label, again[paths[3]].tags) == ("labelled", "labelled", ("x",))
    assert all(again[run.path] is run for run in first.runs if run.path in (paths[0], paths[1], paths[4]))


def test_runs_come_and_go(tmp_path: Path) -> None:
    index = RunIndex(tmp_path / "runs")
    assert names(index) == []
    first = make(tmp_path / "runs", "first")
    (tmp_path / "runs" / "not-a-run").mkdir()
    (tmp_path / "runs" / ".hidden").mkdir()
    assert names(index) == ["first"]
    first.rename(tmp_path / "elsewhere")
    assert names(index) == []


def test_a_sweep_goes_on_where_its_time_was_up(tmp_path: Path) -> None:
    for number in range(30):
        path = tmp_path / f"20260101-0000{number:02d}-run"
        path.mkdir()
        write_status(path, {"state": "finished"})
    index = RunIndex(tmp_path)
    seen = [index.refresh(max_seconds=0.0) for _sweep in range(30)]
    assert [len(listing.runs) for listing in seen] == list(range(1, 31))
    assert [listing.pending for listing in seen] == list(range(29, -1, -1))
    # The newest are known first.
    assert seen[0].runs[0].id == "20260101-000029-run"


def test_a_directory_that_cannot_be_read_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as caught:
        RunIndex(tmp_path / "file").refresh()
    assert "--runs" in caught.value.hint


def test_a_killed_worker_is_crashed_at_the_next_look_and_one_elsewhere_is_not(tmp_path: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        alive = {"state": "running", "pid": worker.pid, "pid_start": process_start(worker.pid)}
        here = make(tmp_path, "here", **alive)
        there = make(tmp_path, "there", **{**alive, "host": "node7", "updated": time.time() - 90})
        fresh = make(tmp_path, "fresh", **{**alive, "host": "node7"})
        index = RunIndex(tmp_path)
        before = {run.path: run for run in index.refresh().runs}
        assert [before[path].condition for path in (here, there, fresh)] == ["running", "silent", "running"]
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        after = {run.path: run for run in index.refresh().runs}
    finally:
        worker.kill()
        worker.wait()
    assert (after[here].state, after[here].live) == ("crashed", False)
    assert after[here].hint
    assert [after[path].condition for path in (there, fresh)] == ["silent", "running"]
    assert after[there].elsewhere
    assert after[there].live


def test_a_worker_that_lives_and_says_nothing_is_stale(tmp_path: Path) -> None:
    me = os.getpid()
    path = make(tmp_path, "x", state="running", pid=me, pid_start=process_start(me), updated=time.time() - 400)
    run = load_run(path)
    assert (run.condition, run.state, run.live) == ("stale", "running", True)


def test_settings_are_read_once_a_version(tmp_path: Path) -> None:
    path = make(tmp_path, "x")
    index = RunIndex(tmp_path)
    run = index.refresh().runs[0]
    assert index.settings_of(run) == {}
    (path / "config.toml").write_text('[train]\nlearning_rate = 2e-5\n[model]\nname = "m"\n')
    first = index.settings_of(run)
    assert first == {"train.learning_rate": 2e-5, "model.name": "m"}
    assert index.settings_of(run) is first
    (path / "config.toml").write_text("half [")
    assert index.settings_of(run) == {}


def test_a_preview_of_a_long_log_reads_a_little_of_it(tmp_path: Path) -> None:
    path = make(tmp_path, "long")
    line = (
        '{"v":1,"ts":1.0,"type":"step","step":%d,"loss":%.6f,"learning_rate":1e-05,"samples_per_second":400,"rss":%d}\n'
    )
    count = 40_000
    (path / "events.jsonl").write_text("".join(line % (n, 1 - n / count, 1000 + n) for n in range(count)))
    assert (path / "events.jsonl").stat().st_size > 8 * WHOLE
    found = preview(load_run(path))
    assert found.loss == pytest.approx(1 - (count - 1) / count, abs=1e-6)
    assert found.memory == 1000 + count - 1
    assert not found.on_gpu
    assert 48 < len(found.losses) < count / 10
    assert list(found.losses) == sorted(found.losses, reverse=True)
    assert len(line % (1, 0.5, 1)) < PLACE_BYTES
    short = make(tmp_path, "short")
    assert preview(load_run(short)).losses == ()
    (short / "events.jsonl").write_text('{"type":"step","loss":null,"gpu_peak":5}\n{"type":"step","lo')
    assert preview(load_run(short)).memory == 5
    assert preview(load_run(short)).on_gpu


def test_sparklines() -> None:
    assert sparkline([], 10) == ""
    assert sparkline([1.0], 10) == "▅"
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(list(range(1000)), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([2.0, 2.0, 2.0], 3) == "▅▅▅"
    assert sparkline([0, 1], 2, ascii_only=True).isascii()
