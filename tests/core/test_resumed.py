"""Going on with a run whose surroundings have changed: settings, reviews, the model's directory, its own place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerState

from core import checkpoints, config_file
from core.callback import MonitorCallback
from core.errors import ConfigError, ResumeError
from core.orders import Orders
from core.recorder import Recorder
from core.resume import changed_config, prepare
from core.resumed import Resumed
from tests.conftest import run_cli

LONGER = [(["train", "num_train_epochs"], 3.0)]


class Told(list[tuple[str, ...]]):
    """Alerts, as the worker would tell them."""

    def __call__(self, *alert: str) -> None:
        self.append(alert)


def last(run_dir: Path) -> checkpoints.Checkpoint:
    return checkpoints.list_checkpoints(run_dir)[-1]


def edit(run_dir: Path, old: str, new: str) -> None:
    file = run_dir / "config.toml"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("learning_rate = 0.001", "learning_rate = 0.002", "train.learning_rate"),
        ("learning_rate = 0.001", "learning_rate = 0.001\nadam_beta1 = 0.8", "train.adam_beta1"),
        ("per_device_train_batch_size = 32", "per_device_train_batch_size = 16", "effective_batch"),
        ("max_length = 64", "max_length = 48", "data.max_length"),
        ("[train]", "[train]\nmax_tokens = 2048", r"train\.max_tokens"),
    ],
)
def test_a_config_that_was_edited_by_hand_is_noticed(run_copy: Path, old: str, new: str, key: str) -> None:
    edit(run_copy, old, new)
    with pytest.raises(ResumeError, match=rf"config\.toml has been changed since checkpoint-\d+: {key} ") as refused:
        prepare(run_copy, LONGER)
    assert str(run_copy / "config.toml") in refused.value.hint


def test_what_may_change_may_be_edited_too(run_copy: Path) -> None:
    """How often it is saved, where the data lie now, and the batch in halves."""
    edit(run_copy, "save_total_limit = 2", "save_total_limit = 3")
    edit(run_copy, 'source = "sample"', 'source = "/elsewhere/train.tsv"')
    edit(run_copy, "per_device_train_batch_size = 32", "per_device_train_batch_size = 16")
    edit(run_copy, "gradient_accumulation_steps = 1", "gradient_accumulation_steps = 2")
    assert prepare(run_copy, LONGER) == last(run_copy).step


# Settings under which ranks and accumulation decide which reviews a step has.
SHARED_OUT = [("max_tokens", 2048), ("dataloader_drop_last", True)]


@pytest.mark.parametrize(("setting", "value"), SHARED_OUT)
@pytest.mark.parametrize("key", ["launch.processes", "launch.nodes", "train.gradient_accumulation_steps"])
def test_a_budget_of_tokens_keeps_its_ranks_and_accumulation(key: str, setting: str, value: Any) -> None:
    """The number of reviews in a step says nothing there: 8 by one process are not twice 4 by two."""
    values = {"model": {"preset": "tiny"}, "launch": {"processes": 2, "nodes": 2, "rdzv_endpoint": "gpu1:29500"}}
    batch = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    several = [([*key.split(".")], 1), (["train", "per_device_train_batch_size"], 8)]
    plain = config_file.validate({**values, "train": batch})
    assert changed_config(plain, several) != plain
    with pytest.raises(ConfigError, match=rf"train\.{setting}") as caught:
        changed_config(config_file.validate({**values, "train": {**batch, setting: value}}), several)
    assert caught.value.key == key


@pytest.mark.parametrize(("setting", "value"), SHARED_OUT)
@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("processes = 1", "processes = 2", "launch.processes"),
        ("gradient_accumulation_steps = 1", "gradient_accumulation_steps = 2", "train.gradient_accumulation_steps"),
    ],
)
def test_edited_shares_of_a_step_are_noticed_with_a_budget_of_tokens(
    run_copy: Path, old: str, new: str, key: str, setting: str, value: Any
) -> None:
    """The number of reviews in a step is the same in config.toml before and after."""
    edit(run_copy, "[train]", f"[train]\n{setting} = {str(value).lower()}")
    state = last(run_copy).path / checkpoints.STATE_FILE
    kept = json.loads(state.read_text())
    checkpoints.kept(kept)["settings"][f"train.{setting}"] = value
    state.write_text(json.dumps(kept))
    assert prepare(run_copy, LONGER) == last(run_copy).step
    edit(run_copy, "per_device_train_batch_size = 32", "per_device_train_batch_size = 16")
    edit(run_copy, old, new)
    with pytest.raises(ConfigError, match=rf"train\.{setting}") as refused:
        prepare(run_copy, [(["train", "num_train_epochs"], 4)])
    assert refused.value.key == key
    assert refused.value.hint.endswith("It was 1.")


def test_a_process_that_sees_another_number_of_gpus_is_refused(run_copy: Path) -> None:
    """Over those of one process a batch is spread: with two of them steps have twice as many reviews."""
    found = last(run_copy)
    Resumed(found).check_gpus(1)
    state = found.path / checkpoints.STATE_FILE
    kept = json.loads(state.read_text())
    assert checkpoints.kept(kept).pop("gpus") == 1
    state.write_text(json.dumps(kept))
    # One of an older release says nothing.
    Resumed(found).check_gpus(2)
    checkpoints.kept(kept)["gpus"] = 2
    state.write_text(json.dumps(kept))
    Resumed(found).check_gpus(2)
    with pytest.raises(ResumeError, match="used 2 GPUs and sees 1") as refused:
        Resumed(found).check_gpus(1)
    assert "CUDA_VISIBLE_DEVICES" in refused.value.hint


def test_other_train_reviews_end_the_run_before_its_first_step(run_copy: Path) -> None:
    """The run's data are a file from now on, with the same columns and other reviews."""
    edit(run_copy, 'source = "sample"', f'source = "{run_copy.parent / "train.tsv"}"')
    rows = [f"{number}\t{'좋은' if number % 2 else '나쁜'} 영화 {number}\t{number % 2}" for number in range(200)]
    for name in ("train", "test"):
        text = "\n".join(["id\tdocument\tlabel", *rows]) + "\n"
        (run_copy.parent / f"{name}.tsv").write_text(text, encoding="utf-8")
    done = run_cli("resume", run_copy.name, "--set", "train.num_train_epochs=3", runs=run_copy.parent, timeout=240)
    assert done.returncode == 1
    assert "the train reviews are not those that the run began with" in done.stderr
    assert last(run_copy).whole


def test_other_test_reviews_are_told(run_copy: Path) -> None:
    told = Told()
    before = checkpoints.kept(checkpoints.state_of(last(run_copy).path))["data"]
    Resumed(last(run_copy)).check_data(before, told)
    assert not told
    Resumed(last(run_copy)).check_data({**before, "test": "0" * 64}, told)
    assert [alert[:2] for alert in told] == [("warning", "data")]


def test_a_model_that_is_gone_is_read_from_the_checkpoint(run_copy: Path, tmp_path: Path) -> None:
    config = config_file.validate({"model": {"name": str(tmp_path)}})
    resumed, told = Resumed(last(run_copy)), Told()
    assert resumed.loadable(config, told) is config
    config.model.name = str(tmp_path / "gone")
    assert Resumed().loadable(config, told) is config
    assert not told
    assert resumed.loadable(config, told).model.name == str(last(run_copy).path)
    assert config.model.name == str(tmp_path / "gone")
    assert [alert[:2] for alert in told] == [("info", "model")]


def restore(run_dir: Path, checkpoint: Path) -> tuple[TrainerState, list[Any]]:
    recorder = Recorder(run_dir)
    alerts: list[Any] = []
    recorder.listener = alerts.append
    monitor = MonitorCallback(recorder, Orders(run_dir, recorder), events_per_second=5, stop_on_nan=True, has_dev=True)
    state = TrainerState.load_from_json(str(checkpoint / checkpoints.STATE_FILE))
    monitor.best = state.best_model_checkpoint
    arguments = SimpleNamespace(output_dir=run_dir / "checkpoints", load_best_model_at_end=True)
    monitor._restore(arguments, state)
    return state, [event for event in alerts if event["type"] == "alert"]


def test_the_best_checkpoint_is_the_moved_runs_own(run_copy: Path) -> None:
    """The state names it by the place where the run was made, which still is there or not."""
    state, alerts = restore(run_copy, last(run_copy).path)
    found = Path(str(state.best_model_checkpoint))
    assert found.parent == run_copy / "checkpoints"
    assert not alerts
    if found != last(run_copy).path:
        shutil.rmtree(found)
    else:
        (found / checkpoints.WEIGHTS).write_bytes(b"")
    state, alerts = restore(run_copy, last(run_copy).path)
    assert (state.best_metric, state.best_global_step, state.best_model_checkpoint) == (None, None, None)
    assert [alert["code"] for alert in alerts] == ["best"]


def test_what_is_wrong_with_a_checkpoint_is_told_by_its_file(run_copy: Path) -> None:
    newest = last(run_copy)
    (newest.path / "optimizer.pt").write_bytes(b"")
    assert "optimizer.pt" in last(run_copy).broken
    with pytest.raises(ResumeError, match=r"optimizer\.pt") as refused:
        checkpoints.choose(run_copy, newest.step)
    whole = [checkpoint.step for checkpoint in checkpoints.list_checkpoints(run_copy) if checkpoint.whole]
    assert whole
    assert str(whole[0]) in refused.value.hint
    for step in whole:
        shutil.rmtree(run_copy / "checkpoints" / f"checkpoint-{step}")
    with pytest.raises(ResumeError) as refused:
        checkpoints.choose(run_copy, 7)
    assert "first step" in refused.value.hint
