"""The forecast's memory on a CUDA GPU: what the run then takes, and what does not fit; skipped without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core import config_file
from core.config import RunConfig
from core.forecast import Forecast, forecast
from core.launch import create_run
from core.tail import JsonlTail
from tests.conftest import SMALL_RUN, run_worker

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")]


def config_of(batch: int, **launch: Any) -> RunConfig:
    """A run whose batches take more memory than weights and optimizer."""
    train = {**SMALL_RUN["train"], "per_device_train_batch_size": batch, "eval_strategy": "no", "save_strategy": "no"}
    values = {**SMALL_RUN, "model": {"preset": "small"}, "train": train, "evaluate": {"splits": ["test"]}}
    return config_file.validate({**values, "launch": launch})


def test_the_run_takes_what_was_forecast(tmp_path: Path) -> None:
    config = config_of(256)
    told = forecast(config, runs=tmp_path)
    run_dir = create_run(config, tmp_path)
    done = run_worker(run_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    steps = [event for event in JsonlTail(run_dir / "events.jsonl").read(10**6, 30) if event["type"] == "step"]
    taken = max(event["gpu_peak"] for event in steps)
    memory = told.memory
    assert memory.peak == pytest.approx(taken, rel=0.15)
    assert memory.reserved is not None
    assert memory.reserved >= max(event["gpu_reserved"] for event in steps) * 0.85
    # The batches are what most of it goes to, or the probe's choice of them proves nothing.
    assert memory.peak > 2 * (memory.weights + memory.gradients + memory.optimizer)
    assert memory.device == torch.cuda.get_device_name()
    assert memory.peak <= memory.reserved <= memory.needed < memory.free <= memory.total
    assert memory.fits
    assert told.seconds is not None
    assert told.seconds.training > 0


def test_an_evaluation_in_larger_batches_counts_too(tmp_path: Path) -> None:
    """Steps and evaluations have the peak counted anew: the first test's is that of the steps, this one's is not."""
    config = config_of(8)
    config.train.per_device_eval_batch_size = 8
    little = forecast(config, runs=tmp_path).memory
    config.train.per_device_eval_batch_size = 1024
    much = forecast(config, runs=tmp_path).memory
    assert much.peak > little.peak
    assert much.reserved is not None
    assert much.peak <= much.reserved <= much.needed


# Forecasts in one process: with all the memory, with too little for the longest batches, and without NVML.
SMALL_CARD = """
import gc, json, sys, torch
from pathlib import Path
from core import config_file
from core.forecast_probe import measure

directory = Path({directory!r})
config = config_file.load(directory / "config.toml")

def told():
    found = measure(config, directory, directory, lambda phase, done, total: None)
    gc.collect()
    torch.cuda.empty_cache()
    return found

enough = told()
sys.modules["pynvml"] = None
blind = told()
torch.cuda.set_per_process_memory_fraction(0.7 * enough.memory.peak / torch.cuda.mem_get_info()[1])
tight = told()
documents = [found.as_document() for found in (enough, blind, tight)]
Path({answer!r}).write_text(json.dumps([documents, torch.cuda.mem_get_info()[1]]))
"""


def test_what_does_not_fit_is_told_before_the_start(tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    config_file.save(config_of(512), tmp_path / "config.toml")
    script = SMALL_CARD.format(directory=str(tmp_path), answer=str(answer))
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    documents, total = json.loads(answer.read_text())
    enough, blind, tight = map(Forecast.from_document, documents)
    assert enough.memory.fits
    assert blind.memory.total == total, "without NVML torch is asked for the GPU's memory"
    assert blind.memory.fits
    assert not tight.memory.fits
    assert "memory" in {caution.code for caution in tight.warnings}
