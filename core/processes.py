"""CPU and memory of processes, which of them belong to one run, and how one dies with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil


PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class FamilySample:
    """A process and its descendants: how many, CPU in percent of one core (200 is two cores), memory in bytes.

    Memory is the sum of what is resident; pages that processes share are counted in each.
    """

    count: int
    cpu: float
    rss: int


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have Linux send this process `number` when its parent dies, however it dies. Elsewhere nothing is done.

    For ranks, say: a torchrun that was killed for its memory must not leave them training on.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def process_rss(pid: int | None = None) -> int:
    """Resident memory of a process (this one by default) in bytes; 0 when it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def process_user(pid: int) -> str:
    """The user of a process; empty when it is gone, or of another container."""
    import psutil

    try:
        return str(psutil.Process(pid).username())
    except psutil.Error:
        return ""


def descendants(pid: int) -> list[int]:
    """The ids of all processes that `pid` started and those started in turn.

    Linux keeps a list of children for each thread, which spares reading the whole process table.
    """
    tasks = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if not tasks.exists():
        return _descendants_by_table(pid)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for parent in _children(waiting.pop()):
            found.append(parent)
            waiting.append(parent)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    # A process or thread may end while it is looked at.
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                children += [int(part) for part in file.read().split()]
    return children


def _descendants_by_table(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


class Family:
    """The processes of one run: `root` (its worker, or the supervisor of its ranks) and all that it started.

    Who belongs to it is looked up at every `look_every`-th sample only, since that costs more than the figures.
    """

    def __init__(self, root: int, look_every: int = 5) -> None:
        self._root = root
        self._look_every = look_every
        self._looked = 0
        self._members: dict[int, psutil.Process] = {}

    @property
    def pids(self) -> frozenset[int]:
        """The members at the last look."""
        return frozenset(self._members)

    def sample(self) -> FamilySample:
        """Their figures now; CPU since the call before (0 for a process that is seen for the first time)."""
        import psutil

        if self._looked % self._look_every == 0:
            self._look()
        self._looked += 1
        cpu, rss = 0.0, 0
        for pid, process in list(self._members.items()):
            try:
                with process.oneshot():
                    cpu += process.cpu_percent(None)
                    rss += int(process.memory_info().rss)
            except psutil.NoSuchProcess:
                del self._members[pid]
            except psutil.AccessDenied:
                # Counted, though its figures are not for us.
                continue
        return FamilySample(len(self._members), round(cpu, 1), rss)

    def _look(self) -> None:
        import psutil

        alive = {self._root, *descendants(self._root)}
        for pid in self._members.keys() - alive:
            del self._members[pid]
        for pid in alive - self._members.keys():
            with suppress(psutil.NoSuchProcess):
                self._members[pid] = psutil.Process(pid)
