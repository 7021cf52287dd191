"""The memory that a forecast tells is that of its steps and of its evaluation, the larger of both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core import config_file

# In a process of its own, which takes memory in its first step and gives it back before the evaluation.
SCRIPT = """
import json, re, sys
from pathlib import Path
import numpy as np
from core import config_file
from core.forecast_probe import measure

directory = Path(sys.argv[1])
told = []

def most():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024

def progress(phase, done, total):
    if phase == "probing" and not told:
        np.ones(500 << 20, np.uint8)
        told.append(most())

memory = measure(config_file.load(directory / "config.toml"), directory, directory, progress).memory
(directory / "answer.json").write_text(json.dumps([told[0], most(), memory.peak, memory.needed]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the kernel keeps no peak that can be reset")
def test_an_evaluation_takes_nothing_from_the_peak_of_the_steps(home: Path, tmp_path: Path) -> None:
    config = config_file.validate(
        {
            "data": {"source": "sample", "dev_size": 0.1, "max_length": 12, "train_limit": 400},
            "model": {"preset": "tiny"},
            "train": {"per_device_train_batch_size": 8, "warmup_steps": 0},
            "launch": {"device": "cpu"},
        }
    )
    config_file.save(config, tmp_path / "config.toml")
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    training, counted, peak, needed = json.loads((tmp_path / "answer.json").read_text())
    assert counted < training, "nothing was counted anew, or this shows nothing"
    assert peak == needed
    assert peak >= training
