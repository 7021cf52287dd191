"""What a run tells of its training, and when it does not save: the real Trainer, orders and recorder."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState

from core import checkpoints, config_file, control, memory, models, outcome, preset_tokenizer
from core.callback import MonitorCallback
from core.config import ModelConfig
from core.control import send_order
from core.errors import NanLossError
from core.orders import Aborted, Orders
from core.recorder import Recorder
from core.runs import create_run_dir, process_start, read_status, write_status
from core.sampler import DeviceSampler
from core.tail import JsonlTail
from core.training import build_arguments, build_trainer
from core.training_data import tokenize

TEXTS = [f"영화 {'정말 ' * (number % 9)}재밌다 {number}" for number in range(97)]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return preset_tokenizer.train_tokenizer(TEXTS, 300)


@pytest.fixture(scope="module")
def tokens(home: Path, tokenizer: Any) -> Dataset:
    rows = {"id": [str(i) for i in range(97)], "document": TEXTS, "label": [i % 2 for i in range(97)]}
    return tokenize(Dataset.from_dict(rows), tokenizer, 12, "test-callback")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    path = create_run_dir(tmp_path, "watched")
    me = os.getpid()
    write_status(path, {"state": "running", "pid": me, "pid_start": process_start(me), "host": os.uname().nodename})
    return path


def watch(run_dir: Path, *, stop_on_nan: bool = True) -> MonitorCallback:
    recorder = Recorder(run_dir)
    recorder.set_state("running")
    return MonitorCallback(
        recorder, Orders(run_dir, recorder), events_per_second=5, stop_on_nan=stop_on_nan, has_dev=True
    )


def events(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in JsonlTail(run_dir / "events.jsonl").read(10**6, 30) if event["type"] == kind]


def make_trainer(run_dir: Path, monitor: MonitorCallback, tokens: Dataset, tokenizer: Any, **settings: Any) -> Any:
    train = {
        "per_device_train_batch_size": 16,
        "warmup_steps": 0,
        "learning_rate": 1e-3,
        "metric_for_best_model": "loss",
        **dict.fromkeys(("eval_strategy", "save_strategy"), "steps"),
        **settings,
    }
    config = config_file.validate({"model": {"preset": "tiny"}, "train": train, "launch": {"device": "cpu"}})
    torch.manual_seed(1)
    model, _fresh = models.build_model(ModelConfig(preset="tiny"), models.preset_config("tiny", tokenizer, {}))
    arguments = build_arguments(config, run_dir)
    trainer = build_trainer(config, arguments, model, tokenizer, tokens, tokens, [monitor], monitor)
    monitor.attach(trainer, DeviceSampler(lambda *args, **fields: None, run_dir, 2.0))
    return trainer


def test_the_step_before_an_early_stop_is_told(run_dir: Path, tokens: Dataset, tokenizer: Any) -> None:
    """Nobody knows at step 6 that it is the last: the evaluation after it says so."""
    monitor = watch(run_dir)
    make_trainer(
        run_dir, monitor, tokens, tokenizer, max_steps=200, learning_rate=1e-9, early_stopping_patience=2,
        eval_steps=2, save_steps=2, metric_for_best_model="accuracy",
    ).train()  # fmt: skip
    told = events(run_dir, "step")
    assert [event["step"] for event in told][-1] == 6
    assert told[-1]["learning_rate"] is not None
    assert told[-1]["grad_norm"] > 0


def test_the_gpu_peak_of_a_run_never_falls(
    run_dir: Path, tokens: Dataset, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluations have the peak counted anew: what training took before them is still the run's."""
    most = [500]
    card = SimpleNamespace(
        memory_allocated=lambda: 100,
        memory_reserved=lambda: 600,
        max_memory_allocated=lambda: most[0],
        max_memory_reserved=lambda: most[0] + 100,
        reset_peak_memory_stats=lambda: most.__setitem__(0, 100),
    )
    monkeypatch.setattr(memory, "cuda_in_use", lambda: card)
    monitor = watch(run_dir)
    trainer = make_trainer(run_dir, monitor, tokens, tokenizer, max_steps=4, eval_steps=2, save_strategy="no")
    trainer.train()
    told = events(run_dir, "step")
    assert (told[0]["step"], told[-1]["step"]) == (1, 4)
    assert most == [100], "no evaluation had it counted anew, or this shows nothing"
    assert {(event["gpu_allocated"], event["gpu_peak"]) for event in told} == {(100, 500)}


def test_orders_after_the_last_step_are_refused(run_dir: Path, tokens: Dataset, tokenizer: Any) -> None:
    """Taken in the last evaluation or while the splits are scored, they would wait for a step that never comes."""
    monitor = watch(run_dir)
    orders = monitor._orders
    trainer = make_trainer(run_dir, monitor, tokens, tokenizer, max_steps=3, eval_steps=3, save_steps=3)
    send = monitor.on_evaluate

    def on_evaluate(*args: Any, **kwargs: Any) -> None:
        for action in ("save", "evaluate", "stop_at", "pause", "continue"):
            send_order(run_dir, action)
        send(*args, **kwargs)
        orders.take(3)

    monitor.on_evaluate = on_evaluate  # type: ignore[method-assign]
    trainer.train()
    found = {event["action"]: event.get("refused", "") for event in events(run_dir, "order")}
    refused = [action for action, reason in found.items() if "training is over" in reason]
    assert refused == ["save", "evaluate", "stop_at"]
    assert not found["pause"]
    assert not any((orders.save, orders.evaluate))


def test_a_pause_during_an_evaluation_is_taken_off_once(run_dir: Path) -> None:
    """Counted twice, the next event's steps would seem to have taken less than no time."""
    monitor = watch(run_dir)
    steps = dict.fromkeys(("logging_steps", "eval_steps", "save_steps"), 500)
    arguments = SimpleNamespace(output_dir=run_dir, load_best_model_at_end=False, **steps)
    state, flags = TrainerState(global_step=1, max_steps=10, epoch=0.1), TrainerControl()
    monitor.on_train_begin(arguments, state, flags)
    monitor.on_step_end(arguments, state, flags)
    control.send_order(run_dir, "pause")

    def wake() -> None:
        while read_status(run_dir)["state"] != "paused":
            time.sleep(0.02)
        time.sleep(0.3)
        control.send_order(run_dir, "continue")

    waking = threading.Thread(target=wake)
    waking.start()
    monitor.on_prediction_step(arguments, state, flags, eval_dataloader=range(3))
    waking.join()
    monitor.on_evaluate(arguments, state, flags, metrics={"eval_loss": 0.5})
    assert monitor.paused_seconds > 0.3
    assert monitor._last <= time.monotonic()


def poison(trainer: Any, step: int) -> None:
    """Make the gradients of one optimizer step infinite: its own loss is a number, the weights after it are not."""

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * math.inf if trainer.state.global_step == step - 1 else gradient

    trainer.model.classifier.weight.register_hook(spoil)


def saved(run_dir: Path) -> list[int]:
    return [checkpoint.step for checkpoint in checkpoints.list_checkpoints(run_dir)]


def test_weights_that_are_no_numbers_are_not_saved(run_dir: Path, tokens: Dataset, tokenizer: Any) -> None:
    """What resuming begins from, and the best model, stay those before it."""
    monitor = watch(run_dir)
    trainer = make_trainer(
        run_dir, monitor, tokens, tokenizer, max_steps=9, save_steps=1, eval_steps=100, save_total_limit=3,
        load_best_model_at_end=False,
    )  # fmt: skip
    poison(trainer, 4)
    with pytest.raises(NanLossError, match="after step 4") as failed:
        trainer.train()
    assert "new run" in failed.value.hint
    assert saved(run_dir) == [1, 2, 3]
    assert [event["code"] for event in events(run_dir, "alert")] == ["nan_loss"]


def test_a_run_that_goes_on_without_numbers_keeps_its_last_good_checkpoint(
    run_dir: Path, tokens: Dataset, tokenizer: Any
) -> None:
    monitor = watch(run_dir, stop_on_nan=False)
    trainer = make_trainer(
        run_dir, monitor, tokens, tokenizer, max_steps=9, save_steps=2, eval_steps=2, load_best_model_at_end=True
    )
    poison(trainer, 6)
    trainer.train()
    assert trainer.state.global_step == 9
    assert saved(run_dir) == [2, 4]
    assert all(bool(weight.isfinite().all()) for weight in trainer.model.parameters())
    codes = [event["code"] for event in events(run_dir, "alert")]
    assert sorted(codes) == ["nan_loss", "nan_weights"]
    found = {event["step"]: event["metrics"]["eval_loss"] for event in events(run_dir, "eval")}
    assert found[4] is not None
    assert found[6] is None


@pytest.mark.parametrize("save_steps", [4, 100])
def test_a_model_that_is_no_longer_numbers_is_that_of_the_newest_checkpoint(
    run_dir: Path, tokens: Dataset, tokenizer: Any, save_steps: int
) -> None:
    """Or there is none."""
    monitor = watch(run_dir, stop_on_nan=False)
    trainer = make_trainer(
        run_dir, monitor, tokens, tokenizer, max_steps=9, save_steps=save_steps, eval_strategy="no",
        load_best_model_at_end=False,
    )  # fmt: skip
    poison(trainer, 6)
    trainer.train()
    assert not trainer.weights_are_numbers()
    if save_steps == 100:
        with pytest.raises(NanLossError, match="after step 9, and there is no checkpoint"):
            outcome.settle_weights(run_dir, monitor._recorder, trainer)
        return
    outcome.settle_weights(run_dir, monitor._recorder, trainer)
    assert trainer.weights_are_numbers()
    kept = load_file(checkpoints.list_checkpoints(run_dir)[-1].path / "model.safetensors")
    assert torch.equal(kept["classifier.weight"], trainer.model.classifier.weight)
    assert "checkpoint-4" in events(run_dir, "alert")[-1]["message"]


def test_an_evaluation_without_a_number_is_told_and_ends_the_run(
    run_dir: Path, tokens: Dataset, tokenizer: Any
) -> None:
    monitor = watch(run_dir)
    trainer = make_trainer(
        run_dir, monitor, tokens, tokenizer, max_steps=9, save_steps=3, eval_steps=3, load_best_model_at_end=False
    )
    poison(trainer, 3)
    with pytest.raises(NanLossError, match="dev loss is nan after step 3"):
        trainer.train()
    assert saved(run_dir) == []


def test_a_checkpoint_keeps_what_it_was_made_with(run_dir: Path, tokens: Dataset, tokenizer: Any) -> None:
    """Also how many ranks wrote it: one whose ranks did not all write is not whole."""
    monitor = watch(run_dir)
    monitor.keep = {"settings": {"train.seed": 42}, "data": {"train": "ab"}}
    make_trainer(
        run_dir, monitor, tokens, tokenizer, max_steps=2, save_steps=2, eval_steps=100, load_best_model_at_end=False
    ).train()
    (found,) = checkpoints.list_checkpoints(run_dir)
    assert found.whole
    kept = checkpoints.kept(checkpoints.state_of(found.path))
    assert (kept["settings"], kept["data"], kept["world"]) == ({"train.seed": 42}, {"train": "ab"}, 1)
    file = found.path / checkpoints.STATE_FILE
    document = json.loads(file.read_bytes())
    document["stateful_callbacks"]["MonitorCallback"]["attributes"]["world"] = 2
    file.write_text(json.dumps(document))
    assert "rng_state_1.pth" in checkpoints.inspect(found.path).broken
    assert checkpoints.choose(run_dir) is None


def test_loading_processes_are_started_as_asked(run_dir: Path, tokens: Dataset, tokenizer: Any) -> None:
    trainer = make_trainer(
        run_dir, watch(run_dir), tokens, tokenizer, dataloader_num_workers=1,
        dataloader_multiprocessing_context="spawn", load_best_model_at_end=False,
    )  # fmt: skip
    assert trainer.get_train_dataloader().multiprocessing_context.get_start_method() == "spawn"


@pytest.mark.parametrize(
    ("place", "settings"),
    [
        ({"step": 4}, {"save_steps": 100}),
        ({"step": 4}, {"save_strategy": "best"}),
        ({"epoch": 0.5}, {"save_steps": 100}),
    ],
)
def test_a_place_to_stop_named_during_its_evaluation_is_where_the_run_ends(
    run_dir: Path, tokens: Dataset, tokenizer: Any, place: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Not a step further, and with a checkpoint although none was due."""
    monitor = watch(run_dir)
    trainer = make_trainer(
        run_dir, monitor, tokens, tokenizer, num_train_epochs=2, eval_steps=4, load_best_model_at_end=False, **settings
    )
    evaluate = trainer.measured_logits

    def ask_first(*arguments: Any) -> Any:
        control.send_order(run_dir, "stop_at", **place)
        return evaluate(*arguments)

    trainer.measured_logits = ask_first
    trainer.train()
    assert trainer.state.global_step == 4
    assert [event["step"] for event in events(run_dir, "eval")] == [4]
    assert saved(run_dir) == [4]
    assert [event.get("by") for event in events(run_dir, "order") if event["action"] == "stop"] == ["plan"]
    assert [event["step"] for event in events(run_dir, "step")][-1] == 4


def test_a_place_to_stop_named_in_a_pause_ends_the_run_with_it(run_dir: Path, tokens: Dataset, tokenizer: Any) -> None:
    monitor = watch(run_dir)
    trainer = make_trainer(
        run_dir, monitor, tokens, tokenizer, max_steps=50, eval_strategy="no", save_strategy="no",
        load_best_model_at_end=False,
    )  # fmt: skip
    control.send_order(run_dir, "pause")

    def go_on() -> None:
        while read_status(run_dir)["state"] != "paused":
            time.sleep(0.02)
        control.send_order(run_dir, "stop_at", step=1)
        control.send_order(run_dir, "continue")

    going = threading.Thread(target=go_on)
    going.start()
    trainer.train()
    going.join()
    assert trainer.state.global_step == 1
    assert saved(run_dir) == [1]


def test_a_save_cut_off_by_an_abort_leaves_no_half_of_a_checkpoint(
    run_dir: Path, tokens: Dataset, tokenizer: Any
) -> None:
    monitor = watch(run_dir)
    trainer = make_trainer(
        run_dir, monitor, tokens, tokenizer, max_steps=9, save_steps=2, eval_strategy="no",
        load_best_model_at_end=False,
    )  # fmt: skip
    write = trainer._save_optimizer_and_scheduler

    def cut(*arguments: Any) -> None:
        if trainer.state.global_step == 4:
            raise Aborted
        write(*arguments)

    trainer._save_optimizer_and_scheduler = cut
    with pytest.raises(Aborted):
        trainer.train()
    assert saved(run_dir) == [2]
    assert checkpoints.list_checkpoints(run_dir)[0].whole


def test_a_model_is_there_whatever_cuts_the_saving_of_a_newer_one(
    run_dir: Path, tokens: Dataset, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = watch(run_dir)
    trainer = make_trainer(run_dir, monitor, tokens, tokenizer, max_steps=3)
    recorder, weights = monitor._recorder, run_dir / "model" / "model.safetensors"
    outcome.save_model(run_dir, recorder, trainer, 12)
    before = weights.read_bytes()
    with torch.no_grad():
        trainer.model.classifier.weight.add_(1)
    move = os.replace

    def cut(source: Path, target: Path) -> None:
        if source == run_dir / ".model.tmp":
            raise Aborted
        move(source, target)

    monkeypatch.setattr(outcome.os, "replace", cut)
    with pytest.raises(Aborted):
        outcome.save_model(run_dir, recorder, trainer, 12)
    monkeypatch.undo()
    assert weights.read_bytes() == before
    assert not list(run_dir.glob(".model*"))
    # As a kill between the two moves leaves it.
    move(run_dir / "model", run_dir / outcome.EARLIER_MODEL)
    outcome.leave_earlier(run_dir, recorder, 3)
    assert weights.read_bytes() == before
    outcome.save_model(run_dir, recorder, trainer, 12)
    assert weights.read_bytes() != before
    assert not list(run_dir.glob(".model*"))
