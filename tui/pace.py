"""How often a live picture is drawn: seldom enough to leave the cores to the training that it shows."""

from __future__ import annotations

import os
import time

from tui import collecting

# What drawing may take of all cores, and the longest it makes the eye wait: when somebody has just come to look or
# used keys or mouse, and in the end. Between the two it is a third of the time since then. A picture of Monitor takes
# about 30 ms of a core that trains, and threads on the other cores wait for that one. Two cores are drawn for once in
# the longest time, sixteen or more as often as the screen wants.
SHARE = 0.002
LONGEST, LATER = 2.5, 15.0
PART = 1 / 3


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
        # Seconds from one picture to the next, by what the last one and the reading for it took.
        self.usual = shortest
        self.looked()

    def looked(self) -> None:
        """Somebody has come to look."""
        self._looked = time.monotonic()

    def drawn(self) -> None:
        """A picture is being drawn now."""
        self.usual = self._pause()
        self._at, self._used = time.monotonic(), time.process_time()

    @property
    def _longest(self) -> float:
        """Seconds that a picture may be put off at most."""
        since = time.monotonic() - max(self._looked, collecting.last_key())
        return max(LONGEST, min(LATER, PART * since))

    @property
    def patience(self) -> float:
        """Seconds that whatever is read for pictures may wait: as usual, but no longer once somebody is back."""
        return min(self.usual, self._longest)

    def _pause(self) -> float:
        used = time.process_time() - self._used
        return max(self.shortest, min(self._longest, used / (SHARE * self._cores)))

    def wait(self, *, urgent: bool = False) -> float:
        """Seconds until the next picture, zero or less when it is due; `urgent` news wait for the eye only."""
        return self._at + (self.shortest if urgent else self._pause()) - time.monotonic()
