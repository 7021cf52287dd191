"""Checkpoints of a run: which are whole, which one to resume from, which to delete. Light: nothing is unpickled."""

from __future__ import annotations

import os
import re
import shutil
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import foreign_json
from core.errors import DiskFullError, ResumeError
from core.formats import size
from core.i18n import gettext as _

STATE_FILE = "trainer_state.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
# Without one of these `Trainer` goes on in silence with a fresh one, and the loss jumps.
STATE = ("optimizer.pt", "scheduler.pt")
# The callback under whose name it is kept there.
KEEPER = "MonitorCallback"
_NAME = re.compile(r"checkpoint-(\d+)$")
# Room for what a checkpoint holds beside weights and optimizer.
SPARE = 16 * 1024 * 1024


@dataclass(frozen=True)
class Checkpoint:
    """One `checkpoint-N`. `broken` says what is cut off or unreadable, `missing` which state files are not there."""

    path: Path
    step: int
    broken: str = ""
    missing: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether training can go on from it exactly."""
        return not self.broken and not self.missing


def checkpoint_step(path: Path) -> int | None:
    """N of a path that ends in `checkpoint-N`."""
    found = _NAME.search(path.name)
    return int(found.group(1)) if found else None


def inspect(path: Path, *, deep: bool = False) -> Checkpoint:
    """What state `path` is in. `deep` also reads the archives to their end and checks their sums."""
    step = checkpoint_step(path) or 0
    try:
        state = foreign_json.parse((path / STATE_FILE).read_bytes())
        if int(state["global_step"]) != step:
            return Checkpoint(
                path, step, _("{file} is of step {step}").format(file=STATE_FILE, step=state["global_step"])
            )
        foreign_json.parse((path / "config.json").read_bytes())
        for file in _weight_files(path):
            if (path / file).stat().st_size != _safetensors_size(path / file):
                return Checkpoint(path, step, _("{file} is cut off").format(file=file))
        for rank in range(1, int(kept(state).get("world", 1))):
            # Every rank writes its own; a run that died in a save may have lost those of the others.
            (path / f"rng_state_{rank}.pth").stat()
        archives = [name for name in STATE if (path / name).is_file()] + [
            file.name for file in path.glob("rng_state*.pth")
        ]
        for file in archives:
            if not _readable(path / file, deep):
                return Checkpoint(path, step, _("{file} is damaged").format(file=file))
    except FileNotFoundError as error:
        return Checkpoint(path, step, _("{file} is missing").format(file=Path(str(error.filename)).name))
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        return Checkpoint(
            path, step, _("it cannot be read: {reason}").format(reason=str(error) or type(error).__name__)
        )
    missing = [name for name in STATE if not (path / name).is_file()]
    if not any(path.glob("rng_state*.pth")):
        missing.append("rng_state.pth")
    return Checkpoint(path, step, missing=tuple(missing))


def _readable(archive: Path, deep: bool) -> bool:
    """Whether what torch has saved can be opened; `deep` also checks the sums of all that is in it."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return not deep or opened.testzip() is None
    except zipfile.BadZipFile:
        return False


def _weight_files(path: Path) -> list[str]:
    index = path / WEIGHTS_INDEX
    if index.is_file():
        return sorted(set(foreign_json.parse(index.read_bytes())["weight_map"].values()))
    return [WEIGHTS]


def _safetensors_size(path: Path) -> int:
    """The size in bytes that a safetensors file says it has: 8, its header, its tensors (format of safetensors)."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > path.stat().st_size:
            raise ValueError(_("{file} is cut off").format(file=path.name))
        header = foreign_json.parse(file.read(length))
    ends = [int(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]
    return 8 + length + max(ends, default=0)


def list_checkpoints(run_dir: Path, *, deep: bool = False) -> list[Checkpoint]:
    """All checkpoints of a run by step, the broken ones too."""
    found = [path for path in (run_dir / "checkpoints").glob("checkpoint-*") if checkpoint_step(path) is not None]
    return [inspect(path, deep=deep) for path in sorted(found, key=lambda path: checkpoint_step(path) or 0)]


def choose(run_dir: Path, step: int | None = None, found: list[Checkpoint] | None = None) -> Checkpoint | None:
    """The checkpoint to resume from: the newest that is not broken, or that of `step`; None when there is none.

    `found` are the run's checkpoints where they have been looked at already.

    Raises ResumeError when it lacks state without which training would go on differently, and when the one
    asked for is broken or not there.
    """
    every = list_checkpoints(run_dir) if found is None else found
    newest = every
    if step is not None:
        newest = [checkpoint for checkpoint in newest if checkpoint.step == step]
        if not newest or newest[0].broken:
            there = ", ".join(str(checkpoint.step) for checkpoint in every if checkpoint.whole)
            raise ResumeError(
                _("there is no whole checkpoint of step {step}").format(step=step)
                + (f": {newest[0].broken}" if newest else ""),
                _("Without --from the last whole one is taken. There are: {steps}.").format(steps=there)
                if there
                else _("Without --from the run starts again from its first step."),
            )
    usable = [checkpoint for checkpoint in newest if not checkpoint.broken]
    if not usable:
        return None
    chosen = usable[-1]
    if chosen.missing:
        earlier = [checkpoint.step for checkpoint in every if checkpoint.whole]
        raise ResumeError(
            _("{checkpoint} has no {files}: training would start over with fresh state").format(
                checkpoint=chosen.path.name, files=", ".join(chosen.missing)
            ),
            _("Continue from an earlier one with --from {step}.").format(step=earlier[-1])
            if earlier
            else _("Start a new run from its weights: `nsmc-tui train --model {path}`.").format(path=chosen.path),
        )
    return chosen


def tidy(run_dir: Path, resumed: int) -> list[str]:
    """Make room for going on from step `resumed`: broken checkpoints are deleted, later ones renamed; their names."""
    gone = []
    for checkpoint in list_checkpoints(run_dir):
        if checkpoint.broken:
            shutil.rmtree(checkpoint.path)
        elif checkpoint.step > resumed:
            aside = checkpoint.path.with_name(f"left-{checkpoint.path.name}")
            if aside.exists():
                shutil.rmtree(aside)
            os.replace(checkpoint.path, aside)
        else:
            continue
        gone.append(checkpoint.path.name)
    return gone


def rotate(folder: Path, limit: int, best: str | None) -> None:
    """Delete the oldest checkpoints in `folder` until `limit` are left (0: all stay), never the newest or `best`."""
    paths = sorted(
        (path for path in folder.glob("checkpoint-*") if checkpoint_step(path) is not None),
        key=lambda path: checkpoint_step(path) or 0,
    )
    kept = Path(best).name if best else ""
    for path in paths[:-1]:
        if limit <= 0 or len(paths) <= limit:
            return
        # With room for one only, the best and the newest are two all the same: the newest is what resuming takes.
        if path.name != kept:
            shutil.rmtree(path)
            paths = [other for other in paths if other != path]


def sync(path: Path) -> None:
    """Force a checkpoint's files to the disk, so that older ones may go."""
    for file in path.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_room(folder: Path, needed: int) -> None:
    """Raise DiskFullError when `folder`'s disk has less than `needed` bytes and a little more."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise DiskFullError(
            _("the disk is full: a checkpoint needs {needed}, there are {free}").format(
                needed=size(needed), free=size(free)
            ),
            _("Free room or lower train.save_total_limit; the last whole checkpoint is kept."),
        )


def state_of(path: Path) -> dict[str, Any]:
    """The `trainer_state.json` of a checkpoint that is whole."""
    return dict(foreign_json.parse((path / STATE_FILE).read_bytes()))


def kept(state: dict[str, Any]) -> dict[str, Any]:
    """What this program keeps in the `trainer_state.json` of its checkpoints; empty in one of another program."""
    callbacks = state.get("stateful_callbacks")
    stored = callbacks.get(KEEPER) if isinstance(callbacks, dict) else None
    if isinstance(stored, list):
        stored = stored[-1] if stored else None
    attributes = stored.get("attributes") if isinstance(stored, dict) else None
    return attributes if isinstance(attributes, dict) else {}
