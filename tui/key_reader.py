"""Keys from the terminal, by a thread that sleeps until there is one: Textual's own wakes ten times a second for ever.

It decodes with Textual's parser, which is private, as is the time at which it has to be asked whether an `esc` was the
key of that name or the beginning of another; textual is pinned.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import selectors
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from textual._parser import ParseError
from textual._time import get_time
from textual._xterm_parser import XTermParser
from textual.message import Message

READ = 4096
WITHOUT_TERMINAL = 0.1


class Ending(threading.Event):
    """An event that can be selected on (`fileno`) as well."""

    def __init__(self) -> None:
        super().__init__()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        for descriptor in (self._read, self._write):
            weakref.finalize(self, os.close, descriptor)

    def fileno(self) -> int:
        """Readable while it is set."""
        return self._read

    def set(self) -> None:
        """As any event; whoever selects wakes up."""
        if not self.is_set():
            os.write(self._write, b"!")
        super().set()

    def clear(self) -> None:
        """As any event."""
        super().clear()
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, READ)


class KeyReader:
    """Reads `terminal` (a file descriptor) until `ending` is set, and hands each key and answer to `take`."""

    def __init__(self, terminal: int, ending: Ending, take: Callable[[Message], Any], *, debug: bool = False) -> None:
        self._terminal = terminal
        self._ending = ending
        self._take = take
        self._parser = XTermParser(debug)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def run(self) -> None:
        """Read until the end. Raises OSError when the terminal has gone."""
        with selectors.SelectSelector() as selector:
            selector.register(self._ending, selectors.EVENT_READ)
            selector.register(self._terminal, selectors.EVENT_READ)
            while not self._ending.is_set():
                ready = selector.select(self._patience())
                if any(key.fd == self._terminal for key, _events in ready) and not self._read():
                    # For ever the same: whoever notices that there is no terminal any more ends this.
                    self._ending.wait(WITHOUT_TERMINAL)
                self._hand_on(self._parser.tick())
        with contextlib.suppress(EOFError, ParseError):
            # What was begun stays unfinished.
            list(self._parser.feed(""))

    def _patience(self) -> float | None:
        """Seconds until the parser has to be asked what an unfinished key was; None when there is none."""
        due = self._parser._timeout_time
        return None if due is None else max(0.0, due - get_time())

    def _read(self) -> bool:
        data = os.read(self._terminal, READ)
        text = self._decoder.decode(data)
        if text:
            self._hand_on(self._parser.feed(text))
        return bool(data)

    def _hand_on(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._take(message)
