"""Answers for the ranks of one machine, from their start to their end. Light: no torch here.

Each machine has one supervisor. The head's is the process that `core.launch` starts; `nsmc-tui join` is that of any
further machine.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from core import foreign_json, formats, outcome, torchrun
from core.config import RunConfig
from core.control import CONTROL_FILE, send_order
from core.errors import NsmcTuiError, RunError
from core.failures import explain
from core.i18n import gettext as _
from core.launch import LOG_FILE, SUPERVISOR_FILE
from core.paths import write_atomically
from core.rank_failures import (
    closed_ranks,
    describe_death,
    forget_failures,
    read_failures,
    reported_deaths,
    write_death,
)
from core.recorder import Recorder
from core.reserve import with_room
from core.runs import FINAL_STATES, process_start, read_status, write_status
from core.tail import JsonlTail
from core.watch import Watch

EXIT_ABORTED = 130
POLL = 0.2
# A request to end reaches a process by several ways at once (the terminal's group, Slurm's step, a script's trap).
SAME_SIGNAL = 2.0
# When the run is over for another rank, the ranks of this machine get this long to notice.
STUCK_AFTER = 30.0
CLOSING = 5.0
# Failures of other machines come by the shared file system.
CAUSE_WAIT = 10.0
HEAD_WAIT = 60.0
# torchrun's report stands at the end of the log; what another rank writes after it is short.
REPORT_BYTES = 200_000


def wanted(config: RunConfig) -> bool:
    """Whether a run of `config` needs ranks."""
    return config.launch.processes * config.launch.nodes > 1


def supervise(run_dir: Path, config: RunConfig, extra_args: list[str], *, head: bool = True) -> int:
    """Start this machine's ranks, wait for them, and return the exit code of the run: 0, 1, or 130 when aborted.

    The first SIGTERM or SIGINT becomes the order `stop`, the second `abort`, the third ends the ranks as they are.
    When the ranks fail without having said so in the status, the head does; a joined machine only does when the
    head is silent, too.
    """
    return Supervisor(run_dir, config, extra_args, head).run()


class Supervisor:
    """One machine's ranks from their start to their end."""

    def __init__(self, run_dir: Path, config: RunConfig, extra: list[str], head: bool) -> None:
        self.run_dir = run_dir
        self.config = config
        self.extra = extra
        self.head = head
        self.log = run_dir / LOG_FILE if head else join_log(run_dir)
        self.orders = 0
        self._log_begin = 0
        self._log_size = 0
        self._told_size = 0
        self._told: bool | None = None
        self._asked: list[float] = []
        self._over_since = 0.0
        self._closing_since = 0.0
        self._looked = 0.0
        self._ended_by_hand = False
        self._control = JsonlTail(run_dir / CONTROL_FILE)
        while self._control.read() or self._control.pending:
            pass

    def run(self) -> int:
        """See `supervise`."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        try:
            if self.head:
                self._announce()
            with tempfile.TemporaryDirectory(prefix="nsmc-tui-ranks-") as log_dir:
                arguments = torchrun.command(self.run_dir, self.config, self.extra, log_dir)
                with self.log.open("ab") as log:
                    self._log_begin = log.tell()
                    code = self._run(arguments, log)
            return self._tell_end(code, self._end_of_log())
        except Exception as error:
            if not self.head:
                raise explain(error) from error
            with suppress(OSError):
                with_room(self.run_dir, partial(traceback.print_exception, error, file=sys.stderr))
            failure = explain(error)
            self._write_failed(failure.code, failure.message, failure.hint)
            return 1
        finally:
            if self.head:
                # Nobody can join any more; a resumed run writes its own.
                (self.run_dir / SUPERVISOR_FILE).unlink(missing_ok=True)

    # -- starting ----------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        """Forget how an earlier life of the run ended, and say for the joining machines what is being run."""
        forget_failures(self.run_dir)
        status = read_status(self.run_dir)
        if status.get("state") in FINAL_STATES:
            status.update(state="queued", error="", hint="", updated=time.time())
        pid = os.getpid()
        status.update(pid=pid, pid_start=process_start(pid), host=socket.gethostname())
        write_status(self.run_dir, status)
        write_atomically(
            self.run_dir / SUPERVISOR_FILE,
            json.dumps({"v": 1, "pid": pid, "host": socket.gethostname(), "args": self.extra, "at": time.time()}),
        )

    def _run(self, arguments: list[str], log: IO[bytes]) -> int:
        ranks = torchrun.start(arguments, torchrun.rank_environment(self.config), log)
        try:
            while ranks.poll() is None:
                time.sleep(POLL)
                self._answer_signals(ranks)
                self._end_if_stuck(ranks)
                self._end_if_told(ranks)
        finally:
            if ranks.poll() is None:
                torchrun.end(ranks)
        return ranks.returncode

    # -- signals -----------------------------------------------------------------------------------------------

    def _on_signal(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if not self._asked or now - self._asked[-1] > SAME_SIGNAL:
            self._asked.append(now)

    def _answer_signals(self, ranks: subprocess.Popen[bytes]) -> None:
        if self.orders >= len(self._asked):
            return
        if not self.head and self.orders == 0 and time.monotonic() - self._asked[0] < SAME_SIGNAL:
            # Whoever ends a job tells every machine: a second `stop`, from here, would abort the run.
            return
        self.orders += 1
        if self.orders > 2 or not torchrun.has_ranks(ranks):
            self._ended_by_hand = True
            torchrun.end(ranks)
            return
        action = "stop" if self.orders == 1 else "abort"
        if action == "stop" and self._stop_is_asked():
            return
        self._say(_("sending the order {action}").format(action=action))
        try:
            send_order(self.run_dir, action)
        except NsmcTuiError as error:
            self._say(error.message)

    def _stop_is_asked(self) -> bool:
        if read_status(self.run_dir).get("state") in ("stopping", *FINAL_STATES):
            return True
        return any(record.get("action") in ("stop", "abort") for record in self._control.read())

    # -- ending ------------------------------------------------------------------------------------------------

    def _end_if_stuck(self, ranks: subprocess.Popen[bytes]) -> None:
        """End ranks that wait for one that is gone: with NCCL they may do so for half an hour."""
        now = time.monotonic()
        if now - self._looked < 1.0:
            return
        self._looked = now
        if self._closing(now):
            # They ignore its SIGTERM, and it would wait half a minute.
            torchrun.kill_ranks(ranks)
        over = read_status(self.run_dir).get("state") in FINAL_STATES or bool(read_failures(self.run_dir))
        if not over:
            self._over_since = 0.0
        elif not self._over_since:
            self._over_since = now
        elif now - self._over_since > STUCK_AFTER:
            self._say(_("the run is over, but ranks of this machine are not: ending them"))
            torchrun.end(ranks)

    def _end_if_told(self, ranks: subprocess.Popen[bytes]) -> None:
        """End a torchrun that has no ranks any more and has said how they ended: taking itself down takes seconds.

        Where other machines take part they may still need it.
        """
        size = self.log.stat().st_size
        if self.config.launch.nodes > 1 or size != self._told_size:
            # While it grows, a report in it may not be whole.
            self._told_size, self._told = size, None
            return
        if self._told is None:
            self._told = bool(reported_deaths(self._end_of_log()))
        if self._told and not torchrun.has_ranks(ranks):
            ranks.kill()

    def _closing(self, now: float) -> bool:
        """Whether torchrun has been ending its ranks for `CLOSING` seconds, because one of them failed."""
        size = self.log.stat().st_size
        if not self._closing_since and size != self._log_size and closed_ranks(self._end_of_log()):
            self._closing_since = now
        self._log_size = size
        return bool(self._closing_since) and now - self._closing_since > CLOSING

    def _end_of_log(self) -> str:
        with self.log.open("rb") as file:
            file.seek(max(self._log_begin, self.log.stat().st_size - REPORT_BYTES))
            return file.read().decode(errors="replace")

    def _tell_end(self, code: int, log: str) -> int:
        if self._ended_by_hand:
            if self.head:
                self._write_stopped()
            return EXIT_ABORTED if self.orders > 1 else 0
        deaths = reported_deaths(log)
        if not self._final():
            for death in deaths:
                with_room(self.run_dir, partial(write_death, self.run_dir, death))
            # The cause may be on another machine, whose word is on its way; so may the end be, on a joined one.
            self._wait_for(self._final_or_cause, CAUSE_WAIT)
            if not self.head:
                self._wait_for(self._final, HEAD_WAIT)
        if not self._final():
            self._write_first_cause(code, log)
        if read_status(self.run_dir).get("state") not in ("finished", "stopped"):
            return 1
        aborted = any(death.code == EXIT_ABORTED for death in deaths)
        return EXIT_ABORTED if aborted else 0

    def _final(self) -> bool:
        return read_status(self.run_dir).get("state") in FINAL_STATES

    def _final_or_cause(self) -> bool:
        failures = read_failures(self.run_dir)
        return self._final() or (bool(failures) and not failures[0].secondary)

    @staticmethod
    def _wait_for(condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(POLL)

    def _write_first_cause(self, code: int, log: str) -> None:
        failures = read_failures(self.run_dir)
        again = _("`nsmc-tui resume {run}` goes on from the last whole checkpoint.").format(run=self.run_dir.name)
        if not failures:
            if "RendezvousTimeoutError" in log:
                message = _("the machines of the run did not all come together in time")
                again = _("Each further one needs `nsmc-tui join {run}`; the port of {endpoint} must be open.").format(
                    run=self.run_dir.name, endpoint=self.config.launch.rdzv_endpoint
                )
            else:
                message = _("torchrun: {message}").format(message=describe_death(code)[1])
            self._write_failed("ranks", message, again)
            return
        first = failures[0]
        message = _("rank {rank} on {host}: {message}").format(rank=first.rank, host=first.host, message=first.message)
        self._write_failed(first.error, message, f"{first.hint} {again}".strip())

    def _write_failed(self, error: str, message: str, hint: str) -> None:
        recorder = Recorder(self.run_dir)
        try:
            recorder.set_state("failed", phase="", eta=None, error=message, hint=hint)
            with Watch(recorder, self.run_dir):
                outcome.tell_earlier(self.run_dir, recorder)
                recorder.emit("run_failed", error=error, message=message, hint=hint, log=str(self.run_dir / LOG_FILE))
        finally:
            recorder.close()

    def _write_stopped(self) -> None:
        if self._final():
            return
        recorder = Recorder(self.run_dir)
        try:
            # No rank is left to take it, or was there yet.
            action, step = "stop" if self.orders == 1 else "abort", read_status(self.run_dir).get("step", 0)
            recorder.emit("order", action=action, taken_at_step=step, by="signal")
            recorder.set_state("stopped", phase="", eta=None)
            with Watch(recorder, self.run_dir):
                outcome.tell_earlier(self.run_dir, recorder)
                recorder.emit("run_finished", state="stopped", metrics=recorder.metrics, aborted=self.orders > 1)
        finally:
            recorder.close()

    @staticmethod
    def _say(text: str) -> None:
        # The terminal of `join` may be gone.
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def join_log(run_dir: Path) -> Path:
    """The log of the ranks of this machine when it joined a run."""
    return run_dir / f"worker-{socket.gethostname()}.log"


def head_of(run_dir: Path) -> dict[str, Any]:
    """What the head's supervisor says of itself: `host`, `pid`, the ranks' further `args`; empty before it started."""
    try:
        told = foreign_json.parse((run_dir / SUPERVISOR_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def check_joinable(run_dir: Path, config: RunConfig) -> None:
    """Raise RunError when no further machine can take part in the run: it needs none, or it is over."""
    if config.launch.nodes <= 1:
        raise RunError(
            _("{run} runs on one machine").format(run=run_dir.name),
            _("Several machines take part when launch.nodes and launch.rdzv_endpoint are set at its start."),
        )
    state = str(read_status(run_dir).get("state"))
    if state in FINAL_STATES:
        raise RunError(
            _("{run} is over: {state}").format(run=run_dir.name, state=formats.state(state)),
            _("`nsmc-tui resume {run}` on its first machine continues it; then join.").format(run=run_dir.name),
        )
