"""Run directories with predictions, and an inspector without a model, for tests of Review."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from core import predictions
from core.errors import InspectorError
from core.inspector_protocol import Inspection, Question
from core.tokenization import Token, align, split_words
from tui.app import NsmcTuiApp

NASTY = "[bold] [/x] \x1b]0;pwned\x07 탭\t과 👨\u200d👩\u200d👧 " + "\u1112\u1161\u11ab\u1100\u1173\u11af 끝"
"""Markup, an escape sequence, a tab, an emoji sequence and decomposed Hangul (한글)."""

REVIEWS = [
    # document, label, logit difference (positive minus negative)
    ("최고의 영화 정말 재미있다", 1, 4.0),
    ("지루하고 나쁘진 않지만 돈이 아깝다 아니잖아", 0, 3.0),
    (NASTY, 0, 2.0),
    ("Great MOVIE 강추", 1, -1.0),
    ("ㅋㅋㅋ 별로였다 ㅠㅠ", 0, -3.0),
    ("음악은 좋은데 배우가 아쉬웠다 그래도 볼만한 영화였습니다 " * 6, 1, -2.5),
    ("그냥 그래요", 0, 0.5),
]
"""FP: rows 1, 2, 6; FN: rows 3, 5. By loss: 1 (3.05), 5 (2.58), 2 (2.13), 3 (1.31), 6 (0.97)."""


def make_run(directory: Path, rows: Iterable[tuple[str, int, float]] = REVIEWS, state: str = "finished") -> Path:
    """A run directory with predictions of `rows` and no model."""
    run_dir = directory / "20260102-030405-tiny"
    run_dir.mkdir(parents=True)
    rows = list(rows)
    status = {"state": state, "updated": time.time(), "name": "tiny", "step": 1, "max_steps": 2}
    (run_dir / "status.json").write_text(json.dumps(status))
    if rows:
        logits = np.array([[0.0, difference] for _text, _label, difference in rows])
        table = predictions.table(
            [str(1000 + n) for n in range(len(rows))],
            [text for text, _label, _difference in rows],
            np.array([label for _text, label, _difference in rows]),
            logits,
            np.array([len(text.split()) + 2 for text, _label, _difference in rows]),
        )
        predictions.write(run_dir, "test", table)
    return run_dir


def inspection_of(text: str, layers: int = 2, heads: int = 3, seed: int = 0, cut: int | None = None) -> Inspection:
    """An inspection with two characters a token between `[CLS]` and `[SEP]`, and random attention."""
    words = split_words(text)
    spans = []
    for word in words:
        spans += [(start, min(start + 2, word.end)) for start in range(word.start, word.end, 2)]
    if cut is not None:
        spans = [span for span in spans if span[1] <= cut]
    tokens = (
        Token("[CLS]", 0, 0, True, False, "[CLS]", None),
        *align(text, words, [text[a:b] for a, b in spans], spans, [False] * len(spans), [False] * len(spans)),
        Token("[SEP]", 0, 0, True, False, "[SEP]", None),
    )
    attention = np.random.default_rng(seed).random((layers, heads, len(tokens), len(tokens))).astype(np.float32) ** 4
    attention /= attention.sum(-1, keepdims=True)
    return Inspection(
        model="model",
        text=text,
        tokens=tokens,
        words=words,
        cut=cut,
        logits=(0.0, 1.0),
        probabilities=(0.27, 0.73),
        labels=("negative", "positive"),
        cls=0,
        max_length=None,
        seconds=0.01,
        attention=attention,
    )


class QuickInspector:
    """Answers as the real one does, from `inspection_of`; each answer waits for `gate`.

    others: the questions that it has no answer to.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.prefetched: list[str] = []
        self.others: list[dict[str, Any]] = []
        self.answers: dict[str, Inspection] = {}
        self.broken = ""
        self.gate = asyncio.Event()
        self.gate.set()

    def kept(self, question: Question[Any]) -> Any:
        return self.answers.get(question.request["text"])

    async def ask(self, question: Question[Any], on_progress: Any = None) -> Any:
        if question.request["op"] != "inspect":
            self.others.append(question.request)
            raise InspectorError("no numbers here")
        text = question.request["text"]
        self.asked.append(text)
        await self.gate.wait()
        if self.broken:
            raise InspectorError("the inspector [/x] broke", self.broken)
        self.answers[text] = inspection_of(text)
        return self.answers[text]

    def prefetch(self, wanted: Iterable[Question[Any]]) -> None:
        self.prefetched = [question.request["text"] for question in wanted]

    async def aclose(self) -> None:
        return None


def app_on(run_dir: Path, inspector: QuickInspector | None = None) -> NsmcTuiApp:
    """The app opened at Review of `run_dir`; with an `inspector` the run has (something like) a model."""
    if inspector is not None:
        (run_dir / "model").mkdir(exist_ok=True)
        (run_dir / "model" / "config.json").write_text("{}")
    app = NsmcTuiApp(run_dir.parent, run_dir, "review")
    if inspector is not None:
        app._inspector = inspector  # type: ignore[assignment]
    return app


async def until(pilot: Any, condition: Callable[[], Any], seconds: float = 120.0) -> None:
    """Wait for `condition`, however slow the machine; the limit is for what never comes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await pilot.pause(0.02)
    await pilot.pause()


def screen_text(app: Any) -> str:
    """What the compositor would write, line by line, without styles."""
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in lines)
