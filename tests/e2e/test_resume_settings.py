"""Going on with a run whose settings have changed, or whose last step is done: the real worker, real checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core import checkpoints, config_file
from core.launch import create_run
from core.resume import prepare
from core.runs import load_run, read_status, write_status
from tests.conftest import run_worker
from tests.e2e.test_resume import LONG, events, history, same_model

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {
    "data": {"train_limit": 300, "dev_size": 64, "max_length": 32},
    "train": {"lr_scheduler_type": "constant", "warmup_steps": 0, "num_train_epochs": 1},
}


def small(runs: Path, **train: Any) -> Path:
    """A run of ten steps an epoch."""
    settings = {**LONG["train"], **SMALL["train"], **train}
    for kind in ("save", "eval"):
        if settings[f"{kind}_strategy"] == "epoch":
            del settings[f"{kind}_steps"]
    return create_run(
        config_file.validate({**LONG, "data": {**LONG["data"], **SMALL["data"]}, "train": settings}), runs
    )


def work(run_dir: Path, *arguments: str) -> None:
    done = run_worker(run_dir, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]


def test_other_steps_to_save_evaluate_and_tell_count_from_the_resume_on(tmp_path: Path) -> None:
    run_dir = small(tmp_path, save_steps=5, eval_steps=5, logging_steps=5)
    work(run_dir)
    assert load_run(run_dir).step == 10
    changes = {"save_steps": 2, "eval_steps": 3, "logging_steps": 4, "num_train_epochs": 2.0}
    assert prepare(run_dir, [(["train", name], value) for name, value in changes.items()]) == 10
    work(run_dir, "--resume")
    saved = [event["step"] for event in events(run_dir, "checkpoint")]
    assert saved == [5, 10, 12, 14, 16, 18, 20]
    scored = [event["step"] for event in events(run_dir, "eval") if not event.get("final")]
    # The last state is scored wherever it is.
    assert scored == [5, 10, 12, 15, 18, 20]
    assert [entry["step"] for entry in history(run_dir) if "loss" in entry] == [5, 10, 12, 16, 20]


def test_a_change_from_epochs_to_steps_counts_too(tmp_path: Path) -> None:
    run_dir = small(tmp_path, save_strategy="epoch", eval_strategy="epoch")
    work(run_dir)
    changes = {"save_strategy": "steps", "save_steps": 4, "eval_strategy": "steps", "eval_steps": 4}
    sets = [(["train", name], value) for name, value in {**changes, "num_train_epochs": 2.0}.items()]
    assert prepare(run_dir, sets) == 10
    work(run_dir, "--resume")
    assert [event["step"] for event in events(run_dir, "checkpoint")] == [10, 12, 16, 20]


@pytest.mark.parametrize("state", ["crashed", "failed"])
def test_after_the_last_step_in_the_middle_of_an_epoch_there_is_none_more(tmp_path: Path, state: str) -> None:
    """The worker died when all was trained and saved, as in its scoring."""
    whole, run_dir = (small(tmp_path / name, max_steps=16, save_steps=8) for name in ("whole", "died"))
    for path in (whole, run_dir):
        work(path)
    before = history(run_dir)
    write_status(run_dir, {**read_status(run_dir), "state": state})
    assert prepare(run_dir, []) == 16
    work(run_dir, "--resume")
    run = load_run(run_dir)
    assert (run.state, run.step, run.max_steps) == ("finished", 16, 16)
    assert [found.step for found in checkpoints.list_checkpoints(run_dir)][-1] == 16
    assert same_model(whole, run_dir)
    assert history(run_dir) == before
    ended, ended_whole = (events(path, "run_finished")[-1]["metrics"] for path in (run_dir, whole))
    scores = {f"eval_{name}" for name in ("accuracy", "precision", "recall", "f1", "macro_f1", "loss")}
    assert {name: ended[name] for name in scores} == {name: ended_whole[name] for name in scores}
