"""Early stopping and the best checkpoint of a run that was stopped and resumed: those of one that never ended."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import TrainerCallback

from core import checkpoints, config_file, models, preset_tokenizer
from core.callback import MonitorCallback
from core.control import send_order
from core.orders import Aborted, Orders
from core.recorder import Recorder
from core.resume import resume
from core.resumed import Resumed
from core.runs import create_run_dir, process_start, write_status
from core.sampler import DeviceSampler
from core.training import build_arguments, build_trainer
from core.training_data import tokenize
from tests.e2e.test_resume import events, history, make, start_worker, wait_for_end, wait_until

TEXTS = [f"영화 {'정말 ' * (number % 9)}재밌다 {number}" for number in range(64)]
SMALL = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
# Steps an epoch.
EPOCH = 4


class Leaning(TrainerCallback):
    """Sets the model's bias for the dev reviews' label after each step: the higher, the lower their loss."""

    def __init__(self, leanings: dict[int, float]) -> None:
        self._leanings = leanings

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        lean = self._leanings.get(state.global_step, 0.0)
        with torch.no_grad():
            model.classifier.bias.copy_(torch.tensor([-lean, lean]))


@pytest.fixture(scope="module")
def parts(home: Path) -> tuple[Any, Dataset, Dataset]:
    tokenizer = preset_tokenizer.train_tokenizer(TEXTS, 300)

    def split(labels: list[int]) -> Dataset:
        rows = {"id": [str(number) for number in range(64)], "document": TEXTS, "label": labels}
        return tokenize(Dataset.from_dict(rows), tokenizer, 12, f"test-patience-{sum(labels)}")

    return tokenizer, split([number % 2 for number in range(64)]), split([1] * 64)


class Life:
    """One life of a run: a Trainer as the worker builds it."""

    def __init__(self, run_dir: Path, parts: tuple[Any, Dataset, Dataset], leanings: dict[int, float], **train: Any):
        recorder = Recorder(run_dir)
        recorder.set_state("running")
        self.run_dir = run_dir
        self.orders = Orders(run_dir, recorder)
        monitor = MonitorCallback(recorder, self.orders, events_per_second=5, stop_on_nan=True, has_dev=True)
        settings = {
            "per_device_train_batch_size": 16,
            "num_train_epochs": 8,
            "warmup_steps": 0,
            "metric_for_best_model": "loss",
            "early_stopping_patience": 2,
            "eval_strategy": "steps",
            "save_strategy": "steps",
            "save_total_limit": 0,
            **train,
        }
        config = config_file.validate(
            {"model": {"preset": "tiny", "config": SMALL}, "train": settings, "launch": {"device": "cpu"}}
        )
        tokenizer, tokens, dev = parts
        torch.manual_seed(1)
        model, _fresh = models.build_model(config.model, models.preset_config("tiny", tokenizer, SMALL))
        callbacks = [Leaning(leanings), monitor]
        self.trainer = build_trainer(
            config, build_arguments(config, run_dir), model, tokenizer, tokens, dev, callbacks, monitor
        )
        monitor.attach(self.trainer, DeviceSampler(lambda *args, **fields: None, run_dir, 2.0))
        self.monitor = monitor

    def train(self) -> Life:
        newest = checkpoints.choose(self.run_dir)
        self.monitor.best = Resumed(newest).best
        self.trainer.train(resume_from_checkpoint=str(newest.path) if newest is not None else None)
        return self

    def outcome(self) -> dict[str, Any]:
        """What a run comes to. Of its last entry, the summary of one life, nothing."""
        state = self.trainer.state
        best = state.best_model_checkpoint
        return {
            "step": state.global_step,
            "history": history(self.run_dir),
            "best": (state.best_metric, state.best_global_step, Path(best).name if best else None),
            "weights": {name: weight.tolist() for name, weight in self.trainer.model.state_dict().items()},
            "patience": [
                keeper.early_stopping_patience_counter
                for keeper in self.trainer.callback_handler.callbacks
                if hasattr(keeper, "early_stopping_patience_counter")
            ],
        }


def new_run(runs: Path) -> Path:
    path = create_run_dir(runs, "patient")
    me = os.getpid()
    write_status(path, {"state": "running", "pid": me, "pid_start": process_start(me), "host": os.uname().nodename})
    return path


STEPS = {"eval_steps": 2, "save_steps": 2, "logging_steps": 3}
APART = {"eval_steps": 4, "save_steps": 4, "logging_steps": 3}
EPOCHS = {"eval_strategy": "epoch", "save_strategy": "epoch", "logging_strategy": "epoch"}
# Settings, where the run is stopped, how it leans after which step, where early stopping ends it.
CASES: dict[str, tuple[dict[str, Any], int, dict[int, float], int]] = {
    "due and the best": (STEPS, 6, {2: 1.0, 6: 2.0, 10: 3.0}, 14),
    "due and the last that patience bears": (STEPS, 6, {2: 1.0}, 6),
    "due and not the last": (STEPS, 4, {2: 1.0, 6: 2.0}, 10),
    "due at the end of an epoch": (EPOCHS, 2 * EPOCH, {EPOCH: 1.0}, 3 * EPOCH),
    "due at the end of an epoch, the best saved": (
        {**EPOCHS, "save_strategy": "best"},
        2 * EPOCH,
        {EPOCH: 1.0, 2 * EPOCH: 2.0},
        4 * EPOCH,
    ),
    "due where the rate goes by evaluations": (
        {**STEPS, "lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"patience": 0, "factor": 0.5}},
        4,
        {2: 1.0, 6: 2.0},
        10,
    ),
    "for the stop alone and the best": (APART, 6, {4: 1.0, 6: 5.0, 8: 2.0}, 16),
    "for the stop alone and worse": (APART, 6, {4: 1.0, 6: -1.0}, 12),
    "for the stop alone and the first": (APART, 3, {3: 5.0, 4: 1.0}, 12),
    "for the stop alone, the best saved": (
        {"eval_steps": 4, "logging_steps": 3, "save_strategy": "best"},
        6,
        {4: 1.0, 6: 5.0, 8: 2.0},
        16,
    ),
    "for the stop alone, room for one": ({**APART, "save_total_limit": 1}, 6, {4: 1.0, 6: 5.0}, 12),
}


@pytest.mark.parametrize("case", CASES)
def test_an_evaluation_at_a_stop_counts_where_it_was_due(
    tmp_path: Path, parts: tuple[Any, Dataset, Dataset], case: str
) -> None:
    train, stop, leanings, end = CASES[case]
    whole = Life(new_run(tmp_path / "whole"), parts, leanings, **train).train().outcome()
    assert whole["step"] == end
    run_dir = new_run(tmp_path / "stopped")
    first = Life(run_dir, parts, leanings, **train)
    first.orders.stop_at_step = stop
    first.train()
    assert first.trainer.state.global_step == stop
    # The stop's own evaluation competes for the model that it leaves.
    scored = [event["step"] for event in events(run_dir, "eval")]
    assert scored[-1] == stop
    assert first.trainer.state.best_global_step == max(scored, key=lambda step: (leanings.get(step, 0.0), -step))
    resumed = Life(run_dir, parts, leanings, **train).train()
    assert resumed.outcome() == whole
    scored = [event["step"] for event in events(run_dir, "eval")]
    assert len(scored) == len(set(scored))


def test_an_evaluation_that_a_stop_has_cut_is_made_when_the_run_goes_on(tmp_path: Path) -> None:
    """Its checkpoint says that it is owed."""
    slow = {"eval_steps": 5, "save_steps": 5, "per_device_eval_batch_size": 1, "max_steps": 12, "num_train_epochs": 1}
    run_dir = make(tmp_path, data={"dev_size": 1500}, train=slow)
    start_worker(run_dir)
    wait_until(
        lambda: any(event["name"] == "evaluating" and event["done"] > 5 for event in events(run_dir, "phase")), run_dir
    )
    send_order(run_dir, "stop")
    assert wait_for_end(run_dir) == "stopped"
    assert not events(run_dir, "eval")
    assert resume(run_dir, [(["train", "per_device_eval_batch_size"], 64)]) == 5
    assert wait_for_end(run_dir) == "finished"
    made = [event["step"] for event in events(run_dir, "eval") if not event.get("final")]
    assert made == [5, 10, 12]
    assert [entry["step"] for entry in history(run_dir) if "eval_loss" in entry] == made


def test_an_abort_of_the_evaluation_at_a_stop_leaves_it_owed(
    tmp_path: Path, parts: tuple[Any, Dataset, Dataset]
) -> None:
    leanings = {2: 1.0}
    whole = Life(new_run(tmp_path / "whole"), parts, leanings, **STEPS).train().outcome()
    run_dir = new_run(tmp_path / "stopped")
    first = Life(run_dir, parts, leanings, **STEPS)
    first.orders.stop_at_step = 4

    class AbortsThere(TrainerCallback):
        def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 4:
                for _again in range(2):
                    first.orders._on_signal(signal.SIGTERM, None)

    first.trainer.add_callback(AbortsThere())
    with pytest.raises(Aborted):
        first.train()
    assert [found.step for found in checkpoints.list_checkpoints(run_dir) if found.whole] == [2, 4]
    assert Life(run_dir, parts, leanings, **STEPS).train().outcome() == whole


def test_a_resumed_run_whose_patience_is_at_its_end_says_what_to_do(
    tmp_path: Path, parts: tuple[Any, Dataset, Dataset]
) -> None:
    run_dir = new_run(tmp_path)
    Life(run_dir, parts, {2: 1.0}, **STEPS).train()
    again = Life(run_dir, parts, {2: 1.0}, **STEPS).train()
    assert again.trainer.state.global_step == 6
    told = events(run_dir, "alert")
    assert [alert["code"] for alert in told] == ["early_stopping"] * 2
    assert "train.early_stopping_patience=4" in told[-1]["hint"]
    more = Life(run_dir, parts, {2: 1.0}, **STEPS, early_stopping_patience=4).train()
    assert more.trainer.state.global_step == 10
