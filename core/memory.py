"""Memory of a run: figures as the guide prints them, and what to do when a GPU has too little.

Light; torch is imported inside.
"""

from __future__ import annotations

import gc
import re
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any


class OutOfMemory:
    """A context that swallows the device's out-of-memory error, lets go of the memory, and keeps it as `error`.

    Whoever catches the exception itself holds on to the tensors of every frame it went through, so that a retry
    has no more room than the first attempt.
    """

    def __init__(self) -> None:
        self.error: Any = None

    def __enter__(self) -> OutOfMemory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        import torch

        if kind is None or not issubclass(kind, torch.OutOfMemoryError):
            return False
        assert error is not None
        self.error = error.with_traceback(None)
        return True


def let_go() -> None:
    """Give memory that nothing uses any more back to the device."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _process_memory(name: str) -> int:
    """A field of `/proc/self/status` in bytes; 0 where there is none."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


class Peaks:
    """The most memory that this process has had, whoever lets the kernel or torch count anew meanwhile; bytes.

    rss: resident memory (0 where there is no `/proc`). gpu, reserved: what torch had allocated and taken from the
    driver, 0 without a GPU. It begins with what is counted already, and is up to date after `note`.
    """

    def __init__(self) -> None:
        self.rss = self.gpu = self.reserved = 0
        self.note()
        _watching.add(self)

    def note(self) -> Peaks:
        """Take in what is counted now."""
        self.rss = max(self.rss, _process_memory("VmHWM"))
        cuda = cuda_in_use()
        if cuda is not None:
            self.gpu = max(self.gpu, int(cuda.max_memory_allocated()))
            self.reserved = max(self.reserved, int(cuda.max_memory_reserved()))
        return self


# Whoever has to know of a peak before it is counted anew.
_watching: weakref.WeakSet[Peaks] = weakref.WeakSet()


def _count_anew() -> None:
    """Let the process's peaks begin at what it uses now (Linux; proc(5), `clear_refs`)."""
    for peaks in _watching:
        peaks.note()
    cuda = cuda_in_use()
    if cuda is not None:
        cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        # Elsewhere, and where it is not allowed, the peak is that of the whole life of the process.
        return


class MemoryFigures:
    """What a stage of a run (`init`, `train`, `eval`) did to memory, keyed as transformers' memory tracker does.

    `<stage>_mem_cpu_alloc_delta` and `_gpu_alloc_delta` are what the stage left allocated, `_peaked_delta` what
    it used above that in between; bytes. Without a GPU there are no `gpu` keys. transformers' own tracker keeps
    a core busy for the CPU's peak; the kernel knows it anyway. A stage may lie within another, as an evaluation does
    in training: the outer one's peak counts what came before and within it.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        cuda = cuda_in_use()
        _count_anew()
        self._rss = _process_memory("VmRSS")
        self._allocated = int(cuda.memory_allocated()) if cuda is not None else 0
        self._peaks = Peaks()

    def figures(self) -> dict[str, int]:
        """The figures from the stage's begin until now."""
        peaks = self._peaks.note()
        rss = _process_memory("VmRSS")
        found = {
            f"{self.stage}_mem_cpu_alloc_delta": rss - self._rss,
            f"{self.stage}_mem_cpu_peaked_delta": max(0, peaks.rss - max(rss, self._rss)),
        }
        cuda = cuda_in_use()
        if cuda is not None:
            allocated = int(cuda.memory_allocated())
            found[f"{self.stage}_mem_gpu_alloc_delta"] = allocated - self._allocated
            found[f"{self.stage}_mem_gpu_peaked_delta"] = max(0, peaks.gpu - max(allocated, self._allocated))
        return found


def cuda_in_use() -> Any:
    """`torch.cuda` once this process uses it; None before, and without a GPU."""
    import sys

    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return torch.cuda
