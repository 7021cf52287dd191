"""Run directories for the benchmarks of the terminal: as a worker leaves them, or while one writes them."""

from __future__ import annotations

import json
import math
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.events import EVENTS_FILE, encode
from core.runs import create_run_dir, process_start, write_status

METRICS = ("loss", "learning_rate", "grad_norm", "samples_per_second", "tokens_per_second", "rss")
EVERY = 500


def values(step: int, steps: int, chance: random.Random) -> dict[str, float]:
    """Six metrics at a step: a loss that falls, a rate with warm-up, noise on all that is measured."""
    rate = step / 500 if step < 500 else (steps - step) / max(1, steps - 500)
    return {
        "loss": 0.25 + 0.45 / math.sqrt(1 + step / 60) + chance.gauss(0, 0.03),
        "learning_rate": 5e-5 * max(0.0, rate),
        "grad_norm": abs(chance.gauss(2, 0.7)),
        "samples_per_second": chance.gauss(412, 15),
        "tokens_per_second": chance.gauss(20_400, 700),
        "rss": 2.1e9 + 1e6 * math.log1p(step),
    }


def step_event(step: int, steps: int, moment: float, chance: random.Random) -> dict[str, Any]:
    """A `step` event as the worker writes it, without a GPU."""
    return {
        "v": 1,
        "ts": round(moment, 3),
        "type": "step",
        "step": step,
        "max_steps": steps,
        "epoch": step / 4688,
        **values(step, steps, chance),
        "eta": (steps - step) * 0.2,
        "gpu_allocated": None,
        "gpu_reserved": None,
        "gpu_peak": None,
    }


def events(steps: int, begun: float, chance: random.Random) -> Iterator[dict[str, Any]]:
    """A whole run's events: start, steps, evaluations, checkpoints."""
    config = {"train": {"per_device_train_batch_size": 32, "gradient_accumulation_steps": 1}}
    yield {"v": 1, "ts": begun, "type": "run_started", "run_id": "x", "config": config, "environment": {}}
    best, every = 0.0, max(EVERY, steps // 200)
    for step in range(1, steps + 1):
        moment = begun + step * 0.2
        yield step_event(step, steps, moment, chance)
        if step % every == 0:
            accuracy = 0.9 - 0.25 / math.sqrt(1 + step / 300) + chance.gauss(0, 0.004)
            metrics = {"eval_accuracy": accuracy, "eval_loss": 1.1 - accuracy}
            yield {"v": 1, "ts": moment, "type": "eval", "step": step, "split": "dev", "metrics": metrics}
            found = accuracy > best
            best = max(best, accuracy)
            yield {"v": 1, "ts": moment, "type": "checkpoint", "step": step, "path": "", "metric": best, "best": found}


def finished_run(runs: Path, name: str, steps: int, *, full: bool = True) -> Path:
    """A finished run of `steps` steps; without `full` only its status, for a long list."""
    path = create_run_dir(runs, name)
    metrics = {"test_accuracy": 0.8914, "test_f1": 0.8921}
    write_status(
        path,
        {"state": "finished", "name": name, "step": steps, "max_steps": steps, "metrics": metrics,
         "model": "xlm-roberta-base", "data": "nsmc", "updated": time.time()},
    )  # fmt: skip
    if full:
        with (path / EVENTS_FILE).open("w", encoding="utf-8") as file:
            file.writelines(encode(event) for event in events(steps, time.time() - steps * 0.2, random.Random(7)))
    return path


def live_status(path: Path, step: int, steps: int) -> None:
    """The status of a run whose worker is this process."""
    me = os.getpid()
    write_status(
        path,
        {"state": "running", "name": "live", "pid": me, "pid_start": process_start(me), "host": os.uname().nodename,
         "step": step, "max_steps": steps, "phase": "training", "model": "xlm-roberta-base", "data": "nsmc",
         "updated": time.time()},
    )  # fmt: skip


def write_live(path: Path, steps: int, *, before: int = 0, per_second: float = 30, seconds: float = 60) -> None:
    """Write a running run's log for `seconds`, as a worker does: `before` steps at once, then `per_second`."""
    chance = random.Random(11)
    begun = time.time()
    live_status(path, before, steps)
    with (path / EVENTS_FILE).open("a", encoding="utf-8", buffering=1 << 16) as file:
        for step in range(1, before + 1):
            file.write(json.dumps(step_event(step, steps, begun - (before - step) / per_second, chance)) + "\n")
        file.flush()
        step, told = before, 0.0
        while (now := time.time()) < begun + seconds:
            step += 1
            file.write(json.dumps(step_event(step, steps, now, chance)) + "\n")
            file.flush()
            if now - told >= 1:
                live_status(path, step, steps)
                told = now
            time.sleep(max(0.0, begun + (step - before) / per_second - time.time()))


def main() -> None:
    """`python benchmarks/tui_runs.py PATH STEPS BEFORE PER_SECOND SECONDS`: write a live run, alive as its worker."""
    path, steps, before, per_second, seconds = sys.argv[1:6]
    write_live(Path(path), int(steps), before=int(before), per_second=float(per_second), seconds=float(seconds))


if __name__ == "__main__":
    main()
