"""Starting the ranks of one machine with `python -m torch.distributed.run`, and ending them. Light: no torch here."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from core.config import RunConfig
from core.errors import ConfigError, RunError
from core.i18n import gettext as _
from core.processes import PR_SET_PDEATHSIG
from core.recorder import SUPERVISOR

if TYPE_CHECKING:
    import psutil

# torchrun ends its ranks on this signal, and a dead parent sends it. SIGTERM and SIGINT are orders instead: neither
# torchrun nor the ranks may take them.
END_SIGNAL = signal.SIGHUP
END_TIMEOUT = 15.0


def is_rank() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def command(run_dir: Path, config: RunConfig, extra: list[str], log_dir: str) -> list[str]:
    """What starts this machine's ranks of the run, `extra` being further arguments of theirs.

    Raises ConfigError when several machines have no place to meet.
    """
    launch = config.launch
    # A free port of its own, so that runs on one machine never meet.
    meeting = ["--standalone", "--local_addr=localhost"]
    if launch.nodes > 1:
        if not launch.rdzv_endpoint:
            raise ConfigError(
                _("launch.nodes = {nodes}, but the machines do not know where to meet").format(nodes=launch.nodes),
                _("Set launch.rdzv_endpoint to host:port, a host of them and a free port there."),
                key="launch.rdzv_endpoint",
            )
        meeting = [
            f"--nnodes={launch.nodes}",
            "--rdzv_backend=c10d",
            f"--rdzv_endpoint={launch.rdzv_endpoint}",
            f"--rdzv_id={run_dir.name}",
        ]
    return [
        *(sys.executable, "-P", "-m", "torch.distributed.run", *meeting),
        *(f"--nproc_per_node={launch.processes}", "--max_restarts=0", f"--log_dir={log_dir}"),
        *("-m", "core.worker", str(run_dir), *extra),
    ]


def rank_environment(config: RunConfig) -> dict[str, str]:
    """The environment of torchrun and its ranks, made from this process's own."""
    environment = dict(os.environ)
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    # torchrun takes one thread a rank where nothing is said, which leaves cores idle.
    environment.setdefault("OMP_NUM_THREADS", str(max(1, cores // config.launch.processes)))
    environment.update(
        # `-P` of the command line does not reach the ranks.
        PYTHONSAFEPATH="1",
        # As variables and not as options: a torch that does not know them yet passes them over.
        PET_SIGNALS_TO_HANDLE=END_SIGNAL.name,
        **{SUPERVISOR: str(os.getpid())},
    )
    return environment


def start(arguments: list[str], environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start torchrun with its output in `log`. It ends when this process does, however that ends (on Linux).

    Raises RunError when it cannot be started.
    """
    try:
        # A session of its own: ctrl+c in a terminal reaches the supervisor alone.
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=_child_preparation(os.getpid()),
        )
    except OSError as error:
        raise RunError(_("cannot start the worker: {reason}").format(reason=error.strerror or error)) from error


def _child_preparation(parent: int) -> Callable[[], None]:
    # Loaded here: between fork and exec hardly anything is safe.
    library = ctypes.CDLL(None) if sys.platform == "linux" else None

    def prepare() -> None:
        signal.signal(END_SIGNAL, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if library is not None:
            library.prctl(PR_SET_PDEATHSIG, int(END_SIGNAL), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def end(torchrun: subprocess.Popen[bytes]) -> None:
    """End torchrun and its ranks as they are."""
    torchrun.send_signal(END_SIGNAL)
    try:
        torchrun.wait(END_TIMEOUT)
    except subprocess.TimeoutExpired:
        # The ranks die with it (`die_with_parent`).
        torchrun.kill()
        torchrun.wait()


def _ranks(torchrun: subprocess.Popen[bytes]) -> list[psutil.Process]:
    import psutil

    try:
        return psutil.Process(torchrun.pid).children()
    except psutil.NoSuchProcess:
        return []


def has_ranks(torchrun: subprocess.Popen[bytes]) -> bool:
    """Whether torchrun has started ranks: until all machines are there it has none."""
    return bool(_ranks(torchrun))


def kill_ranks(torchrun: subprocess.Popen[bytes]) -> None:
    """Kill the ranks that torchrun still has; it then ends by itself."""
    import psutil

    for rank in _ranks(torchrun):
        with suppress(psutil.NoSuchProcess):
            rank.kill()
