"""Which files of a directory tell of a run that another program trained."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

STATE_FILE = "trainer_state.json"
EVENT_FILE = "events.out.tfevents."
# A Trainer writes `runs/<date>_<host>/` into its output directory, others call it otherwise.
LOG_FOLDERS = ("runs", "logs", "tensorboard", "tb")
# Writers of their own for each split, as Keras and `SummaryWriter.add_scalars` make them.
SPLIT_FOLDERS = ("train", "training", "eval", "validation", "valid", "val", "dev", "test")
_CHECKPOINT = re.compile(r"checkpoint-(\d+)$")

Signature = tuple[int, int, int]


@dataclass(frozen=True)
class Found:
    """`state` is the newest `trainer_state.json`, `events` the event files, each with the folder of its split if any.

    `checkpoints` are the steps of the checkpoints that are there. Times are seconds since the epoch.
    """

    state: Path | None = None
    state_written: float = 0.0
    events: tuple[tuple[Path, str], ...] = ()
    oldest: float = 0.0
    newest: float = 0.0
    checkpoints: tuple[int, ...] = ()
    signature: tuple[Signature, ...] = field(default=())


def find(path: Path) -> Found:
    """Look at `path` and at the folders in it that have such files, no deeper; nothing where it cannot be read."""
    states: list[tuple[float, int, Path]] = []
    events: list[tuple[float, Path, str]] = []
    checkpoints: list[int] = []
    signature: list[Signature] = []

    def take_state(file: Path, step: int) -> None:
        try:
            status = file.stat()
        except OSError:
            return
        # Of two written at once the one outside of the checkpoints is the last word.
        states.append((status.st_mtime, step, file))
        signature.append((status.st_mtime_ns, status.st_size, status.st_ino))

    def take_event(entry: os.DirEntry[str], split: str) -> None:
        status = entry.stat()
        events.append((status.st_mtime, Path(entry.path), split))
        signature.append((status.st_mtime_ns, status.st_size, status.st_ino))

    for entry in _entries(path):
        match = _CHECKPOINT.match(entry.name)
        if entry.name == STATE_FILE:
            take_state(Path(entry.path), 1 << 62)
        elif entry.name.startswith(EVENT_FILE):
            take_event(entry, "")
        elif match and entry.is_dir():
            before = len(states)
            take_state(Path(entry.path, STATE_FILE), int(match.group(1)))
            if len(states) > before:
                checkpoints.append(int(match.group(1)))
        elif entry.name in SPLIT_FOLDERS and entry.is_dir():
            for inner in _event_files(entry.path):
                take_event(inner, entry.name)
        elif entry.name in LOG_FOLDERS and entry.is_dir():
            for inner, split in _newest_log(entry.path):
                take_event(inner, split)
    written, _step, state = max(states, default=(0.0, 0, None), key=lambda found: found[:2])
    # A file's name begins with the second at which its writer began: in their order they tell one story.
    files = tuple((file, split) for _at, file, split in sorted(events, key=lambda found: (found[2], found[1].name)))
    times = [found[0] for found in events] + [found[0] for found in states]
    return Found(
        state,
        written,
        files,
        min(times, default=0.0),
        max((found[0] for found in events), default=0.0),
        tuple(sorted(checkpoints)),
        tuple(sorted(signature)),
    )


def _entries(path: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError:
        return []


def _event_files(path: str) -> list[os.DirEntry[str]]:
    return [entry for entry in _entries(path) if entry.name.startswith(EVENT_FILE)]


def _newest_log(path: str) -> list[tuple[os.DirEntry[str], str]]:
    """The event files in a folder of logs; of several logs in it, those of the one that began last."""
    entries = _entries(path)
    found = [(entry, "") for entry in entries if entry.name.startswith(EVENT_FILE)]
    newest = ""
    inside: list[tuple[os.DirEntry[str], str]] = []
    for entry in entries:
        if not entry.is_dir():
            continue
        files = _event_files(entry.path)
        if entry.name in SPLIT_FOLDERS:
            found += [(file, entry.name) for file in files]
        elif files and max(file.name for file in files) > newest:
            newest = max(file.name for file in files)
            inside = [(file, "") for file in files]
    return found or inside
