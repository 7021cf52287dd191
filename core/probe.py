"""What torch can do here, asked in a process of its own: `python -m core.probe` prints one JSON object.

A broken driver or a wrong build then breaks the probe, not the asker.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def probe() -> dict[str, Any]:
    """torch's version, its devices, and what they support."""
    import torch

    devices = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices.append(
            {
                "index": index,
                "name": properties.name,
                "memory_total": properties.total_memory,
                "capability": f"{properties.major}.{properties.minor}",
            }
        )
    cuda = torch.cuda.is_available()
    return {
        "torch": torch.__version__,
        "cuda_build": torch.version.cuda,
        "cuda": cuda,
        "bf16": bool(cuda and torch.cuda.is_bf16_supported()),
        "threads": torch.get_num_threads(),
        "devices": devices,
    }


def ask(timeout: float = 60.0) -> dict[str, Any]:
    """The probe's answer, or `{"error": …}` when torch cannot even be imported."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "core.probe"], capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return {"error": lines[-1] if lines else f"exit code {done.returncode}"}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


if __name__ == "__main__":
    print(json.dumps(probe()))
