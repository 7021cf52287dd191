"""The machine in one short line for the top of every screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.device import GpuSample, Nvml
    from core.host import Host, HostSample


def gpu_line(gpu: GpuSample) -> str:
    """`gpu0 11.2/24 GB 87%`."""
    used, total = gpu.memory_used / (1 << 30), gpu.memory_total / (1 << 30)
    util = "" if gpu.util is None else f" {gpu.util}%"
    return f"gpu{gpu.index} {used:.1f}/{total:.0f} GB{util}"


def host_line(host: HostSample) -> str:
    """`CPU 57% 3.1/24 GB`, for a machine without a GPU."""
    return f"CPU {host.cpu:.0f}% {host.memory_used / (1 << 30):.1f}/{host.memory_total / (1 << 30):.0f} GB"


class MachineReader:
    """Reads the machine again and again, the driver opened once."""

    def __init__(self) -> None:
        self._nvml: Nvml | None = None
        self._host: Host | None = None

    def line(self) -> str:
        """The line now: up to four GPUs, else the CPU."""
        # Imported by the first look, which is behind the first picture.
        from core.device import Nvml
        from core.host import Host

        if self._nvml is None or self._host is None:
            self._nvml, self._host = Nvml(), Host()
        gpus = self._nvml.sample()
        if not gpus:
            return host_line(self._host.sample())
        more = f" +{len(gpus) - 4}" if len(gpus) > 4 else ""
        return "  ".join(gpu_line(gpu) for gpu in gpus[:4]) + more

    def close(self) -> None:
        """Let go of the driver."""
        if self._nvml is not None:
            self._nvml.close()
