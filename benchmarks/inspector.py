"""What a review that was never asked for costs in Review, against the model's bare eager forward pass.

Both processes have the model in memory and get the same texts in turn: reviews as they are, and several reviews joined
until they fill `--tokens`. The bare pass is timed inside its process, the inspector's answer (tokens, words,
probabilities, attention of all layers and heads) in the app's own client, from question to arrays.
A second table tells what the longer questions cost about one review, and how soon the next one is answered after one
of them was given up. `python benchmarks/inspector.py [--model xlm-roberta-base-shape] [--tokens 128] [--texts 25]`
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common

from core import data
from core import inspector_questions as questions
from core.attribution_methods import METHODS
from core.inspector_protocol import Question
from tui.inspector_client import InspectorClient

REST = 0.05
"""Seconds between the sides: threads of the one that has just answered may spin that long."""


def texts_of(options: Any) -> dict[str, list[str]]:
    """Reviews as they are, and reviews joined to something longer than the window."""
    config = common.make_config(options, "tiny")
    reviews = [row for row in data.load_splits(config.data).train["document"] if row.strip()]
    joined = [" ".join(reviews[n : n + 40]) for n in range(0, len(reviews) - 40, 40)]
    return {"as they are": reviews[: options.texts], "full": joined[: options.texts]}


class Bare:
    """The peer's process."""

    def __init__(self, model: Path, options: Any) -> None:
        arguments = [str(common.HERE / "inspector_peer.py"), str(model), str(options.tokens), options.device]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )

    def ask(self, text: str) -> dict[str, Any]:
        """Seconds of the two passes over `text`, and its tokens."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def end(self) -> None:
        """End the process."""
        self._process.communicate()


async def measure(model: Path, texts: list[str], options: Any) -> list[dict[str, float]]:
    """For each text the seconds of both sides, asked in turn."""
    bare, client, rows = Bare(model, options), InspectorClient(options.device), []
    try:
        await client.open(model)
        # The first of each side pays for what is made at the first call.
        for number, text in enumerate([texts[-1], *texts[:-1]]):
            peer = bare.ask(text)
            await asyncio.sleep(REST)
            started = time.perf_counter()
            answer = await client.ask(questions.inspect(model, text, options.tokens))
            seconds = time.perf_counter() - started
            await asyncio.sleep(REST)
            assert answer.attention is not None
            assert len(answer.tokens) == peer["tokens"]
            if number:
                plain, attention = peer["seconds"]
                size = answer.attention.nbytes
                rows.append({"plain": plain, "attention": attention, "ours": seconds, "bytes": size})
                rows[-1] |= {"inside": answer.seconds, "tokens": peer["tokens"]}
    finally:
        await client.aclose()
        bare.end()
    return rows


async def longer(model: Path, text: str, options: Any) -> list[tuple[str, float]]:
    """Seconds of each of the longer questions about `text`."""
    client, rows = InspectorClient(options.device, cache_items=1), []
    try:
        plain = await client.ask(questions.inspect(model, text, options.tokens))
        words = len(plain.words)
        wanted: dict[str, Question[Any]] = {
            name: questions.explain(model, text, options.tokens, method=name) for name in METHODS
        }
        wanted["head_stats"] = questions.head_stats(model, text, options.tokens)
        wanted["knock_out (all heads and layers)"] = questions.knock_out(model, text, options.tokens)
        wanted["deletion (occlusion)"] = questions.deletion(model, text, options.tokens, methods=["occlusion"])
        wanted["flip (100 evaluations)"] = questions.flip(model, text, options.tokens, max_evaluations=100)
        for name, question in wanted.items():
            started = time.perf_counter()
            await client.ask(question)
            rows.append((f"{name}, {words} words, {len(plain.tokens)} tokens", time.perf_counter() - started))
        going = asyncio.Event()
        long = asyncio.create_task(
            client.ask(questions.explain(model, text, options.tokens, steps=1000), lambda done, total: going.set())
        )
        await going.wait()
        started = time.perf_counter()
        long.cancel()
        await client.ask(questions.inspect(model, text, options.tokens))
        rows.append(("a review after a long question was given up", time.perf_counter() - started))
    finally:
        await client.aclose()
    return rows


def main() -> None:
    """Print two tables."""
    parser = common.parser(__doc__, reviews=4000, repeat=1, model="xlm-roberta-base-shape")
    parser.add_argument("--tokens", type=int, default=128, help="longest input")
    parser.add_argument("--texts", type=int, default=25, help="texts of each kind")
    options = parser.parse_args()
    common.set_threads(options)
    lines, times = [], []
    with tempfile.TemporaryDirectory() as directory:
        model = common.make_model(options, Path(directory))
        for name, texts in texts_of(options).items():
            times += asyncio.run(longer(model, texts[len(texts) // 2], options))
            rows = asyncio.run(measure(model, texts, options))
            middle = {key: common.median(row[key] for row in rows) for key in rows[0]}
            ratios = sorted(row["ours"] / row["plain"] for row in rows)
            over = common.median(row["ours"] - 1.3 * row["plain"] for row in rows)
            lines.append(
                (
                    name,
                    f"{middle['tokens']:.0f}",
                    f"{middle['bytes'] / 1e6:.1f}",
                    f"{1e3 * middle['plain']:.1f}",
                    f"{1e3 * middle['attention']:.1f}",
                    f"{1e3 * middle['inside']:.1f}",
                    f"{1e3 * middle['ours']:.1f}",
                    f"{common.median(ratios):.2f}",
                    f"{ratios[0]:.2f}–{ratios[-1]:.2f}",
                    f"{1e3 * over:+.1f}",
                )
            )
    print(f"{options.model}, {common.machine(options)}\n")
    header = ("texts", "tokens", "attention MB", "bare ms", "with attention ms", "inside ms", "answer ms", "ratio")
    print(common.table((*header, "least–most", "over 1.3 × bare, ms"), lines))
    print()
    print(common.table(("question", "seconds"), [(name, f"{seconds:.2f}") for name, seconds in times]))


if __name__ == "__main__":
    main()
