"""From a run directory to a screen: a thread looks and reads, the screen takes what was read in small portions."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import NsmcTuiError
from core.events import EVENTS_FILE, encode
from core.foreign import open_log, signature, source_of
from core.log_batch import Batch
from core.log_scan import NAN, Scan, parse, scan
from core.runs import STATUS_FILE, Run, load_run
from tui.telemetry import Progress, Telemetry

__all__ = ["NAN", "Progress", "RunFeed", "Telemetry"]

# How often a run is looked at, in seconds; at rest that is two calls of `stat`. More often would show the eye little
# more and cost twice the bytes. Of a run that may wait only the state is looked at meanwhile, more seldom.
LOOK_EVERY, LOOK_SELDOM = 1.0, 3.0
# A log from this size on is shown from a sample first, until all of it is read.
SAMPLED_FROM = 4 << 20
SAMPLES = 400
SAMPLE_BYTES = 4096
HEAD_BYTES, TAIL_BYTES = 64 << 10, 256 << 10
# Seconds that reading the rest waits for the sample to be taken, and then for its picture.
SAMPLE_PATIENCE, SAMPLE_PAINTED = 5.0, 0.1
# Portions that wait for the screen at most: a reader that is far ahead would hold the log in memory twice.
WAITING = 8
# What the screen takes in one go keeps keys waiting for no longer than this.
PORTION_SECONDS = 0.008


@dataclass(frozen=True)
class News:
    """Something that the reader found. `begin`: the log begins anew. `sample`: it is read from here and there only;
    what follows without the mark is the log from its beginning, up to `whole`. `run` and `failure` tell of the status.
    """

    batch: Batch | None = None
    begin: bool = False
    sample: bool = False
    whole: bool = False
    run: Run | None = None
    failure: NsmcTuiError | None = None


class LogReader:
    """Reads a run's log from where it was left; knows a log that was replaced by another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._inode = 0
        # Whether a sample was given and the log behind it not read to its end: it was cut off.
        self._sampled = False

    def read(self) -> Iterator[tuple[News, float]]:
        """What is new, and the share of the log that is read. Costs a `stat` when there is nothing new."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return
        size = status.st_size
        if size < self._offset or (self._inode and status.st_ino != self._inode):
            self._offset = 0
            self._sampled = False
            yield News(begin=True), 0.0
        self._inode = status.st_ino
        if size <= self._offset:
            return
        if self._offset == 0 and size >= SAMPLED_FROM:
            yield from self._read_long(status)
            return
        for batch in scan(self.path, self._offset, size):
            self._offset = batch.end
            yield News(batch), batch.end / size
        if self._sampled:
            self._sampled = False
            yield News(whole=True), 1.0

    def _read_long(self, status: os.stat_result) -> Iterator[tuple[News, float]]:
        """A sample of a long log; then what the cache has of it, and the rest, which is put there."""
        # Most runs that are opened have a short log.
        from core.log_cache import LogCache

        size = status.st_size
        cache = LogCache(self.path, status)
        # A log that was never read is begun with at once: the cores that the app does not start on are free.
        early = None if cache.known else Scan(self.path, 0, size)
        try:
            sample = self._sample(size)
            self._sampled = True
            yield News(sample, sample=True), 0.0
            for batch in cache.read() if early is None else ():
                self._offset = batch.end
                yield News(batch), batch.end / size
            rest = early or Scan(self.path, self._offset, size)
            for batch in cache.keep(rest.batches()):
                self._offset = batch.end
                yield News(batch), batch.end / size
        finally:
            if early is not None:
                early.close()
        self._sampled = False
        yield News(whole=True), 1.0

    def _sample(self, size: int) -> Batch:
        """The beginning, the end, and lines from all over the log between them."""
        lines: list[bytes] = []
        with self.path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            lines.append(head[: head.rfind(b"\n") + 1])
            inner = size - HEAD_BYTES - TAIL_BYTES
            for number in range(SAMPLES):
                file.seek(HEAD_BYTES + inner * number // SAMPLES)
                piece = file.read(SAMPLE_BYTES)
                start = piece.find(b"\n") + 1
                end = piece.find(b"\n", start) + 1
                if 0 < start < end:
                    lines.append(piece[start:end])
            file.seek(size - TAIL_BYTES)
            tail = file.read(TAIL_BYTES)
            lines.append(tail[tail.find(b"\n") + 1 : tail.rfind(b"\n") + 1])
        return parse(b"".join(lines), size)


class ForeignReader:
    """The same for a run that another program wrote, through the reader of its files."""

    def __init__(self, run_dir: Path) -> None:
        self._log = open_log(run_dir)

    def read(self) -> Iterator[tuple[News, float]]:
        """What is new."""
        while events := self._log.read():
            yield News(parse("".join(map(encode, events)).encode())), 1.0


def _reader(run_dir: Path) -> LogReader | ForeignReader:
    if not (run_dir / EVENTS_FILE).exists() and source_of(run_dir):
        return ForeignReader(run_dir)
    return LogReader(run_dir / EVENTS_FILE)


class RunFeed:
    """One run as it is told by its files.

    Either a thread looks after it (`start`, `close`) and `notify` is called in that thread when there is something
    to `take`, or `poll` does all at once.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.telemetry = Telemetry()
        self.run: Run | None = None
        # How much of the log is read, and whether what is shown comes from a sample of it.
        self.share = 0.0
        self.sampled = False
        self._whole = self.telemetry
        self._log = _reader(run_dir)
        # Seconds that a run that goes on as before may wait to be read: whoever draws it less often says so.
        self.patience = 0.0
        self._read_at = 0.0
        self._status: object = None
        self._seen: Run | None = None
        self._news: deque[tuple[News, float]] = deque()
        self._closed = threading.Event()
        # Ends the rest between two looks.
        self._wake = threading.Event()
        self._sample_taken = threading.Event()
        self._thread: threading.Thread | None = None
        self._notify: Callable[[], object] | None = None
        self._asked = threading.Event()
        self._failed = False
        self._looked = threading.Event()
        self._room = threading.Event()

    # -- the thread --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin to read in a thread of its own, which tells nobody before `start`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, daemon=True, name="run-feed")
            self._thread.start()

    def start(self, notify: Callable[[], object]) -> None:
        """Look after the run in a thread of its own until `close`; what `begin` has found is told at once."""
        self._notify = notify
        self.begin()
        if self._news:
            self._tell()

    def close(self) -> None:
        """Let the thread end; not waited for, it may be reading."""
        self._closed.set()
        self._wake.set()
        self._sample_taken.set()

    def hurry(self, patience: float = 0.0) -> None:
        """Let the run wait no longer than `patience`, from now on: somebody looks, or waits for an answer."""
        if patience < self.patience:
            self.patience = patience
            self._wake.set()

    def _follow(self) -> None:
        # The first look at a log that is read in no time is told as a whole, for one picture instead of three.
        first = True
        while not self._closed.is_set():
            for item in self._look():
                if self._closed.is_set():
                    return
                while len(self._news) >= WAITING and not self._closed.is_set():
                    self._tell()
                    self._room.wait(0.05)
                    self._room.clear()
                self._news.append(item)
                first = first and not item[0].sample
                if not first:
                    self._tell()
                if item[0].sample:
                    self._looked.set()
                    # Reading all of it keeps every core busy: the sample is painted first.
                    self._sample_taken.wait(SAMPLE_PATIENCE)
                    if self._closed.wait(SAMPLE_PAINTED):
                        return
            first = False
            self._looked.set()
            if self._news:
                self._tell()
            self._wake.wait(LOOK_SELDOM if self.patience > LOOK_SELDOM else LOOK_EVERY)
            self._wake.clear()

    @property
    def looked(self) -> bool:
        """Whether what can be read in no time is read: all of a short log, a sample of a long one."""
        return self._looked.is_set()

    def _tell(self) -> None:
        if self._notify is not None and not self._asked.is_set():
            self._asked.set()
            self._notify()

    def _look(self) -> Iterator[tuple[News, float]]:
        news = self._look_at_status()
        if self._may_wait(news):
            return
        self._read_at = time.monotonic()
        if news is not None:
            self._seen = news.run or self._seen
            yield news, self.share
        try:
            yield from self._log.read()
        except OSError as error:
            # Deleted or cut off while it was read: what was read stays, and it is looked at again.
            yield News(failure=NsmcTuiError(str(error.strerror or error))), self.share

    def _may_wait(self, news: News | None) -> bool:
        """Whether there is nothing but more steps, and those were read not long ago."""
        if time.monotonic() - self._read_at > self.patience - LOOK_EVERY / 2:
            return False
        if news is None:
            return self._seen is not None and self._seen.live
        seen, run = self._seen, news.run
        return seen is not None and run is not None and run.live and run.state == seen.state

    def _look_at_status(self) -> News | None:
        """The run, when something about it may have changed: of a run at rest only its status file."""
        try:
            status = os.stat(self.run_dir / STATUS_FILE)
            mark: object = (status.st_mtime_ns, status.st_ino, status.st_size)
        except OSError:
            # Another program's run has other files that tell; nothing else has any.
            mark = signature(self.run_dir)
        if mark == self._status and self._seen is not None and not self._seen.live:
            return None
        self._status = mark
        try:
            run = load_run(self.run_dir)
        except NsmcTuiError as error:
            if self._failed:
                return None
            self._failed = True
            return News(failure=error)
        self._failed = False
        return None if run == self._seen else News(run=run)

    # -- the screen --------------------------------------------------------------------------------------------

    def take(self, seconds: float = PORTION_SECONDS) -> bool:
        """Take what was read, for about `seconds`; whether more is waiting."""
        self._asked.clear()
        deadline = time.monotonic() + seconds
        while self._news:
            news, share = self._news.popleft()
            self._take(news, share)
            self._room.set()
            if time.monotonic() > deadline:
                break
        return bool(self._news)

    def poll(self) -> bool:
        """Look, read and take all there is; True when anything changed."""
        found = False
        for news, share in self._look():
            self._take(news, share)
            found = True
        return found

    def _take(self, news: News, share: float) -> None:
        if news.run is not None:
            self.run = news.run
        if news.failure is not None:
            # What was read stays on the screen.
            self.telemetry.failure = {"message": news.failure.message, "hint": news.failure.hint}
        if news.begin:
            self.telemetry = self._whole = Telemetry(version=self.telemetry.version + 1)
            self.sampled = False
        if news.batch is not None:
            if news.sample:
                self._whole = Telemetry()
                self.telemetry = Telemetry(version=self.telemetry.version)
                self.telemetry.take(news.batch)
                self.sampled = True
                self._sample_taken.set()
            else:
                self._whole.take(news.batch)
                self.share = share
        if news.whole:
            self._show_whole()

    def _show_whole(self) -> None:
        """All of the log is read: it takes the sample's place."""
        self.sampled = False
        self._whole.version += self.telemetry.version
        self.telemetry = self._whole

    @property
    def whole(self) -> Telemetry:
        """What was taken of the log itself: while a sample is shown, what takes its place."""
        return self._whole

    @property
    def behind(self) -> bool:
        """Whether the log is still being read."""
        return self.sampled
