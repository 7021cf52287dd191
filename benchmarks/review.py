"""Review in a real pseudo-terminal: how soon it opens, shows the next review, and keeps a verdict.

`python benchmarks/review.py [RUN] [--keys 60] [--size 160x48]`

Opens the real app on RUN (a run directory with predictions and a model), or on one of its own making: 25,000 reviews
of NSMC's test split, or as many texts made up, with probabilities drawn at random, and no model. A key's time goes
from writing it into the terminal until the answer has come out of it: `text` when the next review's id and figures are
there, `all` when the app has written nothing for QUIET seconds, less those: then its attention is drawn too, where
there is a model and it was fetched ahead. A verdict is answered when the line on top says that it is kept, which it
says when it is on disk. The peer is a minimal Textual app that counts keys: what any key costs, the terminal included.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pexpect
import pyte
from common import NSMC, machine, table

QUIET = 0.05
PRIVATE = re.compile(rb"\x1b\[[<=>][0-9;]*[a-z]")
"""Sequences that pyte takes for others: Kitty's keys, xterm's."""

LOOKS = 0.25
"""Seconds that a reader looks at a review before the next key: time to fetch the ones after it."""

PEER = """
from textual.app import App
from textual.widgets import Static
class Peer(App):
    count = 0
    def compose(self):
        yield Static("counted 0 keys")
    def on_key(self, event):
        self.count += 1
        self.query_one(Static).update(f"counted {self.count} keys")
Peer().run()
"""


def make_run(directory: Path, count: int = 25_000) -> Path:
    """A run of `count` reviews with probabilities drawn at random."""
    from core import predictions

    rng = np.random.default_rng(0)
    file = NSMC / "ratings_test.txt"
    if file.is_file():
        rows = [line.split("\t") for line in file.read_text(encoding="utf-8").split("\n")[1:] if line][:count]
    else:
        rows = [[str(9_000_000 + n), f"리뷰 {n} 재미있고 볼만했다", str(n % 2)] for n in range(count)]
    labels = np.array([int(row[-1]) for row in rows])
    logits = np.column_stack([np.zeros(len(rows)), rng.normal(size=len(rows)) * 2 + np.where(labels == 1, 2, -2)])
    run_dir = directory / "20260101-000000-benchmark"
    run_dir.mkdir(parents=True)
    status = {"state": "finished", "updated": time.time(), "name": "benchmark", "step": 1, "max_steps": 1}
    (run_dir / "status.json").write_text(json.dumps(status), encoding="utf-8")
    documents = ["\t".join(row[1:-1]) for row in rows]
    lengths = np.array([len(text) // 2 + 2 for text in documents])
    predictions.write(run_dir, "test", predictions.table([row[0] for row in rows], documents, labels, logits, lengths))
    return run_dir


class Terminal:
    """A program in a pseudo-terminal, and what stands on its screen."""

    def __init__(self, command: list[str], columns: int, lines: int, **environment: str) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(
            command[0],
            command[1:],
            dimensions=(lines, columns),
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", **environment},
            timeout=60,
        )
        # pexpect waits 50 ms before each key unless told otherwise.
        self.child.delaybeforesend = None

    def read(self, quiet: float) -> list[tuple[float, bytes]]:
        """What comes until nothing has come for `quiet` seconds, each part with its time."""
        parts: list[tuple[float, bytes]] = []
        try:
            while True:
                part = self.child.read_nonblocking(1 << 16, timeout=quiet)
                parts.append((time.perf_counter(), part))
        except (pexpect.TIMEOUT, pexpect.EOF):
            return parts

    def shows(self, marker: str) -> bool:
        """Whether `marker` stands in a line."""
        return any(marker in line for line in self.lines())

    def lines(self) -> list[str]:
        """What stands on the screen. pyte's own way of telling fails amid a picture, for half of a wide letter."""
        columns = range(self.screen.columns)
        return ["".join(self.screen.buffer[y][x].data for x in columns) for y in range(self.screen.lines)]

    def until(self, marker: str, seconds: float = 60.0, quiet: float = QUIET) -> tuple[float, float]:
        """When `marker` came onto the screen, and when the last of what was written with it came.

        Only cells that differ are written, so the screen is looked at and not what is written; that takes longer than
        the app needs, and is done when the app has written nothing for `quiet` seconds.
        """
        end = time.perf_counter() + seconds
        found = last = time.perf_counter() if self.shows(marker) else 0.0
        while not found:
            for last, part in self.read(quiet):
                self.stream.feed(PRIVATE.sub(b"", part))
                if not found and self.shows(marker):
                    found = last
            if time.perf_counter() > end:
                raise SystemExit(f"{marker!r} did not appear in\n" + "\n".join(self.lines()))
        return found, last

    def settle(self, quiet: float = QUIET) -> None:
        """Wait for silence."""
        for _time, part in self.read(quiet):
            self.stream.feed(PRIVATE.sub(b"", part))

    def press(self, key: bytes, marker: str) -> tuple[float, float]:
        """Milliseconds until `marker`, and until all was written."""
        if self.shows(marker):
            raise SystemExit(f"{marker!r} is there before the key")
        begun = time.perf_counter()
        self.child.send(key)
        found, last = self.until(marker)
        return 1000 * (found - begun), 1000 * (last - begun)

    def close(self) -> None:
        """End the program."""
        self.child.close(force=True)


def peer(keys: int, columns: int, lines: int) -> list[float]:
    """Milliseconds a key of the minimal app."""
    terminal = Terminal([sys.executable, "-c", PEER], columns, lines)
    terminal.until("counted 0")
    terminal.settle(0.5)
    times = [terminal.press(b"n", f"counted {number + 1} ")[0] for number in range(keys)]
    terminal.close()
    return times


def order_of(run_dir: Path) -> list[str]:
    """The ids of the queue that Review opens with."""
    from core.predictions import Predictions

    predictions = Predictions(run_dir)
    return [predictions.row(int(row)).id for row in predictions.select("all", "loss")[:2000]]


def measure(run_dir: Path, keys: int, columns: int, lines: int, home: Path) -> dict[str, list[float]]:
    """Milliseconds of each section."""
    ids = order_of(run_dir)
    command = [sys.executable, "-P", "-m", "tui", "--runs", str(run_dir.parent), "open", run_dir.name]
    environment = {
        "NSMC_TUI_SETTINGS": str(home / "settings.toml"),
        "NSMC_TUI_STATE": str(home / "state"),
        "NSMC_TUI_LANG": "en",
    }
    found: dict[str, list[float]] = {"open": []}
    for _turn in range(5):
        shutil.rmtree(home / "state", ignore_errors=True)
        terminal = Terminal([*command, "--screen", "evaluation"], columns, lines, **environment)
        terminal.until("macro")
        terminal.settle(1.0)
        found["open"].append(terminal.press(b"5", f"#{ids[0]}" if columns >= 120 else "1 of")[0])
        if _turn < 4:
            terminal.close()
    if columns < 120:
        # One pane at a time: the text comes with a key.
        terminal.press(b"\r", f"#{ids[0]}")
    if (run_dir / "model" / "config.json").is_file():
        # The model loads once; that is not what is measured here.
        terminal.until("layer", 120)
    terminal.settle(2.0)
    place = 0
    for name in ("n: text", "n: all"):
        found[name] = []
    for _key in range(keys):
        place += 1
        text, whole = terminal.press(b"n", f"#{ids[place]}")
        found["n: text"].append(text)
        found["n: all"].append(whole)
        terminal.settle(LOOKS)
    found["verdict: kept on disk"] = []
    found["verdict: all"] = []
    for number in range(keys):
        name, letter = (("sarcasm", b"s"), ("ambiguous", b"a"))[number % 2]
        kept, whole = terminal.press(letter, f"{name} · #{ids[place]}")
        place += 1
        found["verdict: kept on disk"].append(kept)
        found["verdict: all"].append(whole)
        terminal.settle(LOOKS)
    terminal.close()
    return found


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, help="a run directory; left out, one is made")
    parser.add_argument("--keys", type=int, default=60)
    parser.add_argument("--size", default="160x48")
    parser.add_argument("--device", default="cpu", help=argparse.SUPPRESS)
    options = parser.parse_args()
    columns, lines = (int(part) for part in options.size.split("x"))
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        if options.run is None:
            run_dir = make_run(home / "runs")
        else:
            # A copy: verdicts are written.
            run_dir = home / "runs" / options.run.resolve().name
            shutil.copytree(options.run, run_dir)
        echo = peer(options.keys, columns, lines)
        found = measure(run_dir, options.keys, columns, lines, home)
        again = peer(options.keys, columns, lines)
    base = statistics.median([*echo, *again])
    rows = [["minimal Textual app: a key", f"{base:.1f}", f"{p95([*echo, *again]):.1f}", "1.0"]]
    for name, times in found.items():
        median = statistics.median(times)
        rows.append([name, f"{median:.1f}", f"{p95(times):.1f}", f"{median / base:.1f}"])
    print(machine(options))
    print(table([f"{options.size}, ms", "median", "p95", "× minimal app"], rows))


def p95(times: list[float]) -> float:
    """The 95th percentile."""
    return float(np.percentile(times, 95))


if __name__ == "__main__":
    main()
