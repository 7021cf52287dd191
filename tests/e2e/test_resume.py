"""Going on with a run after a kill, a stop or a crash: the real worker, real checkpoints."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from core import checkpoints, config_file, control, dynamics
from core.errors import ConfigError, ResumeError
from core.launch import create_run, start_worker, worker_environment
from core.predictions import Predictions
from core.resume import prepare, resume
from core.runs import load_run, read_status, write_status
from core.tail import JsonlTail
from tests.conftest import run_cli, run_worker

pytestmark = pytest.mark.slow

# Three epochs of 60 steps; nothing falls on a checkpoint's step by chance.
LONG = {
    "data": {"source": "sample", "dev_size": 0.05, "max_length": 48, "train_limit": 1900},
    "model": {"preset": "tiny"},
    "train": {
        "num_train_epochs": 3,
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 32,
        "gradient_accumulation_steps": 1,
        "warmup_steps": 0.1,
        "logging_steps": 11,
        "eval_strategy": "steps",
        "eval_steps": 14,
        "save_strategy": "steps",
        "save_steps": 7,
        "load_best_model_at_end": False,
    },
    "evaluate": {"splits": ["dev"]},
    "launch": {"device": "cpu"},
}
CLOCK = ("_runtime", "_per_second")


def make(runs: Path, **changes: dict[str, Any]) -> Path:
    values = {section: {**LONG.get(section, {}), **changes.get(section, {})} for section in {**LONG, **changes}}
    return create_run(config_file.validate(values), runs)


def events(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    found = JsonlTail(run_dir / "events.jsonl").read(10**6, 30)
    return [event for event in found if event["type"] == kind]


def history(run_dir: Path) -> list[dict[str, Any]]:
    """The last checkpoint's history without what a clock or the memory says."""
    state = checkpoints.state_of(checkpoints.list_checkpoints(run_dir)[-1].path)
    return [
        {name: value for name, value in entry.items() if not name.endswith(CLOCK) and "_mem_" not in name}
        for entry in state["log_history"]
    ]


def same_model(one: Path, other: Path) -> bool:
    first, second = (load_file(path / "model" / "model.safetensors") for path in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def wait_until(condition: Any, run_dir: Path, timeout: float = 240) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, events(run_dir, "step")[-1:]
        assert load_run(run_dir).live, load_run(run_dir)
        time.sleep(0.02)


def wait_for_end(run_dir: Path, timeout: float = 240) -> str:
    deadline = time.monotonic() + timeout
    while load_run(run_dir).live and time.monotonic() < deadline:
        time.sleep(0.1)
    return load_run(run_dir).state


@pytest.fixture(scope="module")
def uninterrupted(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = make(tmp_path_factory.mktemp("uninterrupted"))
    done = run_worker(run_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    return run_dir


@pytest.mark.timeout(3000)
def test_killed_ten_times_it_is_the_same_run_bit_for_bit(uninterrupted: Path, tmp_path: Path) -> None:
    run_dir = make(tmp_path)
    dice = random.Random(20)
    arguments: tuple[str, ...] = ()
    for kill in range(10):
        environment = worker_environment(config_file.load(run_dir / "config.toml"))
        with (run_dir / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "core.worker", str(run_dir), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        target = min(17 * kill + dice.randint(1, 16), 172)
        steps = JsonlTail(run_dir / "events.jsonl", (run_dir / "events.jsonl").stat().st_size if kill else 0)
        reached = 0
        while reached < target:
            assert worker.poll() is None, (run_dir / "worker.log").read_text()[-3000:]
            reached = max([reached, *(event["step"] for event in steps.read() if event["type"] == "step")])
            time.sleep(0.002)
        # Somewhere in a step, an evaluation or a save.
        time.sleep(dice.random() * 0.2)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert load_run(run_dir).state == "crashed"
        prepare(run_dir, [])
        arguments = ("--resume",)
    done = run_worker(run_dir, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    starts = events(run_dir, "run_started")
    assert len(starts) == 11
    assert sum(event.get("resumed_from", 0) > 0 for event in starts) >= 8
    assert history(run_dir) == history(uninterrupted)
    assert same_model(run_dir, uninterrupted)
    results = [json.loads((path / "all_results.json").read_text()) for path in (run_dir, uninterrupted)]
    for name in ("train_loss", "eval_loss", "eval_accuracy"):
        assert results[0][name] == results[1][name], name
    kept = [dynamics.read(path) for path in (run_dir, uninterrupted)]
    assert kept[0] is not None
    assert kept[1] is not None
    assert kept[0].steps.tolist() == kept[1].steps.tolist() == [*range(14, 181, 14), 180]
    assert np.array_equal(kept[0].prob_1, kept[1].prob_1)


@pytest.mark.parametrize(
    "train",
    [
        {"train_sampling_strategy": "random", "gradient_accumulation_steps": 2, "per_device_train_batch_size": 16},
        {"max_tokens": 600, "train_sampling_strategy": "group_by_length"},
    ],
    ids=["random order, accumulation", "token budget"],
)
def test_stopped_and_resumed_it_is_the_same_run(tmp_path: Path, train: dict[str, Any]) -> None:
    changes = {"train": {**train, "max_steps": 90, "num_train_epochs": 1, "save_steps": 1000, "eval_steps": 1000}}
    whole = make(tmp_path, **changes)
    done = run_worker(whole)
    assert done.returncode == 0, done.stderr[-3000:]
    run_dir = make(tmp_path, **changes, launch={"stop_at_step": 37})
    assert run_worker(run_dir).returncode == 0
    assert load_run(run_dir).state == "stopped"
    assert events(run_dir, "order")[-1]["taken_at_step"] == 37
    assert [found.step for found in checkpoints.list_checkpoints(run_dir) if found.whole] == [37]
    assert prepare(run_dir, []) == 37
    done = run_worker(run_dir, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    assert load_run(run_dir).state == "finished"
    assert same_model(run_dir, whole)
    losses = [[entry["loss"] for entry in history(path) if "loss" in entry] for path in (run_dir, whole)]
    assert losses[0] == losses[1]


def test_a_stop_tells_its_checkpoint_as_best_and_is_left_behind_when_resumed(tmp_path: Path) -> None:
    """The run stops by plan at the end of an epoch; its only evaluation comes after its only save."""
    train = {"num_train_epochs": 2, "save_steps": 1000, "eval_steps": 1000, "load_best_model_at_end": True}
    run_dir = make(tmp_path, data={"train_limit": 700}, train=train, launch={"stop_at_epoch": 1.0})
    done = run_worker(run_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    assert load_run(run_dir).state == "stopped"
    epoch = load_run(run_dir).max_steps // 2
    (found,) = checkpoints.list_checkpoints(run_dir)
    assert found.whole
    assert found.step == epoch
    told = events(run_dir, "checkpoint")
    assert [(event["step"], event["best"]) for event in told] == [(epoch, False), (epoch, True)]
    assert told[-1]["metric"] == events(run_dir, "eval")[0]["metrics"]["eval_accuracy"]
    state = checkpoints.state_of(found.path)
    assert state["best_global_step"] == epoch
    assert Path(state["best_model_checkpoint"]) == found.path
    # The place to stop is behind it now: it goes on to its end.
    assert prepare(run_dir, []) == epoch
    done = run_worker(run_dir, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    run = load_run(run_dir)
    assert (run.state, run.step) == ("finished", 2 * epoch)


def damage(path: Path, file: str, how: str) -> None:
    if how == "missing":
        (path / file).unlink()
    elif how == "empty":
        (path / file).write_bytes(b"")
    else:
        whole = (path / file).read_bytes()
        (path / file).write_bytes(whole[: len(whole) * 2 // 3])


@pytest.mark.parametrize("how", ["cut", "empty"])
@pytest.mark.parametrize(
    "file", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "config.json"]
)
def test_a_truncated_checkpoint_is_passed_over(uninterrupted: Path, tmp_path: Path, file: str, how: str) -> None:
    run_dir = tmp_path / uninterrupted.name
    shutil.copytree(uninterrupted, run_dir)
    found = checkpoints.list_checkpoints(run_dir)
    assert all(checkpoint.whole for checkpoint in found)
    damage(found[-1].path, file, how)
    chosen = checkpoints.choose(run_dir)
    assert chosen is not None
    assert chosen.step == found[-2].step
    broken = checkpoints.list_checkpoints(run_dir)[-1]
    assert broken.broken
    # Training on from the one before ends in the same place.
    assert checkpoints.tidy(run_dir, chosen.step) == [found[-1].path.name]


@pytest.mark.parametrize("file", ["model.safetensors", "trainer_state.json"])
def test_a_checkpoint_without_weights_or_state_is_passed_over(uninterrupted: Path, tmp_path: Path, file: str) -> None:
    run_dir = tmp_path / uninterrupted.name
    shutil.copytree(uninterrupted, run_dir)
    found = checkpoints.list_checkpoints(run_dir)
    damage(found[-1].path, file, "missing")
    chosen = checkpoints.choose(run_dir)
    assert chosen is not None
    assert chosen.step == found[-2].step


def test_a_damaged_archive_is_found_before_resuming(uninterrupted: Path, tmp_path: Path) -> None:
    """Of the right size, but with other bytes inside, as after a power failure."""
    run_dir = tmp_path / uninterrupted.name
    shutil.copytree(uninterrupted, run_dir)
    last = checkpoints.list_checkpoints(run_dir)[-1]
    with (last.path / "optimizer.pt").open("r+b") as file:
        file.seek(200_000)
        file.write(b"\0" * 4096 + b"\1" * 4096)
    assert checkpoints.inspect(last.path).whole
    assert checkpoints.inspect(last.path, deep=True).broken


@pytest.mark.parametrize("file", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_missing_state_is_an_error_and_not_a_fresh_start(uninterrupted: Path, tmp_path: Path, file: str) -> None:
    run_dir = tmp_path / "runs" / uninterrupted.name
    shutil.copytree(uninterrupted, run_dir)
    found = checkpoints.list_checkpoints(run_dir)
    damage(found[-1].path, file, "missing")
    with pytest.raises(ResumeError, match=file) as caught:
        checkpoints.choose(run_dir)
    assert f"--from {found[-2].step}" in caught.value.hint
    done = run_cli("resume", "latest", "--set", "train.num_train_epochs=4", runs=run_dir.parent)
    assert done.returncode == 1
    assert file in done.stderr
    assert load_run(run_dir).state == "finished"
    chosen = checkpoints.choose(run_dir, found[-2].step)
    assert chosen is not None
    assert chosen.step == found[-2].step


def test_what_decides_the_next_step_cannot_change(uninterrupted: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / uninterrupted.name
    shutil.copytree(uninterrupted, run_dir)
    before = (run_dir / "config.toml").read_bytes()
    for key, value in (("learning_rate", 1e-4), ("seed", 3), ("per_device_train_batch_size", 16)):
        with pytest.raises(ConfigError) as refused:
            prepare(run_dir, [(["train", key], value)])
        assert refused.value.key == f"train.{key}"
    with pytest.raises(ConfigError, match=r"data\.max_length"):
        prepare(run_dir, [(["data", "max_length"], 32)])
    with pytest.raises(ResumeError, match="nothing left") as caught:
        prepare(run_dir, [])
    assert "num_train_epochs=4" in caught.value.hint
    assert (run_dir / "config.toml").read_bytes() == before


def test_a_finished_run_trains_on_for_another_epoch(uninterrupted: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "runs" / uninterrupted.name
    shutil.copytree(uninterrupted, run_dir)
    steps = load_run(run_dir).max_steps
    done = run_cli("resume", "latest", "--set", "train.num_train_epochs=4", "--json", runs=run_dir.parent, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[0]["type"] == "run_started"
    assert told[0]["resumed_from"] == steps
    run = load_run(run_dir)
    assert (run.state, run.step) == ("finished", steps // 3 * 4)
    again = config_file.load(run_dir / "config.toml")
    assert again.train.num_train_epochs == 4
    # One history: the first epochs' entries are still there.
    assert [entry["loss"] for entry in history(run_dir) if "loss" in entry][: 14] == [
        entry["loss"] for entry in history(uninterrupted) if "loss" in entry
    ][: 14]  # fmt: skip


def test_a_live_run_is_not_resumed(tmp_path: Path) -> None:
    run_dir = make(tmp_path, train={"num_train_epochs": 50})
    start_worker(run_dir)
    wait_until(lambda: events(run_dir, "step"), run_dir)
    with pytest.raises(ResumeError, match="cannot be resumed"):
        resume(run_dir, [])
    control.order_and_wait(run_dir, "abort")
    assert wait_for_end(run_dir) == "stopped"


def test_a_run_of_a_machine_that_is_gone_goes_on_when_asked_to(run_copy: Path) -> None:
    """It can say nothing any more, and from elsewhere nobody can look for its process."""
    last = checkpoints.list_checkpoints(run_copy)[-1].step
    status = {**read_status(run_copy), "state": "running", "host": "gone", "updated": time.time() - 3600}
    write_status(run_copy, status)
    with pytest.raises(ResumeError, match="cannot be resumed") as caught:
        prepare(run_copy, [])
    assert "--lost" in caught.value.hint
    assert prepare(run_copy, [], lost=True) == last
    # It speaks again while one waits for its silence.
    write_status(run_copy, {**status, "updated": time.time()})
    speaking = threading.Timer(0.5, write_status, (run_copy, {**status, "updated": time.time() + 1}))
    speaking.start()
    with pytest.raises(ResumeError):
        prepare(run_copy, [], lost=True)
    speaking.join()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stop_during_an_evaluation_cuts_it_and_the_run_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    slow = {"eval_steps": 5, "save_steps": 5, "per_device_eval_batch_size": 1, "max_steps": 12, "num_train_epochs": 1}
    run_dir = make(tmp_path, data={"dev_size": 1500}, train=slow)
    start_worker(run_dir)
    wait_until(
        lambda: any(event["name"] == "evaluating" and event["done"] > 5 for event in events(run_dir, "phase")), run_dir
    )
    control.send_order(run_dir, "stop")
    assert wait_for_end(run_dir) == "stopped"
    assert not events(run_dir, "eval")
    last = [event for event in events(run_dir, "phase") if event["name"] == "evaluating"][-1]
    assert last["done"] < last["total"]
    assert (run_dir / "model" / "config.json").is_file()
    assert [found.step for found in checkpoints.list_checkpoints(run_dir) if found.whole] == [5]
    assert load_run(run_dir).step == 5
    assert resume(run_dir, [(["train", "eval_strategy"], "no")]) == 5
    assert wait_for_end(run_dir) == "finished"
    assert load_run(run_dir).step == 12


def scores(run_dir: Path) -> set[str]:
    """The files that say something of a run's model."""
    return {path.name for pattern in ("predictions-*", "*_results.json") for path in run_dir.glob(pattern)}


@pytest.mark.parametrize("how", ["abort", "kill"])
def test_a_model_of_before_a_resume_stays_and_does_not_pass_for_the_last_one(run_copy: Path, how: str) -> None:
    """It goes with the scores that it has; once there is a newer one only that one's scores are left."""
    first, weights = load_run(run_copy), (run_copy / "model" / "model.safetensors").read_bytes()
    # As `nsmc-tui evaluate --data` leaves it.
    shutil.copy(run_copy / "predictions-test.parquet", run_copy / "predictions-test@other.parquet")
    before = scores(run_copy)
    results = (run_copy / "test_results.json").read_bytes()
    assert first.metric_split() == "test"
    assert first.earlier_model is None
    resume(run_copy, [(["train", "num_train_epochs"], 100.0), (["evaluate", "splits"], ["dev"])])
    wait_until(lambda: any(event["step"] > first.step for event in events(run_copy, "step")), run_copy)
    if how == "abort":
        control.order_and_wait(run_copy, "abort")
        assert wait_for_end(run_copy) == "stopped"
        assert "test_accuracy" not in events(run_copy, "run_finished")[-1]["metrics"]
        assert [alert["code"] for alert in events(run_copy, "alert")].count("earlier_model") == 1
    else:
        worker = psutil.Process(load_run(run_copy).pid)
        worker.kill()
        worker.wait(30)
        assert load_run(run_copy).state == "crashed"
    run = load_run(run_copy)
    assert run.earlier_model == first.step
    assert not any(name.startswith("test_") for name in run.metrics)
    assert (run_copy / "model" / "model.safetensors").read_bytes() == weights
    assert (run_copy / "test_results.json").read_bytes() == results
    assert scores(run_copy) == before
    card = (run_copy / "model" / "README.md").read_text()
    assert card.count(f"> This is the run's model as of step {first.step}.") == 1
    assert card.index("\n# ") < card.index("> This") < card.index("\n## ")
    shown = run_cli("show", run_copy.name, runs=run_copy.parent)
    assert f"of step {first.step}, before the run went on" in shown.stdout
    resume(run_copy, [])
    wait_until(lambda: load_run(run_copy).state == "running", run_copy)
    control.order_and_wait(run_copy, "stop")
    assert wait_for_end(run_copy) == "stopped"
    assert load_run(run_copy).earlier_model is None
    card = (run_copy / "model" / "README.md").read_text()
    assert "> This is" not in card
    assert "split: test" not in card
    gone = {"test_results.json", "predictions-test.parquet", "predictions-test@other.parquet"}
    assert scores(run_copy) == before - gone
    assert not any(name.startswith("test_") for name in json.loads((run_copy / "all_results.json").read_text()))


def test_predictions_after_a_resume_are_those_of_the_model(uninterrupted: Path) -> None:
    results = json.loads((uninterrupted / "eval_results.json").read_text())
    predictions = Predictions(uninterrupted, "dev")
    assert float((predictions.column("label") == predictions.column("pred")).mean()) == results["eval_accuracy"]
    for name in ("train_mem_cpu_alloc_delta", "init_mem_cpu_alloc_delta", "train_loss", "train_runtime"):
        assert name in json.loads((uninterrupted / "all_results.json").read_text())
