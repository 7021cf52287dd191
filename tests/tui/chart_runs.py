"""Runs for the tests of charts: small logs whose every number is known."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.runs import process_start, write_status

BEGIN = 1_750_000_000.0
BATCH = 32


def loss_at(step: int) -> float:
    """The loss of every run here."""
    return round(0.2 + 0.6 / math.sqrt(step), 6)


def step_event(step: int, steps: int, **more: Any) -> dict[str, Any]:
    """A `step` event: two seconds a step, an epoch of 100 steps."""
    return {
        "v": 1,
        "ts": BEGIN + 2 * step,
        "type": "step",
        "step": step,
        "max_steps": steps,
        "epoch": step / 100,
        "loss": loss_at(step),
        "learning_rate": 5e-5 * (1 - step / (steps + 1)),
        "grad_norm": 1.0 + step % 7,
        "samples_per_second": 400.0,
        "rss": 2_000_000_000,
        **more,
    }


def run_events(steps: int) -> Iterable[dict[str, Any]]:
    """A run with an evaluation and a checkpoint every 50 steps, the one at step 100 being the best."""
    config = {"train": {"per_device_train_batch_size": BATCH, "gradient_accumulation_steps": 1}}
    yield {"v": 1, "ts": BEGIN, "type": "run_started", "run_id": "x", "config": config, "environment": {}}
    for step in range(1, steps + 1):
        yield step_event(step, steps)
        if step % 50 == 0 and step <= 200:
            accuracy = 0.9 if step == 100 else 0.8 + step / 10_000
            metrics = {"eval_accuracy": accuracy, "eval_loss": 1 - accuracy}
            yield {"v": 1, "ts": BEGIN + 2 * step, "type": "eval", "step": step, "split": "dev", "metrics": metrics}
            best = step <= 100
            yield {"v": 1, "ts": BEGIN + 2 * step, "type": "checkpoint", "step": step, "path": "", "best": best}


def write_events(path: Path, events: Iterable[dict[str, Any]]) -> None:
    """Append events to a run's log."""
    with (path / "events.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def make_run(runs: Path, name: str, *, state: str = "finished", steps: int = 0, **status: Any) -> Path:
    """A run's directory with its status; the name says its time, so that pictures are the same every day."""
    path = runs / f"20250615-120000-{name}"
    path.mkdir(parents=True)
    told = {"state": state, "name": name, "step": steps, "max_steps": steps, "updated": time.time(), **status}
    if state in ("queued", "starting", "running", "paused"):
        me = os.getpid()
        told |= {"pid": me, "pid_start": process_start(me), "host": os.uname().nodename}
    write_status(path, told)
    return path
