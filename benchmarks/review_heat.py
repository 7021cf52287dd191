"""Keys of the attention views in a real pseudo-terminal: another layer, another head, scrolling 128 × 128, heads.

`python benchmarks/review_heat.py [--keys 40] [--size 160x48]`

Opens the real app on a run of its own making: random weights in the shape of XLM-R-base (12 layers × 12 heads, but
narrow, for what is measured is the screen), and a review of 126 tokens. A key's time goes from writing it into the
terminal until the app has written nothing for QUIET milliseconds, less those. The peer is the app's answer to a key
that changes nothing but the cursor of the list of the same screen: what any key costs here, the terminal included.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

QUIET = 0.04
"""Seconds of silence after which a key counts as answered."""

APART = 0.005
"""Seconds between two writings that are no parts of one."""

PLACE = re.compile(rb"\x1b\[(\d+);\d+H")
"""Where the cursor is put: the line."""

BESIDE = 120
"""Columns from which the map stands beside the list."""


def make_run(directory: Path) -> Path:
    """A run directory with predictions of long reviews and a model with 12 × 12 heads."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    from core import predictions

    words = [f"낱말{number}" for number in range(124)]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    vocabulary = {name: number for number, name in enumerate(names)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, mask_token="[MASK]", **special)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=96,
        intermediate_size=96,
        num_hidden_layers=12,
        num_attention_heads=12,
        initializer_range=0.5,
    )
    run_dir = directory / "20260101-000000-benchmark"
    BertForSequenceClassification(config).save_pretrained(run_dir / "model")
    tokenizer.save_pretrained(run_dir / "model")
    status = {"state": "finished", "updated": time.time(), "name": "benchmark", "step": 1, "max_steps": 1}
    (run_dir / "status.json").write_text(json.dumps(status), encoding="utf-8")
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.permutation(words)) for _number in range(50)]
    logits = np.tile([0.0, 2.0], (len(texts), 1))
    labels = np.zeros(len(texts), dtype=np.int64)
    table = predictions.table([str(n) for n in range(len(texts))], texts, labels, logits, np.full(len(texts), 126))
    predictions.write(run_dir, "test", table)
    return run_dir


class Terminal:
    """The app in a pseudo-terminal."""

    def __init__(self, run_dir: Path, home: Path, columns: int, lines: int) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "NSMC_TUI_SETTINGS": str(home / "settings.toml"),
            "NSMC_TUI_CACHE": str(home / "cache"),
            "NSMC_TUI_LANG": "en",
        }
        environment.pop("NO_COLOR", None)
        command = [sys.executable, "-m", "tui", "--runs", str(run_dir.parent), "open", run_dir.name]
        self.process = subprocess.Popen(
            [*command, "--screen", "review"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            cwd=Path(__file__).resolve().parents[1],
        )
        os.close(slave)
        self.seen = b""

    def read(self, quiet: float, longest: float = 10.0) -> tuple[float, int]:
        """Read until nothing comes for `quiet` seconds; when the last of it came, and how many bytes."""
        last = began = time.perf_counter()
        count = 0
        while time.perf_counter() - began < longest:
            ready, _write, _error = select.select([self.master], [], [], quiet)
            if not ready:
                break
            part = os.read(self.master, 1 << 16)
            self.seen = (self.seen + part)[-200_000:]
            now = time.perf_counter()
            if count and now - last > APART and set(PLACE.findall(part)) == {b"1"}:
                # The machine's figures in the top line, every two seconds: no part of the answer.
                continue
            count += len(part)
            last = now
        return last, count

    def press(self, key: bytes) -> tuple[float, int]:
        """Milliseconds until the answer to `key` was written out, and its bytes."""
        began = time.perf_counter()
        os.write(self.master, key)
        last, count = self.read(QUIET)
        return 1000 * max(0.0, last - began), count

    def wait_for(self, text: str, seconds: float = 120.0) -> None:
        """Read until `text` was written."""
        end = time.monotonic() + seconds
        while text.encode() not in self.seen:
            if time.monotonic() > end:
                raise SystemExit(f"{text!r} did not appear")
            self.read(0.2, 1.0)

    def close(self) -> None:
        """End the app."""
        os.write(self.master, b"\x11")
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
        os.close(self.master)


DOWN, RIGHT, LEFT, UP = b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[A"


def measure(keys: int, columns: int, lines: int) -> list[tuple[str, list[float], int]]:
    """For each view its name, milliseconds of each key, and bytes a key."""
    results = []
    with tempfile.TemporaryDirectory() as directory:
        terminal = Terminal(make_run(Path(directory) / "runs"), Path(directory), columns, lines)
        try:
            terminal.wait_for("layer 11" if columns >= BESIDE else "1 of")
            # The app looks at the machine every two seconds; what it writes then is no answer to a key.
            terminal.read(0.5)

            def run(name: str, pressed: Sequence[bytes]) -> None:
                times, total = [], 0
                for number in range(keys):
                    elapsed, count = terminal.press(pressed[number % len(pressed)])
                    if count:
                        times.append(elapsed)
                        total += count
                results.append((name, times, total // max(1, len(times))))

            run("list: cursor (peer)", [DOWN, UP])
            terminal.read(1.0)
            terminal.press(b"\r")
            if columns < BESIDE:
                terminal.wait_for("layer 11")
            terminal.read(0.5)
            run("layer", [b"l"])
            run("head", [b"h"])
            run("map 124 × 124 by word: row down", [DOWN])
            run("map 124 × 124 by word: column right", [RIGHT])
            terminal.press(b"w")
            run("map 124 × 124 by token: scroll", [DOWN, RIGHT])
            terminal.press(b"o")
            terminal.read(1.0)
            # From the first head, in a square: a key at the edge would do nothing.
            terminal.press(b"g")
            terminal.read(0.5)
            run("heads 12 × 12: next", [RIGHT, DOWN, LEFT, UP])
        finally:
            terminal.close()
    return results


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=40)
    parser.add_argument("--size", default="160x48")
    arguments = parser.parse_args()
    columns, lines = (int(part) for part in arguments.size.split("x"))
    results = measure(arguments.keys, columns, lines)
    peer = statistics.median(results[0][1])
    print(f"{'key':<40}{'median ms':>10}{'p95 ms':>9}{'bytes':>8}{'× peer':>8}")
    for name, times, size in results:
        ordered = sorted(times)
        p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
        median = statistics.median(times)
        print(f"{name:<40}{median:>10.1f}{p95:>9.1f}{size:>8}{median / peer:>8.2f}")


if __name__ == "__main__":
    main()
