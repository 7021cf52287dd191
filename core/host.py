"""CPU and memory of the machine, as far as they are this process's to use.

In a container, a batch job or a service the machine's own figures mislead: 200 GB free on the host say nothing where
a limit of 8 GB ends the process. Where control groups limit memory or CPU time, or the process may use only some of
the cores, the figures are those of what it may use.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from core.cgroups import Cgroups


@dataclass(frozen=True)
class HostSample:
    """CPU in percent of `cpus` cores (which may be a fraction), memory in bytes.

    `cpu_limited` and `memory_limited` say that not the whole machine is meant, but what this process may use of it.
    """

    cpu: float
    memory_used: int
    memory_total: int
    cpus: float = 0.0
    cpu_limited: bool = False
    memory_limited: bool = False

    @property
    def memory_free(self) -> int:
        """Bytes that can still be used."""
        return max(0, self.memory_total - self.memory_used)


class Host:
    """Reads the host again and again; `root` is `/` but for tests. CPU is measured since the call before (0 at the
    first), so that whoever looks regularly has a reader of their own."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._cgroups = Cgroups(root)
        self._before: tuple[float, float] | None = None

    def sample(self) -> HostSample:
        """The figures now."""
        import psutil

        machine = psutil.virtual_memory()
        used, total = int(machine.total - machine.available), int(machine.total)
        memory = self._cgroups.memory()
        # Version 1 writes a number beyond all memory for "no limit".
        memory_limited = memory is not None and memory.most < total
        if memory is not None and memory_limited:
            used, total = memory.used, memory.most
        cores, mine = os.cpu_count() or 1, sorted(_affinity())
        quota = self._cgroups.cpu()
        if quota is not None and quota.cores < len(mine) and quota.spent is not None:
            cpus = quota.cores
            spent, possible = quota.spent, time.monotonic() * cpus
        else:
            cpus = float(len(mine))
            spent, possible = _cpu_time(mine if len(mine) < cores else None)
        return HostSample(self._share(spent, possible), used, total, cpus, cpus < cores, memory_limited)

    def _share(self, spent: float, possible: float) -> float:
        before, self._before = self._before, (spent, possible)
        if before is None or possible <= before[1]:
            return 0.0
        return round(min(100.0, max(0.0, 100 * (spent - before[0]) / (possible - before[1]))), 1)


def _affinity() -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:
        return set(range(os.cpu_count() or 1))


def _cpu_time(cores: list[int] | None) -> tuple[float, float]:
    """Seconds that the given cores (None: all) were busy, and seconds in all."""
    import psutil

    if cores is None:
        rows = [psutil.cpu_times()]
    else:
        every = psutil.cpu_times(percpu=True)
        rows = [every[core] for core in cores if core < len(every)]
    busy = total = 0.0
    for row in rows:
        # A guest's time is counted in `user` and `nice` too.
        whole = sum(row) - getattr(row, "guest", 0.0) - getattr(row, "guest_nice", 0.0)
        total += whole
        busy += whole - row.idle - getattr(row, "iowait", 0.0)
    return busy, total
