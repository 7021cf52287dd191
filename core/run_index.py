"""All runs below a directory, read again and again for the price of what changed.

A thousand runs cost a `scandir` and two `stat` each; a file is read when its time or size is another one. Meant for a
thread of its own: on a slow network file system a sweep takes as long as it takes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import foreign_json
from core.errors import RunError
from core.i18n import gettext as _
from core.run_labels import LABELS_FILE, Labels, read_labels
from core.runs import CONFIG_FILE, LIVE_STATES, STATUS_FILE, Run, make_run, read_status

if TYPE_CHECKING:
    from core.foreign.scores import ScoreReader

Signature = tuple[int, int, int]
ABSENT: Signature = (0, 0, 0)


@dataclass(frozen=True)
class Listing:
    """The runs known so far, newest first; `pending` directories have not been looked at yet in this sweep."""

    runs: tuple[Run, ...]
    pending: int = 0


@dataclass
class _Entry:
    """A run as it was read: from which files, and whether its worker has to be looked for again.

    `whole` is false while more of another program's run is being read.
    """

    signature: tuple[Signature, ...]
    run: Run | None
    status: dict[str, Any]
    labels: Labels
    whole: bool = True

    @property
    def settled(self) -> bool:
        """A run that is over stays so until its files change; so does one whose worker is gone."""
        return self.run is None or self.status.get("state") not in LIVE_STATES or self.run.state == "crashed"


class RunIndex:
    """The runs of one directory. `refresh` brings them up to date, `settings_of` gives a run's config values."""

    def __init__(self, runs: Path) -> None:
        self.directory = runs
        self._entries: dict[str, _Entry] = {}
        self._configs: dict[Path, tuple[Signature, dict[str, Any]]] = {}
        self._todo: list[str] = []
        self._lock = threading.Lock()
        self._scores: ScoreReader | None = None

    @property
    def listing(self) -> Listing:
        """What is known without looking."""
        found = [entry.run for entry in list(self._entries.values()) if entry.run is not None]
        found.sort(key=lambda run: (run.created, run.id), reverse=True)
        return Listing(tuple(found), len(self._todo))

    def refresh(self, max_seconds: float | None = None) -> Listing:
        """Look at all directories, or at as many as `max_seconds` allow; the next call then goes on from there.

        The scores in TensorBoard's event files are waited for without `max_seconds`, else read in the background.
        An absent directory holds no runs. Raises RunError for one that cannot be read.
        """
        with self._lock:
            if not self._todo:
                names = self._names()
                gone = self._entries.keys() - set(names)
                for name in gone:
                    del self._entries[name]
                # Pop takes from the end: newest first, then those whose names do not tell when they were made.
                self._todo = sorted(names, key=lambda name: (name[:1].isdecimal(), name))
            deadline = None if max_seconds is None else time.monotonic() + max_seconds
            while self._todo:
                self._look(self._todo.pop(), wait=max_seconds is None)
                if deadline is not None and time.monotonic() >= deadline:
                    break
        return self.listing

    def _names(self) -> list[str]:
        try:
            with os.scandir(self.directory) as entries:
                return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(
                _("cannot read {path}: {reason}").format(path=self.directory, reason=error.strerror or error),
                _("Choose another directory with --runs or NSMC_TUI_RUNS."),
            ) from error

    def _look(self, name: str, *, wait: bool) -> None:
        path = self.directory / name
        status = _signature(f"{path}/{STATUS_FILE}")
        known = self._entries.get(name)
        if status == ABSENT and _signature(f"{path}/{CONFIG_FILE}") == ABSENT:
            self._look_at_foreign(name, path, known, wait=wait)
            return
        signature = (status, _signature(f"{path}/{LABELS_FILE}"))
        if known is None or known.signature != signature:
            known = _Entry(signature, None, read_status(path), read_labels(path))
            known.run = make_run(path, known.status, known.labels)
            self._entries[name] = known
        elif not known.settled:
            known.run = make_run(path, known.status, known.labels)

    def _look_at_foreign(self, name: str, path: Path, known: _Entry | None, *, wait: bool) -> None:
        from core import foreign

        signature = foreign.signature(path)
        if known is None or known.signature != signature:
            run = foreign.load(path) if foreign.source_of(path) else None
            known = self._entries[name] = _Entry(signature, run, {}, Labels())
            known.whole = run is None or not foreign.has_scores_to_read(run)
        if not known.whole and known.run is not None:
            from core.foreign.scores import ScoreReader

            if self._scores is None:
                self._scores = ScoreReader()
            known.run, known.whole = self._scores.on(known.run, signature, wait=wait)

    def settings_of(self, run: Run) -> Mapping[str, Any]:
        """A run's config as dotted keys (`train.learning_rate`); empty without a readable one. Read once a version."""
        path = run.path / CONFIG_FILE
        signature = _signature(str(path))
        kept = self._configs.get(run.path)
        if kept is None or kept[0] != signature:
            kept = (signature, _flat(_read_toml(path)) if signature != ABSENT else {})
            self._configs[run.path] = kept
        return kept[1]


def _signature(path: str) -> Signature:
    try:
        found = os.stat(path)
    except OSError:
        return ABSENT
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return foreign_json.parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found
