"""`train --dry-run` as a user calls it, against the run that it is about."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core import config_file
from core.events import EVENTS_FILE
from tests.conftest import SMALL_RUN, run_cli

ARGUMENTS = ("--data", "sample", "--preset", "tiny", "--set", "launch.device=cpu", "--set", "data.train_limit=640")


def test_json_agrees_with_the_run(finished_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(config_file.dumps(config_file.validate(SMALL_RUN)))
    runs = tmp_path / "runs"
    done = run_cli("train", str(file), "--dry-run", "--json", runs=runs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    document = json.loads(done.stdout)
    assert not runs.exists()
    events = [json.loads(line) for line in (finished_run / EVENTS_FILE).read_text().splitlines()]
    totals = {event["total"] for event in events if event["type"] == "phase" and event["name"] == "training"}
    assert document["steps"]["total"] in totals
    assert document["steps"]["total"] == json.loads((finished_run / "status.json").read_text())["max_steps"]
    evaluations = [event for event in events if event["type"] == "eval" and not event.get("final")]
    assert document["seconds"]["evaluations"] == len(evaluations)
    assert document["seconds"]["checkpoints"] == sum(event["type"] == "checkpoint" for event in events)
    assert document["minutes"] > 0
    # A checkpoint of the run takes what was said, its small files aside.
    checkpoint = max((finished_run / "checkpoints").glob("checkpoint-*"))
    weight = sum((checkpoint / name).stat().st_size for name in ("model.safetensors", "optimizer.pt"))
    assert document["disk"]["checkpoint"] == pytest.approx(weight, rel=0.02)


def test_text_for_people(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    done = run_cli("train", *ARGUMENTS, "--dry-run", runs=runs)
    assert done.returncode == 0, done.stderr
    # 640 reviews in batches of 32, the guide's 500 steps of warm-up
    assert "20 in all" in done.stdout
    assert "! warm-up takes 500 steps, the whole run 20 — " in done.stdout
    assert "128 *" in done.stdout
    assert "trying some steps" in done.stderr
    assert not runs.exists()


def test_fewer_reviews_to_score_than_one_batch_holds(tmp_path: Path) -> None:
    for name, count in (("train", 40), ("test", 13)):
        rows = [
            f"{number}\t영화 {number} 정말 {'좋다' if number % 2 else '별로'}\t{number % 2}" for number in range(count)
        ]
        (tmp_path / f"{name}.tsv").write_text("\n".join(["id\tdocument\tlabel", *rows]), encoding="utf-8")
    model = ("--preset", "tiny", "--set", "launch.device=cpu")
    done = run_cli("train", "--data", str(tmp_path), *model, "--dry-run", "--json", runs=tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["data"]["splits"] == {"train": 38, "dev": 2, "test": 13}
    assert document["seconds"]["scoring"] > 0


def test_wrong_use(tmp_path: Path) -> None:
    both = run_cli("train", *ARGUMENTS, "--dry-run", "--detach", runs=tmp_path)
    assert both.returncode == 2
    assert "hint" in both.stderr
    missing = run_cli("train", "--data", "/nowhere", "--preset", "tiny", "--dry-run", "--json", runs=tmp_path)
    assert missing.returncode == 1
    assert missing.stdout == ""
    assert "/nowhere" in missing.stderr
    assert "hint" in missing.stderr
    assert "Traceback" not in missing.stderr
    assert list(tmp_path.iterdir()) == []


def test_interrupt_leaves_nothing(home: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    program = [sys.executable, "-P", "-m", "tui", "--runs", str(runs), "train", *ARGUMENTS, "--dry-run"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "trying some steps" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=240)
    assert process.returncode == 130
    assert list((home / "cache").glob("forecast-*")) == []
    assert not runs.exists()


def test_a_killed_asker_takes_its_forecast_along(home: Path, tmp_path: Path) -> None:
    """Even `kill -9` of the command: its process notices that nobody listens, ends, and clears up."""
    import psutil

    program = [sys.executable, "-P", "-m", "tui", "--runs", str(tmp_path / "runs"), "train", *ARGUMENTS, "--dry-run"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "counting tokens" not in process.stderr.readline():
        assert process.poll() is None
    (child,) = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=240)
    limit = time.monotonic() + 240
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < limit
        time.sleep(0.1)
    assert list((home / "cache").glob("forecast-*")) == []
