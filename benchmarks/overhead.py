"""What watching costs: our worker against the same training without events, sampling, orders and app.

The peer (benchmarks/paced.py) is the run's own Trainer over the same batches and loss, and it computes a step in the
same way, so that the ratio is of what a worker adds and not of how it computes. The worker writes events, samples the
device and takes orders; once it is alone, once the app shows it on Monitor in a pseudo-terminal (where textual is not
installed: a process that reads its events).

Two percent are less than what a virtual machine changes from one second to the next. On a CPU two trainings therefore
run at the same time, a core each (benchmarks/abreast.py), and the plain one also beside itself: that row tells what a
difference means. On a GPU they take turns (benchmarks/turns.py). Either way there are many pairs of times for the same
steps; the ratio is the geometric mean of theirs, with its standard error and the median beside it. `--keep FILE` pools
the pairs of several calls.

The geometric mean, as the arithmetic ones of a / b and of b / a can both be above 1: of two equal sides either would
look the slower (Fleming and Wallace, How not to lie with statistics, CACM 29(3), 1986).

`python benchmarks/overhead.py [--reviews 64000] [--device cuda --model xlm-roberta-base-shape --bf16]`
"""

from __future__ import annotations

import math
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import abreast
import common
import turns
from sides import Figures, Taken

HEADER = ("per step", "ms", "peer ms", "ratio", "standard error", "median", "CPU ratio", "pairs")


def main() -> None:
    """Measure and print the table."""
    parser = common.parser(__doc__, reviews=64_000, repeat=1)
    parser.add_argument("--how", choices=("abreast", "turns"), default=None, help="default: abreast on a CPU")
    parser.add_argument("--segment", type=int, default=None, help="steps a pair; default 50 abreast, 250 in turns")
    parser.add_argument("--lead", type=int, default=100, help="steps not counted, of all or at the beginning of a turn")
    parser.add_argument("--keep", type=Path, default=None, help="add the pairs to this file, and count those in it")
    options = parser.parse_args()
    if options.how is None:
        options.how = "abreast" if options.device == "cpu" and abreast.possible() else "turns"
    way = {"abreast": abreast, "turns": turns}[options.how]
    steps = -(-options.reviews // options.batch)
    options.segment = min(steps, options.segment or {"abreast": 50, "turns": 250}[options.how])
    options.lead = min(options.lead, {"abreast": steps, "turns": options.segment}[options.how] // 4)
    common.set_threads(options)
    # A process that ends between two turns is noticed by its empty line.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # Whoever ends the benchmark ends the app with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    figures: Figures = {}
    shares: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        model = common.make_model(options, directory)
        # As many steps as were asked for, in several epochs where the data holds fewer reviews.
        config = common.make_config(options, model, train={"max_steps": steps})
        for turn in range(options.repeat):
            for row, pairs in way.measure(options, config, directory, shares, turn).items():
                figures.setdefault(row, []).extend(pairs)
    if options.keep is not None:
        figures = _pool(options, figures)
    print(
        f"Overhead: {options.reviews} reviews, batch {options.batch}, {options.model}, {options.device}, {options.how}"
    )
    print(f"({common.machine(options)})\n")
    # A turn has no stamp for its first steps; what it counts are the others.
    steps = options.segment - (options.lead if options.how == "turns" else 0)
    print(common.table(HEADER, [_row(row, pairs, steps) for row, pairs in figures.items()]))
    print(f"\nWhile its worker trained the watcher took {100 * statistics.fmean(shares):.1f}% of a core.")


def _pool(options: Any, figures: Figures) -> Figures:
    """The pairs of this call and of those that left theirs in the file."""
    names = ("batch", "model", "data", "device", "bf16", "threads", "how", "segment", "lead")
    same = {name: getattr(options, name) for name in names}
    common.add_lines(options.keep, ({"row": row, "pairs": pairs, **same} for row, pairs in figures.items()))
    return {
        row: [pair for line in common.kept_lines(options.keep, {"row": row, **same}) for pair in line["pairs"]]
        for row in figures
    }


def _row(name: str, pairs: list[tuple[Taken, Taken]], steps: int) -> list[str]:
    ratios = [ours[0] / peer[0] for ours, peer in pairs]
    ratio = statistics.geometric_mean(ratios)
    error = ratio * statistics.stdev(map(math.log, ratios)) / len(ratios) ** 0.5 if len(ratios) > 1 else None
    return [
        name,
        f"{1000 * statistics.fmean(ours[0] for ours, _ in pairs) / steps:.2f}",
        f"{1000 * statistics.fmean(peer[0] for _, peer in pairs) / steps:.2f}",
        f"{ratio:.3f}",
        "–" if error is None else f"{error:.3f}",
        f"{common.median(ratios):.3f}",
        f"{statistics.geometric_mean(ours[1] / peer[1] for ours, peer in pairs):.3f}",
        str(len(pairs)),
    ]


if __name__ == "__main__":
    main()
