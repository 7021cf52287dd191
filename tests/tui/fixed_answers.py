"""An inspector whose answers are always the same numbers, packed and read as the real one's: for pictures.

A real model's third decimal is another one on another CPU.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from core.attribution_methods import METHODS
from core.errors import InspectorError
from core.head_stats import STATS
from core.inspector_protocol import Inspection, Question, pack
from core.word_edits import delete_words
from tests.tui.review_helpers import QuickInspector, inspection_of

LAYERS, HEADS = 2, 4


def inspection(text: str, masked: list[int]) -> Inspection:
    """Two characters a token; every word speaks for 긍정, one that is hidden a little less."""
    found = inspection_of(text, LAYERS, HEADS)
    positive = min(0.97, 0.08 + 0.11 * len(found.words) - 0.04 * len(masked))
    tokens = [
        replace(token, text="[MASK]", piece="[MASK]", masked=True) if token.word in masked else token
        for token in found.tokens
    ]
    return replace(found, probabilities=(1 - positive, positive), tokens=tuple(tokens), max_length=64)


def described(found: Inspection) -> dict[str, Any]:
    """An inspection for the wire, without its attention."""
    return asdict(replace(found, attention=None))


def wave(count: int, shift: float) -> np.ndarray:
    """`count` numbers from −1 to 1 that look like nothing in particular."""
    return np.round(np.sin(np.arange(count) * 1.7 + shift), 3)


class FixedInspector(QuickInspector):
    """Every op has an answer, but for those in `silent`, which never come."""

    def __init__(self) -> None:
        super().__init__()
        self.silent: set[str] = set()

    async def ask(self, question: Question[Any], on_progress: Any = None) -> Any:
        request = question.request
        await self.gate.wait()
        if self.broken:
            raise InspectorError("the inspector [/x] broke", self.broken)
        if request["op"] in self.silent:
            if on_progress is not None:
                on_progress(3, 40)
            self.gate.clear()
            await self.gate.wait()
        found = inspection(request["text"], request.get("masked", [])) if "text" in request else None
        header, arrays = getattr(self, "_" + request["op"])(request, found)
        header["arrays"], bodies = pack(arrays)
        answer = question.read(header, b"".join(bytes(body) for body in bodies))
        if request["op"] == "inspect" and not request.get("masked"):
            self.answers[request["text"]] = answer
        return answer

    def _inspect(self, request: dict[str, Any], found: Inspection) -> tuple[dict[str, Any], dict[str, Any]]:
        return described(found), {"attention": found.attention} if request["attention"] else {}

    def _explain(self, request: dict[str, Any], found: Inspection) -> tuple[dict[str, Any], dict[str, Any]]:
        header, tokens, words = self._weights(found, request["method"], request["target"] or 0)
        return {**header, "inspection": described(found)}, {"tokens": tokens, "words": words}

    def _weights(self, found: Inspection, name: str, target: int) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        method, number = METHODS[name], list(METHODS).index(name)
        header = {"method": name, "target": target, "signed": method.signed, "of": "logit", "baseline": ""}
        gap = name == "integrated_gradients"
        header |= {"steps": 32 if gap else None, "gap": -0.0123 if gap else None, "layer": None, "head": None}
        header |= {"note": "", "seconds": 0.1}
        words = wave(len(found.words), number) * 0.3
        words = words if method.signed else np.abs(words)
        tokens = np.zeros(len(found.tokens))
        for place, token in enumerate(found.tokens):
            if token.word is not None:
                tokens[place] = words[token.word] / found.token_words.count(token.word)
        return header, tokens, words

    def _agreement(self, request: dict[str, Any], found: Inspection) -> tuple[dict[str, Any], dict[str, Any]]:
        headers, arrays = [], {}
        for number, name in enumerate(METHODS):
            header, arrays[f"tokens {number}"], arrays[f"words {number}"] = self._weights(found, name, 1)
            headers.append(header)
        size = len(METHODS)
        grid = wave(size * size, 0.3).reshape(size, size)
        arrays |= {"spearman": (grid + grid.T) / 2 + 0.0, "kendall": grid, "signed": np.zeros((size, size), np.uint8)}
        header = {"inspection": described(found), "target": request["target"], "attributions": headers}
        return {**header, "methods": list(METHODS)}, arrays

    def _deletion(self, request: dict[str, Any], found: Inspection) -> tuple[dict[str, Any], dict[str, Any]]:
        most, size = min(10, len(found.words)), len(METHODS)
        falls = np.abs(wave(size * most, 1)).reshape(size, most).cumsum(axis=1) / 12
        told = {"target": request["target"], "probability": 0.9, "mode": "mask", "draws": 10, "seed": 0}
        order = np.tile(np.arange(most), (size, 1))
        arrays = {"order": order, "curves": 0.9 - falls, "areas": falls.mean(axis=1)}
        arrays |= {"random": 0.9 - np.arange(1, most + 1) * 0.02, "random_sd": np.full(most, 0.013)}
        header = {"inspection": described(found), **told, "random_area": 0.11, "notes": [""] * size}
        return {**header, "methods": list(METHODS)}, arrays

    def _head_stats(self, request: dict[str, Any], found: Inspection) -> tuple[dict[str, Any], dict[str, Any]]:
        grids = {}
        for number, (name, stat) in enumerate(STATS.items()):
            grid = wave(LAYERS * HEADS, number).reshape(LAYERS, HEADS)
            grids[name] = grid if stat.low < 0 else np.abs(grid) * (stat.high or 9.0)
        return {"inspection": described(found), "target": request["target"] or 0, "note": ""}, grids

    def _knock_out(self, request: dict[str, Any], found: Inspection) -> tuple[dict[str, Any], dict[str, Any]]:
        moved = wave(LAYERS * HEADS, 2).reshape(LAYERS, HEADS) * 0.05
        positive = found.probabilities[1] + moved
        layers = found.probabilities[1] - np.array([0.11, 0.23])
        arrays = {"heads": np.stack([1 - positive, positive], -1), "layers": np.stack([1 - layers, layers], -1)}
        return {"inspection": described(found), "target": request["target"] or 0, "note": ""}, arrays

    def _flip(self, request: dict[str, Any], found: Inspection) -> tuple[dict[str, Any], dict[str, Any]]:
        text = delete_words(found.text, [1, 2])
        after = inspection(text, [])
        told = {"minimal": True, "tried_size": 2, "evaluations": 57, "exhausted": False, "mode": "delete"}
        told |= {"words": [1, 2], "masked": [], "text": text, "probabilities": list(after.probabilities)}
        return {"inspection": described(found), "found": True, **told}, {}

    def _neighbours(self, request: dict[str, Any], found: Inspection) -> tuple[dict[str, Any], dict[str, Any]]:
        raise InspectorError("no vectors here")

    _neighbours_build = _neighbours
