"""The worker's look at its machine, again and again, in a thread of its own."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.device import Nvml, visible_gpus
from core.processes import Family, process_rss, sample_host
from core.recorder import SUPERVISOR

# The driver answers a few calls in well under a millisecond; looking oftener than this would tell nothing more.
SHORTEST = 0.5


class DeviceSampler:
    """Samples the visible GPUs and the host every `interval` seconds; `emit` gets them as `device` and `host` events.

    `emit` is called in the sampler's thread. `rss`, the memory of this process, is kept fresh for others. `stop` ends
    it within one interval.
    """

    def __init__(self, emit: Callable[..., None], run_dir: Path, interval: float = 2.0) -> None:
        self.rss = process_rss()
        self._emit = emit
        self._run_dir = run_dir
        self._interval = max(SHORTEST, interval)
        self._family = Family(int(os.environ.get(SUPERVISOR, os.getpid())))
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
        nvml = Nvml()
        try:
            while True:
                self.rss = process_rss()
                self._emit("host", **self._host())
                for sample in visible_gpus(nvml.sample()):
                    self._emit("device", **sample.as_event(self._family.pids))
                if self._stop.wait(self._interval):
                    return
        finally:
            nvml.close()

    def _host(self) -> dict[str, Any]:
        host, worker = sample_host(), self._family.sample()
        try:
            disk = shutil.disk_usage(self._run_dir)
        except OSError:
            free = total = None
        else:
            free, total = disk.free, disk.total
        return {
            "cpu": host.cpu,
            "cpus": os.cpu_count(),
            "memory_used": host.memory_used,
            "memory_total": host.memory_total,
            "worker_cpu": worker.cpu,
            "worker_rss": worker.rss,
            "worker_processes": worker.count,
            "disk_free": free,
            "disk_total": total,
        }
