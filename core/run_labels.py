"""What people say about a run: a name to show, tags, a note, and whether it is put away. `labels.json`, optional.

Kept apart from `status.json`, which belongs to the worker: a label never races with a run that is at work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core import foreign_json
from core.errors import RunError
from core.i18n import gettext as _
from core.paths import write_atomically

LABELS_FILE = "labels.json"
VERSION = 1
TAG_LIMIT = 40


@dataclass(frozen=True)
class Labels:
    """`name` is shown in the place of the run's own one; an `archived` run is left out of lists unless asked for."""

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    archived: bool = False


def clean_tags(words: Iterable[str]) -> tuple[str, ...]:
    """Tags without `#`, blanks and commas, each once, in their order. Raises RunError for one that is too long."""
    parts = (part.lstrip("#") for word in words for part in re.split(r"[\s,]+", word))
    tags = dict.fromkeys(part for part in parts if part)
    for tag in tags:
        if len(tag) > TAG_LIMIT:
            raise RunError(
                _("the tag {tag} is longer than {n} characters").format(tag=tag[:TAG_LIMIT] + "…", n=TAG_LIMIT),
                _("Tags are single words; a note takes whole sentences."),
            )
    return tuple(tags)


def parse_labels(text: bytes) -> Labels:
    """The labels in the text of a `labels.json`; what is not understood counts as not given."""
    try:
        kept = foreign_json.parse(text)
    except ValueError:
        return Labels()
    if not isinstance(kept, dict):
        return Labels()
    tags = kept.get("tags")
    return Labels(
        name=_text(kept.get("name")),
        tags=tuple(dict.fromkeys(tag for tag in tags if isinstance(tag, str) and tag))
        if isinstance(tags, list)
        else (),
        note=_text(kept.get("note")),
        archived=kept.get("archived") is True,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def read_labels(run_dir: Path) -> Labels:
    """The labels of a run; none where there is no such file."""
    try:
        return parse_labels((run_dir / LABELS_FILE).read_bytes())
    except OSError:
        return Labels()


def write_labels(run_dir: Path, labels: Labels) -> None:
    """Replace a run's labels; without any the file goes away. Raises RunError where it cannot be written."""
    path = run_dir / LABELS_FILE
    try:
        if labels == Labels():
            path.unlink(missing_ok=True)
        else:
            write_atomically(path, json.dumps({"v": VERSION, **asdict(labels)}, ensure_ascii=False, indent=1))
    except OSError as error:
        raise RunError(
            _("cannot label {run}: {reason}").format(run=run_dir.name, reason=error.strerror or error),
            _("You need write access to {path}.").format(path=run_dir),
        ) from error
