"""How soon the app shows its runs: from exec to the first picture in a pseudo-terminal of 120 × 40.

The peer is the smallest Textual app there can be, started the same way in the same run: what the ratio is above
one is ours. `python benchmarks/first_paint.py [--runs 50] [--repeat 7]`
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pexpect

MINIMAL = (
    "from textual.app import App\nfrom textual.widgets import Static\n"
    "class Minimal(App):\n    def compose(self):\n        yield Static('painted')\n"
    "Minimal().run()\n"
)


def make_runs(directory: Path, count: int) -> None:
    """`count` finished runs with status and results, as a worker leaves them."""
    from core.runs import create_run_dir, write_status

    for number in range(count):
        path = create_run_dir(directory, f"run-{number:04d}")
        metrics = {"test_accuracy": 0.85 + number / 10_000, "test_f1": 0.85}
        write_status(
            path,
            {"state": "finished", "name": f"run-{number:04d}", "step": 4688, "max_steps": 4688, "metrics": metrics,
             "model": "xlm-roberta-base", "data": "nsmc", "updated": time.time()},
        )  # fmt: skip


def seconds_until(command: list[str], marker: bytes) -> float:
    """Seconds from starting `command` in a terminal to `marker` in its output; the process is ended."""
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
    begun = time.perf_counter()
    child = pexpect.spawn(command[0], command[1:], dimensions=(40, 120), env=environment, timeout=60)
    child.expect_exact(marker)
    taken = time.perf_counter() - begun
    child.close(force=True)
    return taken


def main() -> None:
    """Measure both, alternating, and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        runs = Path(directory) / "runs"
        make_runs(runs, arguments.runs)
        ours = [sys.executable, "-P", "-m", "tui", "--runs", str(runs)]
        peer = [sys.executable, "-P", "-c", MINIMAL]
        times: dict[str, list[float]] = {"nsmc-tui": [], "smallest Textual app": []}
        for _ in range(arguments.repeat):
            # The newest run's name is painted only when the table is filled.
            times["nsmc-tui"].append(seconds_until(ours, f"run-{arguments.runs - 1:04d}".encode()))
            times["smallest Textual app"].append(seconds_until(peer, b"painted"))
    print(f"| first picture, {arguments.runs} runs | median s | min s |")
    print("|---|---:|---:|")
    for name, values in times.items():
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} |")
    ratio = statistics.median(times["nsmc-tui"]) / statistics.median(times["smallest Textual app"])
    print(f"| ratio | {ratio:.2f} | |")


if __name__ == "__main__":
    main()
