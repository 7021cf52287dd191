"""Runs that another program wrote, opened to be looked at: a Trainer's `trainer_state.json`, TensorBoard's event files.

A reader gives our own events (`step`, `eval`, `checkpoint`), so that whatever follows `events.jsonl` follows these
too. Nothing is written to such a directory, and no orders are offered.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from core.events import EVENTS_FILE, Event
from core.foreign.files import find
from core.runs import FOREIGN, SILENT_AFTER, Run
from core.tail import JsonlTail

TRAINER_STATE = "trainer_state"
TENSORBOARD = "tensorboard"


class EventLog(Protocol):
    """What can be followed: `core.tail.JsonlTail` and the readers of foreign runs."""

    skipped: int

    def read(self, max_records: int = 5000, max_seconds: float = 0.05) -> list[Event]:
        """The events that came since the last call, no more than asked for."""

    @property
    def pending(self) -> bool:
        """Whether more is waiting."""


def source_of(path: Path) -> str:
    """What `path` can be read from: `trainer_state`, `tensorboard`, or nothing (an empty string).

    Where both are, the one that was written last; without the package `tensorboard` the Trainer's file.
    """
    found = find(path)
    if found.state is not None and (not found.events or not _installed() or found.state_written >= found.newest):
        return TRAINER_STATE
    return TENSORBOARD if found.events else ""


def _installed() -> bool:
    from importlib.util import find_spec

    return find_spec("tensorboard") is not None


def signature(path: Path) -> tuple[tuple[int, int, int], ...]:
    """Changes whenever there is something new to read in `path`."""
    return find(path).signature


def load(path: Path) -> Run:
    """The foreign run in `path` without what is in event files: `core.foreign.scores` reads that, which takes a moment.

    Raises RunError when its `trainer_state.json` cannot be read.
    """
    found = find(path)
    if source_of(path) == TRAINER_STATE:
        from core.foreign.trainer_state import load_state

        return load_state(path, found)
    written = found.newest
    return Run(
        id=path.name,
        path=path,
        name=path.name,
        state=FOREIGN,
        created=found.oldest,
        updated=written,
        source=TENSORBOARD,
    )


def has_scores_to_read(run: Run) -> bool:
    """Whether more can be told of a run that `load` gave, by `core.foreign.scores`."""
    return run.source == TENSORBOARD and _installed()


def read_whole(path: Path) -> Run:
    """The run as its event files tell it from their first record to the last: step, epoch, loss, last scores.

    For one that is looked at by itself; a list would wait too long. Raises RunError where `tensorboard` is missing.
    """
    run = load(path)
    log = open_log(path)
    step, epoch, loss = 0, 0.0, None
    metrics: dict[str, float] = {}
    while log.pending:
        events = log.read()
        if not events:
            time.sleep(0.02)
        for event in events:
            step = max(step, int(event.get("step") or 0))
            if event.get("type") == "step":
                loss = event.get("loss", loss)
                epoch = event.get("epoch") or epoch
            metrics.update(event.get("metrics") or {})
    return replace(run, step=step, epoch=epoch, loss=loss, metrics=metrics)


def is_over(run: Run) -> bool:
    """Whether nothing more is to be expected of a foreign run: at its last step, or silent for a minute."""
    return 0 < run.max_steps <= run.step or time.time() - run.updated > SILENT_AFTER


def open_log(run_dir: Path, offset: int = 0) -> EventLog:
    """What a run has to tell, ours (from byte `offset` of its log) or another program's.

    Raises RunError where the package is missing that reads it.
    """
    if not (run_dir / EVENTS_FILE).exists():
        source = source_of(run_dir)
        if source == TRAINER_STATE:
            from core.foreign.trainer_state import StateLog

            return StateLog(run_dir)
        if source == TENSORBOARD:
            from core.foreign.tensorboard import TensorBoardLog

            return TensorBoardLog(run_dir)
    return JsonlTail(run_dir / EVENTS_FILE, offset)
