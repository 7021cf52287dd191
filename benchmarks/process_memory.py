"""The most memory of a process over its whole life, seen from outside, the same way for every side.

A worker has the kernel count its peak anew at each stage and evaluation (`core.memory`), which also resets what
getrusage and wait4 tell of it. So the peak since the last reset is read every 20 ms, and the largest of all counts:
only what comes in the milliseconds before a reset or the end is missed.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import psutil

INTERVAL = 0.02
# Finding children means reading a file for each thread.
CHILDREN_EVERY = 5
KB = 1024


class MemoryWatch:
    """Looks at a process from `begin` until `end`.

    rss: the most resident memory of the process itself. anonymous: the most of it that no file backs, which the kernel
    cannot drop; None where there is no `/proc`. tree: the most of the process and its children together, where pages
    that they share count for each of them. All in bytes.
    """

    def __init__(self) -> None:
        self.rss = self.tree = 0
        self.anonymous: int | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, pid: int) -> None:
        """Look at process `pid` from now on."""
        self._thread = threading.Thread(target=self._watch, args=(pid,), daemon=True)
        self._thread.start()

    def end(self) -> dict[str, int | None]:
        """Look no more; returns what was found."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if not self.rss:
            raise SystemExit("nothing was seen of a process whose memory was to be measured")
        return {"rss": self.rss, "anonymous": self.anonymous, "tree": self.tree}

    def _watch(self, pid: int) -> None:
        looks = 0
        while not self._over.is_set():
            if not self._look(pid, looks % CHILDREN_EVERY == 0):
                return
            looks += 1
            self._over.wait(INTERVAL)

    def _look(self, pid: int, children: bool) -> bool:
        fields = memory_fields(pid)
        if not fields:
            return False
        self.rss = max(self.rss, fields["VmHWM"])
        # Children are looked at less often: the process alone may have grown since.
        self.tree = max(self.tree, self.rss)
        if "RssAnon" in fields:
            self.anonymous = max(self.anonymous or 0, fields["RssAnon"] + fields["RssShmem"])
        if children:
            others = sum(memory_fields(child).get("VmRSS", 0) for child in descendants(pid))
            self.tree = max(self.tree, fields["VmRSS"] + others)
        return True


def memory_fields(pid: int) -> dict[str, int]:
    """What `/proc/PID/status` tells of the memory of a process, in bytes; nothing of one that has ended."""
    if not Path("/proc/self/status").exists():
        # macOS: no peak to read there, nor one that is counted anew.
        try:
            rss = int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return {}
        return {"VmHWM": rss, "VmRSS": rss}
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    pairs = (line.split(":", 1) for line in lines if line.startswith(("Vm", "Rss")))
    return {name: int(value.split()[0]) * KB for name, value in pairs}


def descendants(pid: int) -> list[int]:
    """The processes below `pid`; none where there is no `/proc`."""
    found: list[int] = []
    tasks = Path(f"/proc/{pid}/task")
    # Threads and processes may end at any moment.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(tasks):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for child in map(int, (tasks / thread / "children").read_text().split()):
                    found += [child, *descendants(child)]
    return found
