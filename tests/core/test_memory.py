"""Memory of a stage, from the kernel's own count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.memory import MemoryFigures

MB = 1 << 20


def use(megabytes: int) -> None:
    """Have so much memory for a moment, each page of it written to."""
    np.ones(megabytes * MB, np.uint8)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the kernel keeps no peak that can be reset")
def test_a_stage_within_another_takes_nothing_from_its_peak() -> None:
    train = MemoryFigures("train")
    use(300)
    evaluate = MemoryFigures("eval")
    use(100)
    inner, outer = evaluate.figures(), train.figures()
    assert 60 * MB < inner["eval_mem_cpu_peaked_delta"] < 200 * MB
    assert outer["train_mem_cpu_peaked_delta"] > 250 * MB
    assert abs(outer["train_mem_cpu_alloc_delta"]) < 100 * MB
