"""The last minutes of a run's machine: what its `device` and `host` events told, for the device pane."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# At two seconds a sample some eight minutes: more than any pane is wide.
KEPT = 240
Event = Mapping[str, Any]


def _trace() -> deque[float]:
    return deque(maxlen=KEPT)


@dataclass
class GpuHistory:
    """One GPU: its newest event, and utilisation and memory as shares of 1 (NaN: not told)."""

    last: Event = field(default_factory=dict)
    util: deque[float] = field(default_factory=_trace)
    memory: deque[float] = field(default_factory=_trace)


@dataclass
class MachineHistory:
    """All GPUs of a run by the driver's number, and its host. CPU and memory are shares of 1.

    `newest` is when the last sample was taken (seconds since the epoch), `gap` the time between the last two of the
    host.
    """

    gpus: dict[int, GpuHistory] = field(default_factory=dict)
    host: Event = field(default_factory=dict)
    cpu: deque[float] = field(default_factory=_trace)
    memory: deque[float] = field(default_factory=_trace)
    newest: float | None = None
    gap: float = 0.0
    _host_at: float | None = None

    def going_on(self) -> MachineHistory:
        """A history that begins with what this one has of the past, its newest figures left out."""
        new = MachineHistory(cpu=self.cpu.copy(), memory=self.memory.copy())
        new.gpus = {index: GpuHistory({}, gpu.util.copy(), gpu.memory.copy()) for index, gpu in self.gpus.items()}
        return new

    def take_look(self, events: Iterable[tuple[str, Event]], now: float) -> None:
        """Take a whole look at the machine: GPUs that are not in it are gone."""
        told = [{"type": kind, "ts": now, **fields} for kind, fields in events]
        seen = {event.get("index") for event in told if event["type"] == "device"}
        self.gpus = {index: gpu for index, gpu in self.gpus.items() if index in seen}
        for event in told:
            self.take(event)

    def take(self, event: Event) -> None:
        """Take one event of a run; only those of the machine matter."""
        if event.get("type") == "device":
            gpu = self.gpus.setdefault(int(number(event.get("index")) or 0), GpuHistory())
            gpu.last = event
            gpu.util.append(share(event.get("util"), 100))
            gpu.memory.append(share(event.get("memory_used"), event.get("memory_total")))
        elif event.get("type") == "host":
            self.host = event
            self.cpu.append(share(event.get("cpu"), 100))
            self.memory.append(share(event.get("memory_used"), event.get("memory_total")))
        else:
            return
        told = number(event.get("ts"))
        if told is not None:
            if event.get("type") == "host":
                self.gap = 0.0 if self._host_at is None else max(0.0, told - self._host_at)
                self._host_at = told
            self.newest = told


def number(value: Any) -> float | None:
    """`value` as a finite number, else None: events come from anyone."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def share(part: Any, whole: Any) -> float:
    """`part` of `whole`, between 0 and 1; NaN where one of them is not known."""
    top, bottom = number(part), number(whole)
    if top is None or not bottom:
        return math.nan
    return min(1.0, max(0.0, top / bottom))
