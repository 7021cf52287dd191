"""The worker's one voice: events, the status file, and the results files of a run directory."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core import foreign_json
from core.events import Event, EventWriter, jsonable
from core.i18n import ngettext
from core.paths import write_atomically
from core.reserve import with_room
from core.runs import FINAL_STATES, process_start, read_status, write_status

STATUS_INTERVAL = 1.0
PHASE_INTERVAL = 0.2
# The events that say what became of a run.
OUTCOMES = ("run_finished", "run_failed")
# Set by the supervisor of several ranks: its process id.
SUPERVISOR = "NSMC_TUI_SUPERVISOR"


class Recorder:
    """Writes a run's `events.jsonl` and keeps its `status.json` true.

    Only rank 0 of a run makes one. Status is replaced at once when the state changes, else once a second.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._events = EventWriter(run_dir)
        self._status = read_status(run_dir)
        # Of several ranks the supervisor is the process whose life is the run's.
        pid = int(os.environ.get(SUPERVISOR, os.getpid()))
        self._status.update(
            v=1, pid=pid, pid_start=process_start(pid), host=socket.gethostname(), error="", hint="", phase=""
        )
        self.lost = 0
        # Gets each event, written or not, in the thread that emits it.
        self.listener: Callable[[Event], None] | None = None
        self._written = 0.0
        self._phase = ""
        self._phase_at = 0.0

    @property
    def state(self) -> str:
        """The run's state as last set."""
        return str(self._status.get("state", "starting"))

    def get(self, name: str) -> Any:
        """A field of the status; None where it has none of that name."""
        return self._status.get(name)

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics known so far, `eval_*` and `test_*`."""
        return dict(self._status.get("metrics") or {})

    def set_state(self, state: str, **fields: Any) -> None:
        """Change the run's state; it is on disk when this returns."""
        self._status.update(state=state, **jsonable(fields))
        self._write()

    def update(self, **fields: Any) -> None:
        """Change other fields of the status; written at most once a second.

        Training does not wait for the disk here, which may take long where others write to it.
        """
        self._status.update(jsonable(fields))
        if time.monotonic() - self._written >= STATUS_INTERVAL:
            self._write(durable=False)

    def add_metrics(self, metrics: dict[str, Any]) -> None:
        """Merge metrics into the status, so that lists of runs can show them."""
        self.set_state(self.state, metrics={**self.metrics, **metrics})

    def _write(self, *, durable: bool = True) -> None:
        self._status["updated"] = round(time.time(), 3)
        self._written = time.monotonic()

        def write() -> None:
            write_status(self.run_dir, self._status, durable=durable)

        with self._room():
            if self.state in FINAL_STATES:
                with_room(self.run_dir, write)
            else:
                write()

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Let a full disk pass: what a run learns is worth more than what it tells. How often is told later.

        Only for what became of it room is kept (`core.reserve`).
        """
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.lost += 1

    def emit(self, kind: str, /, **fields: Any) -> None:
        """Append an event; on a full disk it is lost, and told of when there is room again."""
        with self._room():
            if kind in OUTCOMES:
                with_room(self.run_dir, lambda: self._append(kind, fields))
            else:
                self._append(kind, fields)
        if self.listener is not None:
            self.listener({"ts": time.time(), "type": kind, **fields})

    def _append(self, kind: str, fields: dict[str, Any]) -> None:
        if self.lost:
            message = ngettext(
                "the disk was full: {count} entry of the run's log is lost",
                "the disk was full: {count} entries of the run's log are lost",
                self.lost,
            ).format(count=self.lost)
            self._events.emit("alert", level="warning", code="disk_full", message=message, hint="")
            self.lost = 0
        self._events.emit(kind, **fields)

    def phase(self, name: str, done: int = 0, total: int = 0, **fields: Any) -> None:
        """Say what is being done and how far; at most five times a second within one phase."""
        now = time.monotonic()
        if name == self._phase and now - self._phase_at < PHASE_INTERVAL and not (total and done >= total):
            return
        changed = name != self._phase
        self._phase, self._phase_at = name, now
        self.emit("phase", name=name, done=done, total=total, **fields)
        self._status["phase"] = name
        if changed:
            self._write()
        else:
            self.update()

    def alert(self, level: str, code: str, message: str, hint: str = "") -> None:
        """Tell the user something that needs attention: `level` is `info`, `warning` or `error`."""
        self.emit("alert", level=level, code=code, message=message, hint=hint)

    def write_results(self, split: str, metrics: dict[str, Any]) -> None:
        """`<split>_results.json` and its share of `all_results.json`, named and keyed as transformers does."""
        clean = jsonable(metrics)
        write_atomically(self.run_dir / f"{split}_results.json", json.dumps(clean, indent=4, sort_keys=True))
        combined = self.run_dir / "all_results.json"
        everything: dict[str, Any] = {}
        if combined.is_file():
            everything = foreign_json.parse(combined.read_bytes())
        everything.update(clean)
        write_atomically(combined, json.dumps(everything, indent=4, sort_keys=True))

    def close(self) -> None:
        """Force everything to the disk and close the log."""
        with self._room():
            self._events.sync()
        self._events.close()


class SilentRecorder(Recorder):
    """The recorder of a rank that writes nothing: the first one speaks for all."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.listener = None
        self._status = {}

    def _write(self, *, durable: bool = True) -> None:
        pass

    def set_state(self, state: str, **fields: Any) -> None:
        """Keep the state to itself."""
        self._status.update(state=state, **fields)

    def update(self, **fields: Any) -> None:
        """Keep the fields to itself."""
        self._status.update(fields)

    def emit(self, kind: str, /, **fields: Any) -> None:
        """Say nothing."""

    def phase(self, name: str, done: int = 0, total: int = 0, **fields: Any) -> None:
        """Say nothing."""

    def alert(self, level: str, code: str, message: str, hint: str = "") -> None:
        """Say nothing."""

    def write_results(self, split: str, metrics: dict[str, Any]) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Nothing is open."""
