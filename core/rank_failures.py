"""How ranks ended that failed: `failures/rank-N.json`, and which of them was the cause. Light.

Every rank that fails writes its file; for a rank that could not (killed, out of memory) its supervisor does.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from core import foreign_json
from core.i18n import gettext as _
from core.paths import write_atomically

FAILURES = "failures"

# What a rank says when it only lost another one (gloo, NCCL, torch's store, in their words).
_SECONDARY = re.compile(
    r"connection (closed|reset|refused)|closed by peer|broken pipe|remote (process|peer)|ncclremoteerror|"
    r"communicator was aborted|collective operation timeout|timed out waiting|recvvalue failed|sendbytes failed|"
    # NCCL's watchdog aborts a process that waits in vain.
    r"socket has (timed out|failed)|sigabrt",
    re.IGNORECASE,
)
# torch.distributed.elastic's summary of a failed rank (multiprocessing/errors, `_FAILURE_FORMAT_TEMPLATE`), and what
# it says of ranks that it ends because another one failed (multiprocessing/api, `SubprocessContext._close`).
_REPORTED = re.compile(
    r"time\s*: (\S+)\s+host\s*: \S+\s+rank\s*: (\d+) \(local_rank: \d+\)\s+exitcode\s*: (-?\d+) \(pid: (\d+)\)"
)
_CLOSED = re.compile(r"Sending process (\d+) closing signal")


@dataclass(frozen=True)
class Failure:
    """How a rank ended that failed: `at` in seconds since the epoch, `error` the code of its kind of error."""

    rank: int
    host: str
    pid: int
    error: str
    message: str
    hint: str
    at: float

    @property
    def secondary(self) -> bool:
        """Whether it only lost the connection to another rank, which failed before it."""
        return bool(_SECONDARY.search(self.message))


@dataclass(frozen=True)
class Death:
    """A rank that torchrun reports as failed: a negative `code` is the signal that ended it; `at` as in Failure."""

    rank: int
    code: int
    pid: int
    at: float


def write_failure(run_dir: Path, rank: int, error: str, message: str, hint: str = "") -> None:
    """Leave word of why this process, `rank`, ends. Raises OSError when the run directory cannot be written."""
    _write(run_dir, Failure(rank, socket.gethostname(), os.getpid(), error, message, hint, time.time()))


def write_death(run_dir: Path, death: Death) -> None:
    """Leave word for a rank of this machine that has left none itself. Raises OSError as `write_failure`."""
    error, message, hint = describe_death(death.code)
    _write(run_dir, Failure(death.rank, socket.gethostname(), death.pid, error, message, hint, death.at))


def _write(run_dir: Path, failure: Failure) -> None:
    path = run_dir / FAILURES / f"rank-{failure.rank}.json"
    # The first word counts: a rank knows better than its supervisor.
    if path.exists():
        return
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, json.dumps(asdict(failure), ensure_ascii=False, indent=1))


def read_failures(run_dir: Path) -> list[Failure]:
    """The failures of this life of the run, the one that caused the others first; unreadable files are left out."""
    found = []
    for path in (run_dir / FAILURES).glob("rank-*.json"):
        with suppress(OSError, ValueError, TypeError):
            found.append(Failure(**foreign_json.parse(path.read_bytes())))
    return sorted(found, key=lambda failure: (failure.secondary, failure.at, failure.rank))


def forget_failures(run_dir: Path) -> None:
    """Remove what an earlier life of the run left."""
    for path in (run_dir / FAILURES).glob("rank-*.json"):
        path.unlink(missing_ok=True)


def closed_ranks(log: str) -> set[int]:
    """Process ids of the ranks that torchrun began to end itself, by what it says in `log`."""
    return {int(pid) for pid in _CLOSED.findall(log)}


def reported_deaths(log: str) -> list[Death]:
    """The ranks that torchrun's report in `log` names as failed, without those that it ended itself."""
    closed = closed_ranks(log)
    deaths = []
    for moment, rank, code, pid in _REPORTED.findall(log):
        if int(pid) in closed and int(code) < 0:
            continue
        try:
            at = datetime.strptime(moment, "%Y-%m-%d_%H:%M:%S").timestamp()
        except ValueError:
            at = time.time()
        deaths.append(Death(int(rank), int(code), int(pid), at))
    return deaths


def describe_death(code: int) -> tuple[str, str, str]:
    """Error code, message and hint for a rank that ended with exit code `code` without a word of its own."""
    if code >= 0:
        return "exit", _("it ended with exit code {code} without a word").format(code=code), ""
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    message = _("it was killed by signal {number} ({name})").format(number=-code, name=name)
    hint = ""
    if code == -signal.SIGKILL:
        hint = _("Often the machine's memory was full; its system log (`dmesg`) tells.")
    return "killed", message, hint
