"""Everything that the inspector can be asked about a text, as questions for `ask` of either client.

Common to all: `model`, a directory (or a Hub name in the local cache); `text`, raw; `max_length` in tokens (None: the
model's window); `target`, the class that the numbers are about (None: the predicted one); `masked`, indexes of words
whose tokens are replaced by the mask token (refused with UsageError by a tokenizer that has none; a text without words
is asked about as `core.word_edits.delete_words(text, indexes)`). Answers are described in `core.inspector_answers`,
methods in `core.attribution_methods`. Light.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from core import inspector_answers as answers
from core.inspector_answers import Agreement, Attribution, Deletion, Flip, HeadStats, KnockOut
from core.inspector_protocol import Inspection, Question, inspection_from

Path = str | os.PathLike[str]

STEPS = 32
"""Points of integrated gradients."""

DRAWS, SEED, MOST = 10, 0, 10
"""Of the deletion check: random orders, their seed, and how many words are taken away at most."""


def inspect(
    model: Path,
    text: str,
    max_length: int | None = None,
    *,
    attention: bool = True,
    masked: Iterable[int] = (),
    knocked: Iterable[tuple[int, int | None]] = (),
) -> Question[Inspection]:
    """Tokens, words, probabilities and attention of `text`.

    knocked: (layer, head) pairs that are switched off, head None for all heads of the layer (UsageError where that is
    not possible).
    """
    request = _request("inspect", model, text, max_length, masked, attention=attention)
    if heads := sorted({(layer, -1 if head is None else head) for layer, head in knocked}):
        request["knocked"] = [[layer, None if head < 0 else head] for layer, head in heads]
    return Question(request, inspection_from)


def explain(
    model: Path,
    text: str,
    max_length: int | None = None,
    *,
    method: str = "integrated_gradients",
    target: int | None = None,
    of: str | None = None,
    steps: int = STEPS,
    mode: str | None = None,
    layer: int | None = None,
    head: int | None = None,
    masked: Iterable[int] = (),
) -> Question[Attribution]:
    """A weight for each token and word of `text` by `method`.

    of: `logit` or `probability` of the class; None for the method's own (occlusion: probability, others: logit).
    steps: points of integrated gradients. mode: how occlusion takes a word away, `mask` or `delete`, None for mask
    where the tokenizer has such a token. layer, head: of attention (None: the mean) and rollout (layer up to which).
    """
    request = _request("explain", model, text, max_length, masked, method=method, target=target)
    request |= {"of": of, "steps": steps, "mode": mode, "layer": layer, "head": head}
    return Question(request, answers.attribution_from)


def agreement(
    model: Path,
    text: str,
    max_length: int | None = None,
    *,
    methods: Iterable[str] | None = None,
    target: int | None = None,
    steps: int = STEPS,
    layer: int | None = None,
    masked: Iterable[int] = (),
) -> Question[Agreement]:
    """How alike `methods` (None: all) rank the words, and their weights. `layer`: of attention, None for the mean."""
    request = _request("agreement", model, text, max_length, masked, methods=_names(methods), target=target)
    return Question(request | {"steps": steps, "layer": layer}, answers.agreement_from)


def deletion(
    model: Path,
    text: str,
    max_length: int | None = None,
    *,
    methods: Iterable[str] | None = None,
    target: int | None = None,
    mode: str | None = None,
    most: int = MOST,
    draws: int = DRAWS,
    seed: int = SEED,
    steps: int = STEPS,
    layer: int | None = None,
    masked: Iterable[int] = (),
) -> Question[Deletion]:
    """How far the probability falls without the 1, 2, … `most` words of highest weight, against random words.

    methods: None for all. mode: `mask` or `delete`, None for mask where there is a mask token. draws, seed: of the
    random orders. steps: of integrated gradients; layer: of attention, None for the mean.
    """
    request = _request("deletion", model, text, max_length, masked, methods=_names(methods), target=target, mode=mode)
    request |= {"most": most, "draws": draws, "seed": seed, "steps": steps, "layer": layer}
    return Question(request, answers.deletion_from)


def head_stats(
    model: Path, text: str, max_length: int | None = None, *, target: int | None = None, masked: Iterable[int] = ()
) -> Question[HeadStats]:
    """Numbers about every head (layers × heads), with its agreement with gradient × input for the class."""
    return Question(_request("head_stats", model, text, max_length, masked, target=target), answers.head_stats_from)


def knock_out(
    model: Path, text: str, max_length: int | None = None, *, target: int | None = None, masked: Iterable[int] = ()
) -> Question[KnockOut]:
    """The probabilities with each head, and with each layer's attention, switched off in turn."""
    return Question(_request("knock_out", model, text, max_length, masked, target=target), answers.knock_out_from)


def flip(
    model: Path,
    text: str,
    max_length: int | None = None,
    *,
    mode: str = "delete",
    max_evaluations: int = 400,
    threshold: float | None = None,
    masked: Iterable[int] = (),
) -> Question[Flip]:
    """The fewest words without which the answer is another one.

    mode: `delete` (the text without them) or `mask`. max_evaluations: how many sets of words are tried at most.
    threshold: of the probability of class 1 from which the answer is 1; None, or 0.5: the class of the highest
    probability.
    """
    request = _request("flip", model, text, max_length, masked, mode=mode, max_evaluations=max_evaluations)
    return Question(request | {"threshold": threshold}, answers.flip_from)


def _names(methods: Iterable[str] | None) -> list[str] | None:
    return None if methods is None else list(methods)


def _request(
    op: str, model: Path, text: str, max_length: int | None, masked: Iterable[int], **fields: Any
) -> dict[str, Any]:
    request = {"op": op, "model": os.fspath(model), "text": text, "max_length": max_length, **fields}
    # Left out where empty, so that the plain question is the same whoever asks it.
    if words := sorted(set(masked)):
        request["masked"] = words
    return request
