"""How many reviews a second we train on, against the guide's own pipeline (benchmarks/guide.py).

Same reviews, same initial weights and tokenizer, same batch size, learning rate and number of steps; each side in
fresh processes, alternately, a seed for each pair. Ours is what the worker does, in the worker's environment; the
guide runs in the user's own, and with `--equal-environments` once more in ours. Seconds are those of
`Trainer.train()`; reading and tokenising are told apart. CPU seconds tell whether other work on the machine had a
part in the ratio: with `--threads 1` theirs hardly depends on it. The guide pads to the longest review of the whole
split, as its own run does, and works on the first reviews of it; with `--pad-reviews` it pads to the longest of those
only. Accuracies are of held-out (test) reviews, means over the seeds; their difference must not exceed half a point.

`python benchmarks/train_throughput.py [--reviews 16000] [--device cuda --model xlm-roberta-base-shape --bf16]`
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import common

LIMIT = 0.5


def main() -> None:
    """Measure both and print the table."""
    parser = common.parser(__doc__, reviews=16_000, repeat=3)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--held-out", type=int, default=10_000, help="test reviews")
    parser.add_argument("--equal-environments", action="store_true", help="also run the guide in our environment")
    parser.add_argument(
        "--pad-reviews", action="store_true", help="the guide pads to the longest of these reviews, not of their split"
    )
    options = parser.parse_args()
    common.set_threads(options)
    sides: dict[str, tuple[str, Any]] = {
        "guide": ("guide.py", common.plain_environment),
        "nsmc-tui": ("ours.py", common.product_environment),
    }
    if options.equal_environments:
        sides["guide, our environment"] = ("guide.py", common.product_environment)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        model = common.make_model(options, directory)
        for number in range(options.repeat):
            config = common.make_config(
                options,
                model,
                seed=42 + number,
                data={"test_limit": options.held_out},
                train={"num_train_epochs": options.epochs},
            )
            request = {
                "config": config.model_dump(mode="json"),
                "work": ["train", "evaluate"],
                "slice": not options.pad_reviews,
            }
            for name, (script, environment) in sides.items():
                results[name].append(common.run_part(script, request, environment(config), directory))
    print(f"Training: {options.reviews} reviews, batch {options.batch}, {options.model}, {options.device}")
    print(f"({common.machine(options)})\n")
    print(common.table(HEADER, [_row(name, answers, results["guide"]) for name, answers in results.items()]))
    print(f"\n{_verdict(results)}")


HEADER = (
    "median of the repeats", "reviews/s", "ratio", "least–most", "train s", "CPU s", "CPU ratio", "prepare s",
    "padded to", "accuracy %",
)  # fmt: skip


def _row(name: str, answers: list[dict[str, Any]], guide: list[dict[str, Any]]) -> list[str]:
    # Pairs are close in time, so that the machine's other work touches both alike.
    ratios = [ours["train_rate"] / peer["train_rate"] for ours, peer in zip(answers, guide, strict=True)]
    figures = {
        key: common.median(answer[key] for answer in answers) for key in ("train_rate", "train_seconds", "prepared")
    }
    worked = [peer["train_cpu"] / ours["train_cpu"] for ours, peer in zip(answers, guide, strict=True)]
    return [
        name,
        f"{figures['train_rate']:.0f}",
        f"{common.median(ratios):.2f}",
        f"{min(ratios):.2f}–{max(ratios):.2f}",
        f"{figures['train_seconds']:.1f}",
        f"{common.median(answer['train_cpu'] for answer in answers):.1f}",
        f"{common.median(worked):.2f}",
        f"{figures['prepared']:.1f}",
        str(answers[0]["longest"]) if name.startswith("guide") else "the batch's longest",
        f"{100 * statistics.fmean(answer['accuracy'] for answer in answers):.2f}",
    ]


def _verdict(results: dict[str, list[dict[str, Any]]]) -> str:
    pairs = zip(results["nsmc-tui"], results["guide"], strict=True)
    differences = [100 * (ours["accuracy"] - peer["accuracy"]) for ours, peer in pairs]
    mean = statistics.fmean(differences)
    spread = ", ".join(f"{difference:+.2f}" for difference in differences)
    fit = "within" if abs(mean) <= LIMIT else "NOT within"
    said = f"Accuracy, ours − guide: {mean:+.2f} points ({spread}), {fit} ±{LIMIT}"
    error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else None
    if error is not None and 2 * error <= LIMIT:
        return f"{said}; standard error {error:.2f}."
    known = "unknown" if error is None else f"{error:.2f}"
    return f"{said}, but seeds differ too much to tell (standard error {known}): more --repeat, --epochs or --reviews."


if __name__ == "__main__":
    main()
