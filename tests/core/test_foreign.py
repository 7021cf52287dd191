"""Runs of other programs: a Trainer's state, TensorBoard's event files, read as our own events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import foreign
from core.control import send_order
from core.errors import ControlError, RunError
from core.foreign import EventLog, open_log, read_whole, source_of
from core.foreign.tensorboard import series_of
from core.run_index import RunIndex
from core.runs import Run, find_run, list_runs, load_run

HISTORY: list[dict[str, Any]] = [
    {"epoch": 0.1, "step": 10, "loss": 0.69, "learning_rate": 2e-05, "grad_norm": 1.5},
    {"epoch": 0.2, "step": 20, "loss": float("nan"), "learning_rate": 1e-05, "grad_norm": None},
    {"epoch": 0.2, "step": 20, "eval_accuracy": 0.8, "eval_loss": 0.5, "eval_runtime": 1.0},
    {"epoch": 0.3, "step": 30, "loss": 0.5},
]


def write_state(folder: Path, history: list[dict[str, Any]], **fields: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    state = {"global_step": history[-1]["step"] if history else 0, "max_steps": 100, "epoch": 0.3, **fields}
    file = folder / "trainer_state.json"
    file.write_text(json.dumps({**state, "log_history": history}))
    return file


def drain(log: EventLog, enough: Callable[[list[dict[str, Any]]], bool] = lambda events: True) -> list[dict[str, Any]]:
    """All that a log has, waiting until it is `enough` and nothing is pending."""
    events: list[dict[str, Any]] = []
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        events += log.read()
        if not log.pending and enough(events):
            return events
        time.sleep(0.01)
    raise AssertionError(events[-3:])


def test_a_trainers_state_is_a_run(tmp_path: Path) -> None:
    run_dir = tmp_path / "out"
    write_state(run_dir / "checkpoint-20", HISTORY[:3], best_model_checkpoint="out/checkpoint-20", best_metric=0.8)
    newest = write_state(
        run_dir / "checkpoint-30", HISTORY, best_model_checkpoint="/far/out/checkpoint-20", best_metric=0.8
    )
    os.utime(newest, (time.time() + 5, time.time() + 5))
    (run_dir / "checkpoint-30" / "config.json").write_text('{"_name_or_path": "klue/bert-base"}')
    run = load_run(run_dir)
    assert (run.state, run.source, run.live) == ("foreign", "trainer_state", False)
    assert (run.step, run.max_steps, run.epoch, run.model) == (30, 100, 0.3, "klue/bert-base")
    assert run.metrics == {"eval_accuracy": 0.8, "eval_loss": 0.5, "eval_runtime": 1.0}
    events = drain(open_log(run_dir))
    assert [(event["type"], event.get("step")) for event in events] == [
        ("run_started", None), ("step", 10), ("step", 20), ("eval", 20), ("checkpoint", 20), ("step", 30),
        ("checkpoint", 30),
    ]  # fmt: skip
    assert events[1] == {"type": "step", "step": 10, "epoch": 0.1, "max_steps": 100, "loss": 0.69,
                         "learning_rate": 2e-05, "grad_norm": 1.5}  # fmt: skip
    assert events[2]["loss"] is None
    assert (events[3]["split"], events[3]["metrics"]["eval_accuracy"]) == ("dev", 0.8)
    assert [(event["best"], event["metric"]) for event in events if event["type"] == "checkpoint"] == [
        (True, 0.8), (False, None)
    ]  # fmt: skip
    assert [found.id for found in list_runs(tmp_path)] == ["out"]
    assert find_run(tmp_path / "none", str(run_dir)) == run_dir
    with pytest.raises(ControlError, match="not running"):
        send_order(run_dir, "stop")


def test_a_growing_state_is_followed_and_another_one_begins_anew(tmp_path: Path) -> None:
    write_state(tmp_path, HISTORY[:2])
    log = open_log(tmp_path)
    assert len(drain(log)) == 3
    assert log.read() == []
    write_state(tmp_path, HISTORY)
    assert [event["type"] for event in drain(log)] == ["eval", "step"]
    write_state(tmp_path, [{"step": 5, "loss": 1.0}])
    again = drain(log)
    assert (again[0]["type"], again[0]["resumed_from"]) == ("run_started", 0)
    assert again[1]["step"] == 5
    (tmp_path / "trainer_state.json").write_text("{half")
    assert log.read() == []
    (tmp_path / "trainer_state.json").unlink()
    assert log.read() == []


@pytest.mark.parametrize("text", ["{half", "[]", "{}", '{"log_history": 3}'])
def test_a_damaged_state_is_one_line_of_the_list_and_an_error_when_opened(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "trainer_state.json").write_text(text)
    (run,) = list_runs(tmp_path)
    assert run.error
    assert run.hint
    with pytest.raises(RunError):
        open_log(tmp_path / "x")


def test_odd_entries_of_a_log_are_passed_over(tmp_path: Path) -> None:
    odd = [3, None, {}, {"step": "x", "loss": 1}, {"step": 1, "loss": "high", "note": [1]},
           {"step": 2, "loss": 10**400}, {"step": 3, "loss": True, "lr": 0.5}]  # fmt: skip
    write_state(tmp_path, HISTORY[:1])
    file = tmp_path / "trainer_state.json"
    file.write_text(json.dumps({"log_history": odd, "global_step": "many", "max_steps": None}))
    assert load_run(tmp_path).step == 0
    events = drain(open_log(tmp_path))
    assert events[1:] == [
        {"type": "step", "step": 2, "epoch": None, "max_steps": 0, "loss": None},
        {"type": "step", "step": 3, "epoch": None, "max_steps": 0, "lr": 0.5},
    ]


@pytest.mark.parametrize(
    ("tag", "folder", "series"),
    [
        ("train/loss", "", ("train", "loss")),
        ("eval/accuracy", "", ("dev", "accuracy")),
        ("test/f1", "", ("test", "f1")),
        ("Loss/train", "", ("train", "loss")),
        ("Accuracy/val", "", ("dev", "accuracy")),
        ("val_loss", "", ("dev", "loss")),
        ("train_loss", "", ("train", "loss")),
        ("loss", "", ("train", "loss")),
        ("epoch_loss", "validation", ("dev", "loss")),
        ("epoch_accuracy", "train", ("train", "accuracy")),
        ("lr", "", ("train", "learning_rate")),
        ("train/train_loss", "", ("train", "")),
        ("train/total_flos", "", ("train", "")),
        ("optimizer/group 0/lr", "", ("train", "optimizer_group_0_lr")),
        ("한글/손실", "", ("train", "한글_손실")),
        ("", "", ("train", "")),
    ],
)
def test_tags_are_named_as_we_name_them(tag: str, folder: str, series: tuple[str, str]) -> None:
    assert series_of(tag, folder) == series


class Writer:
    """Event files as TensorBoard's own writer makes them."""

    def __init__(self, folder: Path) -> None:
        writers = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._event, self._summary = Event, Summary
        self._writer = writers.EventFileWriter(str(folder))

    def add(self, step: int, **values: float) -> None:
        """One event a value, as transformers writes them; `__` stands for the slash of a tag."""
        for name, value in values.items():
            one = self._summary.Value(tag=name.replace("__", "/"), simple_value=value)
            self._writer.add_event(self._event(step=step, wall_time=1000.0 + step, summary=self._summary(value=[one])))
        self._writer.flush()


def test_event_files_are_a_run_and_are_followed_while_they_grow(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    writer = Writer(folder / "runs" / "Jan01_host")
    for step in (10, 20, 30):
        writer.add(step, train__loss=1 / step, train__learning_rate=1e-5, train__epoch=step / 100)
    writer.add(30, eval__accuracy=0.75, eval__loss=float("inf"), train__train_runtime=5.0)
    assert source_of(folder) == "tensorboard"
    (run,) = list_runs(tmp_path)
    assert (run.id, run.state, run.source) == ("out", "foreign", "tensorboard")
    whole = read_whole(folder)
    assert (whole.step, whole.metrics["eval_accuracy"]) == (30, 0.75)
    log = open_log(folder)
    events = drain(log)
    assert [(event["type"], event.get("step")) for event in events] == [
        ("run_started", None), ("step", 10), ("step", 20), ("step", 30), ("eval", 30)
    ]  # fmt: skip
    assert events[1]["loss"] == pytest.approx(0.1)
    assert events[1]["epoch"] == pytest.approx(0.1)
    assert events[1]["ts"] == 1010.0
    writer.add(40, train__loss=0.5)
    writer.add(40, train__grad_norm=2.0)
    later = drain(log, lambda found: any("grad_norm" in event for event in found))
    # However the two arrived: the last word about the step has both.
    assert {"step": 40, "loss": 0.5, "grad_norm": 2.0}.items() <= later[-1].items()
    assert log.skipped == 0


def test_writers_of_their_own_for_each_split(tmp_path: Path) -> None:
    Writer(tmp_path / "train").add(1, epoch_loss=0.5)
    Writer(tmp_path / "validation").add(1, epoch_loss=0.25, epoch_accuracy=0.5)
    events = drain(open_log(tmp_path))
    assert {event["type"]: event for event in events}["eval"]["metrics"] == {"eval_loss": 0.25, "eval_accuracy": 0.5}
    assert {event["type"]: event for event in events}["step"]["loss"] == 0.5


def test_a_damaged_event_file_gives_what_is_whole(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.add(1, train__loss=0.5)
    (file,) = tmp_path.glob("events.out.tfevents.*")
    whole = file.read_bytes()
    file.write_bytes(whole + b"\x20\0\0\0\0\0\0\0garbage")
    assert [event["type"] for event in drain(open_log(tmp_path))] == ["run_started", "step"]
    (tmp_path / "events.out.tfevents.0.empty").write_bytes(b"")
    assert len(drain(open_log(tmp_path))) == 2


def test_without_the_package_the_way_to_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Writer(tmp_path / "x").add(1, train__loss=0.5)
    monkeypatch.setattr(foreign, "_installed", lambda: False)
    monkeypatch.setattr("core.foreign.tensorboard.find_spec", lambda name: None)
    assert [run.state for run in list_runs(tmp_path)] == ["foreign"]
    with pytest.raises(RunError, match="tensorboard") as caught:
        open_log(tmp_path / "x")
    assert "pip install" in caught.value.hint
    write_state(tmp_path / "x", HISTORY)
    os.utime(tmp_path / "x" / "trainer_state.json", (1.0, 1.0))
    assert source_of(tmp_path / "x") == "trainer_state"


def test_reading_event_files_loads_neither_torch_nor_tensorflow(tmp_path: Path) -> None:
    Writer(tmp_path).add(1, train__loss=0.5)
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom core.foreign import open_log\n"
        f"log = open_log(Path({str(tmp_path)!r}))\n"
        "events = []\n"
        "while log.pending:\n    events += log.read(); time.sleep(0.01)\n"
        "print(len(events), sorted({'torch', 'tensorflow', 'pandas', 'textual', 'rich'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.split(maxsplit=1) == ["2", "[]\n"]


def test_our_own_runs_are_ours(run_copy: Path) -> None:
    assert load_run(run_copy).source == ""
    assert list((run_copy / "checkpoints").glob("checkpoint-*/trainer_state.json"))
    assert load_run(run_copy / "checkpoints").state == "foreign"


def test_the_list_reads_the_newest_scores_of_event_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.foreign.scores.MOST", 4096)
    writer = Writer(tmp_path / "tb")
    for step in range(1, 200):
        writer.add(step, train__loss=1 / step)
    writer.add(200, eval__accuracy=0.75, eval__loss=float("nan"), train__epoch=0.5)
    (run,) = list_runs(tmp_path)
    assert (run.step, run.epoch, run.metrics) == (200, 0.5, {"eval_accuracy": 0.75})
    assert run.loss == pytest.approx(1 / 199)
    index = RunIndex(tmp_path)
    # With a deadline nothing is waited for: a thread reads.
    assert index.refresh(1.0).runs[0].step == 0

    def until(wanted: Callable[[Run], bool]) -> None:
        deadline = time.monotonic() + 240
        while not wanted(index.refresh(1.0).runs[0]):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    until(lambda run: run.step == 200)
    writer.add(300, eval__accuracy=0.8)
    until(lambda run: run.metrics["eval_accuracy"] == pytest.approx(0.8))
    assert index.listing.runs[0].loss == pytest.approx(1 / 199)
    (tmp_path / "tb" / "events.out.tfevents.9.half").write_bytes(b"\x18\0\0\0\0\0\0\0half a record")
    assert list_runs(tmp_path)[0].step == 300
