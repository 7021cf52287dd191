"""What a run ran on: versions, devices, host, commit. Nothing heavy is imported to find out."""

from __future__ import annotations

import getpass
import importlib.metadata
import os
import platform
import socket
import subprocess
from pathlib import Path
from typing import Any

from core import __version__, foreign_json
from core.device import Nvml

PACKAGES = ("torch", "transformers", "datasets", "tokenizers", "accelerate", "scikit-learn", "numpy", "pyarrow")


def package_versions() -> dict[str, str]:
    """The installed versions of the packages that decide a result; absent ones are left out."""
    found = {"nsmc-tui": __version__}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit of the checkout that nsmc-tui runs from, with `+` when it has changes; None outside git."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
        dirty = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def run_devices(run_dir: Path) -> dict[str, str]:
    """What decides which GPUs the run in `run_dir` sees, as environment variables: what its worker told, else what its
    config asks for. Empty: all of the machine."""
    try:
        told = foreign_json.parse((run_dir / "environment.json").read_bytes())
        chosen = told["cuda_visible_devices"]
    except (OSError, ValueError, KeyError, TypeError):
        chosen = _asked_device(run_dir)
    return {"CUDA_VISIBLE_DEVICES": chosen} if isinstance(chosen, str) else {}


def _asked_device(run_dir: Path) -> str | None:
    try:
        device = foreign_json.parse_toml((run_dir / "config.toml").read_text(encoding="utf-8"))["launch"]["device"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if device == "cpu":
        return ""
    return device if isinstance(device, str) and device.replace(",", "").isdigit() else None


def collect() -> dict[str, Any]:
    """The machine and software of this process as `environment.json` holds them; memory in bytes."""
    import psutil

    nvml = Nvml()
    gpus = [{"index": gpu.index, "name": gpu.name, "memory_total": gpu.memory_total} for gpu in nvml.sample()]
    driver = nvml.driver
    nvml.close()
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return {
        "versions": package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "user": user,
        "cpus": os.cpu_count(),
        "memory_total": int(psutil.virtual_memory().total),
        "gpus": gpus,
        "driver": driver or None,
        "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "git_commit": git_commit(),
    }
