"""Run directories: finding them, reading what they say about themselves, telling the living from the dead."""

from __future__ import annotations

import json
import math
import os
import re
import socket
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from core import foreign_json
from core.errors import RunError
from core.i18n import gettext as _
from core.paths import write_atomically
from core.run_labels import Labels, read_labels

STATUS_FILE = "status.json"
CONFIG_FILE = "config.toml"
LIVE_STATES = ("queued", "starting", "running", "pausing", "paused", "stopping")
# What another program has written: it can be looked at, and takes no orders.
FOREIGN = "foreign"
FINAL_STATES = ("finished", "stopped", "failed", "crashed", FOREIGN)
# A launcher writes `queued` and starts the worker at once; without a worker after this long there is none.
START_TIMEOUT = 120.0
# A worker says something every few seconds even while it waits.
SILENT_AFTER = 60.0
# Loading a large model or writing a checkpoint to a slow disk takes its time without a word.
STALE_AFTER = 300.0

_ID = re.compile(r"(\d{8})-(\d{6})(?:-(.*))?$")


@dataclass(frozen=True)
class Run:
    """What a run directory's `status.json` says, with `state` corrected for a worker that died.

    Times are seconds since the epoch. `silent` is set for a live run on another host that has not written for
    `SILENT_AFTER` seconds: dead or cut off, which cannot be told from here. `stale` is set for one whose process
    lives on this host and has not written for `STALE_AFTER` seconds: it hangs, or is at something very slow.
    `label` (the name that was given later, `name` too then), `tags`, `note` and `archived` come from
    `core.run_labels`. `source` tells what a run of the state `foreign` was read from (`core.foreign`).
    `earlier_model` is the step whose model, predictions and results the directory has while a resumed run has not
    saved newer ones, which one that was aborted or crashed never does.
    """

    id: str
    path: Path
    name: str
    state: str
    created: float
    updated: float
    step: int = 0
    max_steps: int = 0
    epoch: float = 0.0
    phase: str = ""
    model: str = ""
    data: str = ""
    pid: int | None = None
    host: str = ""
    eta: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    error: str = ""
    hint: str = ""
    silent: bool = False
    stale: bool = False
    loss: float | None = None
    label: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    archived: bool = False
    source: str = ""
    earlier_model: int | None = None

    @property
    def condition(self) -> str:
        """The word to show: `silent` or `stale` for a live run that gives no sign, else its state."""
        if self.silent:
            return "silent"
        return "stale" if self.stale else self.state

    @property
    def elsewhere(self) -> bool:
        """Whether it ran, or runs, on another host."""
        return self.host not in ("", socket.gethostname())

    @property
    def live(self) -> bool:
        """Whether a worker may still be writing."""
        return self.state in LIVE_STATES

    def metric_split(self) -> str:
        """What `metric` speaks of: `test`, or `eval` while only dev was scored, or nothing."""
        for prefix in ("test", "eval"):
            if f"{prefix}_accuracy" in self.metrics:
                return prefix
        return ""

    def metric(self, name: str) -> float | None:
        """`name` on test, else on dev: `test_accuracy`, else `eval_accuracy`."""
        for prefix in ("test_", "eval_"):
            value = self.metrics.get(prefix + name)
            if value is not None:
                return value
        return None


def slugify(text: str, limit: int = 40) -> str:
    """A part of a directory's name: letters (Hangul too), digits and single dashes."""
    return re.sub(r"[^0-9A-Za-z가-힣._]+", "-", text).strip("-._").lower()[:limit].strip("-._") or "run"


def create_run_dir(runs: Path, name: str) -> Path:
    """Make `runs/<YYYYmmdd-HHMMSS>-<slug>/`, a new one even within the same second. Raises RunError."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
        stem = f"{datetime.now():%Y%m%d-%H%M%S}-{slugify(name)}"
        for number in range(1, 1000):
            path = runs / (stem if number == 1 else f"{stem}-{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise RunError(
            _("cannot make a run in {path}: {reason}").format(path=runs, reason=error.strerror or error),
            _("Choose another directory with --runs or NSMC_TUI_RUNS."),
        ) from error
    raise RunError(_("too many runs of one name in one second"))


def process_start(pid: int) -> float | None:
    """When process `pid` started (seconds since the epoch); None when there is none, or only its corpse."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return 0.0


def write_status(run_dir: Path, status: dict[str, Any], *, durable: bool = True) -> None:
    """Replace `status.json` atomically; `durable` says whether to wait until it is on the disk."""
    write_atomically(run_dir / STATUS_FILE, json.dumps(status, ensure_ascii=False, indent=1), durable=durable)


def read_status(run_dir: Path) -> dict[str, Any]:
    """`status.json` as it stands; empty when it is missing or unreadable."""
    try:
        status = foreign_json.parse((run_dir / STATUS_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def is_run_dir(path: Path) -> bool:
    """Whether `path` looks like a run: it has a status or a config."""
    return (path / STATUS_FILE).is_file() or (path / CONFIG_FILE).is_file()


def can_be_shown(path: Path) -> bool:
    """Whether `path` is a run, ours or another program's."""
    if is_run_dir(path):
        return True
    from core import foreign

    return path.is_dir() and bool(foreign.source_of(path))


def _created(path: Path) -> float:
    match = _ID.match(path.name)
    if match:
        try:
            return datetime.strptime("".join(match.groups()[:2]), "%Y%m%d%H%M%S").timestamp()
        except ValueError:
            pass
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _alive(status: dict[str, Any]) -> bool:
    pid, started = status.get("pid"), status.get("pid_start")
    if not isinstance(pid, int):
        return time.time() - _number(status.get("updated")) < START_TIMEOUT
    actual = process_start(pid)
    if actual is None:
        return False
    return not started or actual == 0.0 or abs(actual - _number(started)) < 2.0


def _number(value: Any, default: float = 0.0) -> float:
    """`value` as a finite number; `default` for anything else, however odd: status files come from anyone."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    try:
        number = float(value)
    except OverflowError:
        return default
    return number if math.isfinite(number) else default


def load_run(path: Path) -> Run:
    """The run in directory `path`. A live state whose worker is gone (same host, no such process) is `crashed`.

    A directory that another program wrote gives a run of the state `foreign`. Raises RunError when `path` is neither.
    """
    if not is_run_dir(path):
        from core import foreign

        if foreign.source_of(path):
            return foreign.load(path)
        raise RunError(
            _("{path} is not a run directory").format(path=path), _("`nsmc-tui runs` lists the runs there are.")
        )
    return make_run(path, read_status(path), read_labels(path))


def make_run(path: Path, status: dict[str, Any], labels: Labels) -> Run:
    """The run in directory `path` from its status (empty: there is none) and its labels, its worker looked for."""
    state = str(status.get("state") or "crashed")
    host = str(status.get("host") or "")
    created = _created(path)
    updated = _number(status.get("updated"), created)
    here = host in ("", socket.gethostname())
    error, hint = str(status.get("error") or ""), str(status.get("hint") or "")
    silent = stale = False
    if not status:
        error = _("the run has no readable status")
        hint = _("It was not made by nsmc-tui, or its disk was full; config.toml tells how to start it again.")
    if state in LIVE_STATES:
        quiet = time.time() - updated
        if not here:
            silent = quiet > SILENT_AFTER
        elif _alive(status):
            stale = quiet > STALE_AFTER
        else:
            state = "crashed"
            error = error or _("the worker is gone without a word")
            hint = hint or _("The last lines of worker.log may tell why (killed, out of memory, machine restarted).")
    match = _ID.match(path.name)
    loss = status.get("loss")
    return Run(
        id=path.name,
        path=path,
        name=labels.name or str(status.get("name") or (match.group(3) if match else "") or path.name),
        state=state,
        created=created,
        updated=updated,
        step=int(_number(status.get("step"))),
        max_steps=int(_number(status.get("max_steps"))),
        epoch=_number(status.get("epoch")),
        phase=str(status.get("phase") or ""),
        model=str(status.get("model") or ""),
        data=str(status.get("data") or ""),
        pid=status.get("pid") if isinstance(status.get("pid"), int) else None,
        host=host,
        eta=_number(status["eta"]) if isinstance(status.get("eta"), int | float) else None,
        metrics=_metrics(status.get("metrics"), live=state in LIVE_STATES),
        error=error,
        hint=hint,
        silent=silent,
        stale=stale,
        loss=_number(loss) if isinstance(loss, int | float) else None,
        label=labels.name,
        tags=labels.tags,
        note=labels.note,
        archived=labels.archived,
        earlier_model=int(_number(status["earlier_model"])) if status.get("earlier_model") is not None else None,
    )


def _metrics(told: Any, *, live: bool) -> dict[str, float]:
    """The numbers in `told`. Test is scored when a run ends: what a live one has of it, is of before it was resumed."""
    if not isinstance(told, dict):
        return {}
    numbers = {str(name): _number(value) for name, value in told.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if not (live and name.startswith("test_"))}


def list_runs(runs: Path) -> list[Run]:
    """All runs below `runs`, archived ones too, newest first; an absent directory holds none."""
    from core.run_index import RunIndex

    return list(RunIndex(runs).refresh().runs)


def find_run(runs: Path, name: str) -> Path:
    """The directory of `name`: a run's id, a unique prefix of it, `latest`, or a path.

    Raises RunError when there is none, or more than one.
    """
    direct = Path(name).expanduser()
    if (os.sep in name or name in (".", "..")) and direct.is_dir():
        if can_be_shown(direct):
            return direct.resolve()
        raise RunError(
            _("{path} is not a run directory").format(path=name), _("`nsmc-tui runs` lists the runs there are.")
        )
    known = list_runs(runs)
    if not known and can_be_shown(direct):
        return direct.resolve()
    if not known:
        raise RunError(
            _("there are no runs in {path}").format(path=runs), _("Start one with `nsmc-tui demo` or `nsmc-tui train`.")
        )
    if name == "latest":
        # What was put away, or written by others, is not what somebody means unless there is nothing else.
        return next((run for run in known if not run.archived and not run.source), known[0]).path
    exact = [run for run in known if run.id == name]
    matches = exact or [run for run in known if run.id.startswith(name)]
    if len(matches) == 1:
        return matches[0].path
    if not matches and can_be_shown(direct):
        return direct.resolve()
    if not matches:
        raise RunError(
            _("no run {name} in {path}").format(name=name, path=runs), _("`nsmc-tui runs` lists the runs there are.")
        )
    listed = ", ".join(run.id for run in matches[:5])
    raise RunError(
        _("{name} fits {count} runs: {runs}").format(name=name, count=len(matches), runs=listed),
        _("Give more of the id."),
    )


def read_results(run_dir: Path) -> dict[str, Any]:
    """`all_results.json`, or empty while there is none."""
    try:
        results = foreign_json.parse((run_dir / "all_results.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return results if isinstance(results, dict) else {}
