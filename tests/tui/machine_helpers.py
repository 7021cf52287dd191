"""Runs with a machine behind them for tests: events as the worker writes them, with moments that do not vary."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

from textual.app import App
from textual.widget import Widget

from core.events import append_line
from core.runs import create_run_dir, process_start, write_status

GIB = 1 << 30
# A moment in the past for what a picture shows.
MOMENT = 1_750_000_000.0


def live_run(runs: Path, name: str = "live", **status: Any) -> Path:
    """A run that lives: its process is the test's own."""
    path = create_run_dir(runs, name)
    me = os.getpid()
    told = {"v": 1, "state": "running", "pid": me, "pid_start": process_start(me), "host": os.uname().nodename}
    more = {"name": name, "step": 1200, "max_steps": 4688, "epoch": 0.26, "phase": "training"}
    write_status(path, {**told, **more, "updated": time.time(), **status})
    return path


def emit(run_dir: Path, kind: str, ts: float = MOMENT, **fields: Any) -> None:
    """Append one event."""
    append_line(run_dir / "events.jsonl", {"v": 1, "ts": ts, "type": kind, **fields})


def emit_steps(run_dir: Path, count: int = 60, *, gpu: bool = False) -> None:
    """Steps of a run that gets better."""
    memory = {"gpu_allocated": 9 * GIB, "gpu_reserved": 11 * GIB, "gpu_peak": 10.5 * GIB}
    for number in range(1, count + 1):
        emit(
            run_dir,
            "step",
            MOMENT + number,
            step=number * 20,
            max_steps=4688,
            epoch=number * 20 / 4688,
            loss=0.3 + 0.4 * 0.96**number,
            learning_rate=2e-5,
            grad_norm=1.0,
            samples_per_second=412.0,
            tokens_per_second=12_345.0,
            padding=0.032,
            loader_stall=0.004,
            eta=360.0,
            rss=2 * GIB,
            **(memory if gpu else dict.fromkeys(memory)),
        )


def emit_host(run_dir: Path, count: int = 40) -> None:
    """What the host did."""
    for number in range(count):
        emit(
            run_dir,
            "host",
            MOMENT + number,
            cpu=50 + 40 * math.sin(number / 4),
            cpus=16,
            memory_used=20 * GIB,
            memory_total=128 * GIB,
            worker_cpu=143.2,
            worker_rss=2.1 * GIB,
            worker_processes=3,
            disk_free=120 * GIB,
            disk_total=500 * GIB,
        )


def gpu_fields(index: int, util: int | None, used: float, *processes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The fields of a `device` event."""
    fields = {
        "index": index,
        "name": "NVIDIA H100 80GB HBM3",
        "util": util,
        "memory_used": used * GIB,
        "memory_total": 80 * GIB,
        "power": 298.0,
        "power_limit": 700.0,
        "temperature": 61,
        "processes": list(processes),
        "hidden": False,
    }
    return {**fields, **more}


def emit_gpus(run_dir: Path, count: int = 40) -> None:
    """Two GPUs: one shared with someone, one whose driver is silent about its processes."""
    ours = {"pid": 4242, "user": "lee", "memory": 11 * GIB, "ours": True}
    other = {"pid": 5151, "user": "kim", "memory": 3 * GIB, "ours": False}
    for number in range(count):
        util = round(60 + 35 * math.sin(number / 3))
        emit(run_dir, "device", MOMENT + number, **gpu_fields(0, util, 14.4, ours, other))
        silent = {"power": None, "power_limit": None, "temperature": None, "hidden": True}
        emit(run_dir, "device", MOMENT + number, **gpu_fields(1, None, 2.0, **silent))


def failed_run(runs: Path, name: str = "failed") -> Path:
    """A run that ran out of memory, with its traceback."""
    path = create_run_dir(runs, name)
    message = "GPU memory ran out at a batch of 128 reviews"
    hint = "Lower train.per_device_train_batch_size, or set train.max_tokens."
    write_status(
        path,
        {"v": 1, "state": "failed", "name": name, "step": 212, "max_steps": 1172, "error": message, "hint": hint,
         "updated": time.time(), "host": os.uname().nodename},
    )  # fmt: skip
    emit(path, "run_failed", error="out_of_memory", message=message, hint=hint, log=str(path / "worker.log"))
    (path / "worker.log").write_text(
        "loading\nUserWarning: something is slow\nTraceback (most recent call last):\n"
        '  File "core/worker.py", line 1, in run\n    loss.backward()\n\n'
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
    )
    return path


def letters(app: App[Any], kind: type[Widget] | str) -> str:
    """The letters of one widget as they stand on the screen, line by line."""
    region = app.screen.query_one(kind).region
    strips = app.screen._compositor.render_strips(app.size)[region.y : region.bottom]
    lines = (strip.crop(region.x, region.right) for strip in strips)
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines) + "\n"
