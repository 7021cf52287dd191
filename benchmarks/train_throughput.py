"""How many reviews a second we train on, against the guide's own pipeline (benchmarks/guide.py).

Same reviews, same initial weights and tokenizer, same batch size, learning rate and number of steps; each side in
fresh processes, alternately, a seed for each pair. Ours is what the worker does, in the worker's environment; the
guide runs in the user's own, and with `--equal-environments` once more in ours. Seconds are those of
`Trainer.train()`; reading and tokenising are told apart. CPU seconds tell whether other work on the machine had a
part in the ratio: with `--threads 1` theirs hardly depends on it. The guide pads to the longest review of the whole
split, as its own run does, and works on the first reviews of it; with `--pad-reviews` it pads to the longest of those
only. Accuracies are of held-out (test) reviews, means over the seeds; their difference must not exceed half a point.

The learning rate rises for a tenth of the steps and then falls to zero, on both sides, as in a run of the guide's own
length. `--warmup 500` is its own number: in a run this short the rate is then at its highest at the end, where
accuracies of seeds lie up to four points apart and tell nothing about the sides.

On a GPU there are two repeats. Many seeds take long, so accuracies can be gathered in several calls: `--keep FILE` adds
each answer to a file of JSON lines, and `--first-seed` goes on behind the seeds of an earlier call. The verdict is over
all pairs of the same request in the file; the ratios are over this call's only. Ours are as old as the code that gave
them: begin a new file for another one.

`python benchmarks/train_throughput.py [--reviews 16000] [--device cuda --model xlm-roberta-base-shape --bf16]`
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import common

LIMIT = 0.5
SEED = 42
OURS, GUIDE = "nsmc-tui", "guide"


def main() -> None:
    """Measure both and print the table."""
    parser = common.parser(__doc__, reviews=16_000, repeat=3)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--warmup", type=float, default=0.1, help="steps of rising learning rate; below 1 their share")
    parser.add_argument("--held-out", type=int, default=10_000, help="test reviews")
    parser.add_argument("--first-seed", type=int, default=SEED, help="the first pair's; one more for each further pair")
    parser.add_argument("--keep", type=Path, default=None, help="add accuracies to this file, and count those in it")
    parser.add_argument("--equal-environments", action="store_true", help="also run the guide in our environment")
    parser.add_argument(
        "--pad-reviews", action="store_true", help="the guide pads to the longest of these reviews, not of their split"
    )
    options = common.parse(parser, repeat=2)
    common.set_threads(options)
    sides: dict[str, tuple[str, Any]] = {
        GUIDE: ("guide.py", common.plain_environment),
        OURS: ("ours.py", common.product_environment),
    }
    if options.equal_environments:
        sides["guide, our environment"] = ("guide.py", common.product_environment)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    accuracies: dict[str, dict[int, float]] = {name: {} for name in sides}
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        model = common.make_model(options, directory)
        for seed in range(options.first_seed, options.first_seed + options.repeat):
            config = common.make_config(
                options,
                model,
                seed=seed,
                data={"test_limit": options.held_out},
                train={"num_train_epochs": options.epochs, "warmup_steps": options.warmup},
            )
            request = {
                "config": config.model_dump(mode="json"),
                "work": ["train", "evaluate"],
                "slice": not options.pad_reviews,
            }
            for name, (script, environment) in sides.items():
                answer = common.run_part(script, request, environment(config), directory)
                results[name].append(answer)
                accuracies[name][seed] = answer["accuracy"]
                if options.keep is not None:
                    line = {"side": name, "seed": seed, "accuracy": answer["accuracy"]}
                    common.add_lines(options.keep, [{**line, **_request(options)}])
    if options.keep is not None:
        for name, known in accuracies.items():
            for line in common.kept_lines(options.keep, {"side": name, **_request(options)}):
                known[line["seed"]] = line["accuracy"]
    # The data may hold fewer than were asked for.
    reviews = results[GUIDE][0]["train_reviews"]
    print(f"Training: {reviews} reviews, batch {options.batch}, {options.model}, {options.device}")
    print(f"({common.machine(options)})\n")
    print(
        common.table(
            HEADER, [_row(name, answers, results[GUIDE], accuracies[name]) for name, answers in results.items()]
        )
    )
    print(f"\n{_verdict(accuracies)}")


HEADER = (
    "median of the repeats", "reviews/s", "ratio", "least–most", "train s", "CPU s", "CPU ratio", "prepare s",
    "padded to", "accuracy %",
)  # fmt: skip


def _request(options: Any) -> dict[str, Any]:
    """What decides an accuracy, beside the seed."""
    names = ("reviews", "batch", "model", "data", "device", "bf16", "epochs", "warmup", "held_out")
    return {name: getattr(options, name) for name in names}


def _row(
    name: str, answers: list[dict[str, Any]], guide: list[dict[str, Any]], accuracies: dict[int, float]
) -> list[str]:
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
        str(answers[0]["longest"]) if name.startswith(GUIDE) else "the batch's longest",
        f"{100 * statistics.fmean(accuracies.values()):.2f}",
    ]


def _verdict(accuracies: dict[str, dict[int, float]]) -> str:
    pairs = sorted(accuracies[OURS].keys() & accuracies[GUIDE].keys())
    differences = [100 * (accuracies[OURS][seed] - accuracies[GUIDE][seed]) for seed in pairs]
    mean = statistics.fmean(differences)
    spread = ", ".join(f"{difference:+.2f}" for difference in differences)
    said = f"Accuracy, ours − guide: {mean:+.2f} points in the mean of {len(pairs)} ({spread})"
    if len(pairs) < 2:
        return f"{said}: one pair tells nothing, --repeat takes more."
    error = statistics.stdev(differences) / len(differences) ** 0.5
    said = f"{said}, standard error {error:.2f}"
    if abs(mean) + 2 * error <= LIMIT:
        return f"{said}: within ±{LIMIT}, two standard errors included."
    if abs(mean) - 2 * error > LIMIT:
        return f"{said}: NOT within ±{LIMIT}."
    return f"{said}: seeds differ too much to tell whether it is within ±{LIMIT}; take more pairs."


if __name__ == "__main__":
    main()
