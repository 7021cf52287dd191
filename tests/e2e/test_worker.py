"""The real worker on the sample: what it leaves behind, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from core import config_file, control
from core.errors import DataError, ModelError
from core.launch import create_run, start_worker
from core.predictions import Predictions
from core.runs import load_run, process_start
from core.tail import JsonlTail
from tests.conftest import NSMC, SMALL_RUN, needs_nsmc, run_worker

pytestmark = pytest.mark.slow


def events(run_dir: Path) -> list[dict[str, Any]]:
    tail = JsonlTail(run_dir / "events.jsonl")
    found = tail.read(max_records=10**6, max_seconds=30)
    assert tail.skipped == 0
    return found


def of(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in found if event["type"] == kind]


def start(tmp_path: Path, **changes: dict[str, Any]) -> Path:
    values = {section: {**content, **changes.get(section, {})} for section, content in SMALL_RUN.items()}
    run_dir = create_run(config_file.validate(values), tmp_path / "runs")
    start_worker(run_dir)
    return run_dir


def wait_for(run_dir: Path, condition: Any, timeout: float = 240) -> list[dict[str, Any]]:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = events(run_dir)
        if condition(found):
            return found
        run = load_run(run_dir)
        assert run.live or condition(events(run_dir)), (run.state, run.error, found[-1:])
        time.sleep(0.1)
    raise AssertionError(f"nothing happened: {events(run_dir)[-1:]}")


def test_run_directory_is_the_contracts(finished_run: Path) -> None:
    names = {path.name for path in finished_run.iterdir()}
    assert names >= {
        "config.toml", "environment.json", "events.jsonl", "status.json", "checkpoints", "model",
        "predictions-test.parquet", "predictions-dev.parquet", "train_results.json", "eval_results.json",
        "test_results.json", "all_results.json",
    }  # fmt: skip
    status = json.loads((finished_run / "status.json").read_text())
    assert status["state"] == "finished"
    assert {"pid", "pid_start", "host", "step", "max_steps", "epoch", "updated"} <= set(status)
    assert status["step"] == status["max_steps"]
    environment = json.loads((finished_run / "environment.json").read_text())
    assert environment["versions"]["torch"]
    assert environment["data"]["fingerprint"]


def test_events_are_the_contracts(finished_run: Path) -> None:
    found = events(finished_run)
    assert all({"v", "ts", "type"} <= set(event) for event in found)
    assert found[0]["type"] == "run_started"
    assert found[0]["run_id"] == finished_run.name
    assert found[-1]["type"] == "run_finished"
    assert found[-1]["state"] == "finished"
    phases = [event["name"] for event in of(found, "phase")]
    assert {"loading", "tokenizing", "building", "training", "evaluating", "saving"} <= set(phases)
    steps = of(found, "step")
    wanted = {
        "step", "max_steps", "epoch", "loss", "learning_rate", "grad_norm", "samples_per_second",
        "tokens_per_second", "eta", "gpu_allocated", "gpu_reserved", "gpu_peak", "rss",
    }  # fmt: skip
    assert wanted <= set(steps[0])
    assert [event["step"] for event in steps] == sorted({event["step"] for event in steps})
    assert steps[-1]["step"] == steps[-1]["max_steps"]
    assert all(event["rss"] > 50e6 for event in steps)
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert {event["split"] for event in of(found, "eval")} == {"dev", "test"}
    assert of(found, "checkpoint")


def test_step_events_are_at_most_five_a_second(finished_run: Path) -> None:
    times = np.array([event["ts"] for event in of(events(finished_run), "step")])
    assert np.diff(times).min() > 0.18


def test_the_saved_tokenizer_knows_the_runs_window(finished_run: Path) -> None:
    from transformers import AutoTokenizer

    assert AutoTokenizer.from_pretrained(finished_run / "model").model_max_length == 64


def test_history_holds_the_mean_of_all_steps_between_logs(finished_run: Path) -> None:
    checkpoints = sorted((finished_run / "checkpoints").glob("checkpoint-*/trainer_state.json"))
    history = json.loads(checkpoints[-1].read_text())["log_history"]
    logged = [entry["step"] for entry in history if "loss" in entry]
    assert logged == list(range(20, logged[-1] + 1, 20))


def test_predictions_equal_the_reported_scores(finished_run: Path) -> None:
    results = json.loads((finished_run / "test_results.json").read_text())
    predictions = Predictions(finished_run, "test")
    label, pred = predictions.column("label"), predictions.column("pred")
    assert float((label == pred).mean()) == results["test_accuracy"]
    assert results["test_accuracy"] > 0.75
    assert results["test_loss"] == float(predictions.column("loss").mean())
    everything = json.loads((finished_run / "all_results.json").read_text())
    assert everything["test_accuracy"] == results["test_accuracy"]
    assert everything["eval_accuracy"]
    assert everything["train_runtime"] > 0
    from core.sample import generate

    assert predictions.table.column("id").to_pylist() == [row[0] for row in generate("test")]


def test_the_saved_model_is_a_pipelines_model(finished_run: Path) -> None:
    from transformers import pipeline

    predictions = Predictions(finished_run, "test")
    classify = pipeline("text-classification", model=str(finished_run / "model"), device=-1)
    rows = [predictions.row(index) for index in range(0, 1000, 10)]
    answers = classify([row.document for row in rows], truncation=True, max_length=64)
    labels = classify.model.config.label2id
    for row, answer in zip(rows, answers, strict=True):
        assert labels[answer["label"]] == row.pred
        assert answer["score"] == pytest.approx(row.confidence, abs=1e-5)


def test_reviewing_an_error_by_the_inspector(finished_run: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from core.inspector_client import inspect_once

    predictions = Predictions(finished_run)
    row = predictions.row(int(predictions.select("all", "loss")[0]))
    inspection = inspect_once(finished_run / "model", row.document, 64)
    model = AutoModelForSequenceClassification.from_pretrained(finished_run / "model", attn_implementation="eager")
    inputs = AutoTokenizer.from_pretrained(finished_run / "model")(row.document, return_tensors="pt")
    with torch.inference_mode():
        output = model(**inputs, output_attentions=True)
    expected = torch.stack(output.attentions)[:, 0].numpy()
    np.testing.assert_allclose(inspection.attention, expected, atol=1e-5)
    assert inspection.probabilities[1] == pytest.approx(row.prob_1, abs=1e-4)


def test_same_seed_same_predictions(finished_run: Path, tmp_path: Path) -> None:
    run_dir = create_run(config_file.load(finished_run / "config.toml"), tmp_path)
    assert run_worker(run_dir).returncode == 0
    first, second = Predictions(finished_run), Predictions(run_dir)
    np.testing.assert_allclose(first.column("prob_1"), second.column("prob_1"), atol=1e-3)


def test_first_sigterm_saves_evaluates_and_stops(tmp_path: Path) -> None:
    run_dir = start(tmp_path, train={"num_train_epochs": 50})
    wait_for(run_dir, lambda found: any(event["step"] >= 5 for event in of(found, "step")))
    os.kill(load_run(run_dir).pid or 0, signal.SIGTERM)
    found = wait_for(run_dir, lambda found: bool(of(found, "run_finished")))
    assert of(found, "run_finished")[0]["state"] == "stopped"
    assert load_run(run_dir).state == "stopped"
    assert (run_dir / "model" / "model.safetensors").is_file()
    assert len(Predictions(run_dir, "test")) == 1000
    order = of(found, "order")[0]
    assert order["action"] == "stop"
    assert of(found, "checkpoint")[-1]["step"] == of(found, "step")[-1]["step"]


def test_orders_are_taken_and_the_second_stop_aborts(tmp_path: Path) -> None:
    run_dir = start(tmp_path, train={"num_train_epochs": 50})
    wait_for(run_dir, lambda found: bool(of(found, "step")))
    assert control.order_and_wait(run_dir, "pause")["action"] == "pause"
    assert load_run(run_dir).state == "paused"
    before = of(events(run_dir), "step")[-1]["step"]
    time.sleep(1.0)
    assert of(events(run_dir), "step")[-1]["step"] <= before + 1
    control.order_and_wait(run_dir, "continue")
    assert load_run(run_dir).state == "running"
    saved = control.order_and_wait(run_dir, "save")["taken_at_step"]
    wait_for(run_dir, lambda found: any(event["step"] == saved for event in of(found, "checkpoint")))
    control.order_and_wait(run_dir, "evaluate")
    wait_for(run_dir, lambda found: bool(of(found, "eval")))
    control.order_and_wait(run_dir, "abort")
    found = wait_for(run_dir, lambda found: bool(of(found, "run_finished")))
    assert of(found, "run_finished")[0]["state"] == "stopped"
    assert not (run_dir / "model").exists()


def test_a_second_signal_aborts_and_is_an_order_in_the_log(tmp_path: Path) -> None:
    run_dir = start(tmp_path, train={"num_train_epochs": 50})
    wait_for(run_dir, lambda found: bool(of(found, "step")))
    pid = load_run(run_dir).pid or 0
    # Two of a kind that arrive together are one.
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    found = wait_for(run_dir, lambda found: bool(of(found, "run_finished")))
    assert of(found, "run_finished")[0]["aborted"]
    order = of(found, "order")[-1]
    assert (order["action"], order["by"]) == ("abort", "signal")
    assert order["taken_at_step"] >= of(found, "step")[-1]["step"]
    assert not (run_dir / "model").exists()


def test_orders_and_signals_before_the_first_step_are_taken(tmp_path: Path) -> None:
    """Sent at once, while the worker still imports: neither lost nor a crash."""
    run_dir = start(tmp_path, train={"num_train_epochs": 50})
    control.send_order(run_dir, "pause")
    wait_for(run_dir, lambda found: any(event["action"] == "pause" for event in of(found, "order")))
    deadline = time.monotonic() + 240
    while load_run(run_dir).state != "paused" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert load_run(run_dir).state == "paused"
    os.kill(load_run(run_dir).pid or 0, signal.SIGTERM)
    found = wait_for(run_dir, lambda found: bool(of(found, "run_finished")))
    assert of(found, "run_finished")[0]["state"] == "stopped"
    early = start(tmp_path, launch={"name": "early"})
    wait_for(early, lambda found: bool(of(found, "run_started")))
    os.kill(load_run(early).pid or 0, signal.SIGTERM)
    wait_for(early, lambda found: bool(of(found, "run_finished")))
    assert load_run(early).state == "stopped"


@needs_nsmc
def test_a_stop_while_a_tokenizer_is_trained_ends_the_process_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On all of NSMC that takes long: it would be in the cache if the process had lived on until it was done."""
    monkeypatch.setenv("NSMC_TUI_CACHE", str(tmp_path / "cache"))
    run_dir = start(tmp_path, data={"source": str(NSMC)})
    wait_for(run_dir, lambda found: any(event["name"] == "tokenizing" for event in of(found, "phase")))
    worker = psutil.Process(load_run(run_dir).pid or 0)
    (trainer,) = [child for child in worker.children() if "core.tokenizer_process" in child.cmdline()]
    worker.terminate()
    _gone, alive = psutil.wait_procs([worker, trainer], timeout=240)
    assert not alive
    assert load_run(run_dir).state == "stopped"
    assert of(events(run_dir), "run_finished")[0]["state"] == "stopped"
    assert not list((tmp_path / "cache").glob("tokenizers/*"))


def test_nan_loss_fails_with_reason_and_hint(tmp_path: Path) -> None:
    run_dir = create_run(
        config_file.validate(
            {
                **SMALL_RUN,
                "train": {"learning_rate": 0.99, "max_grad_norm": 0, "warmup_steps": 0,
                          "weight_decay": 0.9, "optim": "sgd", "max_steps": 300},
                "model": {"preset": "tiny", "config": {"initializer_range": 1e30}},
            }
        ),
        tmp_path,
    )  # fmt: skip
    done = run_worker(run_dir)
    assert done.returncode == 1
    failed = of(events(run_dir), "run_failed")[0]
    assert failed["error"] == "nan_loss"
    assert "learning_rate" in failed["hint"]
    assert any(event["code"] == "nan_loss" for event in of(events(run_dir), "alert"))
    run = load_run(run_dir)
    assert (run.state, run.error) == ("failed", failed["message"])


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"model": {"name": "no/such-model"}}, "offline"),
        ({"model": {"preset": "tiny", "config": {"num_lables": 3}}}, "model"),
        ({"model": {"preset": "tiny"}, "train": {"fp16": True}}, "config"),
        ({"data": {"source": "hub"}, "model": {"preset": "tiny"}}, "offline"),
    ],
)
def test_what_cannot_be_found_fails_quickly_with_a_hint(tmp_path: Path, values: dict[str, Any], code: str) -> None:
    values.setdefault("data", {"source": "sample"})
    run_dir = create_run(config_file.validate(values), tmp_path)
    assert run_worker(run_dir, timeout=240).returncode == 1
    failed = of(events(run_dir), "run_failed")[0]
    assert failed["error"] == code
    assert failed["message"]
    assert failed["hint"]
    assert "Traceback" not in failed["message"]


@pytest.mark.parametrize(
    "values",
    [
        {"data": {"source": "sample"}, "model": {"name": "/no/such/dir"}},
        {"data": {"source": "/no/such/data"}, "model": {"preset": "tiny"}},
    ],
)
def test_a_mistyped_path_leaves_no_run(tmp_path: Path, values: dict[str, Any]) -> None:
    """With --detach nobody would hear of it."""
    with pytest.raises((DataError, ModelError), match="/no/such/") as caught:
        create_run(config_file.validate(values), tmp_path / "runs")
    assert caught.value.hint
    assert not (tmp_path / "runs").exists()


def test_data_that_is_gone_fails_the_run(tmp_path: Path) -> None:
    for name in ("train.tsv", "test.tsv"):
        (tmp_path / name).write_text("id\tdocument\tlabel\n1\t좋다\t1\n2\t별로\t0\n", encoding="utf-8")
    values = {"data": {"source": str(tmp_path)}, "model": {"preset": "tiny"}}
    run_dir = create_run(config_file.validate(values), tmp_path / "runs")
    (tmp_path / "train.tsv").unlink()
    assert run_worker(run_dir, timeout=240).returncode == 1
    assert of(events(run_dir), "run_failed")[0]["error"] == "data"


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """With a limit on file sizes, writing the model fails as on a full disk."""
    run_dir = create_run(config_file.validate({**SMALL_RUN, "train": {"max_steps": 2}}), tmp_path)
    script = (
        "import errno, sys\n"
        "import safetensors.torch as st, core.worker\n"
        "def full(*a, **k): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "import transformers.modeling_utils as m\n"
        "m.safe_save_file = full\n"
        f"sys.exit(core.worker.main([{str(run_dir)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr[-2000:]
    assert of(events(run_dir), "run_failed")[0]["error"] == "disk_full"


def test_killing_the_launcher_leaves_the_run(tmp_path: Path) -> None:
    """A launcher in a session of its own is killed with its whole group: the run goes on to its end."""
    values = {section: dict(content) for section, content in SMALL_RUN.items()}
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom core import config_file\nfrom core.launch import launch\n"
        f"print(launch(config_file.validate({values!r}), Path({str(tmp_path)!r})), flush=True)\ntime.sleep(600)\n"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-P", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert launcher.stdout is not None
    run_dir = Path(launcher.stdout.readline().strip())
    os.killpg(launcher.pid, signal.SIGHUP)
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    found = wait_for(run_dir, lambda found: bool(of(found, "run_finished")))
    assert of(found, "run_finished")[0]["state"] == "finished"


def test_evaluating_before_the_first_step_does_not_silence_the_rest(tmp_path: Path) -> None:
    run_dir = start(tmp_path, train={"eval_on_start": True, "num_train_epochs": 3})
    found = wait_for(run_dir, lambda found: bool(of(found, "run_finished")))
    assert len(of(found, "step")) > 5


def test_kill_9_reads_as_crashed(tmp_path: Path) -> None:
    run_dir = start(tmp_path, train={"num_train_epochs": 50})
    wait_for(run_dir, lambda found: bool(of(found, "step")))
    pid = load_run(run_dir).pid or 0
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 240
    while process_start(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    run = load_run(run_dir)
    assert run.state == "crashed"
    assert run.error


@needs_nsmc
def test_real_nsmc_through_the_whole_path(tmp_path: Path) -> None:
    """A short run on the real files: all 25,000 test reviews are predicted, in the file's order."""
    values = {
        "data": {"source": str(NSMC), "max_length": 48},
        "model": {"preset": "tiny"},
        "train": {"max_steps": 60, "learning_rate": 1e-3, "warmup_steps": 10, "per_device_train_batch_size": 64,
                  "per_device_eval_batch_size": 256, "eval_strategy": "no", "save_strategy": "no"},
        "evaluate": {"splits": ["test"]},
        "launch": {"device": "cpu"},
    }  # fmt: skip
    run_dir = create_run(config_file.validate(values), tmp_path)
    done = run_worker(run_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    predictions = Predictions(run_dir, "test")
    assert len(predictions) == 25_000
    lines = (NSMC / "ratings_test.txt").read_bytes().decode().split("\n")[1:25_001]
    assert predictions.table.column("id").to_pylist() == [line.split("\t")[0] for line in lines]
    assert predictions.table.column("document").to_pylist() == [line.split("\t")[1] for line in lines]
    results = json.loads((run_dir / "test_results.json").read_text())
    assert float((predictions.column("label") == predictions.column("pred")).mean()) == results["test_accuracy"]
    assert results["test_accuracy"] > 0.6
