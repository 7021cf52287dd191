"""The product's worker as the product starts it, what it tells, and somebody who watches it."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import product_environment

from core.config import RunConfig
from core.events import EVENTS_FILE
from core.launch import LOG_FILE, create_run
from core.tail import JsonlTail

POLL = 0.01
SCREEN = (40, 120)
STARTS_WITHIN = 30.0
# Reads the events as often as the app does, and nothing else. Arguments: the event log.
READER = (
    "import sys, time\nfrom pathlib import Path\nfrom core.tail import JsonlTail\n"
    "tail = JsonlTail(Path(sys.argv[1]))\n"
    "while True:\n    tail.read()\n    time.sleep(0.25)\n"
)


class Worker:
    """A run of `config` below `runs`, its worker started now; `ordered` is the time (`time.time`) of the order.

    `command` starts it in place of the product's own, the run directory behind it, in `environment` in place of the
    product's, with `more` variables.
    """

    COMMAND = (sys.executable, "-P", "-m", "core.worker")

    def __init__(
        self,
        config: RunConfig,
        runs: Path,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
        more: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.ordered = time.time()
        self.run_dir = create_run(config, runs)
        with (self.run_dir / LOG_FILE).open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self.run_dir)],
                env={**(environment or product_environment(config)), **(more or {})},
                pass_fds=pass_fds,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._tail = JsonlTail(self.run_dir / EVENTS_FILE)
        self.events: list[dict[str, Any]] = []

    def wait_for(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The first event of type `kind` with these `fields`; ends the benchmark when the worker dies before."""
        looked = 0
        while True:
            ended = self._process.poll() is not None
            self.events += self._tail.read()
            for event in self.events[looked:]:
                if event["type"] == kind and fields.items() <= event.items():
                    return event
            looked = len(self.events)
            if ended:
                raise SystemExit(f"{self._log()}\nthe worker ended without {kind} {fields}")
            time.sleep(POLL)

    def finish(self) -> None:
        """Wait for the worker's end."""
        self._process.wait()
        self.events += self._tail.read(max_records=1_000_000, max_seconds=60)
        if self._process.returncode != 0:
            raise SystemExit(f"{self._log()}\nthe worker failed (exit code {self._process.returncode})")

    def kill(self) -> None:
        """End it at once."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def results(self, name: str) -> dict[str, Any]:
        """What the run directory holds as `<name>_results.json`."""
        found: dict[str, Any] = json.loads((self.run_dir / f"{name}_results.json").read_bytes())
        return found

    def gpu_peak(self) -> int | None:
        """The most GPU memory that torch had allocated, in bytes; None without a GPU.

        Steps tell the peak so far. What scoring test took comes after the last of them and is known as a difference
        to what was allocated before it: as much as at the last step, counting for more rather than less.
        """
        steps = [event for event in self.events if event["type"] == "step" and event.get("gpu_peak")]
        if not steps:
            return None
        scored = self.results("test")
        above = max(0, scored["test_mem_gpu_alloc_delta"]) + scored["test_mem_gpu_peaked_delta"]
        return int(max(steps[-1]["gpu_peak"], steps[-1]["gpu_allocated"] + above))

    def _log(self) -> str:
        return (self.run_dir / LOG_FILE).read_text(encoding="utf-8", errors="replace")[-3000:]


def has_app() -> bool:
    """Whether the app can be started here: `core` alone comes without a screen."""
    return all(importlib.util.find_spec(name) is not None for name in ("textual", "click", "tui"))


@contextlib.contextmanager
def watched(run_dir: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Watch a run in the app (Monitor in a pseudo-terminal), or with a reader of its events where there is no app.

    Gives what it is that watches, and its process. Ends the benchmark when the watcher did not last.
    """
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "CUDA_VISIBLE_DEVICES": ""}
    if not has_app():
        command = [sys.executable, "-P", "-c", READER, str(run_dir / EVENTS_FILE)]
        reader = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
        try:
            yield "a reader of the events", reader
            _end(reader)
        finally:
            reader.kill()
            reader.wait()
        return
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", *SCREEN, 0, 0))
    command = [sys.executable, "-P", "-m", "tui", "--runs", str(run_dir.parent)]
    app = subprocess.Popen(
        [*command, "open", run_dir.name, "--screen", "monitor"],
        env=environment,
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
    )
    os.close(other)
    painted: list[int] = []
    drain = threading.Thread(target=_drain, args=(main, painted), daemon=True)
    drain.start()
    try:
        # What it takes to start is not what it takes to watch.
        deadline = time.monotonic() + STARTS_WITHIN
        while sum(painted) < 1000 and app.poll() is None and time.monotonic() < deadline:
            time.sleep(POLL)
        yield f"the app on Monitor, {SCREEN[1]} × {SCREEN[0]}", app
        if sum(painted) < 1000:
            raise SystemExit("the app painted nothing: nobody watched")
        _end(app)
    finally:
        with contextlib.suppress(ProcessLookupError):
            app.kill()
        drain.join(5)
        os.close(main)


def _drain(terminal: int, painted: list[int]) -> None:
    """Take what the app paints, so that it never waits for its terminal."""
    # Linux reports the other end's closing as an error.
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 65536):
            painted.append(len(data))


def _end(watcher: subprocess.Popen[bytes]) -> None:
    if watcher.poll() is not None:
        raise SystemExit(f"who should watch ended early (exit code {watcher.returncode})")
    watcher.kill()
    watcher.wait()
