"""What the GPUs are doing, through NVML where the machine has it.

NVML's own index of a GPU is not torch's when `CUDA_VISIBLE_DEVICES` is set; `visible_gpus` maps one to the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from core.processes import process_user

# What NVML answers for "not known" where a size is asked for.
NOT_KNOWN = 2**64 - 1


@dataclass(frozen=True)
class GpuProcess:
    """A process on a GPU: its id, its user where that can be known, its memory in bytes (None: not told).

    `ours` says that it belongs to the run that took the sample.
    """

    pid: int
    user: str
    memory: int | None
    ours: bool = False


@dataclass(frozen=True)
class MigSlice:
    """A part of a GPU in MIG mode, which torch sees as a device of its own; memory in bytes."""

    uuid: str
    name: str
    memory_used: int
    memory_total: int
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True)
class GpuSample:
    """One GPU at one moment: memory in bytes, power in watts, temperature in °C, util in percent.

    `hidden` says that the driver did not tell which processes use it. `mig` holds its slices in MIG mode.
    """

    index: int
    name: str
    util: int | None
    memory_used: int
    memory_total: int
    power: float | None
    temperature: int | None
    processes: tuple[GpuProcess, ...] = field(default=())
    power_limit: float | None = None
    uuid: str = ""
    hidden: bool = False
    mig: tuple[MigSlice, ...] = field(default=())

    @property
    def memory_free(self) -> int:
        """Bytes that nobody uses."""
        return max(0, self.memory_total - self.memory_used)

    def as_event(self, ours: frozenset[int] = frozenset()) -> dict[str, Any]:
        """The fields of a `device` event; the processes in `ours` are marked as the run's own."""
        fields = asdict(self)
        del fields["mig"]
        fields["processes"] = [
            asdict(replace(process, ours=process.ours or process.pid in ours)) for process in self.processes
        ]
        return fields


class Nvml:
    """NVML, if the machine has it: `ok` is False without a driver, and then there are no GPUs."""

    def __init__(self) -> None:
        self.ok = False
        self.driver = ""
        self._users: dict[int, str] = {}
        try:
            import pynvml
        except ImportError:
            return
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return
        self.ok = True
        self.driver = _text(self._try(pynvml.nvmlSystemGetDriverVersion) or "")

    def sample(self) -> list[GpuSample]:
        """All GPUs now, in NVML's order; figures that the driver does not give are None, a lost GPU is left out."""
        if not self.ok:
            return []
        count = self._try(self._nvml.nvmlDeviceGetCount) or 0
        found = [self._one(index) for index in range(count)]
        gpus = [gpu for gpu in found if gpu is not None]
        told = {
            process.pid
            for gpu in gpus
            for process in (*gpu.processes, *(one for part in gpu.mig for one in part.processes))
        }
        self._users = {pid: user for pid, user in self._users.items() if pid in told}
        return gpus

    def _one(self, index: int) -> GpuSample | None:
        nvml = self._nvml
        handle = self._try(nvml.nvmlDeviceGetHandleByIndex, index)
        if handle is None:
            return None
        memory = self._try(nvml.nvmlDeviceGetMemoryInfo, handle)
        slices = self._slices(handle)
        if memory is None and not slices:
            return None
        power = self._try(nvml.nvmlDeviceGetPowerUsage, handle)
        limit = self._try(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        util = self._try(nvml.nvmlDeviceGetUtilizationRates, handle)
        processes = self._processes(handle)
        return GpuSample(
            index,
            _text(self._try(nvml.nvmlDeviceGetName, handle) or "GPU"),
            None if util is None else int(util.gpu),
            int(memory.used) if memory is not None else sum(part.memory_used for part in slices),
            int(memory.total) if memory is not None else sum(part.memory_total for part in slices),
            None if power is None else round(power / 1000, 1),
            self._temperature(handle),
            processes or (),
            None if limit is None else round(limit / 1000, 1),
            _text(self._try(nvml.nvmlDeviceGetUUID, handle) or ""),
            processes is None,
            slices,
        )

    def _temperature(self, handle: Any) -> int | None:
        # The first is to be removed with CUDA 14, the second is not in older packages and drivers.
        names = ("nvmlDeviceGetTemperature", "nvmlDeviceGetTemperatureV")
        degrees = self._first(names, handle, self._nvml.NVML_TEMPERATURE_GPU)
        return None if degrees is None else int(degrees)

    def _processes(self, handle: Any) -> tuple[GpuProcess, ...] | None:
        """The processes that compute on a GPU; None when the driver does not tell."""
        # Drivers before 510 have the second version only, which not every package knows. The call without a version
        # raises for those what is no NVMLError.
        names = ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2")
        told = self._first(names, handle)
        if told is None:
            return None
        return tuple(GpuProcess(int(one.pid), self._user(int(one.pid)), _size(one.usedGpuMemory)) for one in told)

    def _slices(self, handle: Any) -> tuple[MigSlice, ...]:
        nvml = self._nvml
        mode = self._try(nvml.nvmlDeviceGetMigMode, handle)
        if mode is None or not mode[0]:
            return ()
        slices = []
        for number in range(self._try(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
            part = self._try(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
            memory = None if part is None else self._try(nvml.nvmlDeviceGetMemoryInfo, part)
            if memory is None:
                continue
            uuid, name = self._try(nvml.nvmlDeviceGetUUID, part), self._try(nvml.nvmlDeviceGetName, part)
            slices.append(
                MigSlice(
                    _text(uuid or ""),
                    _text(name or "MIG"),
                    int(memory.used),
                    int(memory.total),
                    self._processes(part) or (),
                )
            )
        return tuple(slices)

    def _user(self, pid: int) -> str:
        # A process that cannot be read now may be another one under the same id later: only answers are kept.
        user = self._users.get(pid) or process_user(pid)
        if user:
            self._users[pid] = user
        return user

    def _first(self, names: tuple[str, ...], *args: Any) -> Any:
        """What the first of these calls answers that package and driver have; None for none."""
        for name in names:
            call = getattr(self._nvml, name, None)
            found = None if call is None else self._try(call, *args)
            if found is not None:
                return found
        return None

    def _try(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except (self._nvml.NVMLError, UnicodeDecodeError):
            # The package decodes names as UTF-8; a driver may have put anything there.
            return None

    def close(self) -> None:
        """Let go of the driver."""
        if self.ok:
            with suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()
            self.ok = False


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _size(value: Any) -> int | None:
    return None if value is None or int(value) == NOT_KNOWN else int(value)


def visible_gpus(samples: list[GpuSample], environ: Mapping[str, str] = os.environ) -> list[GpuSample]:
    """Those GPUs that torch sees in a process with this environment, in torch's order (`CUDA_VISIBLE_DEVICES` by number
    or UUID).

    As in CUDA a UUID may be cut short while it is unique, a MIG slice stands with its own memory and processes, and
    what comes after an entry that names nothing is not seen.
    """
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return samples
    seen: list[GpuSample] = []
    for part in chosen.split(","):
        found = _named(part.strip(), samples)
        if found is None:
            break
        seen.append(found)
    return seen


def _named(name: str, samples: list[GpuSample]) -> GpuSample | None:
    if name.isdigit():
        return next((gpu for gpu in samples if gpu.index == int(name)), None)
    if name.startswith("MIG"):
        slices = [(gpu, part) for gpu in samples for part in gpu.mig if part.uuid.startswith(name)]
        if len(slices) != 1:
            return None
        gpu, part = slices[0]
        return replace(
            gpu,
            name=part.name,
            uuid=part.uuid,
            memory_used=part.memory_used,
            memory_total=part.memory_total,
            processes=part.processes,
            mig=(),
        )
    whole = [gpu for gpu in samples if name and gpu.uuid.startswith(name)]
    return whole[0] if len(whole) == 1 else None
