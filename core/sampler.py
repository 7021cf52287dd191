"""Looking at the machine of a run again and again: the worker in a thread of its own, the app while somebody looks."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.device import Nvml, visible_gpus
from core.host import Host
from core.processes import Family, process_rss
from core.recorder import SUPERVISOR

# The driver answers a few calls in well under a millisecond; looking oftener than this would tell nothing more.
SHORTEST = 0.5


class MachineLook:
    """What the machine does for a run: its GPUs, the host, the run's processes, the disk it writes to.

    `root` is the process that all others of the run come from; None: there is none. `environ` decides which GPUs are
    the run's. One thread at a time. The first look knows no CPU figures, which are measured since the look before.
    """

    def __init__(self, run_dir: Path, root: int | None, environ: Mapping[str, str] = os.environ) -> None:
        self._run_dir = run_dir
        self._environ = environ
        self._family = None if root is None else Family(root)
        self._host = Host()
        self._nvml: Nvml | None = None

    def look(self) -> list[tuple[str, dict[str, Any]]]:
        """The fields of a `host` event and of a `device` event for each GPU, as they are now."""
        if self._nvml is None:
            self._nvml = Nvml()
        events = [("host", self._host_fields())]
        ours = frozenset() if self._family is None else self._family.pids
        gpus = visible_gpus(self._nvml.sample(), self._environ)
        return [*events, *(("device", gpu.as_event(ours)) for gpu in gpus)]

    def close(self) -> None:
        """Let go of the driver."""
        if self._nvml is not None:
            self._nvml.close()

    def _host_fields(self) -> dict[str, Any]:
        host = self._host.sample()
        worker = None if self._family is None else self._family.sample()
        try:
            disk = shutil.disk_usage(self._run_dir)
        except OSError:
            free = total = None
        else:
            free, total = disk.free, disk.total
        return {
            "cpu": host.cpu,
            "cpus": int(host.cpus) if host.cpus.is_integer() else round(host.cpus, 2),
            "cpu_limited": host.cpu_limited,
            "memory_used": host.memory_used,
            "memory_total": host.memory_total,
            "memory_limited": host.memory_limited,
            "worker_cpu": None if worker is None else worker.cpu,
            "worker_rss": None if worker is None else worker.rss,
            "worker_processes": None if worker is None else worker.count,
            "disk_free": free,
            "disk_total": total,
        }


class DeviceSampler:
    """The worker's: samples the visible GPUs and the host every `interval` seconds; `emit` gets them as events.

    `emit` is called in the sampler's thread. `rss`, the memory of this process, is kept fresh for others. `stop` ends
    it within one interval.
    """

    def __init__(self, emit: Callable[..., None], run_dir: Path, interval: float = 2.0) -> None:
        self.rss = process_rss()
        self._emit = emit
        self._interval = max(SHORTEST, interval)
        self._machine = MachineLook(run_dir, int(os.environ.get(SUPERVISOR, os.getpid())))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="device-sampler", daemon=True)

    def start(self) -> None:
        """Begin sampling."""
        self._thread.start()

    def stop(self) -> None:
        """End sampling and wait for the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(self._interval + 5)

    def _work(self) -> None:
        try:
            while True:
                self.rss = process_rss()
                for kind, fields in self._machine.look():
                    self._emit(kind, **fields)
                if self._stop.wait(self._interval):
                    return
        finally:
            self._machine.close()
