"""The way to a terminal that may vanish: a closed window, a lost connection, and no signal that tells of it.

Reading from such a terminal gives nothing at once, for ever, and writing to it fails. Textual would go on reading, with
most of a core, and wait for ever to write. What the terminal takes at once is written at once (`straight_output`), the
rest by Textual's thread.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Callable
from threading import Lock
from typing import Any, TextIO

from textual._ansi_sequences import SYNC_END, SYNC_START
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from tui.key_reader import Ending, KeyReader
from tui.straight_output import Straight, Waiting

TURN = 0.001
"""Seconds for which a thread that reads a run or a log may keep the app, which has a key to answer, from Python's lock:
5 ms if nobody says so."""

# What a terminal answers that is not there any more.
GONE = (errno.EIO, errno.ENXIO, errno.EPIPE, errno.ENOTTY)


class TerminalGone(Message):
    """There is no terminal any more: nothing comes from it, and nobody sees what is written."""


class TerminalTaken(Message):
    """The terminal is ours again: whoever had it meanwhile may have written anywhere."""


class Output:
    """A file on a terminal. When the terminal has gone, `lost` is called and what is written goes nowhere.

    waiting: how much there is that has not been written out.
    """

    def __init__(self, file: TextIO, lost: Callable[[], None]) -> None:
        self._file = file
        self._lost = lost
        self.waiting = Waiting()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str | bytes) -> int:
        """Write, or let it go; bytes are in the file's encoding already."""
        self.waiting.take()
        try:
            if isinstance(text, str):
                return self._file.write(text)
            self._file.flush()
            return self._file.buffer.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Hand over to the terminal, or let it go."""
        try:
            self._file.flush()
        except OSError as error:
            self._give_up(error)
        self.waiting.done()

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
        self.exit_event = self._ending = Ending()
        self._watch: select.epoll | None = None
        self._told = False
        self._active = False
        self._straight: Straight | None = None
        self._writing = Lock()
        # Parts of a picture between the marks that let the terminal show it in one go: they go out in one go, too.
        self._picture: list[str] | None = None

    def write(self, data: str) -> None:
        """Write at once what the terminal takes at once, and leave the rest to the thread."""
        with self._writing:
            if self._picture is not None:
                self._picture.append(data)
                if data != SYNC_END:
                    return
                data, self._picture = "".join(self._picture), None
            elif data == SYNC_START:
                self._picture = [data]
                return
            rest: str | bytes = data
            if self._straight is not None and not self._file.waiting:
                rest = self._straight.write(data.encode(self._file.encoding, self._file.errors))
            if rest:
                self._file.waiting.hand()
                # The thread's queue takes anything, and `Output` bytes too.
                super().write(rest)  # type: ignore[arg-type]

    def start_application_mode(self) -> None:
        """Take the terminal, and hear of its end."""
        sys.setswitchinterval(TURN)
        if self._straight is None:
            self._straight = Straight(self._file.fileno())
        self._active = True
        super().start_application_mode()
        if self._watch is None and hasattr(select, "epoll"):
            # Nothing but the end wakes it: keys are not asked for. Elsewhere only the signal tells.
            self._watch = select.epoll()
            self._watch.register(self.fileno, 0)
            self._loop.add_reader(self._watch.fileno(), self._ended)

    def stop_application_mode(self) -> None:
        """Give the terminal back."""
        self._active = False
        self._unwatch()
        super().stop_application_mode()

    def _sigtstp_application(self, *_arguments: Any) -> None:
        # Python calls this between any two instructions: in the middle of a write, say, which holds the queue's lock.
        self._soon(super()._sigtstp_application)

    def _sigcont_application(self, *_arguments: Any) -> None:
        # It comes with SIGHUP when a terminal is closed, and after a SIGSTOP, which no program hears of.
        self._soon(self._go_on)

    def _soon(self, work: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work)

    def _go_on(self) -> None:
        if self._told or not self._auto_restart:
            return
        if self._active:
            # Nobody gave the terminal back: whoever had it meanwhile left it in a state of its own.
            self.suspend_application_mode()
        elif not self._must_signal_resume:
            return
        self.resume_application_mode()
        # What stands on the terminal is somebody else's, and its size tells nothing: it is mostly as it was.
        self._app.post_message(TerminalTaken())

    def close(self) -> None:
        """Write what is left, and let go of the terminal."""
        super().close()
        if self._straight is not None:
            self._straight.close()
            self._straight = None

    def run_input_thread(self) -> None:
        """Wait for keys; without a terminal there are none."""
        try:
            KeyReader(self.fileno, self._ending, self.process_message, debug=self._debug).run()
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
