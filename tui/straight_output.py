"""Writing to the terminal without waiting for a thread to do it.

Textual hands what is to be written to a thread, because a terminal that does not take it would stop the app. But the
thread needs Python's lock, which the app holds while it works on, and then the processor, which others may have: with a
training run beside it a key's picture waits for 5 to 10 ms, ready as it is. Mostly the terminal takes everything at
once, and whether it does can be tried: on a way of our own to it, which never waits.
"""

from __future__ import annotations

import os
from threading import Lock


class Straight:
    """A way to the terminal that `descriptor` is open on which takes what there is room for, and never waits."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = -1
        if not os.isatty(descriptor):
            return
        try:
            # Opened anew: that nobody waits is then so for us alone, not for the shell and whoever else has it.
            self._descriptor = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            # A system without such names, or another user's terminal.
            return

    def write(self, data: bytes) -> bytes:
        """Write what there is room for; the rest."""
        if self._descriptor < 0:
            return data
        try:
            return data[os.write(self._descriptor, data) :]
        except BlockingIOError:
            return data
        except OSError:
            # Gone; whoever writes the rest is told what is wrong.
            self.close()
            return data

    def close(self) -> None:
        """Nothing is written on this way any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Waiting:
    """How many texts the thread was given that it has not written out yet: what comes later has to wait for them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._handed = self._taken = 0

    def __bool__(self) -> bool:
        return self._handed > 0

    def hand(self) -> None:
        """The thread gets one."""
        with self._lock:
            self._handed += 1

    def take(self) -> None:
        """The thread has begun with one."""
        self._taken += 1

    def done(self) -> None:
        """The thread has written out all that it had begun with."""
        with self._lock:
            self._handed -= self._taken
        self._taken = 0
