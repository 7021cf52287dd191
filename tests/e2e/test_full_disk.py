"""A disk that fills up while a run writes: on a small file system of the test's own, with the real worker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.e2e.test_resume import LONG

pytestmark = pytest.mark.slow

FULL_DISK = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from core import checkpoints, config_file
from core.control import send_order
from core.launch import create_run, worker_environment
from core.runs import load_run
from core.tail import JsonlTail
runs = Path({runs!r})
subprocess.run(["mount", "-t", "tmpfs", "-o", "size={size}", "none", str(runs)], check=True)
config = config_file.validate(json.loads({values!r}))
run_dir = create_run(config, runs)

work = [sys.executable, "-P", "-m", "core.worker", str(run_dir)]
environment = worker_environment(config)
with (run_dir / "worker.log").open("wb") as log:
    first = subprocess.Popen(work, stderr=log, env=environment)
how = {how!r}
if how:
    # Somebody else takes all but three megabytes while the second checkpoint is being written, or all there is later.
    left = 3_000_000 if how == "in a save" else 0
    def there():
        if left:
            return (run_dir / "checkpoints" / "checkpoint-14").exists()
        return any(found.step == 14 and found.whole for found in checkpoints.list_checkpoints(run_dir))
    while first.poll() is None and not there():
        time.sleep(0.0005)
    first.send_signal(signal.SIGSTOP)
    if how == "abort":
        send_order(run_dir, "abort")
    with (runs / "filler").open("wb", buffering=0) as file:
        while os.statvfs(runs).f_bavail * os.statvfs(runs).f_frsize > left:
            file.write(bytes(500_000 if left else 4096))
    if how == "stop":
        first.send_signal(signal.SIGTERM)
    first.send_signal(signal.SIGCONT)
first.wait()
found = checkpoints.list_checkpoints(run_dir, deep=True)
told = JsonlTail(run_dir / "events.jsonl").read(10**6, 30)
answer = {{
    "state": load_run(run_dir).state, "error": load_run(run_dir).error, "hint": load_run(run_dir).hint,
    "last": told[-1], "files": sorted(path.name for path in run_dir.iterdir()),
    "whole": [c.step for c in found if c.whole], "broken": [c.step for c in found if not c.whole],
    "alerts": [e["code"] for e in told if e["type"] == "alert"], "log": (run_dir / "worker.log").read_text()[-2000:],
}}
(runs / "filler").unlink(missing_ok=True)
subprocess.run(["mount", "-o", "remount,size=400m", str(runs)], check=True)
# Whoever starts a worker passes over what was ordered in an earlier life.
(run_dir / "control.jsonl").unlink(missing_ok=True)
again = subprocess.run([*work, "--resume"], capture_output=True, text=True, env=environment)
answer.update(again=load_run(run_dir).state, step=load_run(run_dir).step, second=again.stderr[-2000:])
print(json.dumps(answer))
"""


def private_mounts() -> list[str] | None:
    """The command that gives a process mounts of its own; None where that is not allowed."""
    for command in (["unshare", "-m"], ["unshare", "-rm"]):
        try:
            tried = subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
        except OSError:
            return None
        if tried.returncode == 0:
            return command
    return None


def on_a_small_disk(runs: Path, size: str, how: str = "") -> dict[str, Any]:
    """A run of one epoch on a disk of its own, and how it went; then resumed with room enough.

    `how` says when the disk is full: `in a save`, or all of it soon after, until the run comes to its `end`, or to
    one by `stop` or `abort`.
    """
    mounts = private_mounts()
    if mounts is None:
        pytest.skip("this machine allows no mounts of our own")
    runs.mkdir()
    values = {**LONG, "train": {**LONG["train"], "num_train_epochs": 1, "save_total_limit": 0}}
    script = FULL_DISK.format(root=str(ROOT), size=size, runs=str(runs), values=json.dumps(values), how=how)
    done = subprocess.run([*mounts, sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_disk_that_fills_up_during_a_save_leaves_the_checkpoint_before_whole(tmp_path: Path) -> None:
    answer = on_a_small_disk(tmp_path / "small disk", "100m", "in a save")
    assert (answer["state"], answer["broken"]) == ("failed", []), answer
    # The second may have been whole already when the worker was halted; then the third found no room.
    assert answer["whole"] in ([7], [7, 14]), answer
    assert "disk" in answer["error"]
    assert "disk_full" in answer["alerts"]
    assert (answer["again"], answer["step"]) == ("finished", 60), answer["second"]


def test_a_checkpoint_without_room_is_left_out_and_training_goes_on(tmp_path: Path) -> None:
    answer = on_a_small_disk(tmp_path / "small disk", "45m")
    assert (answer["state"], answer["broken"]) == ("finished", []), answer
    assert [7] <= answer["whole"] < [7, 14, 21], answer
    assert "disk_full" in answer["alerts"]


@pytest.mark.parametrize("how", ["stop", "abort", "end"])
def test_a_run_on_a_full_disk_says_what_became_of_it(tmp_path: Path, how: str) -> None:
    """There is room for nothing else: neither for a checkpoint nor for a line of the log."""
    answer = on_a_small_disk(tmp_path / "small disk", "100m", how)
    last = answer["last"]
    if how == "abort":
        assert (answer["state"], last["type"], last.get("aborted")) == ("stopped", "run_finished", True), answer
    else:
        assert (answer["state"], last["type"], last["error"]) == ("failed", "run_failed", "disk_full"), answer
        assert "disk" in answer["error"]
        assert (last["message"], last["hint"]) == (answer["error"], answer["hint"])
        assert answer["hint"]
        assert "DiskFullError" in answer["log"] or "No space left" in answer["log"]
        # What could not be told meanwhile is told as lost.
        assert answer["alerts"][-1] == "disk_full"
    assert answer["whole"][:2] == [7, 14]
    assert not answer["broken"]
    assert not {".reserve", ".model.tmp"} & set(answer["files"])
    assert (answer["again"], answer["step"]) == ("finished", 60), answer["second"]
