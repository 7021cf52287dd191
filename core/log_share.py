"""A long log read by several processes, each of which takes the next portion when it is through with one.

The numbers of the portions lie in a pipe that all of them read from; what becomes of one goes to the reader through
the pipe of the process that took it. One core is left to the app until it asks for the first batch.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from core.log_batch import Batch, read_batch, write_batch
from core.log_parse import Parser

PORTION = 4 << 20
# Portions that are read ahead of the reader at most: their columns are an eighth of their bytes.
AHEAD = 32
PIPE_ROOM = 1 << 20
# A portion in the pipe: its number and where it begins and ends in the file.
TOKEN = struct.Struct("<3q")


class SharedScan:
    """All whole lines between `start` (the beginning of a line) and `end` of a log, read by `processes` processes.

    All but one begin at once, the last one when the first batch is asked for. `close` ends them.
    """

    def __init__(self, path: Path, start: int, end: int, processes: int) -> None:
        self._path = path
        self._processes = processes
        self._edges = list(_line_edges(path, start, end))
        self._found: dict[int, Batch] = {}
        self._changed = threading.Condition()
        self._failed = False
        self._children: list[subprocess.Popen[bytes]] = []
        self._tokens, self._writer = os.pipe()
        self._told = 0
        self._tell(AHEAD)
        self._start(max(1, processes - 1))

    def batches(self) -> Iterator[Batch]:
        """The batches in order, once."""
        try:
            self._start(self._processes)
            parser = Parser()
            for number in range(len(self._edges) - 1):
                begin, stop = self._edges[number : number + 2]
                with self._changed:
                    while number not in self._found and not self._failed:
                        self._changed.wait()
                    batch = self._found.pop(number, None)
                if batch is None:
                    # A process was killed, or had no memory: what it may have taken is read here.
                    batch = read_portion(self._path, begin, stop, parser)
                self._tell(1)
                if batch.end > begin:
                    yield batch
                if batch.end < stop:
                    # Half a line at the end, or a file that has become shorter.
                    return
        finally:
            self.close()

    def close(self) -> None:
        """End the processes."""
        self._close_writer()
        if self._tokens >= 0:
            os.close(self._tokens)
            self._tokens = -1
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.wait()

    def _tell(self, many: int) -> None:
        """Put the next portions into the pipe; close it behind the last one."""
        last = min(self._told + many, len(self._edges) - 1)
        for number in range(self._told, last):
            # There is always somebody to read: this process holds the other end too. A pipe has room for more than
            # `AHEAD` of them.
            os.write(self._writer, TOKEN.pack(number, *self._edges[number : number + 2]))
        self._told = last
        if last == len(self._edges) - 1:
            self._close_writer()

    def _close_writer(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def _start(self, many: int) -> None:
        command = [sys.executable, "-P", "-m", "core.log_share", str(self._path)]
        while len(self._children) < many:
            try:
                child = subprocess.Popen(
                    command,
                    stdin=self._tokens,
                    stdout=subprocess.PIPE,
                    # The app's terminal must never see what a child says.
                    stderr=subprocess.DEVNULL,
                )
            except OSError:
                # No room for another process.
                with self._changed:
                    self._failed = True
                    self._changed.notify()
                return
            self._children.append(child)
            threading.Thread(target=self._collect, args=(child,), daemon=True).start()

    def _collect(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        _widen(child.stdout)
        whole = False
        try:
            while number := child.stdout.readline():
                batch = read_batch(child.stdout)
                if batch is None:
                    break
                with self._changed:
                    self._found[int(number)] = batch
                    self._changed.notify()
            else:
                whole = True
        finally:
            if not whole:
                # Nobody takes what else it would give.
                child.kill()
            failed = child.wait() != 0
            with self._changed:
                self._failed = self._failed or failed
                self._changed.notify()


def _line_edges(path: Path, start: int, end: int) -> Iterator[int]:
    """Places that cut the bytes `start` to `end` into portions, each the beginning of a line."""
    yield start
    with path.open("rb") as file:
        while (place := start + PORTION) < end:
            file.seek(place)
            file.readline()
            start = file.tell()
            if start >= end:
                break
            yield start
    yield end


def _widen(pipe: IO[bytes]) -> None:
    """Give a pipe more room where the system can: each read of it has to wait for the interpreter."""
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_ROOM)


def read_portion(path: Path, start: int, stop: int, parser: Parser) -> Batch:
    """The batch of the bytes `start` to `stop` of a log as far as they are whole lines."""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(stop - start)
    whole = data.rfind(b"\n") + 1
    return parser.parse(data[:whole], start + whole)


def main() -> None:
    """One of the processes: a log's path; portions come from stdin, numbers and batches go to stdout."""
    import gc

    # Batches are no cycles, and a collection would look through all of the interpreter again and again.
    gc.disable()
    path, parser, out = Path(sys.argv[1]), Parser(), sys.stdout.buffer
    while len(token := os.read(sys.stdin.fileno(), TOKEN.size)) == TOKEN.size:
        number, start, stop = TOKEN.unpack(token)
        out.write(b"%d\n" % number)
        write_batch(read_portion(path, start, stop, parser), out)
        out.flush()


if __name__ == "__main__":
    main()
