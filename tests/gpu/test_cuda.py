"""The worker and the inspector on a CUDA GPU; skipped where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core import config_file
from core.launch import create_run
from core.tail import JsonlTail
from tests.conftest import SMALL_RUN, run_worker

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")]


def test_a_run_reports_gpu_memory_and_devices(tmp_path: Path) -> None:
    values = {**SMALL_RUN, "launch": {"name": "gpu", "device_interval": 0.5}}
    values["train"] = {**SMALL_RUN["train"], "bf16": torch.cuda.is_bf16_supported()}
    run_dir = create_run(config_file.validate(values), tmp_path)
    done = run_worker(run_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    events = JsonlTail(run_dir / "events.jsonl").read(10**6, 30)
    steps = [event for event in events if event["type"] == "step"]
    assert all(event["gpu_peak"] >= event["gpu_allocated"] > 0 for event in steps)
    devices = [event for event in events if event["type"] == "device"]
    assert devices
    assert devices[-1]["memory_used"] <= devices[-1]["memory_total"]
    assert json.loads((run_dir / "test_results.json").read_text())["test_accuracy"] > 0.75


def test_out_of_memory_is_told_with_a_smaller_batch(tmp_path: Path) -> None:
    """Torch is allowed a few megabytes of the card, so that any card is too small."""
    run_dir = create_run(config_file.validate({**SMALL_RUN, "launch": {"name": "oom"}}), tmp_path)
    script = (
        "import sys, torch\ntorch.cuda.set_per_process_memory_fraction(2e7 / torch.cuda.mem_get_info()[1])\n"
        f"import core.worker\nsys.exit(core.worker.main([{str(run_dir)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr[-3000:]
    failed = [event for event in JsonlTail(run_dir / "events.jsonl").read(10**6, 30) if event["type"] == "run_failed"]
    assert failed[0]["error"] == "out_of_memory"
    assert "per_device_train_batch_size" in failed[0]["hint"]


def test_the_inspector_agrees_with_the_cpu(finished_run: Path) -> None:
    from core.inspector_client import inspect_once

    text = "정말 재밌다 ㅋㅋ 또 보고 싶다"
    on_gpu = inspect_once(finished_run / "model", text, 64, device="cuda")
    on_cpu = inspect_once(finished_run / "model", text, 64, device="cpu")
    np.testing.assert_allclose(on_gpu.attention, on_cpu.attention, atol=1e-4)
