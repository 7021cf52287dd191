"""The near ends of `overhead.py`: a bare training or a worker that trains when it is told to, and an app beside it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import common
import paced
import psutil
import workers

from core.config import RunConfig

# (seconds, CPU seconds) of one side for some steps.
Taken = tuple[float, float]


class Side:
    """A training that waits every `steps` steps until it is told to `go` on, the bare one or a worker's.

    `lead` steps behind each wait it can be heard of once more (`hear`). Its model is built when `hear` returns first.
    """

    _numbers = itertools.count()

    def __init__(
        self, config: RunConfig, directory: Path, environment: dict[str, str], *, worker: bool, steps: int, lead: int
    ) -> None:
        place = directory / f"side-{next(self._numbers)}"
        place.mkdir()
        self._stamps = place / "stamps.json"
        self._log = place / "log.txt"
        lines, tell = os.pipe()
        hear, self._go = os.pipe()
        self._read = os.fdopen(lines, "r")
        more = {paced.STEPS: steps, paced.LEAD: lead, paced.TELL: tell, paced.HEAR: hear, paced.STAMPS: self._stamps}
        given = {name: str(value) for name, value in more.items()}
        script = str(common.HERE / "paced.py")
        self.worker: workers.Worker | None = None
        if worker:
            command = [sys.executable, "-P", script, "worker"]
            self.worker = workers.Worker(config, place / "runs", command, environment, given, (tell, hear))
            self.pid = self.worker.pid
        else:
            request = place / "request.json"
            request.write_text(json.dumps({"config": config.model_dump(mode="json")}), encoding="utf-8")
            with self._log.open("wb") as log:
                self._bare = subprocess.Popen(
                    [sys.executable, script, "bare", str(request), str(place / "answer.json")],
                    env={**environment, **given},
                    pass_fds=(tell, hear),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            self.pid = self._bare.pid
        # So that its death is noticed.
        os.close(tell)
        os.close(hear)

    def hear(self) -> bool:
        """Wait until it waits, or until its `lead` steps are over; False when it has ended."""
        return bool(self._read.readline())

    def go(self) -> None:
        """Let it train; nothing where it has ended."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._go, b"g")

    def trained(self) -> bool:
        """Whether its training is over: its times are known then."""
        return self._stamps.exists()

    def alive(self) -> bool:
        """Whether its process runs."""
        return psutil.pid_exists(self.pid) and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE

    def finish(self) -> list[Taken]:
        """Wait for its end; gives time and CPU seconds at each stamp (paced.py). Ends the benchmark when it failed."""
        if self.worker is not None:
            self.worker.finish()
        elif self._bare.wait() != 0:
            raise SystemExit(self._log.read_text(encoding="utf-8", errors="replace")[-3000:])
        # It may tell of its end until now.
        self._read.close()
        os.close(self._go)
        return [(seconds, worked) for seconds, worked in json.loads(self._stamps.read_bytes())]


class Watcher:
    """The app, or what stands for it, beside a worker; `name` says which."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.pid = process.pid

    def hold(self, stopped: bool) -> None:
        """Stop it, or let it go on."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP if stopped else signal.SIGCONT)

    def cpu(self) -> float:
        """CPU seconds it has taken so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def watching(side: Side) -> Iterator[Watcher]:
    """Watch a worker's run as long as the context lasts."""
    assert side.worker is not None
    with workers.watched(side.worker.run_dir) as (name, process):
        yield Watcher(name, process)


def between(stamps: list[Taken], first: int, last: int) -> Taken:
    """Seconds and CPU seconds from one stamp to another."""
    return stamps[last][0] - stamps[first][0], stamps[last][1] - stamps[first][1]


Figures = dict[str, list[tuple[Taken, Taken]]]
"""For each row of the table: what ours and its peer took for the same steps, again and again."""

PLAIN = "plain Trainer"
ALONE = "worker alone"


def watched_row(watcher: Watcher) -> str:
    """The name of the row of a worker that somebody watches."""
    return f"worker, watched by {watcher.name}"
