"""TensorBoard's event files as our events, read by the package `tensorboard` itself, also while they grow.

The package is an extra and is imported when the first file is read, in a thread: it takes a third of a second. Its
TensorFlow is left alone, as its own build without TensorFlow does it.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from core.errors import RunError
from core.events import Event
from core.foreign.files import find
from core.i18n import gettext as _

TRAIN = ("train", "training")
SPLITS = {**dict.fromkeys(("eval", "validation", "valid", "val", "dev"), "dev"), "test": "test"}
# Other names for what we call by the Trainer's.
NAMES = {
    "acc": "accuracy",
    "lr": "learning_rate",
    "epoch_loss": "loss",
    "epoch_accuracy": "accuracy",
    "epoch_learning_rate": "learning_rate",
    "gradient_norm": "grad_norm",
}
# The tags that a Trainer writes at its end, about the whole training.
SUMMARY = re.compile(r"train/(train_(loss|runtime|samples_per_second|steps_per_second)|total_flos)$")
SLICE = 0.5
WAITING = 50_000


def series_of(tag: str, folder: str = "") -> tuple[str, str]:
    """The split (`train`, `dev` or `test`) and the name of the figure that a tag stands for.

    Understood are `train/loss`, `eval/accuracy`, `Loss/train`, `val_loss`, and writers of their own for each split
    (`folder`); what names no split is of the training. The name is empty for figures that are of no step.
    """
    if SUMMARY.match(tag):
        return "train", ""
    parts = [part for part in re.split(r"[/\\]", tag.strip()) if part]
    sides = {**dict.fromkeys(TRAIN, "train"), **SPLITS}
    split = sides.get(folder.lower(), "train")
    for place in (0, -1):
        if len(parts) > 1 and parts[place].lower() in sides:
            split = sides[parts.pop(place).lower()]
            break
    else:
        match = re.match(r"([a-zA-Z]+)_(.+)$", parts[0]) if len(parts) == 1 else None
        if match and match.group(1).lower() in sides:
            split, parts = sides[match.group(1).lower()], [match.group(2)]
    name = re.sub(r"[^0-9a-z가-힣]+", "_", "_".join(parts).lower()).strip("_")
    return split, NAMES.get(name, name)


def check_installed() -> None:
    """Raises RunError with the way to get it where the package `tensorboard` is missing."""
    if find_spec("tensorboard") is None:
        raise RunError(
            _("event files need the package tensorboard, which is not installed"),
            _("pip install tensorboard, in the environment of nsmc-tui"),
        )


def _without_tensorflow() -> None:
    # The package looks for this module to find out whether it was built to work without TensorFlow.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


def proto() -> Any:
    """The package's type of a record."""
    _without_tensorflow()
    from tensorboard.compat.proto.event_pb2 import Event as Record

    return Record


def _loader(file: Path) -> Any:
    _without_tensorflow()
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    return LegacyEventFileLoader(str(file))


def scalar(value: Any) -> float | None:
    """The number of a summary value, in the older form or as a tensor; None for pictures, texts and histograms."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor") or value.tensor.tensor_shape.dim:
        return None
    tensor = value.tensor
    if tensor.float_val:
        return float(tensor.float_val[0])
    if tensor.double_val:
        return float(tensor.double_val[0])
    if tensor.tensor_content and tensor.dtype in (1, 2):
        import struct

        kind = "<f" if tensor.dtype == 1 else "<d"
        if len(tensor.tensor_content) == struct.calcsize(kind):
            return float(struct.unpack(kind, tensor.tensor_content)[0])
    return None


class _File:
    """One event file: its figures gathered by step, the last step kept back until it is known to be whole."""

    def __init__(self, file: Path, folder: str) -> None:
        self._path, self._folder = file, folder
        self._loader: Any = None
        self._held: dict[tuple[str, int], Event] = {}
        self._told: dict[str, Event] = {}

    def advance(self, deadline: float) -> tuple[list[Event], bool]:
        """Events that are whole, and whether the end of what is there was reached."""
        if self._loader is None:
            self._loader = _loader(self._path)
        events: list[Event] = []
        grown = False
        for record in self._loader.Load():
            grown = True
            for value in record.summary.value:
                number = scalar(value)
                if number is not None:
                    events += self._take(record, value.tag, number)
            if time.monotonic() > deadline:
                return events, False
        if not grown:
            events += self._release()
        return events, not self._held

    def _take(self, record: Any, tag: str, number: float) -> Iterator[Event]:
        split, name = series_of(tag, self._folder)
        if not name:
            return
        key = (split, int(record.step))
        for other in [other for other in self._held if other[0] == split and other != key]:
            self._told[split] = self._held.pop(other)
            yield self._told[split]
        event = self._held.get(key)
        if event is None:
            event = {"ts": float(record.wall_time), "step": key[1]}
            event |= {"type": "step"} if split == "train" else {"type": "eval", "split": split, "metrics": {}}
            told = self._told.get(split)
            if told is not None and told["step"] == key[1]:
                # More about a step that was told as whole: it is told again with all that is known.
                event = {**told, **({"metrics": dict(told["metrics"])} if split != "train" else {})}
            self._held[key] = event
        if split == "train":
            event[name] = number if abs(number) < float("inf") else None
        elif name == "epoch":
            event[name] = number
        else:
            event["metrics"][f"{'eval' if split == 'dev' else split}_{name}"] = number

    def _release(self) -> list[Event]:
        events = list(self._held.values())
        self._told |= {split: event for (split, _step), event in self._held.items()}
        self._held = {}
        return events


class TensorBoardLog:
    """Follows the event files of a directory. `read` gives what a thread has read ahead and never waits for it.

    Raises RunError where the package `tensorboard` is missing.
    """

    def __init__(self, path: Path) -> None:
        check_installed()
        self.path = path
        self.skipped = 0
        self._files: dict[Path, _File] = {}
        self._done: deque[Event] = deque()
        self._reading = threading.Lock()
        self._complete = False
        self._done.append({"type": "run_started", "run_id": path.name})

    def read(self, max_records: int = 5000, max_seconds: float = 0.05) -> list[Event]:
        """The events that came since the last call, `max_records` at most."""
        if len(self._done) < max_records and self._reading.acquire(blocking=False):
            # A thread for one look: nothing stays behind when nobody reads any more.
            threading.Thread(target=self._look, daemon=True, name="tensorboard").start()
        taken: list[Event] = []
        while self._done and len(taken) < max_records:
            taken.append(self._done.popleft())
        return taken

    @property
    def pending(self) -> bool:
        """Whether more is waiting, or the files have not been read to their end yet."""
        return bool(self._done) or not self._complete

    def _look(self) -> None:
        try:
            deadline = time.monotonic() + SLICE
            complete = True
            for file, folder in find(self.path).events:
                if len(self._done) > WAITING:
                    complete = False
                    break
                reader = self._files.setdefault(file, _File(file, folder))
                try:
                    events, ended = reader.advance(deadline)
                except OSError:
                    # Deleted or out of reach: the other files still tell.
                    self.skipped += 1
                    continue
                self._done.extend(events)
                complete &= ended
                if time.monotonic() > deadline:
                    complete = False
                    break
            self._complete = complete
        finally:
            self._reading.release()
