"""What watching costs: our worker against a plain `Trainer` (benchmarks/bare.py) on the same batches and loss.

The worker writes events, samples the device and takes orders; once it is alone, once the app shows it on Monitor in a
pseudo-terminal (where textual is not installed: a process that reads its events). All run in the worker's
environment, in fresh processes, alternately. Seconds are from the beginning of training to its end, a step. On few
cores the app takes CPU time from the training whatever the worker does: hence two rows.

`python benchmarks/overhead.py [--reviews 32000] [--device cuda --model xlm-roberta-base-shape --bf16]`
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import common
import workers


def main() -> None:
    """Measure all three and print the table."""
    options = common.parser(__doc__, reviews=32_000, repeat=3).parse_args()
    common.set_threads(options)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        model = common.make_model(options, directory)
        config = common.make_config(options, model)
        request = {"config": config.model_dump(mode="json"), "work": "train"}
        for _ in range(options.repeat):
            bare = common.run_part("bare.py", request, common.product_environment(config), directory)
            seconds.setdefault("plain Trainer", []).append(bare["train_seconds"] / bare["steps"])
            alone = workers.Worker(config, directory / "runs")
            alone.finish()
            seconds.setdefault("worker alone", []).append(per_step(alone, bare["steps"]))
            seen = workers.Worker(config, directory / "runs")
            with workers.watched(seen.run_dir) as watcher:
                seen.finish()
            seconds.setdefault(f"worker, watched by {watcher}", []).append(per_step(seen, bare["steps"]))
    print(f"Overhead: {options.reviews} reviews, batch {options.batch}, {options.model}, {options.device}")
    print(f"({common.machine(options)})\n")
    plain = seconds["plain Trainer"]
    print(common.table(HEADER, [_row(name, values, plain) for name, values in seconds.items()]))


HEADER = ("median of the repeats", "ms a step", "ratio", "least–most")


def per_step(worker: workers.Worker, steps: int) -> float:
    """Seconds a step of a finished worker."""
    return float(worker.results("train")["train_runtime"]) / steps


def _row(name: str, values: list[float], plain: list[float]) -> list[str]:
    ratios = [value / peer for value, peer in zip(values, plain, strict=True)]
    return [
        name,
        f"{1000 * common.median(values):.2f}",
        f"{common.median(ratios):.3f}",
        f"{min(ratios):.3f}–{max(ratios):.3f}",
    ]


if __name__ == "__main__":
    main()
