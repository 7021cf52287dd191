"""Reads the runs for the list, in a thread of its own: on a slow network file system only the figures get old.

The thread is a daemon's: one that hangs in the file system keeps nobody from leaving the app.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from textual.message import Message

from core.errors import NsmcTuiError, UsageError
from core.run_index import Listing, RunIndex
from core.run_preview import Preview, preview
from core.run_values import SETTING, Facts, Value, metric_names, sort_runs, value
from core.runs import Run

INTERVAL = 1.0
# A look at very many runs, or at a slow disk, comes less often: it may take a hundredth of the time, and a run whose
# worker was killed is still told within ten seconds.
SHARE = 0.01
LONGEST_INTERVAL = 5.0
# While nothing has changed a query is asked again at every so many looks, for what depends on the time or on configs.
ASKED_AGAIN = 10
SLICE = 0.2
CONFIGS_FOR_NAMES = 50


@dataclass(frozen=True)
class View:
    """What is asked for: a query, a column to sort by (none: newest first), settings to show, and what is marked."""

    query: str = ""
    sort: str = ""
    reverse: bool = False
    settings: tuple[str, ...] = ()
    marked: frozenset[Path] = frozenset()
    baseline: Path | None = None


@dataclass(frozen=True)
class Answer:
    """The runs that a view shows, in its order; `total` and `archived` count all there are.

    `settings` has, by run id, the values of the settings that the view asks for. `error` says why the query is of no
    use: then `runs` are those of the last one that was. `baseline` may be outside of `runs`.
    """

    view: View
    runs: tuple[Run, ...] = ()
    total: int = 0
    live: int = 0
    archived: int = 0
    pending: int = 0
    settings: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    baseline: Run | None = None
    error: UsageError | None = None


class RunsRead(Message):
    """The runs as they are, where that is news."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class RunsFailed(Message):
    """The runs directory cannot be read."""

    def __init__(self, error: NsmcTuiError) -> None:
        super().__init__()
        self.error = error


class PreviewRead(Message):
    """The log of one run at a glance."""

    def __init__(self, run_id: str, found: Preview) -> None:
        super().__init__()
        self.run_id = run_id
        self.preview = found


class NamesRead(Message):
    """All names that runs can be sorted by or shown with: metrics and settings."""

    def __init__(self, purpose: str, metrics: list[str], settings: list[str]) -> None:
        super().__init__()
        self.purpose = purpose
        self.metrics = metrics
        self.settings = settings


def answer(listing: Listing, view: View, index: RunIndex, before: tuple[Run, ...] = ()) -> Answer:
    """What `view` shows of `listing`; `before` is what stands there while a query is of no use."""
    facts = Facts(index.settings_of, view.marked, view.baseline)
    error = None
    try:
        if view.query.strip():
            # The first picture, which has no query, does not wait for the language.
            from core.run_query import parse

            shown = parse(view.query, listing.runs).keep(listing.runs, facts)
        else:
            shown = [run for run in listing.runs if not run.archived]
        if view.sort:
            shown = sort_runs(shown, view.sort, view.reverse, facts)
        elif view.reverse:
            shown.reverse()
    except UsageError as caught:
        known = {run.id: run for run in listing.runs}
        shown, error = [known[run.id] for run in before if run.id in known], caught
    names = [name for name in view.settings if name.startswith(SETTING)]
    settings = {run.id: {name: value(run, name, facts) for name in names} for run in shown} if names else {}
    return Answer(
        view,
        tuple(shown),
        len(listing.runs),
        sum(run.live for run in listing.runs),
        sum(run.archived for run in listing.runs),
        listing.pending,
        settings,
        next((run for run in listing.runs if run.path == view.baseline), None),
        error,
    )


class RunReader:
    """The thread: looks at the runs every second, answers `ask`, `look_into` and `ask_names`, and posts messages."""

    def __init__(self, index: RunIndex, post: Callable[[Message], object]) -> None:
        self._index, self._post = index, post
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._view = View()
        self._run: Run | None = None
        self._names = ""
        self._stopped = self._paused = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="runs")

    def start(self, view: View) -> None:
        """Begin with this view."""
        self._view = view
        self._thread.start()

    def stop(self) -> None:
        """End, at the latest after what is being read."""
        self._stopped = True
        self._wake.set()

    def pause(self, paused: bool) -> None:
        """Rest while nobody looks."""
        self._paused = paused
        self._wake.set()

    def ask(self, view: View) -> None:
        """Show this from now on."""
        with self._lock:
            self._view = view
        self._wake.set()

    def look_into(self, run: Run | None) -> None:
        """Look into the log of this run, now and whenever it changes."""
        with self._lock:
            same = run == self._run
            self._run = run
        if not same:
            self._wake.set()

    def ask_names(self, purpose: str) -> None:
        """Find out which names there are; `purpose` comes back with them."""
        with self._lock:
            self._names = purpose
        self._wake.set()

    def _work(self) -> None:
        last: Answer | None = None
        before: Listing | None = None
        looks = 0
        looked: Run | None = None
        failed = ""
        while not self._stopped:
            with self._lock:
                view, run, names = self._view, self._run, self._names
                self._names = ""
            if self._paused:
                self._wake.wait()
                self._wake.clear()
                continue
            begun = time.monotonic()
            looks += 1
            try:
                listing = self._index.refresh(SLICE)
                failed = ""
            except NsmcTuiError as error:
                if error.message != failed:
                    failed, last = error.message, None
                    self._send(RunsFailed(error))
                self._wake.wait(INTERVAL)
                self._wake.clear()
                continue
            if last is None or view != last.view or listing != before or looks % ASKED_AGAIN == 0:
                found = answer(listing, view, self._index, last.runs if last is not None else ())
                if last is None or _differ(found, last):
                    self._send(RunsRead(found))
                last, before = found, listing
            took = time.monotonic() - begun
            if names:
                self._send(self._find_names(names, listing))
            if run is not None and run != looked:
                looked = run
                self._send(PreviewRead(run.id, preview(run)))
            if not listing.pending:
                self._wake.wait(min(LONGEST_INTERVAL, max(INTERVAL, took / SHARE)))
            self._wake.clear()

    def _send(self, message: Message) -> None:
        if not self._stopped:
            self._post(message)

    def _find_names(self, purpose: str, listing: Listing) -> NamesRead:
        settings: set[str] = set()
        for run in listing.runs[:CONFIGS_FOR_NAMES]:
            settings.update(self._index.settings_of(run))
        return NamesRead(purpose, metric_names(listing.runs), sorted(SETTING + name for name in settings))


def _differ(one: Answer, other: Answer) -> bool:
    errors = [None if found.error is None else found.error.message for found in (one, other)]
    if errors[0] != errors[1]:
        return True
    return any(
        getattr(one, name) != getattr(other, name)
        for name in ("view", "runs", "total", "live", "archived", "pending", "settings", "baseline")
    )
