"""How soon a run learns: from the order to start to its first optimizer step, the first time and again.

The first time nothing is in the cache: reviews are read and checked, the tokenizer is trained, the splits are
tokenised. Again means the same config with what the first left in the cache. The peer is a process that only imports
torch, transformers' Trainer and datasets and builds the same model, or loads it where it is not a preset
(benchmarks/bare.py), in the same environment.
"training begins" is the worker's event `phase` `training`, right before the first batch is computed; "first step told"
its first `step` event, at whatever step that is: events are at most five a second. Each repeat, with a new cache, is a
first start, the peer, a second start. One start of the peer goes before all, uncounted: who comes first on a machine
reads the packages from the disk, who comes after finds them in memory.

`python benchmarks/cold_start.py [--reviews 150000] [--device cuda --model xlm-roberta-base-shape --bf16]`
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import common
import workers

from core import config_file
from core.config import PRESETS, RunConfig

LIMIT = 2.0


def make_config(options: Any, model: Path | str) -> RunConfig:
    """The run as a user starts it: with a dev split, all splits tokenised, evaluation and checkpoints to come.

    `model` is a preset's name or a directory.
    """
    values = {
        "data": {"source": common.data_source(options), "train_limit": options.reviews},
        "model": {"preset": model} if model in PRESETS else {"name": str(model)},
        "train": {
            "per_device_train_batch_size": options.batch,
            "learning_rate": common.learning_rate(options),
            **({"bf16": True} if options.bf16 else {}),
        },
        "launch": {"device": options.device, "offline": True},
    }
    return config_file.validate(values)


def start_bare(config: RunConfig, directory: Path) -> float:
    """Seconds from the order until the peer has imported and built; its files go into `directory`."""
    request = {"config": config.model_dump(mode="json")}
    ordered = time.time()
    bare = common.run_part("bare.py", request, common.product_environment(config), directory)
    return float(bare["built"] - ordered)


def start(config: RunConfig, runs: Path) -> tuple[float, float]:
    """Seconds from the order to the beginning of training and to the first `step` event; the run is killed there."""
    worker = workers.Worker(config, runs)
    begun = worker.wait_for("phase", name="training")["ts"]
    told = worker.wait_for("step")["ts"]
    worker.kill()
    return begun - worker.ordered, told - worker.ordered


def main() -> None:
    """Measure and print the table."""
    parser = common.parser(__doc__, reviews=150_000, repeat=3)
    options = parser.parse_args()
    common.set_threads(options)
    names = ("importing and building alone", "first start", "second start")
    begun: dict[str, list[float]] = {name: [] for name in names}
    told: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as temporary:
        model = options.model if options.model in PRESETS else common.make_model(options, Path(temporary))
        config = make_config(options, model)
        start_bare(config, Path(temporary))
        for number in range(options.repeat):
            directory = Path(temporary) / str(number)
            directory.mkdir()
            os.environ["NSMC_TUI_CACHE"] = str(directory / "cache")
            for name in names[1:]:
                if name == names[2]:
                    begun[names[0]].append(start_bare(config, directory))
                first, second = start(config, directory / "runs")
                begun[name].append(first)
                told[name].append(second)
    print(f"Cold start: {options.reviews} reviews, {options.model}, {options.device}")
    print(f"({common.machine(options)})\n")
    rows = [_row(name, begun[name], told[name], begun[names[0]]) for name in names]
    print(common.table(HEADER, rows))
    above = common.median(again - bare for again, bare in zip(begun[names[2]], begun[names[0]], strict=True))
    fit = "within" if above <= LIMIT else "NOT within"
    print(f"\nSecond start above importing and building: {above:+.2f} s, {fit} {LIMIT:g} s.")


HEADER = ("median of the repeats", "training begins s", "ratio", "above bare s", "least–most s", "first step told s")


def _row(name: str, begun: list[float], told: list[float], bare: list[float]) -> list[str]:
    above = [ours - peer for ours, peer in zip(begun, bare, strict=True)]
    return [
        name,
        f"{common.median(begun):.2f}",
        f"{common.median(ours / peer for ours, peer in zip(begun, bare, strict=True)):.2f}",
        f"{common.median(above):+.2f}",
        f"{min(begun):.2f}–{max(begun):.2f}",
        f"{common.median(told):.2f}" if told else "–",
    ]


if __name__ == "__main__":
    main()
