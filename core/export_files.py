"""Writing what leaves the app: never over what is there unless asked, and whole or not at all."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from core.errors import NsmcTuiError
from core.i18n import gettext as _
from core.paths import write_atomically


class ExportError(NsmcTuiError):
    """Something that cannot be exported, or not to this place."""

    code = "export"


def check_free(path: Path, force: bool = False) -> None:
    """Raise ExportError when `path` exists and `force` does not allow to replace it, or its directory is missing."""
    if path.is_dir():
        raise ExportError(_("{path} is a directory").format(path=path), _("Name a file in it."))
    if path.exists() and not force:
        raise ExportError(
            _("{path} exists").format(path=path), _("Choose another name, or let it be replaced (--force).")
        )
    if not path.absolute().parent.is_dir():
        raise ExportError(
            _("there is no directory {path}").format(path=path.absolute().parent),
            _("Make it first, or choose another."),
        )


def write(path: Path, data: str | bytes, force: bool = False) -> Path:
    """Write `data` to `path`. Raises ExportError as `check_free` does, and for a disk that is full or read-only."""
    check_free(path, force)
    try:
        write_atomically(path, data)
    except OSError as error:
        raise ExportError(
            _("cannot write {path}: {reason}").format(path=path, reason=error.strerror or error),
            _("Choose a directory that you can write to and that has room."),
        ) from error
    return path


def safe_name(text: str) -> str:
    """`text` (an id, a method) as part of a file's name on any system: letters, digits, `._-`, at most 80."""
    kept = re.sub(r"[^0-9A-Za-z가-힣._-]+", "_", text).strip("._")[:80] or "review"
    # Two ids that differ only in what was left out must not become one file.
    return kept if kept == text else f"{kept}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"
