"""Starting a worker that outlives whoever started it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import RunError
from core.i18n import gettext as _
from core.i18n import language
from core.paths import write_atomically
from core.runs import CONFIG_FILE, create_run_dir, process_start, read_status, write_status

if TYPE_CHECKING:
    from core.config import RunConfig

# Who only looks at runs reads the names of their files here: settings and their rules are imported by what starts one.
LOG_FILE = "worker.log"
CONTROL_FILE = "control.jsonl"
BUSY_SPINS = "2000"
BUSY_PERCENT = 25.0
# What the head of a run with several ranks says for the machines that join it (`core.supervisor`).
SUPERVISOR_FILE = "supervisor.json"

# Children are kept so that they are reaped when they end while the launcher still lives.
_children: list[subprocess.Popen[bytes]] = []


def default_name(config: RunConfig) -> str:
    """A run's name when the user gave none: the model's and the data's."""
    model = config.model.preset or Path(str(config.model.name)).name
    data = config.data.source.rstrip("/").rsplit("/", 1)[-1].removesuffix(".txt") or "data"
    return f"{model}-{data}"


def describe_data(config: RunConfig) -> str:
    """The data's name as lists show it: the directory's or file's own name."""
    return config.data.source.rstrip("/").rsplit("/", 1)[-1]


def absolute_source(source: str) -> str:
    """A data source with its path made absolute; `sample`, `hub` and `hub:owner/name` as they are."""
    if source in ("sample", "hub") or source.startswith("hub:"):
        return source
    return str(Path(source).expanduser().absolute())


def absolute(config: RunConfig) -> RunConfig:
    """`config` with every local path made absolute, so that it means the same from anywhere."""
    resolved = config.model_copy(deep=True)
    resolved.data.source = absolute_source(resolved.data.source)
    if resolved.data.test_file:
        resolved.data.test_file = str(Path(resolved.data.test_file).expanduser().absolute())
    name = resolved.model.name
    if name and Path(name).expanduser().is_dir():
        resolved.model.name = str(Path(name).expanduser().absolute())
    return resolved


def create_run(config: RunConfig, runs: Path) -> Path:
    """Make the run's directory with `config.toml` and a `queued` status; nothing is started yet.

    Raises RunError when the directory cannot be made, ConfigError for a setting whose package is not installed,
    DataError and ModelError for files and directories that are not there.
    """
    from core import config_file, needed_packages, reporting
    from core.data_sources import resolve_source
    from core.model_directory import check_directory

    reporting.check(config)
    needed_packages.check(config)
    resolved = absolute(config)
    # A path that was mistyped should not leave a run behind, nor be told to nobody (`--detach`).
    resolve_source(resolved.data)
    if resolved.model.name is not None:
        check_directory(resolved.model.name)
    name = resolved.launch.name or default_name(resolved)
    path = create_run_dir(runs, name)
    resolved.launch.name = name
    write_atomically(path / CONFIG_FILE, config_file.dumps(resolved))
    started = {"command": sys.argv, "directory": os.getcwd()}
    write_atomically(path / "environment.json", json.dumps(started, ensure_ascii=False, indent=1))
    write_status(
        path,
        {
            "v": 1,
            "state": "queued",
            "pid": None,
            "pid_start": None,
            "host": os.uname().nodename,
            "step": 0,
            "max_steps": 0,
            "epoch": 0.0,
            "updated": time.time(),
            "name": name,
            "model": resolved.model.preset or resolved.model.name,
            "data": describe_data(resolved),
        },
    )
    return path


def worker_environment(config: RunConfig) -> dict[str, str]:
    """The environment of a worker: no progress bars in its log, the chosen GPUs."""
    environment = dict(os.environ)
    environment.update(
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        TRANSFORMERS_VERBOSITY="warning",
        PYTHONUNBUFFERED="1",
        NSMC_TUI_LANG=language(),
    )
    # CUDA numbers GPUs by speed unless told otherwise; the numbers that users see are the driver's.
    environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    # OpenMP's threads spin while they wait for each other, which is quickest on cores of their own and makes a step
    # many times slower beside any other busy process (docs/performance.md): there they soon sleep instead.
    if "OMP_WAIT_POLICY" not in environment and (config.launch.device != "cpu" or machine_is_busy()):
        environment.setdefault("GOMP_SPINCOUNT", BUSY_SPINS)
    if config.launch.offline:
        environment["HF_HUB_OFFLINE"] = "1"
    device = config.launch.device
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    elif device and device.replace(",", "").isdigit():
        environment["CUDA_VISIBLE_DEVICES"] = device
    elif config.launch.processes * config.launch.nodes == 1 and "CUDA_VISIBLE_DEVICES" not in environment:
        # One process sees one GPU: shown several, Trainer would spread each batch over all of them (DataParallel)
        # and make it as many times larger.
        emptiest = emptiest_gpu()
        if emptiest is not None:
            environment["CUDA_VISIBLE_DEVICES"] = str(emptiest)
    return environment


def machine_is_busy() -> bool:
    """Whether others use a notable part of the cores at this moment (a look of a tenth of a second)."""
    import psutil

    return psutil.cpu_percent(interval=0.1) > BUSY_PERCENT


def emptiest_gpu() -> int | None:
    """The driver's number of the GPU with the most free memory, where there are several; None elsewhere."""
    from core.device import Nvml

    nvml = Nvml()
    gpus = nvml.sample()
    nvml.close()
    if len(gpus) < 2:
        return None
    return max(gpus, key=lambda gpu: (gpu.memory_total - gpu.memory_used, -gpu.index)).index


def start_worker(run_dir: Path, *extra: str) -> int:
    """Start the run's worker in a session of its own, its output in `worker.log`; returns its process id.

    Closing the terminal, the app or the SSH connection does not reach it. Raises RunError when it cannot start.
    """
    from core import config_file, reporting

    config = config_file.load(run_dir / CONFIG_FILE)
    for child in _children[:]:
        if child.poll() is not None:
            _children.remove(child)
    if "--resume" in extra:
        # What was ordered before this moment was meant for an earlier life of the run.
        before = read_status(run_dir)
        control = run_dir / CONTROL_FILE
        before["orders_from"] = control.stat().st_size if control.is_file() else 0
        write_status(run_dir, before)
    # Of an earlier life that was killed.
    (run_dir / SUPERVISOR_FILE).unlink(missing_ok=True)
    try:
        with (run_dir / LOG_FILE).open("ab") as log:
            # -P: a directory named `core` where the user happens to stand is not ours.
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "core.worker", str(run_dir), *extra],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**worker_environment(config), **reporting.environment_for(config, run_dir)},
                start_new_session=True,
                close_fds=True,
            )
    except OSError as error:
        status = read_status(run_dir)
        status.update(state="failed", error=str(error), updated=time.time())
        write_status(run_dir, status)
        raise RunError(_("cannot start the worker: {reason}").format(reason=error.strerror or error)) from error
    _children.append(child)
    # The worker writes its own status as soon as it runs; until then a death in its imports must show.
    status = read_status(run_dir)
    if status.get("pid") is None or status.get("state") != "starting":
        status.update(state="queued", pid=child.pid, pid_start=process_start(child.pid), updated=time.time())
        write_status(run_dir, status)
    return child.pid


def launch(config: RunConfig, runs: Path) -> Path:
    """Create a run of `config` below `runs`, start its worker, and return the run's directory."""
    path = create_run(config, runs)
    start_worker(path)
    return path
