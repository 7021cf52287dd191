"""A driver for machines without a GPU: what `libnvidia-ml` would answer, below the real package `pynvml`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pynvml

GIB = 1 << 30
SUCCESS, NOT_FOUND, TOO_SMALL = pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_INSUFFICIENT_SIZE


class DriverError(Exception):
    """In place of a figure: the driver answers the call for it with `code`."""

    code = pynvml.NVML_ERROR_UNKNOWN


class NotSupportedError(DriverError):
    """The GPU does not have this figure."""

    code = pynvml.NVML_ERROR_NOT_SUPPORTED


class NoPermissionError(DriverError):
    """The driver does not tell this user."""

    code = pynvml.NVML_ERROR_NO_PERMISSION


class GpuIsLostError(DriverError):
    """The GPU has fallen off the bus."""

    code = pynvml.NVML_ERROR_GPU_IS_LOST


@dataclass(eq=False)
class FakeGpu:
    """A GPU, or a MIG slice of one. Power in milliwatts, as the driver counts it."""

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


def process(pid: int, memory: int | None = GIB) -> tuple[int, int]:
    """A process as the driver tells it; without its memory, as in a container or under Windows."""
    return pid, pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value if memory is None else memory


def _answer(value: Any, put: Callable[[Any], object]) -> int:
    """The code that the driver ends with after putting `value` where it was asked to."""
    if isinstance(value, DriverError):
        return value.code
    put(value)
    return SUCCESS


class FakeDriver:
    """The functions of `libnvidia-ml` that are called, by their C names; `missing` ones an older driver lacks."""

    def __init__(self, gpus: list[FakeGpu], missing: frozenset[str] = frozenset()) -> None:
        self.gpus = gpus
        self._missing = missing
        self._handles: list[FakeGpu] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("nvml") and name in self._missing:
            raise AttributeError(name)
        return super().__getattribute__(name)

    def _hand_out(self, gpu: FakeGpu, handle: Any) -> int:
        if gpu not in self._handles:
            self._handles.append(gpu)
        number = ctypes.c_void_p(self._handles.index(gpu) + 1)
        ctypes.memmove(ctypes.addressof(handle._obj), ctypes.addressof(number), ctypes.sizeof(number))
        return SUCCESS

    def _gpu(self, handle: Any) -> FakeGpu:
        return self._handles[ctypes.cast(handle, ctypes.c_void_p).value - 1]  # type: ignore[operator]

    def nvmlInitWithFlags(self, _flags: int) -> int:
        return SUCCESS

    def nvmlShutdown(self) -> int:
        return SUCCESS

    def nvmlSystemGetDriverVersion(self, text: Any, _size: Any) -> int:
        text.value = b"580.1"
        return SUCCESS

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.gpus)
        return SUCCESS

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        gpu = self.gpus[index.value]
        return GpuIsLostError.code if gpu.lost else self._hand_out(gpu, handle)

    def nvmlDeviceGetName(self, handle: Any, text: Any, _size: Any) -> int:
        return _answer(self._gpu(handle).name, lambda name: setattr(text, "value", _bytes(name)))

    def nvmlDeviceGetUUID(self, handle: Any, text: Any, _size: Any) -> int:
        return _answer(self._gpu(handle).uuid, lambda uuid: setattr(text, "value", _bytes(uuid)))

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        gpu, told = self._gpu(handle), memory._obj
        told.total = gpu.total
        return _answer(gpu.used, lambda used: setattr(told, "used", used))

    def nvmlDeviceGetUtilizationRates(self, handle: Any, rates: Any) -> int:
        return _answer(self._gpu(handle).util, lambda util: setattr(rates._obj, "gpu", util))

    def nvmlDeviceGetPowerUsage(self, handle: Any, power: Any) -> int:
        return _answer(self._gpu(handle).power, lambda value: setattr(power._obj, "value", value))

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Any, limit: Any) -> int:
        return _answer(self._gpu(handle).limit, lambda value: setattr(limit._obj, "value", value))

    def nvmlDeviceGetTemperature(self, handle: Any, _sensor: Any, degrees: Any) -> int:
        return _answer(self._gpu(handle).temperature, lambda value: setattr(degrees._obj, "value", value))

    def nvmlDeviceGetTemperatureV(self, handle: Any, told: Any) -> int:
        return _answer(self._gpu(handle).temperature, lambda value: setattr(told._obj, "temperature", value))

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Any, count: Any, table: Any) -> int:
        return _answer_processes(self._gpu(handle).processes, count._obj, table)

    def nvmlDeviceGetComputeRunningProcesses_v2(self, handle: Any, count: Any, table: Any) -> int:
        return _answer_processes(self._gpu(handle).processes, count._obj, table)

    def nvmlDeviceGetMigMode(self, handle: Any, current: Any, pending: Any) -> int:
        if not self._gpu(handle).slices:
            return NotSupportedError.code
        current._obj.value = pending._obj.value = 1
        return SUCCESS

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, count: Any) -> int:
        count._obj.value = 7 if self._gpu(handle).slices else 0
        return SUCCESS

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, number: Any, part: Any) -> int:
        slices = self._gpu(handle).slices
        return self._hand_out(slices[number.value], part) if number.value < len(slices) else NOT_FOUND


def _bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()


def _answer_processes(told: Any, count: Any, table: Any) -> int:
    if isinstance(told, DriverError):
        return told.code
    room, count.value = count.value, len(told)
    if room < len(told) or (told and table is None):
        return TOO_SMALL
    for row, (pid, memory) in zip(table or (), told, strict=False):
        row.pid, row.usedGpuMemory = pid, memory
    return SUCCESS


@contextmanager
def installed(*gpus: FakeGpu, missing: frozenset[str] = frozenset()) -> Iterator[list[FakeGpu]]:
    """While it lasts the package `pynvml` finds a driver with `gpus`, which may be changed meanwhile."""
    machine = list(gpus)
    library, cache = pynvml.nvmlLib, dict(pynvml._nvmlGetFunctionPointer_cache)
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlLib = FakeDriver(machine, missing)
    try:
        yield machine
    finally:
        pynvml.nvmlLib = library
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml._nvmlGetFunctionPointer_cache.update(cache)
