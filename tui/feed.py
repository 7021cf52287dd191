"""From a run's event log to what a screen shows: read in small portions, kept as columns of numbers."""

from __future__ import annotations

import math
from array import array
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import formats
from core.errors import NsmcTuiError
from core.events import EVENTS_FILE
from core.i18n import gettext as _
from core.runs import Run, load_run
from core.tail import JsonlTail

# What a `step` event gives to draw; `loss` may be missing from an event when it was no number.
SERIES = (
    "loss",
    "learning_rate",
    "grad_norm",
    "samples_per_second",
    "tokens_per_second",
    "gpu_allocated",
    "gpu_reserved",
    "gpu_peak",
    "rss",
)
LOG_LINES = 500
NAN = float("nan")


@dataclass(frozen=True)
class Progress:
    """The phase a run is in: its name, how much is done, of how much (0: not known), and the split if any."""

    phase: str = ""
    done: int = 0
    total: int = 0
    split: str = ""


@dataclass
class Telemetry:
    """All that a run has told so far. Series are arrays of equal length, one entry a `step` event, NaN where absent."""

    steps: array[float] = field(default_factory=lambda: array("d"))
    times: array[float] = field(default_factory=lambda: array("d"))
    epochs: array[float] = field(default_factory=lambda: array("d"))
    series: dict[str, array[float]] = field(default_factory=lambda: {name: array("d") for name in SERIES})
    evals: list[tuple[int, str, dict[str, float], bool]] = field(default_factory=list)
    checkpoints: list[tuple[int, bool]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    progress: Progress = Progress()
    devices: dict[int, dict[str, Any]] = field(default_factory=dict)
    log: deque[tuple[float, str, str]] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    failure: dict[str, Any] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    version: int = 0

    def value(self, name: str) -> float | None:
        """The newest value of a series; None before the first, NaN where it was no number."""
        values = self.series[name]
        return values[-1] if values else None


class RunFeed:
    """Follows one run: `poll` reads what is new and says whether anything changed."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.telemetry = Telemetry()
        self.run: Run | None = None
        self._tail = JsonlTail(run_dir / EVENTS_FILE)

    def poll(self, max_seconds: float = 0.05) -> bool:
        """Read new events for at most `max_seconds`, and the status. True when there is something new to show."""
        before = self.run
        try:
            self.run = load_run(self.run_dir)
        except NsmcTuiError as error:
            # Deleted while it was watched: what was read stays on the screen.
            self.telemetry.failure = {"message": error.message, "hint": error.hint}
        records = self._tail.read(max_seconds=max_seconds)
        for record in records:
            self._take(record)
        if records:
            self.telemetry.version += 1
        return bool(records) or self.run != before

    @property
    def behind(self) -> bool:
        """Whether more events are waiting to be read."""
        return self._tail.pending

    def _take(self, event: dict[str, Any]) -> None:
        match event.get("type"):
            case "run_started":
                self._take_start(event)
            case "step":
                self._take_step(event)
            case "phase":
                self._take_phase(event)
            case "eval":
                self._take_eval(event)
            case "checkpoint":
                step, best = int(_number(event.get("step"), 0)), bool(event.get("best"))
                self.telemetry.checkpoints.append((step, best))
                self._say(event, "info", f"checkpoint-{step}" + (" · best" if best else ""))
            case "device":
                self.telemetry.devices[int(_number(event.get("index"), 0))] = event
            case "alert":
                hint = event.get("hint")
                text = str(event.get("message") or "") + (f" → {hint}" if hint else "")
                self._say(event, str(event.get("level") or "info"), text)
            case "order":
                step = int(_number(event.get("taken_at_step"), 0))
                self.telemetry.orders[str(event.get("id") or "")] = step
                self._say(event, "info", f"{formats.order(str(event.get('action')))} @ {step:,}")
            case "run_finished":
                self.telemetry.progress = Progress()
                self._say(event, "info", formats.state(str(event.get("state") or "finished")))
            case "run_failed":
                self.telemetry.progress = Progress()
                self.telemetry.failure = event
                self._say(event, "error", str(event.get("message") or ""))

    def _say(self, event: dict[str, Any], level: str, text: str) -> None:
        self.telemetry.log.append((_number(event.get("ts"), 0.0), level, text))

    def _take_start(self, event: dict[str, Any]) -> None:
        """A further start goes on from a checkpoint: what an earlier life did after it is trained again."""
        resumed = event.get("resumed_from")
        if not isinstance(resumed, int):
            return
        telemetry = self.telemetry
        self._forget_from(resumed + 1)
        telemetry.evals = [found for found in telemetry.evals if found[0] <= resumed and not found[3]]
        telemetry.checkpoints = [found for found in telemetry.checkpoints if found[0] <= resumed]
        telemetry.failure = {}
        self._say(event, "info", _("resumed from step {step}").format(step=f"{resumed:,}"))

    def _take_step(self, event: dict[str, Any]) -> None:
        telemetry = self.telemetry
        step = _number(event.get("step"))
        if not math.isfinite(step):
            return
        if telemetry.steps and step <= telemetry.steps[-1]:
            # Resumed from a checkpoint before the last step that was seen: the line goes on from there.
            self._forget_from(step)
        telemetry.steps.append(step)
        telemetry.times.append(_number(event.get("ts")))
        telemetry.epochs.append(_number(event.get("epoch")))
        for name, values in telemetry.series.items():
            values.append(_number(event.get(name)))
        telemetry.last = event
        telemetry.progress = Progress("training", int(step), int(_number(event.get("max_steps"), 0)))

    def _forget_from(self, step: float) -> None:
        telemetry = self.telemetry
        while telemetry.steps and telemetry.steps[-1] >= step:
            for values in (telemetry.steps, telemetry.times, telemetry.epochs, *telemetry.series.values()):
                values.pop()

    def _take_phase(self, event: dict[str, Any]) -> None:
        name, split = str(event.get("name") or ""), str(event.get("split") or "")
        before = self.telemetry.progress
        if not split and name == before.phase:
            split = before.split
        if name != before.phase or split != before.split:
            self._say(event, "info", f"{formats.phase(name)} {split}".strip())
        self.telemetry.progress = Progress(
            name, int(_number(event.get("done"), 0)), int(_number(event.get("total"), 0)), split
        )

    def _take_eval(self, event: dict[str, Any]) -> None:
        metrics = {
            str(name): float(value)
            for name, value in (event.get("metrics") or {}).items()
            if isinstance(value, int | float)
        }
        split, final = str(event.get("split") or ""), bool(event.get("final"))
        self.telemetry.evals.append((int(_number(event.get("step"), 0)), split, metrics, final))
        shown = "  ".join(
            f"{name.split('_', 1)[1]} {formats.number(value)}"
            for name, value in metrics.items()
            if name.split("_", 1)[-1] in ("accuracy", "f1", "loss")
        )
        self._say(event, "info", f"{split}  {shown}")


def _number(value: Any, default: float = NAN) -> float:
    return float(value) if isinstance(value, int | float) else default
