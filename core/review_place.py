"""Where a reviewer left off in a run: kind, filter, order and review, one small file a run and reviewer."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from core import foreign_json
from core.paths import APP, write_atomically
from core.review_queue import SORTS

_writing = threading.Lock()


@dataclass(frozen=True)
class Place:
    """A place in the queue of one split: `review` is the id in view, `position` where it stood (from 0)."""

    kind: str = "errors"
    where: str = ""
    search: str = ""
    sort: str = SORTS[0]
    seed: int = 0
    review: str = ""
    position: int = 0


def state_dir() -> Path:
    """Where the user's own places are kept: `NSMC_TUI_STATE`, else the user's state directory."""
    configured = os.environ.get("NSMC_TUI_STATE")
    if configured:
        return Path(configured).expanduser()
    import platformdirs

    return Path(platformdirs.user_state_dir(APP, appauthor=False))


def place_file(run_dir: Path) -> Path:
    """The file of a run: not in the run, which may belong to someone else, or be looked at by several."""
    digest = hashlib.sha256(str(run_dir.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    return state_dir() / "review" / f"{digest[:16]}.json"


def load_place(run_dir: Path, split: str) -> Place | None:
    """Where one left off in `split`; None where one has not been, or the file cannot be read."""
    values = kept(run_dir).get(split)
    if not isinstance(values, dict):
        return None
    found: dict[str, Any] = {}
    for field in fields(Place):
        value = values.get(field.name)
        if isinstance(value, type(field.default)) and not isinstance(value, bool):
            found[field.name] = value
    place = Place(**found)
    return place if place.sort in SORTS else None


def save_place(run_dir: Path, split: str, place: Place) -> None:
    """Keep the place. Raises OSError when it cannot be written."""
    keep(run_dir, split, asdict(place))


def kept(run_dir: Path) -> dict[str, Any]:
    """What the user's file about a run holds: the places by split, and what else was kept; empty without one."""
    try:
        values = foreign_json.parse(place_file(run_dir).read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def keep(run_dir: Path, name: str, value: Any) -> None:
    """Put `value` (JSON) under `name` into that file, which leaves the rest as it is. Raises OSError."""
    path = place_file(run_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _writing:
        known = {**kept(run_dir), "run": str(run_dir.resolve()), name: value}
        write_atomically(path, json.dumps(known, ensure_ascii=True, indent=1))
