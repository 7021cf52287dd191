"""Run directories: names, prefixes, and telling the living from the dead."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core import config_file
from core.control import order_and_wait, send_order
from core.errors import ControlError, RunError
from core.launch import absolute_source, create_run
from core.runs import create_run_dir, find_run, list_runs, load_run, process_start, read_status, slugify, write_status


def make(runs: Path, name: str, **status: object) -> Path:
    path = create_run_dir(runs, name)
    write_status(path, {"state": "finished", "updated": time.time(), "host": os.uname().nodename, **status})
    return path


def test_ids_have_time_and_slug(tmp_path: Path) -> None:
    path = create_run_dir(tmp_path, "XLM-R lr=2e-5 / 한글")
    stamp, clock, slug = path.name.split("-", 2)
    assert len(stamp) == 8
    assert len(clock) == 6
    assert slug == "xlm-r-lr-2e-5-한글"
    again = create_run_dir(tmp_path, "XLM-R lr=2e-5 / 한글")
    assert again != path


@pytest.mark.parametrize("text", ["", "///", "...", "  ", "../../etc"])
def test_slugs_never_leave_the_directory(text: str) -> None:
    slug = slugify(text)
    assert slug
    assert "/" not in slug
    assert not slug.startswith(".")


def test_find_by_id_prefix_latest_and_path(tmp_path: Path) -> None:
    first, second = make(tmp_path, "one"), make(tmp_path, "two")
    assert find_run(tmp_path, first.name) == first
    assert find_run(tmp_path, first.name[:-1]) == first
    assert find_run(tmp_path, str(second)) == second
    assert find_run(tmp_path, "latest") in (first, second)
    with pytest.raises(RunError, match="fits 2 runs"):
        find_run(tmp_path, first.name[:8])
    with pytest.raises(RunError, match="no run"):
        find_run(tmp_path, "19990101")
    with pytest.raises(RunError, match="there are no runs"):
        find_run(tmp_path / "none", "latest")


def test_a_dead_worker_is_crashed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    path = make(tmp_path, "x", state="running", pid=gone.pid, pid_start=time.time())
    run = load_run(path)
    assert run.state == "crashed"
    assert run.hint


def test_scores_of_the_life_before_are_not_those_of_a_run_that_goes_on(tmp_path: Path) -> None:
    me = os.getpid()
    path = make(tmp_path, "resumed", metrics={"eval_accuracy": 0.88, "test_accuracy": 0.87}, pid=me)
    assert load_run(path).metric_split() == "test"
    write_status(path, {**read_status(path), "state": "running", "pid_start": process_start(me)})
    run = load_run(path)
    assert run.live
    assert (run.metric_split(), run.metric("accuracy")) == ("eval", 0.88)
    # It died before it was scored again: what there is of it is the model of the life before.
    write_status(path, {**read_status(path), "pid_start": 1.0})
    assert load_run(path).metric("accuracy") == 0.87


def test_a_reused_pid_is_not_our_worker(tmp_path: Path) -> None:
    started = process_start(os.getpid())
    assert started is not None
    alive = make(tmp_path, "a", state="running", pid=os.getpid(), pid_start=started)
    other = make(tmp_path, "b", state="running", pid=os.getpid(), pid_start=started - 1000)
    assert load_run(alive).state == "running"
    assert load_run(other).state == "crashed"


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    deadline = time.monotonic() + 240
    while process_start(child.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process_start(child.pid) is None
    child.wait()


def test_another_host_is_silent_not_crashed(tmp_path: Path) -> None:
    path = make(tmp_path, "x", state="running", host="elsewhere", pid=1, updated=time.time() - 300)
    run = load_run(path)
    assert (run.state, run.silent) == ("running", True)


def test_a_run_that_never_started_is_crashed_after_a_while(tmp_path: Path) -> None:
    path = make(tmp_path, "x", state="queued", pid=None, updated=time.time() - 1000)
    assert load_run(path).state == "crashed"


def test_listing_survives_garbage(tmp_path: Path) -> None:
    make(tmp_path, "good")
    (tmp_path / "not-a-run").mkdir()
    broken = tmp_path / "20250101-000000-broken"
    broken.mkdir()
    (broken / "status.json").write_text("{half")
    odd = tmp_path / "20250101-000001-odd"
    odd.mkdir()
    (odd / "status.json").write_text('{"state": 3, "step": "x", "metrics": [1], "pid": "y", "updated": null}')
    for number, text in enumerate(
        ('{"state":"running","updated":"soon"}', '{"state":"running","pid":1,"pid_start":"x"}',
         '{"state":"finished","step":Infinity,"epoch":NaN}', '{"state":"finished","metrics":{"b":1' + "0" * 400 + "}}",
         "[]", '{"state":["x"],"eta":true,"created":{}}')
    ):  # fmt: skip
        path = tmp_path / f"20250102-00000{number}-wild"
        path.mkdir()
        (path / "status.json").write_text(text)
    assert {run.name for run in list_runs(tmp_path)} == {"good", "broken", "odd", "wild"}


def test_orders_to_a_finished_run_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path, "x")
    with pytest.raises(ControlError, match="not running"):
        send_order(path, "stop")
    with pytest.raises(ControlError, match="unknown order"):
        send_order(path, "explode")


def test_an_order_nobody_takes_times_out(tmp_path: Path) -> None:
    path = make(tmp_path, "x", state="running", pid=os.getpid(), pid_start=process_start(os.getpid()))
    with pytest.raises(ControlError, match="has not taken"):
        order_and_wait(path, "save", timeout=0.3)


def test_paths_in_a_runs_config_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nsmc").mkdir()
    for split in ("train", "test"):
        (tmp_path / "nsmc" / f"ratings_{split}.txt").touch()
    run_dir = create_run(
        config_file.validate({"data": {"source": "nsmc"}, "model": {"preset": "tiny"}}), tmp_path / "r"
    )
    assert config_file.load(run_dir / "config.toml").data.source == str(tmp_path / "nsmc")
    assert absolute_source("hub:a/b") == "hub:a/b"
    assert read_status(run_dir)["state"] == "queued"


def test_unwritable_runs_directory_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as caught:
        create_run_dir(tmp_path / "file" / "runs", "x")
    assert "--runs" in caught.value.hint
