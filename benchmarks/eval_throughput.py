"""How many reviews a second we predict, against the guide's own pipeline (benchmarks/guide.py).

Both sides predict the same test reviews with the same weights (random ones are trained for a moment first, on
`--reviews` reviews, so that predictions are not all alike) at the same batch size, each in fresh processes,
alternately. Ours is what the worker does, in the worker's environment; the guide runs in the user's own, and with
`--equal-environments` once more in ours. Seconds are from the call to logits in the split's own order and scores. CPU
seconds tell whether other work on the machine had a part in the ratio: with `--threads 1` theirs hardly depends on it.
The guide pads to the longest review of the whole split, as its own run does, and works on the first reviews of it;
with `--pad-reviews` it pads to the longest of those only. The weights being the same, so must the predictions be, but
for rounding.

`python benchmarks/eval_throughput.py [--held-out 16000] [--device cuda --model xlm-roberta-base-shape --bf16]`
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import common


def main() -> None:
    """Measure both and print the table."""
    parser = common.parser(__doc__, reviews=6_400, repeat=3)
    parser.add_argument("--held-out", type=int, default=16_000, help="test reviews; 25,000 on a GPU")
    parser.add_argument("--eval-batch", type=int, default=64, help="reviews a batch of the evaluation")
    parser.add_argument("--equal-environments", action="store_true", help="also run the guide in our environment")
    parser.add_argument(
        "--pad-reviews", action="store_true", help="the guide pads to the longest of these reviews, not of their split"
    )
    options = common.parse(parser, held_out=25_000)
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
        initial = common.make_model(options, directory)
        limits = {"test_limit": options.held_out}
        trained = initial
        if options.model in common.RANDOM:
            trained = directory / "trained"
            training = common.make_config(options, initial, data=limits, train={"warmup_steps": 0.1})
            request = {"config": training.model_dump(mode="json"), "work": ["train"], "save": str(trained)}
            common.run_part("ours.py", request, common.product_environment(training), directory)
        config = common.make_config(
            options, trained, data=limits, train={"per_device_eval_batch_size": options.eval_batch}
        )
        request = {"config": config.model_dump(mode="json"), "work": ["evaluate"], "slice": not options.pad_reviews}
        for _ in range(options.repeat):
            for name, (script, environment) in sides.items():
                results[name].append(common.run_part(script, request, environment(config), directory))
    # The data may hold fewer than were asked for.
    reviews = results["guide"][0]["test_reviews"]
    print(f"Evaluation: {reviews} reviews, batch {options.eval_batch}, {options.model}, {options.device}")
    print(f"({common.machine(options)})\n")
    print(common.table(HEADER, [_row(name, answers, results["guide"]) for name, answers in results.items()]))
    difference = 100 * (results["nsmc-tui"][0]["accuracy"] - results["guide"][0]["accuracy"])
    print(f"\nAccuracy, ours − guide: {difference:+.3f} points.")


HEADER = (
    "median of the repeats",
    "reviews/s",
    "ratio",
    "least–most",
    "seconds",
    "CPU s",
    "CPU ratio",
    "padded to",
    "accuracy %",
)


def _row(name: str, answers: list[dict[str, Any]], guide: list[dict[str, Any]]) -> list[str]:
    ratios = [ours["evaluate_rate"] / peer["evaluate_rate"] for ours, peer in zip(answers, guide, strict=True)]
    worked = [peer["evaluate_cpu"] / ours["evaluate_cpu"] for ours, peer in zip(answers, guide, strict=True)]
    return [
        name,
        f"{common.median(answer['evaluate_rate'] for answer in answers):.0f}",
        f"{common.median(ratios):.2f}",
        f"{min(ratios):.2f}–{max(ratios):.2f}",
        f"{common.median(answer['evaluate_seconds'] for answer in answers):.1f}",
        f"{common.median(answer['evaluate_cpu'] for answer in answers):.1f}",
        f"{common.median(worked):.2f}",
        str(answers[0]["longest"]) if name.startswith("guide") else "the batch's longest",
        f"{100 * answers[0]['accuracy']:.3f}",
    ]


if __name__ == "__main__":
    main()
