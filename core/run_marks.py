"""Which runs are marked and which one is the baseline: kept beside the runs, so that the next start knows them too."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path

from core import foreign_json
from core.paths import write_atomically

MARKS_FILE = ".nsmc-tui.json"
VERSION = 1


class RunMarks:
    """The marked runs of one runs directory, in the order in which they were marked, and its baseline.

    The file names runs below the directory relative to it, so that a directory that is moved keeps its marks.
    """

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._lock = threading.Lock()
        self.marked: list[Path] = []
        self.baseline: Path | None = None
        self._load()

    def _load(self) -> None:
        try:
            kept = foreign_json.parse((self._runs / MARKS_FILE).read_bytes())
        except (OSError, ValueError):
            # No marks yet, or a file that is none of ours: marks are never a reason to fail.
            return
        if not isinstance(kept, dict):
            return
        names = kept.get("marked")
        if isinstance(names, list):
            self.marked = [self._runs / name for name in dict.fromkeys(n for n in names if isinstance(n, str))]
            self.marked = [path for path in self.marked if path.is_dir()]
        if isinstance(kept.get("baseline"), str) and (self._runs / kept["baseline"]).is_dir():
            self.baseline = self._runs / kept["baseline"]

    def mark(self, run_dirs: Iterable[Path]) -> None:
        """Mark exactly these runs."""
        self.marked = list(dict.fromkeys(run_dirs))

    def toggle(self, run_dir: Path) -> bool:
        """Mark a run, or take its mark away; returns whether it is marked afterwards."""
        if run_dir in self.marked:
            self.marked = [path for path in self.marked if path != run_dir]
            return False
        self.marked = [*self.marked, run_dir]
        return True

    def pin(self, run_dir: Path | None) -> None:
        """Compare with this run; None ends the comparing."""
        self.baseline = run_dir

    def forget(self, run_dirs: Iterable[Path]) -> None:
        """Runs that are no more are neither marked nor compared with."""
        gone = set(run_dirs)
        self.marked = [path for path in self.marked if path not in gone]
        if self.baseline in gone:
            self.baseline = None

    def save(self) -> None:
        """Write the marks as they are at this moment. Raises OSError where the directory cannot be written."""
        # Two savings at once would write one temporary file; the later of them writes what is newest.
        with self._lock:
            kept = {
                "v": VERSION,
                "marked": [self._name(path) for path in self.marked],
                "baseline": None if self.baseline is None else self._name(self.baseline),
            }
            write_atomically(self._runs / MARKS_FILE, json.dumps(kept, ensure_ascii=False, indent=1))

    def _name(self, run_dir: Path) -> str:
        return str(run_dir.relative_to(self._runs)) if run_dir.is_relative_to(self._runs) else str(run_dir)
