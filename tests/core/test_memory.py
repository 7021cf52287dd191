"""Memory of a stage, from the kernel's own count."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core import memory
from core.memory import MemoryFigures, Peaks

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

WATCHED = """
import json
import numpy as np
from core.memory import MemoryFigures, Peaks

before, peaks = Peaks().rss, Peaks()
np.ones(300 << 20, np.uint8)
evaluate = MemoryFigures("eval")
print(json.dumps([before, Peaks().rss, peaks.rss, peaks.note().rss]))
"""

needs_resets = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the kernel keeps no peak that can be reset"
)


class Card:
    """What torch counts on a GPU: the most since the count began anew."""

    def __init__(self) -> None:
        self.allocated = self.most = self.most_reserved = 0

    def use(self, size: int) -> None:
        self.most = max(self.most, self.allocated + size)
        self.most_reserved = max(self.most_reserved, self.most + 1)

    def memory_allocated(self) -> int:
        return self.allocated

    def max_memory_allocated(self) -> int:
        return self.most

    def max_memory_reserved(self) -> int:
        return self.most_reserved

    def reset_peak_memory_stats(self) -> None:
        self.most = self.most_reserved = self.allocated


@needs_resets
def test_a_peak_is_known_after_another_stage_has_it_counted_anew() -> None:
    said = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, check=True)
    before, anew, known, noted = json.loads(said.stdout)
    assert known > before + 250 * MB
    assert anew < known - 250 * MB, "nothing was counted anew, or this shows nothing"
    assert noted == known


def test_a_gpu_peak_outlives_the_stages_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card()
    monkeypatch.setattr(memory, "cuda_in_use", lambda: card)
    card.allocated = 100
    peaks = Peaks()
    train = MemoryFigures("train")
    card.use(900)
    first = MemoryFigures("eval")
    card.use(50)
    assert (peaks.note().gpu, peaks.reserved) == (1000, 1001)
    assert first.figures()["eval_mem_gpu_peaked_delta"] == 50
    second = MemoryFigures("eval")
    card.use(2000)
    assert second.figures()["eval_mem_gpu_peaked_delta"] == 2000
    assert (peaks.note().gpu, peaks.reserved) == (2100, 2101)
    assert train.figures()["train_mem_gpu_peaked_delta"] == 2000
    assert first.figures()["eval_mem_gpu_peaked_delta"] == 2000, "it is still under way"


@needs_resets
def test_a_stage_within_another_takes_nothing_from_its_peak() -> None:
    said = subprocess.run([sys.executable, "-c", STAGES], capture_output=True, text=True, check=True)
    inner, outer = json.loads(said.stdout)
    assert 60 * MB < inner["eval_mem_cpu_peaked_delta"] < 200 * MB
    assert outer["train_mem_cpu_peaked_delta"] > 250 * MB
    assert abs(outer["train_mem_cpu_alloc_delta"]) < 100 * MB
