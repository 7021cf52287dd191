"""Several real processes train one run on the CPU (gloo): same results as one process, one voice, one end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from core import checkpoints, config_file, control
from core.launch import create_run, start_worker
from core.predictions import Predictions
from core.runs import FINAL_STATES, load_run, read_status
from core.supervisor import EXIT_ABORTED
from core.tail import JsonlTail
from tests.conftest import NSMC, needs_nsmc, run_cli, run_worker

pytestmark = pytest.mark.slow

BATCH = 32
# Odd numbers everywhere: no split and no epoch divides evenly among two processes.
SETTINGS: dict[str, dict[str, Any]] = {
    "data": {"source": "sample", "dev_size": 151, "max_length": 32, "train_limit": 1201, "test_limit": 203},
    # Without dropout the processes' random numbers do not matter, and results can be compared.
    "model": {"preset": "tiny", "config": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}},
    "train": {
        "num_train_epochs": 4,
        "learning_rate": 5e-4,
        "warmup_steps": 0.1,
        "per_device_eval_batch_size": 16,
        "logging_steps": 5,
    },
    "launch": {"device": "cpu"},
}


def make(tmp_path: Path, processes: int, **changes: dict[str, Any]) -> Path:
    values = {section: {**content, **changes.get(section, {})} for section, content in SETTINGS.items()}
    values["train"]["per_device_train_batch_size"] = BATCH // (processes * values["launch"].get("nodes", 1))
    values["launch"].update(name=f"{processes} processes", processes=processes)
    return create_run(config_file.validate(values), tmp_path / "runs")


def events(run_dir: Path, kind: str = "") -> list[dict[str, Any]]:
    tail = JsonlTail(run_dir / "events.jsonl")
    found = tail.read(max_records=10**6, max_seconds=30)
    assert tail.skipped == 0
    return [event for event in found if kind in ("", event["type"])]


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 240) -> Any:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"timed out waiting: {what}")


def wait_for_end(run_dir: Path) -> str:
    return wait_until(lambda: read_status(run_dir).get("state") in FINAL_STATES and load_run(run_dir).state, "the end")


def wait_for_step(run_dir: Path, step: int) -> None:
    def reached() -> bool:
        run = load_run(run_dir)
        assert run.live, (run.state, run.error, (run_dir / "worker.log").read_text()[-3000:])
        return any(event["step"] >= step for event in events(run_dir, "step"))

    wait_until(reached, f"step {step}")


def ranks_of(supervisor: int) -> dict[int, psutil.Process]:
    """The rank processes below `supervisor`, by rank."""
    found = {}
    for process in psutil.Process(supervisor).children(recursive=True):
        rank = process.environ().get("RANK")
        if rank is not None:
            found[int(rank)] = process
    return found


def assert_gone(processes: list[psutil.Process]) -> None:
    _gone, alive = psutil.wait_procs(processes, timeout=240)
    assert not alive, alive


@pytest.fixture(scope="module")
def alike(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same run by one process and by two, with the same global batch."""
    runs = tmp_path_factory.mktemp("alike")
    pair = make(runs, 1), make(runs, 2)
    for run_dir in pair:
        done = run_worker(run_dir)
        log = run_dir / "worker.log"
        assert done.returncode == 0, done.stderr[-3000:] + (log.read_text()[-3000:] if log.is_file() else "")
    return pair


def results(run_dir: Path) -> dict[str, float]:
    return json.loads((run_dir / "all_results.json").read_bytes())


def test_two_processes_score_as_one(alike: tuple[Path, Path]) -> None:
    one, two = (results(run_dir) for run_dir in alike)
    for split in ("eval", "test"):
        assert one[f"{split}_accuracy"] > 0.6
        assert two[f"{split}_loss"] == pytest.approx(one[f"{split}_loss"], abs=1e-4)
        for name in ("accuracy", "precision", "recall", "f1", "macro_f1"):
            assert two[f"{split}_{name}"] == one[f"{split}_{name}"], name


def test_two_processes_learn_as_one(alike: tuple[Path, Path]) -> None:
    histories = []
    for run_dir in alike:
        states = sorted((run_dir / "checkpoints").glob("checkpoint-*/trainer_state.json"), key=os.path.getmtime)
        history = json.loads(states[-1].read_bytes())["log_history"]
        histories.append([(entry["step"], entry["loss"], entry["grad_norm"]) for entry in history if "loss" in entry])
    one, two = (np.array(history) for history in histories)
    assert len(one) > 10
    assert np.array_equal(one[:, 0], two[:, 0])
    assert np.allclose(one[:, 1], two[:, 1], rtol=1e-3, atol=1e-4)
    assert np.allclose(one[:, 2], two[:, 2], rtol=1e-2)


def test_predictions_hold_each_review_once_in_the_splits_order(alike: tuple[Path, Path]) -> None:
    one, two = alike
    for split, count in (("dev", 151), ("test", 203)):
        alone, shared = Predictions(one, split), Predictions(two, split)
        ids = shared.table["id"].to_pylist()
        assert len(set(ids)) == len(ids) == count
        for name in ("id", "document", "label", "n_tokens"):
            assert shared.table[name].to_pylist() == alone.table[name].to_pylist(), name
        assert np.allclose(shared.column("prob_1"), alone.column("prob_1"), atol=1e-3)


def test_two_processes_speak_with_one_voice(alike: tuple[Path, Path]) -> None:
    one, two = alike
    steps = [event["step"] for event in events(two, "step")]
    assert steps == sorted(set(steps))
    assert steps[-1] == load_run(two).max_steps == load_run(one).max_steps
    for kind in ("run_started", "run_finished"):
        assert len(events(two, kind)) == 1
    assert [event["step"] for event in events(two, "checkpoint")] == [
        event["step"] for event in events(one, "checkpoint")
    ]
    assert not (two / "failures").exists()
    assert not (two / "supervisor.json").exists()


@pytest.fixture
def long_run(home: Path, tmp_path: Path) -> Iterator[Path]:
    """Two processes at work on more steps than any test waits for; killed at the end of the test."""
    run_dir = make(tmp_path, 2, train={"num_train_epochs": 500, "save_strategy": "steps", "save_steps": 10})
    config = config_file.load(run_dir / "config.toml")
    assert config.launch.processes == 2
    yield from _running(run_dir)


def _running(run_dir: Path) -> Generator[Path, None, None]:
    pid = start_worker(run_dir)
    try:
        wait_for_step(run_dir, 3)
        yield run_dir
    finally:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_stop_ends_all_processes_at_one_step(long_run: Path) -> None:
    ranks = ranks_of(load_run(long_run).pid or 0)
    assert set(ranks) == {0, 1}
    order = control.order_and_wait(long_run, "stop", timeout=240)
    assert wait_for_end(long_run) == "stopped"
    assert_gone(list(ranks.values()))
    last = events(long_run, "step")[-1]["step"]
    assert last == order["taken_at_step"]
    checkpoint = long_run / "checkpoints" / f"checkpoint-{last}"
    assert {"rng_state_0.pth", "rng_state_1.pth", "trainer_state.json"} <= {path.name for path in checkpoint.iterdir()}
    assert (long_run / "model" / "model.safetensors").is_file()
    assert len(events(long_run, "run_finished")) == 1


def test_sigterm_to_everything_is_one_stop(long_run: Path) -> None:
    """As Slurm ends a job: every process of it gets the signal."""
    supervisor = psutil.Process(load_run(long_run).pid or 0)
    family = [supervisor, *supervisor.children(recursive=True)]
    for process in family:
        process.terminate()
    assert wait_for_end(long_run) == "stopped"
    assert_gone(family)
    assert [event["action"] for event in events(long_run, "order")] == ["stop"]
    assert (long_run / "model" / "model.safetensors").is_file()


def test_an_abort_ends_all_processes(long_run: Path) -> None:
    supervisor = psutil.Process(load_run(long_run).pid or 0)
    family = supervisor.children(recursive=True)
    control.send_order(long_run, "abort")
    assert wait_for_end(long_run) == "stopped"
    assert supervisor.wait(60) == EXIT_ABORTED
    assert_gone(family)
    assert not list(long_run.glob("failures/*"))
    assert events(long_run, "run_finished")[0]["aborted"] is True
    assert not (long_run / "model").exists()


@needs_nsmc
@pytest.mark.parametrize("action", ["stop", "abort"])
def test_processes_that_prepare_can_be_ended_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """The first trains a tokenizer, which takes long and would be in the cache once it is done; the second waits."""
    monkeypatch.setenv("NSMC_TUI_CACHE", str(tmp_path / "cache"))
    run_dir = make(tmp_path, 2, data={"source": str(NSMC), "train_limit": None})
    supervisor = start_worker(run_dir)
    wait_until(lambda: any(event["name"] == "tokenizing" for event in events(run_dir, "phase")), "the tokenizer")
    family = [psutil.Process(supervisor), *psutil.Process(supervisor).children(recursive=True)]
    control.send_order(run_dir, action)
    assert wait_for_end(run_dir) == "stopped"
    assert_gone(family)
    (finished,) = events(run_dir, "run_finished")
    assert finished.get("aborted", False) is (action == "abort")
    assert not list((tmp_path / "cache").glob("tokenizers/*"))
    assert not list(run_dir.glob("failures/*"))


def test_nothing_lives_on_without_its_supervisor(long_run: Path) -> None:
    supervisor = psutil.Process(load_run(long_run).pid or 0)
    family = supervisor.children(recursive=True)
    assert len(family) >= 3
    supervisor.kill()
    assert_gone(family)
    wait_until(lambda: load_run(long_run).state == "crashed", "the crash to show")


def test_a_killed_rank_ends_the_run_by_its_name_and_the_run_resumes_from_what_is_whole(
    home: Path, tmp_path: Path, alike: tuple[Path, Path]
) -> None:
    """Its newest checkpoint is cut off as well: both processes have to pass over it, or they would learn apart."""
    run_dir = make(tmp_path, 2, train={"save_strategy": "steps", "save_steps": 10})
    running = _running(run_dir)
    next(running)
    try:
        wait_until(lambda: len(events(run_dir, "checkpoint")) >= 2, "two checkpoints")
        rank = ranks_of(load_run(run_dir).pid or 0)[1]
        rank.kill()
        assert wait_for_end(run_dir) == "failed"
        run = load_run(run_dir)
        assert "rank 1" in run.error
        assert "SIGKILL" in run.error
        assert f"nsmc-tui resume {run.id}" in run.hint
        (failed,) = events(run_dir, "run_failed")
        assert failed["message"] == run.error
        assert "Signal 9 (SIGKILL)" in Path(failed["log"]).read_text()
    finally:
        running.close()
    # The kill itself may have cut one short.
    *_, before, newest = [found for found in checkpoints.list_checkpoints(run_dir, deep=True) if found.whole]
    optimizer = newest.path / "optimizer.pt"
    os.truncate(optimizer, optimizer.stat().st_size * 2 // 3)
    first_life = len(events(run_dir))
    start_worker(run_dir, "--resume")
    assert wait_for_end(run_dir) == "finished"
    again = events(run_dir)[first_life:]
    (started,) = [event for event in again if event["type"] == "run_started"]
    assert started["resumed_from"] == before.step
    assert any(newest.path.name in event["message"] for event in again if event.get("code") == "checkpoint")
    steps = [event["step"] for event in again if event["type"] == "step"]
    assert steps == sorted(set(steps))
    assert before.step < steps[0] <= newest.step
    assert load_run(run_dir).step == load_run(run_dir).max_steps
    assert not list((run_dir / "failures").glob("*"))
    # A process that had gone on from elsewhere would have taken other reviews with other random numbers.
    whole, parts = results(alike[1]), results(run_dir)
    for name in ("train_loss", "test_loss", "test_accuracy"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-4), name


# -- several machines: here two on one ---------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def test_a_second_machine_joins(home: Path, tmp_path: Path, alike: tuple[Path, Path]) -> None:
    run_dir = make(tmp_path, 1, launch={"device": "cpu", "nodes": 2, "rdzv_endpoint": f"localhost:{free_port()}"})
    joined = subprocess.Popen(
        [sys.executable, "-P", "-m", "tui", "--runs", str(run_dir.parent), "join", run_dir.name],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        start_worker(run_dir)
        assert wait_for_end(run_dir) == "finished", load_run(run_dir).error
        _out, told = joined.communicate(timeout=240)
        assert joined.returncode == 0, told
        assert "1 of 2 processes here" in told
    finally:
        joined.kill()
    assert (run_dir / f"worker-{socket.gethostname()}.log").is_file()
    alone = results(alike[0])
    for name in ("eval_accuracy", "test_accuracy", "test_f1"):
        assert results(run_dir)[name] == alone[name]
    assert len(events(run_dir, "run_started")) == 1


def test_join_refuses_what_cannot_be_joined(home: Path, tmp_path: Path, alike: tuple[Path, Path]) -> None:
    single = run_cli("join", alike[1].name, runs=alike[1].parent)
    assert single.returncode == 1
    assert "runs on one machine" in single.stderr
    over = make(tmp_path, 1, launch={"device": "cpu", "nodes": 2, "rdzv_endpoint": "localhost:1"})
    status = read_status(over)
    (over / "status.json").write_text(json.dumps({**status, "state": "finished"}))
    ended = run_cli("join", over.name, runs=over.parent)
    assert ended.returncode == 1
    assert "is over" in ended.stderr
    assert "resume" in ended.stderr
    absent = run_cli("join", "nothing", "--timeout", "1", runs=over.parent)
    assert absent.returncode == 1
    assert "nothing" in absent.stderr
