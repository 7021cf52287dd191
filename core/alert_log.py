"""The alerts of all runs of a directory, from their event logs and states, for an app that stays open."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import foreign_json, formats
from core.alerts import Alert, alert_of
from core.errors import NsmcTuiError
from core.events import EVENTS_FILE
from core.i18n import gettext as _
from core.runs import STATUS_FILE, Run, load_run

# Runs that ended longer ago have no news.
RECENT = 24 * 3600.0
# A crash is news to a command or webhook only when it was noticed soon.
CRASH_IS_NEWS = 3600.0
CHUNK = 1 << 20
# The worker writes compact JSON: only lines with one of these are parsed.
_MARKS = (b'"type":"alert"', b'"type":"run_finished"', b'"type":"run_failed"', b'"type":"run_started"')


@dataclass(frozen=True)
class RunAlert:
    """An alert of one run. `key` is the same whenever the same alert is read again."""

    run: str
    path: Path
    alert: Alert

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.path.name}/{self.alert.code}/{self.alert.ts:.3f}"


class _Follower:
    """Reads the alerts of one run, a bounded portion at a time."""

    def __init__(self, run: Run) -> None:
        self._path = run.path / EVENTS_FILE
        self._offset = 0
        self._half = b""
        self.told: set[str] = set()

    def read(self, deadline: float) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        try:
            size = self._path.stat().st_size
            if size < self._offset:
                self._offset, self._half = 0, b""
            if size == self._offset:
                return found
            with self._path.open("rb") as file:
                file.seek(self._offset)
                while time.monotonic() < deadline and (chunk := file.read(CHUNK)):
                    self._offset += len(chunk)
                    self._take(chunk, found)
        except OSError:
            # The directory went away; the list of runs will say so.
            return found
        return found

    def _take(self, chunk: bytes, found: list[dict[str, Any]]) -> None:
        data = self._half + chunk
        whole = data.rfind(b"\n") + 1
        self._half = data[whole:]
        if not any(mark in data for mark in _MARKS):
            return
        for line in data[:whole].split(b"\n"):
            if any(mark in line for mark in _MARKS):
                try:
                    event = foreign_json.parse(line)
                except ValueError:
                    continue
                if isinstance(event, dict):
                    found.append(event)


class AlertLog:
    """`poll` gives the alerts that came since the last call, of runs that live or ended within a day.

    `crashed` and `silent` are told here, since no worker can.
    """

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._followers: dict[Path, _Follower] = {}
        self._known: dict[Path, tuple[int, Run]] = {}

    def poll(self, max_seconds: float = 0.5) -> list[RunAlert]:
        """New alerts, oldest first. Takes about `max_seconds` at most; what is left comes with the next call."""
        now, deadline = time.time(), time.monotonic() + max_seconds
        found: list[RunAlert] = []
        for run in self._look():
            if not run.live and now - run.updated > RECENT:
                continue
            follower = self._followers.setdefault(run.path, _Follower(run))
            for event in follower.read(deadline):
                if event.get("type") == "run_started":
                    # Another life of the run may crash as well.
                    follower.told.clear()
                    continue
                alert = alert_of(event)
                if alert is not None:
                    found.append(RunAlert(run.name, run.path, alert))
            found += self._from_outside(run, follower)
        return sorted(found, key=lambda one: one.alert.ts)

    def _look(self) -> list[Run]:
        """All runs; what has ended is read again only when its status changes."""
        known = self._known
        self._known = {}
        try:
            with os.scandir(self._runs) as entries:
                paths = [Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        except OSError:
            # The Runs screen tells that the directory cannot be read.
            return []
        for path in paths:
            try:
                changed = (path / STATUS_FILE).stat().st_mtime_ns
            except OSError:
                continue
            before = known.get(path)
            if before is not None and before[0] == changed and not before[1].live:
                self._known[path] = before
                continue
            try:
                self._known[path] = (changed, load_run(path))
            except NsmcTuiError:
                # Deleted between the two looks.
                continue
        return [run for _changed, run in self._known.values()]

    @staticmethod
    def _from_outside(run: Run, follower: _Follower) -> list[RunAlert]:
        if run.state == "crashed" and "crashed" not in follower.told:
            follower.told.add("crashed")
            return [RunAlert(run.name, run.path, Alert("error", "crashed", run.error, run.hint, run.updated))]
        if not (run.silent or run.stale):
            follower.told.discard("silent")
        elif "silent" not in follower.told:
            follower.told.add("silent")
            message = _("nothing heard for {time}").format(time=formats.duration(time.time() - run.updated))
            if run.silent:
                hint = _("It runs on {host}: whether it is dead or cut off cannot be known from here.").format(
                    host=run.host
                )
            else:
                hint = _("Its process is there. A slow disk or a stopped process may hold it up; worker.log may tell.")
            return [RunAlert(run.name, run.path, Alert("warning", "silent", message, hint, run.updated))]
        return []


def is_news(one: RunAlert, now: float) -> bool:
    """Whether the app should send `one` to command and webhook: told by nobody else, and not long past."""
    return one.alert.code in ("crashed", "silent") and now - one.alert.ts < CRASH_IS_NEWS
