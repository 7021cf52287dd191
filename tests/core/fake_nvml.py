"""An NVML module for machines without a GPU: what `pynvml` offers, answered from a description of GPUs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

GIB = 1 << 30


class NVMLError(Exception):
    """As pynvml's: a number says what is wrong."""


class NotSupportedError(NVMLError):
    """The GPU does not have this figure."""


class NoPermissionError(NVMLError):
    """The driver does not tell this user."""


class GpuIsLostError(NVMLError):
    """The GPU has fallen off the bus."""


@dataclass
class FakeGpu:
    """A GPU, or a MIG slice of one. An exception in place of a figure is raised when the figure is asked for."""

    name: Any = "NVIDIA H100"
    uuid: Any = "GPU-aaaa"
    used: Any = 10 * GIB
    total: int = 80 * GIB
    util: Any = 87
    power: Any = 298_000
    limit: Any = 700_000
    temperature: Any = 61
    processes: Any = ()
    slices: list[FakeGpu] = field(default_factory=list)
    lost: bool = False


def process(pid: int, memory: int | None = GIB) -> SimpleNamespace:
    """A process as NVML tells it."""
    return SimpleNamespace(pid=pid, usedGpuMemory=memory)


def _give(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


def module(gpus: list[FakeGpu]) -> ModuleType:
    """`pynvml` on a machine with `gpus`."""
    fake: Any = ModuleType("pynvml")

    def handle(index: int) -> FakeGpu:
        if gpus[index].lost:
            raise GpuIsLostError
        return gpus[index]

    def part(gpu: FakeGpu, number: int) -> FakeGpu:
        if number >= len(gpu.slices):
            raise NVMLError("not found")
        return gpu.slices[number]

    fake.NVMLError = NVMLError
    fake.NVML_TEMPERATURE_GPU = 0
    fake.nvmlInit = fake.nvmlShutdown = lambda: None
    fake.nvmlSystemGetDriverVersion = lambda: b"580.1"
    fake.nvmlDeviceGetCount = lambda: len(gpus)
    fake.nvmlDeviceGetHandleByIndex = handle
    fake.nvmlDeviceGetName = lambda gpu: _give(gpu.name)
    fake.nvmlDeviceGetUUID = lambda gpu: _give(gpu.uuid)
    fake.nvmlDeviceGetMemoryInfo = lambda gpu: SimpleNamespace(used=_give(gpu.used), total=gpu.total)
    fake.nvmlDeviceGetUtilizationRates = lambda gpu: SimpleNamespace(gpu=_give(gpu.util))
    fake.nvmlDeviceGetPowerUsage = lambda gpu: _give(gpu.power)
    fake.nvmlDeviceGetEnforcedPowerLimit = lambda gpu: _give(gpu.limit)
    fake.nvmlDeviceGetTemperature = lambda gpu, _sensor: _give(gpu.temperature)
    fake.nvmlDeviceGetComputeRunningProcesses = lambda gpu: list(_give(gpu.processes))
    fake.nvmlDeviceGetMigMode = lambda gpu: (1, 1) if gpu.slices else _give(NotSupportedError())
    fake.nvmlDeviceGetMaxMigDeviceCount = lambda gpu: 7 if gpu.slices else 0
    fake.nvmlDeviceGetMigDeviceHandleByIndex = part
    return fake


@contextmanager
def installed(*gpus: FakeGpu) -> Iterator[list[FakeGpu]]:
    """While it lasts, `import pynvml` gives a machine with `gpus`, which may be changed meanwhile."""
    before = sys.modules.get("pynvml")
    machine = list(gpus)
    sys.modules["pynvml"] = module(machine)
    try:
        yield machine
    finally:
        if before is None:
            del sys.modules["pynvml"]
        else:
            sys.modules["pynvml"] = before
