"""The directory of an export: appears whole, takes no other's place, shares the room of large files."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from core.export_files import ExportError
from core.i18n import gettext as _

MANIFEST = "manifest.json"
"""By this file an export is told from other directories."""

LINKED_FROM = 1 << 20
"""Bytes from which a model's file is hard-linked where the disk allows it: weights, which nothing writes in place."""


def cannot_write(target: Path, error: OSError) -> ExportError:
    """The error for a place that cannot be written to."""
    return ExportError(
        _("cannot write {path}: {reason}").format(path=target, reason=error.strerror or error),
        _("Choose a directory that you can write to and that has room."),
    )


def umask() -> int:
    """The process's mask of permissions."""
    current = os.umask(0)
    os.umask(current)
    return current


def check_target(target: Path, force: bool) -> None:
    """Raise ExportError unless an export may become the directory `target`."""
    if not target.parent.is_dir():
        raise ExportError(
            _("there is no directory {path}").format(path=target.parent), _("Make it first, or choose another.")
        )
    if not os.path.lexists(target):
        return
    if target.is_dir() and not target.is_symlink():
        if not any(target.iterdir()):
            return
        if not (target / MANIFEST).is_file():
            # Whatever else it is, it was not made by an export: nothing may take its place.
            raise ExportError(
                _("{path} is there and holds something else").format(path=target), _("Choose a directory of its own.")
            )
        if force:
            return
    raise ExportError(_("{path} exists").format(path=target), _("Choose another name, or replace it with --force."))


def into_place(temporary: Path, target: Path) -> None:
    """Move the finished export to `target`; an older one that stands there is whole until the moment it goes."""
    if target.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
        os.rename(target, aside / "old")
        try:
            os.rename(temporary, target)
        except OSError:
            os.rename(aside / "old", target)
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    else:
        os.rename(temporary, target)


def link_or_copy(source: Path, target: Path) -> None:
    """`source` at `target`, as a hard link where it is large and that is possible."""
    if source.stat().st_size >= LINKED_FROM:
        try:
            os.link(source.resolve(), target)
            return
        except OSError:
            # Another disk, or one without links.
            pass
    shutil.copy2(source, target)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
