"""What can be done to runs that are over: put away, delete. Never to one whose worker may still be writing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from core import formats
from core.errors import RunError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.run_labels import Labels, read_labels, write_labels
from core.runs import Run, load_run

DOOMED = ".deleting-"


@dataclass(frozen=True)
class Extent:
    """What a run takes on the disk: files and bytes."""

    files: int = 0
    size: int = 0


def extent(run_dir: Path) -> Extent:
    """Count the files below a run directory; what cannot be read counts as nothing. Links are not followed."""
    files = size = 0
    for folder, _folders, names in os.walk(run_dir):
        for name in names:
            try:
                size += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
            files += 1
    return Extent(files, size)


def delete_question(runs: int, files: int, size: int) -> str:
    """What is asked before `runs` runs with `files` files of `size` bytes are deleted."""
    return _("Delete {runs} with {files}, {size}? This cannot be undone.").format(
        runs=ngettext("{n} run", "{n} runs", runs).format(n=formats.count(runs)),
        files=ngettext("{n} file", "{n} files", files).format(n=formats.count(files)),
        size=formats.size(size),
    )


def check_over(run: Run) -> None:
    """Raises RunError for a run that may still be written to, and for one that is not ours."""
    if run.source:
        raise RunError(
            _("{run} was written by another program and is only looked at").format(run=run.id),
            _("Change its directory {path} yourself.").format(path=run.path),
        )
    if run.live:
        hint = _("Stop it first: `nsmc-tui control {run} stop`.").format(run=run.id)
        if run.silent:
            hint = _("Its worker is on {host} and may only be cut off; look there.").format(host=run.host)
        raise RunError(_("{run} is not over: {state}").format(run=run.id, state=formats.state(run.condition)), hint)


def delete(run_dir: Path) -> None:
    """Delete a run's directory with everything in it. It is out of every list at once, however long that takes.

    Raises RunError for a live run, for one of another program, and where the disk refuses.
    """
    check_over(load_run(run_dir))
    doomed = run_dir.with_name(f"{DOOMED}{run_dir.name}")
    try:
        if run_dir.is_symlink():
            # The link is what was listed; what it points to belongs to another place.
            run_dir.unlink()
            return
        os.rename(run_dir, doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise RunError(
            _("cannot delete {run}: {reason}").format(run=run_dir.name, reason=error.strerror or error),
            _("You need write access to {path}.").format(path=error.filename or run_dir),
        ) from error


def set_archived(run_dir: Path, archived: bool) -> Labels:
    """Put a run away, or take it back; returns the labels from before. Raises RunError as `delete` does."""
    if archived:
        check_over(load_run(run_dir))
    return change(run_dir, archived=archived)


def change(
    run_dir: Path,
    *,
    name: str | None = None,
    tags: Iterable[str] | None = None,
    note: str | None = None,
    archived: bool | None = None,
) -> Labels:
    """Change what is given of a run's labels; returns those from before, for undoing. Raises RunError."""
    if load_run(run_dir).source:
        check_over(load_run(run_dir))
    before = read_labels(run_dir)
    after = replace(
        before,
        name=before.name if name is None else name.strip(),
        tags=before.tags if tags is None else tuple(tags),
        note=before.note if note is None else note.strip(),
        archived=before.archived if archived is None else archived,
    )
    write_labels(run_dir, after)
    return before
