"""The way to a terminal that may vanish: a closed window, a lost connection, and no signal that tells of it.

Reading from such a terminal gives nothing at once, for ever, and writing to it fails. Textual would go on reading, with
most of a core, and wait for ever to write.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

# What a terminal answers that is not there any more.
GONE = (errno.EIO, errno.ENXIO, errno.EPIPE, errno.ENOTTY)


class TerminalGone(Message):
    """There is no terminal any more: nothing comes from it, and nobody sees what is written."""


class Output:
    """A file on a terminal. When the terminal has gone, `lost` is called and what is written goes nowhere."""

    def __init__(self, file: IO[str], lost: Callable[[], None]) -> None:
        self._file = file
        self._lost = lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Write, or let it go."""
        try:
            return self._file.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Hand over to the terminal, or let it go."""
        try:
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if error.errno not in GONE:
            raise error
        # What is still in the file's buffer would fail once more at the end of the process.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._file.fileno())
        os.close(null)
        self._file.flush()
        self._lost()


class TerminalDriver(LinuxDriver):
    """Textual's driver; it posts `TerminalGone` to the app as soon as the terminal has gone."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._file: Any = Output(self._file, self._lost)
        self._watch: select.epoll | None = None
        self._told = False

    def start_application_mode(self) -> None:
        """Take the terminal, and hear of its end."""
        super().start_application_mode()
        if self._watch is None and hasattr(select, "epoll"):
            # Nothing but the end wakes it: keys are not asked for. Elsewhere only the signal tells.
            self._watch = select.epoll()
            self._watch.register(self.fileno, 0)
            self._loop.add_reader(self._watch.fileno(), self._ended)

    def stop_application_mode(self) -> None:
        """Give the terminal back."""
        self._unwatch()
        super().stop_application_mode()

    def run_input_thread(self) -> None:
        """Wait for keys; without a terminal there are none."""
        try:
            super().run_input_thread()
        except OSError as error:
            if error.errno not in GONE:
                raise
            self._lost()

    def _ended(self) -> None:
        self._unwatch()
        self._lost()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._loop.remove_reader(self._watch.fileno())
            self._watch.close()
            self._watch = None

    def _lost(self) -> None:
        # From any thread.
        if not self._told:
            self._told = True
            self._app.post_message(TerminalGone())
