"""What the machine is doing: GPUs through NVML where there are any, else the CPU, and one process's memory.

NVML's own index of a GPU is not torch's when `CUDA_VISIBLE_DEVICES` is set; `visible_gpus` maps one to the other.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class GpuProcess:
    """A process on a GPU: its id, its user where that can be known, its memory in bytes (None: not told)."""

    pid: int
    user: str
    memory: int | None


@dataclass(frozen=True)
class GpuSample:
    """One GPU at one moment: memory in bytes, power in watts, temperature in °C, util in percent."""

    index: int
    name: str
    util: int | None
    memory_used: int
    memory_total: int
    power: float | None
    temperature: int | None
    processes: tuple[GpuProcess, ...] = field(default=())

    def as_event(self) -> dict[str, Any]:
        """The fields of a `device` event."""
        fields = asdict(self)
        fields["processes"] = [asdict(process) for process in self.processes]
        return fields


@dataclass(frozen=True)
class HostSample:
    """The machine's own figures: CPU in percent of all cores, memory in bytes."""

    cpu: float
    memory_used: int
    memory_total: int


class Nvml:
    """NVML, if the machine has it: `ok` is False without a driver, and then there are no GPUs."""

    def __init__(self) -> None:
        self.ok = False
        self.driver = ""
        try:
            import pynvml
        except ImportError:
            return
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self.driver = _text(pynvml.nvmlSystemGetDriverVersion())
        except pynvml.NVMLError:
            return
        self.ok = True

    def sample(self) -> list[GpuSample]:
        """All GPUs now, in NVML's order; figures that the driver does not give are None."""
        if not self.ok:
            return []
        try:
            return [self._one(index) for index in range(self._nvml.nvmlDeviceGetCount())]
        except self._nvml.NVMLError:
            return []

    def _one(self, index: int) -> GpuSample:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        power = self._try(nvml.nvmlDeviceGetPowerUsage, handle)
        util = self._try(nvml.nvmlDeviceGetUtilizationRates, handle)
        processes = self._try(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
        return GpuSample(
            index,
            _text(nvml.nvmlDeviceGetName(handle)),
            None if util is None else int(util.gpu),
            int(memory.used),
            int(memory.total),
            None if power is None else round(power / 1000, 1),
            self._try(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            tuple(GpuProcess(p.pid, _user(p.pid), p.usedGpuMemory) for p in processes),
        )

    def _try(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except self._nvml.NVMLError:
            return None

    def close(self) -> None:
        """Let go of the driver."""
        if self.ok:
            with suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()
            self.ok = False


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _user(pid: int) -> str:
    import psutil

    try:
        return str(psutil.Process(pid).username())
    except psutil.Error:
        return ""


def visible_gpus(samples: list[GpuSample]) -> list[GpuSample]:
    """Those GPUs that torch sees in this process, in torch's order (`CUDA_VISIBLE_DEVICES` by number)."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return samples
    by_index = {sample.index: sample for sample in samples}
    numbers = [int(part) for part in chosen.split(",") if part.strip().isdigit()]
    return [by_index[number] for number in numbers if number in by_index]


def sample_host() -> HostSample:
    """The machine's CPU and memory; the CPU since the last call (0 at the first)."""
    import psutil

    memory = psutil.virtual_memory()
    return HostSample(psutil.cpu_percent(None), int(memory.total - memory.available), int(memory.total))


def process_rss(pid: int | None = None) -> int:
    """Resident memory of a process (this one by default) in bytes; 0 when it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


class DeviceSampler:
    """A thread that samples the visible GPUs every `interval` seconds and hands each sample to `sink`.

    Without GPUs it only keeps `rss` fresh. `stop` ends it within one interval; `sink` is called in its thread.
    """

    def __init__(self, sink: Callable[[GpuSample], None], interval: float = 2.0) -> None:
        self.rss = process_rss()
        self._sink = sink
        self._interval = interval
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
                for sample in visible_gpus(nvml.sample()):
                    self._sink(sample)
                if self._stop.wait(self._interval):
                    return
        finally:
            nvml.close()
