"""What a second busy process costs a CPU run, with OpenMP's threads spinning (its default), briefly, and not at all.

Each row trains preset `tiny` on the sample for some steps, alone and two at a time, with the real worker.
`python benchmarks/contention.py [--steps 100]`
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from core import config_file
from core.launch import BUSY_SPINS, create_run


def train(runs: Path, steps: int, waiting: dict[str, str], count: int) -> float:
    """Mean seconds that `count` simultaneous runs spent in training."""
    values = {
        "data": {"source": "sample"},
        "model": {"preset": "tiny"},
        "train": {"max_steps": steps, "eval_strategy": "no", "save_strategy": "no", "warmup_steps": 0},
        "evaluate": {"splits": []},
        "launch": {"device": "cpu"},
    }
    paths = [create_run(config_file.validate(values), runs) for _ in range(count)]
    environment = {**os.environ, **waiting}
    workers = [
        subprocess.Popen(
            [sys.executable, "-P", "-m", "core.worker", str(path)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for path in paths
    ]
    for worker in workers:
        worker.wait()
    return sum(json.loads((path / "train_results.json").read_text())["train_runtime"] for path in paths) / count


def main() -> None:
    """Print the seconds of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    print("| runs at a time | spinning s | briefly s | sleeping s |")
    print("|---:|---:|---:|---:|")
    kinds: list[dict[str, str]] = [{}, {"GOMP_SPINCOUNT": BUSY_SPINS}, {"OMP_WAIT_POLICY": "PASSIVE"}]
    with tempfile.TemporaryDirectory() as directory:
        for count in (1, 2):
            seconds = [train(Path(directory), arguments.steps, waiting, count) for waiting in kinds]
            print(f"| {count} | " + " | ".join(f"{value:.1f}" for value in seconds) + " |", flush=True)


if __name__ == "__main__":
    main()
