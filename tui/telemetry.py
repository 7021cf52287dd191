"""All that a run has told, in the form that screens draw: tracks of numbers, the log, where it stands."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from core import formats
from core.i18n import gettext as _
from core.log_batch import Batch
from core.log_scan import GAP, NAN
from core.order_log import ANSWERS
from tui.columns import Track
from tui.machine_history import MachineHistory

LOG_LINES = 500
# Keys of an evaluation that say where it happened, not how it went.
EVAL_PLACES = frozenset({"epoch", "step"})
# Of a machine's figures those that never change are nothing to draw.
DEVICE_PLACES = frozenset({"v", "ts", "index", "cpus", "memory_total", "disk_total", "power_limit", "hidden"})


@dataclass(frozen=True)
class Progress:
    """The phase a run is in: its name, how much is done, of how much (0: not known), and the split if any."""

    phase: str = ""
    done: int = 0
    total: int = 0
    split: str = ""


@dataclass
class Telemetry:
    """What `take` was given so far.

    `tracks` holds `step` (one entry a `step` event), `eval SPLIT` and `device N`; each has its own places on the
    x-axes. `answers` are the events that tell what became of an order, as they came. `version` rises with every change.
    """

    tracks: dict[str, Track] = field(default_factory=lambda: {"step": Track()})
    evals: list[tuple[int, str, dict[str, float], bool]] = field(default_factory=list)
    checkpoints: list[tuple[int, bool]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    progress: Progress = Progress()
    devices: dict[int, dict[str, Any]] = field(default_factory=dict)
    log: deque[tuple[float, str, str]] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    failure: dict[str, Any] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    machine: MachineHistory = field(default_factory=MachineHistory)
    config: dict[str, Any] = field(default_factory=dict)
    skipped: int = 0
    version: int = 0

    @property
    def steps(self) -> np.ndarray:
        """The step of every `step` event."""
        track = self.tracks["step"]
        return track.places["step"].slice(0, track.count)

    def values(self, name: str) -> np.ndarray:
        """One number of every `step` event: infinity where it was none, NaN where it was not told."""
        column = self.tracks["step"].columns.get(name)
        return column.slice(0, column.count) if column is not None else np.empty(0, np.float32)

    def value(self, name: str) -> float | None:
        """The newest finite value of a `step` event's number; None before the first."""
        column = self.tracks["step"].columns.get(name)
        return None if column is None or not column.finite else column.newest

    @property
    def batch(self) -> int:
        """Reviews in one optimizer step as configured; 0 when the run did not tell."""
        train, launch = self.config.get("train"), self.config.get("launch")
        if not isinstance(train, Mapping):
            return 0
        told = launch if isinstance(launch, Mapping) else {}
        parts = [
            train.get("per_device_train_batch_size"),
            train.get("gradient_accumulation_steps", 1),
            told.get("processes") or 1,
            told.get("nodes") or 1,
        ]
        numbers = [part for part in parts if isinstance(part, int) and part > 0]
        return math.prod(numbers) if len(numbers) == len(parts) else 0

    # -- taking events -----------------------------------------------------------------------------------------

    def take(self, batch: Batch) -> None:
        """Take a portion of the log."""
        done = 0
        for row, event in batch.others:
            self._take_steps(batch, done, row)
            done = row
            self._take_event(event)
        self._take_steps(batch, done, batch.x.shape[1])
        if batch.last is not None:
            self.last = batch.last
            ahead = [event for row, event in batch.others if row == batch.x.shape[1]]
            if not any(event.get("type") in ("phase", "run_finished", "run_failed") for event in ahead):
                self._training(batch.last)
        self.skipped += batch.skipped
        self.version += 1

    def _training(self, event: dict[str, Any]) -> None:
        self.progress = Progress("training", _whole(event.get("step")), _whole(event.get("max_steps")))

    def _take_steps(self, batch: Batch, start: int, stop: int) -> None:
        if stop <= start:
            return
        x, y = batch.x[:, start:stop], batch.y[:, start:stop]
        # A step that is not above the one before: the run went on from a checkpoint before it.
        for begin, end in _rising(x[0]):
            self._forget_from(float(x[0, begin]))
            self.tracks["step"].extend(x[:, begin:end], batch.names, y[:, begin:end])
        if self.progress.phase != "training":
            self.progress = Progress("training")

    def _forget_from(self, step: float) -> None:
        track = self.tracks["step"]
        if track.count and track.places["step"].newest >= step:
            track.truncate(track.places["step"].first_from(step))

    def _take_event(self, event: dict[str, Any]) -> None:
        self.machine.take(event)
        if event.get("type") in ANSWERS:
            self.answers.append(event)
        match event.get("type"):
            case "run_started":
                self._take_start(event)
            case "phase":
                self._take_phase(event)
            case "eval":
                self._take_eval(event)
            case "checkpoint":
                step, best = _whole(event.get("step")), bool(event.get("best"))
                self.checkpoints.append((step, best))
                self._say(event, "info", f"checkpoint-{step}" + (" · " + _("best") if best else ""))
            case "device":
                index = _whole(event.get("index"))
                self.devices[index] = event
                self._take_machine(f"device {index}", event)
            case "host":
                self._take_machine("host", event)
            case "alert":
                hint = event.get("hint")
                text = str(event.get("message") or "") + (f" → {hint}" if hint else "")
                self._say(event, str(event.get("level") or "info"), text)
            case "order":
                step = _whole(event.get("taken_at_step"))
                self._say(event, "info", f"{formats.order(str(event.get('action')))} @ {step:,}")
            case "run_finished":
                self.progress = Progress()
                self._say(event, "info", formats.state(str(event.get("state") or "finished")))
            case "run_failed":
                self.progress = Progress()
                self.failure = event
                self._say(event, "error", str(event.get("message") or ""))

    def _say(self, event: dict[str, Any], level: str, text: str) -> None:
        self.log.append((_number(event.get("ts"), 0.0), level, text))

    def _take_start(self, event: dict[str, Any]) -> None:
        """A further start goes on from a checkpoint: what an earlier life did after it is trained again."""
        config = event.get("config")
        if isinstance(config, dict):
            self.config = config
        resumed = event.get("resumed_from")
        if isinstance(resumed, bool) or not isinstance(resumed, int):
            return
        self._forget_from(resumed + 1)
        for name, track in self.tracks.items():
            if name.startswith("eval "):
                track.truncate(track.places["step"].first_from(resumed + 1))
        self.evals = [found for found in self.evals if found[0] <= resumed and not found[3]]
        self.checkpoints = [found for found in self.checkpoints if found[0] <= resumed]
        self.failure = {}
        self._say(event, "info", _("resumed from step {step}").format(step=f"{resumed:,}"))

    def _take_phase(self, event: dict[str, Any]) -> None:
        name, split = str(event.get("name") or ""), str(event.get("split") or "")
        before = self.progress
        if not split and name == before.phase:
            split = before.split
        if name != before.phase or split != before.split:
            self._say(event, "info", f"{formats.phase(name)} {split}".strip())
        self.progress = Progress(name, _whole(event.get("done")), _whole(event.get("total")), split)

    def _take_eval(self, event: dict[str, Any]) -> None:
        told = event.get("metrics")
        metrics = {
            str(name): float(value)
            for name, value in (told.items() if isinstance(told, Mapping) else ())
            if _is_number(value)
        }
        split, final = str(event.get("split") or ""), bool(event.get("final"))
        step = _whole(event.get("step"))
        self.evals.append((step, split, metrics, final))
        # The chosen model's last scoring of the dev split is no point of the run's way.
        if not (final and split == "dev"):
            epoch = _number(told.get("epoch")) if isinstance(told, Mapping) else NAN
            numbers = {name: value for name, value in metrics.items() if name not in EVAL_PLACES}
            self._add_point(f"eval {split}", float(step), event, epoch, numbers)
        shown = "  ".join(
            f"{formats.metric(name.split('_', 1)[1])} {formats.number(value)}"
            for name, value in metrics.items()
            if "_" in name and name.split("_", 1)[-1] in ("accuracy", "f1", "loss")
        )
        self._say(event, "info", f"{split}  {shown}")

    def _take_machine(self, name: str, event: dict[str, Any]) -> None:
        numbers = {
            str(name): _number(value, GAP)
            for name, value in event.items()
            if name not in DEVICE_PLACES and (value is None or _is_number(value))
        }
        places = self.tracks["step"].places
        step = places["step"].newest if self.tracks["step"].count else 0.0
        self._add_point(name, step, event, places["epoch"].newest, numbers)

    def _add_point(
        self, name: str, step: float, event: dict[str, Any], epoch: float, numbers: dict[str, float]
    ) -> None:
        if not numbers:
            return
        track = self.tracks.setdefault(name, Track())
        if not math.isfinite(epoch):
            epoch = self.tracks["step"].places["epoch"].newest
        x = np.array([[step], [_number(event.get("ts"))], [epoch]])
        track.extend(x, tuple(numbers), np.array([[value] for value in numbers.values()], np.float32))


def _rising(steps: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of `steps` in which each is above the one before."""
    falls = np.flatnonzero(np.diff(steps) <= 0) + 1
    edges = [0, *falls.tolist(), len(steps)]
    return list(pairwise(edges))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any, default: float = NAN) -> float:
    if not _is_number(value):
        return default
    try:
        number = float(value)
    except OverflowError:
        return default
    return number if math.isfinite(number) else default


def _whole(value: Any) -> int:
    return int(_number(value, 0.0))
