"""How often a live picture is drawn: seldom enough to leave the cores to the training that it shows."""

from __future__ import annotations

import os
import time

# What drawing may take of all cores, and the longest it makes the eye wait. A picture of Monitor takes about 50 ms of a
# core: on two cores there is one every two and a half seconds, on sixteen or more as many as the screen wants.
SHARE = 0.01
LONGEST = 2.5


def cores() -> int:
    """The cores that this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        return os.cpu_count() or 1


class Pace:
    """Tells how long to wait for the next picture, by the CPU time that the process used since the last one."""

    def __init__(self, shortest: float, count: int | None = None) -> None:
        self.shortest = shortest
        self._cores = cores() if count is None else count
        self._at = 0.0
        self._used = 0.0

    def drawn(self) -> None:
        """A picture is being drawn now."""
        self._at, self._used = time.monotonic(), time.process_time()

    def wait(self, *, urgent: bool = False) -> float:
        """Seconds until the next picture, zero or less when it is due; `urgent` news wait for the eye only."""
        pause = self.shortest
        if not urgent:
            used = time.process_time() - self._used
            pause = max(pause, min(LONGEST, used / (SHARE * self._cores)))
        return self._at + pause - time.monotonic()
