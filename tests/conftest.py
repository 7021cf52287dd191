"""What all tests share: a home of their own, and one real run that several of them read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from core import config_file
from core.i18n import set_language
from core.launch import create_run, worker_environment

# Imports inside functions make a first call slow; tests do not measure time.
settings.register_profile("nsmc", deadline=None)
settings.load_profile("nsmc")

ROOT = Path(__file__).resolve().parents[1]
NSMC = ROOT.parent / "shared" / "data" / "nsmc"

SMALL_RUN = {
    "data": {"source": "sample", "dev_size": 0.1, "max_length": 64},
    "model": {"preset": "tiny"},
    "train": {
        "num_train_epochs": 2,
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 32,
        "warmup_steps": 0.1,
        "logging_steps": 20,
    },
    "launch": {"name": "small run", "device": "cpu"},
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m gpu` looks into tests/gpu alone: a GPU server need not have textual and what else the others import."""
    apart = collection_path.parent == ROOT / "tests" and collection_path.name != "gpu"
    return True if apart and config.getoption("markexpr") == "gpu" else None


needs_nsmc = pytest.mark.skipif(not NSMC.is_dir(), reason="the NSMC data is not beside the project")


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Cache and settings of the tests' own, no network, English."""
    directory = tmp_path_factory.mktemp("home")
    before = dict(os.environ)
    os.environ.update(
        NSMC_TUI_CACHE=str(directory / "cache"),
        NSMC_TUI_SETTINGS=str(directory / "settings.toml"),
        NSMC_TUI_STATE=str(directory / "state"),
        HF_HUB_OFFLINE="1",
        COLORTERM="truecolor",
        # Whatever a test starts comes from this checkout, installed or not.
        PYTHONPATH=os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    )
    for name in ("NSMC_TUI_LANG", "NSMC_TUI_RUNS", "NO_COLOR", "TEXTUAL_THEME"):
        os.environ.pop(name, None)
    os.environ["LANG"] = "C.UTF-8"
    os.environ.pop("LC_ALL", None)
    yield directory
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Each test begins in English, whatever the one before spoke."""
    set_language("en")
    yield
    set_language("en")


def run_worker(run_dir: Path, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """The real worker in the foreground, in the environment that it is launched with."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "core.worker", str(run_dir), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=worker_environment(config_file.load(run_dir / "config.toml")),
    )


@pytest.fixture(scope="session")
def finished_run(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of preset `tiny` on the sample, trained by the real worker. Read only: copy it to change it."""
    runs = tmp_path_factory.mktemp("runs")
    run_dir = create_run(config_file.validate(SMALL_RUN), runs)
    done = run_worker(run_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    return run_dir


@pytest.fixture
def run_copy(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run in a runs directory of its own."""
    target = tmp_path / "runs" / finished_run.name
    shutil.copytree(finished_run, target)
    return target


def run_cli(*arguments: str, runs: Path | None = None, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """`nsmc-tui` as a user's script calls it."""
    options = ["--runs", str(runs)] if runs is not None else []
    return subprocess.run(
        [sys.executable, "-P", "-m", "tui", *options, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
