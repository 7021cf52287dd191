"""Memory of a stage, from the kernel's own count."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MB = 1 << 20

# A process of its own: what others in this one give back meanwhile would be taken from the peak.
STAGES = """
import json
import numpy as np
from core.memory import MemoryFigures

def use(megabytes):
    np.ones(megabytes << 20, np.uint8)

train = MemoryFigures("train")
use(300)
evaluate = MemoryFigures("eval")
use(100)
print(json.dumps([evaluate.figures(), train.figures()]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the kernel keeps no peak that can be reset")
def test_a_stage_within_another_takes_nothing_from_its_peak() -> None:
    said = subprocess.run([sys.executable, "-c", STAGES], capture_output=True, text=True, check=True)
    inner, outer = json.loads(said.stdout)
    assert 60 * MB < inner["eval_mem_cpu_peaked_delta"] < 200 * MB
    assert outer["train_mem_cpu_peaked_delta"] > 250 * MB
    assert abs(outer["train_mem_cpu_alloc_delta"]) < 100 * MB
