"""What the list of runs shows of TensorBoard's event files: the newest scores, read from their ends.

Each file is read once, and then from where it was left, so that a run that goes on costs what came since. Of a large
file only the end is read at first: scores are written again and again, and the newest are what a list shows.
The records' frame (length, its checksum, data, its checksum) is TFRecord's, as `tensorflow/core/lib/io/record_writer.h`
describes it; what is in them is read by the package `tensorboard`. The data's own checksum is left alone, which is ten
times as quick: opening the run checks it.
"""

from __future__ import annotations

import math
import struct
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.foreign.files import Found, Signature, find
from core.foreign.tensorboard import proto, scalar, series_of
from core.runs import Run

# Some hundred thousand records: read in about half a second.
MOST = 8 << 20
_LENGTH = struct.Struct("<Q")
_HEADER, _FOOTER = 12, 4


@dataclass
class Scores:
    """How far a run is and what it scored last."""

    step: int = 0
    epoch: float = 0.0
    loss: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    def on(self, run: Run) -> Run:
        """`run` with these figures."""
        return replace(run, step=self.step, epoch=self.epoch, loss=self.loss, metrics=dict(self.metrics))


class _Tail:
    """One event file, read on from where it was left."""

    def __init__(self, file: Path, folder: str) -> None:
        self._file, self._folder = file, folder
        self._offset: int | None = None

    def read_into(self, scores: Scores) -> None:
        """Take the records that came since the last time. Raises OSError."""
        size = self._file.stat().st_size
        if self._offset is not None and size < self._offset:
            self._offset = None
        begin = max(0, size - MOST) if self._offset is None else self._offset
        if begin >= size:
            return
        with self._file.open("rb") as file:
            file.seek(begin)
            data = file.read(size - begin)
        place = 0 if begin in (0, self._offset) else first_record(data)
        event_type = proto()
        while place + _HEADER + _FOOTER <= len(data):
            end = place + _HEADER + _LENGTH.unpack_from(data, place)[0]
            if end + _FOOTER > len(data):
                # Half a record: not yet.
                break
            self._take(event_type, data[place + _HEADER : end], scores)
            place = end + _FOOTER
        self._offset = begin + place

    def _take(self, event_type: Any, record: bytes, scores: Scores) -> None:
        from google.protobuf.message import DecodeError

        try:
            event = event_type.FromString(record)
        except DecodeError:
            return
        for value in event.summary.value:
            number = scalar(value)
            split, name = series_of(value.tag, self._folder) if number is not None else ("", "")
            if number is None or not name:
                continue
            scores.step = max(scores.step, int(event.step))
            if name == "epoch":
                scores.epoch = max(scores.epoch, number)
            elif split == "train" and name == "loss":
                scores.loss = number if math.isfinite(number) else None
            elif split != "train":
                key = f"{'eval' if split == 'dev' else split}_{name}"
                if math.isfinite(number):
                    scores.metrics[key] = number
                else:
                    scores.metrics.pop(key, None)


def first_record(data: bytes) -> int:
    """Where the first whole header in `data` begins; its length when there is none."""
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    # The upper half of a length is zero, which few other places are.
    place = data.find(b"\0\0\0\0", 4)
    while 0 <= place <= len(data) - 8:
        begin = place - 4
        length = data[begin : begin + 8]
        if struct.unpack_from("<I", data, begin + 8)[0] == masked_crc32c(length):
            return begin
        place = data.find(b"\0\0\0\0", place + 1)
    return len(data)


class ScoreReader:
    """The scores of all TensorBoard runs of a list, read by a thread one after the other.

    `on` gives a run what is known of it and has it read where it changed; `wait` reads at once.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[Signature, ...], Scores]] = {}
        self._tails: dict[Path, dict[Path, _Tail]] = {}
        self._todo: dict[Path, tuple[Signature, ...]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def on(self, run: Run, signature: tuple[Signature, ...], *, wait: bool = False) -> tuple[Run, bool]:
        """`run` with the scores that are known, and whether they are those of `signature`, what its files are now."""
        known = self._known.get(run.path)
        if (known is None or known[0] != signature) and wait:
            self._read(run.path, signature)
            known = self._known.get(run.path)
        elif known is None or known[0] != signature:
            self._ask(run.path, signature)
        return (run, False) if known is None else (known[1].on(run), known[0] == signature)

    def _ask(self, path: Path, signature: tuple[Signature, ...]) -> None:
        with self._lock:
            self._todo[path] = signature
            if self._thread is None:
                # A daemon's, and only as long as there is something to read.
                self._thread = threading.Thread(target=self._work, daemon=True, name="foreign-scores")
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._todo:
                    self._thread = None
                    return
                path = next(iter(self._todo))
                signature = self._todo.pop(path)
            self._read(path, signature)

    def _read(self, path: Path, signature: tuple[Signature, ...]) -> None:
        found: Found = find(path)
        tails = self._tails.setdefault(path, {})
        before = self._known.get(path)
        files = {file for file, _folder in found.events}
        if before is None or not tails.keys() <= files:
            # Files are gone: it may be another run by now.
            tails.clear()
            scores = Scores()
        else:
            scores = replace(before[1], metrics=dict(before[1].metrics))
        for file, folder in found.events:
            try:
                tails.setdefault(file, _Tail(file, folder)).read_into(scores)
            except OSError:
                # Deleted or out of reach: the other files still tell.
                continue
        self._known[path] = (signature, scores)
