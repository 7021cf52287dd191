"""Which token a classifier reads, found by what its answer depends on instead of by its name.

Most encoders classify by the first token, left-to-right models and XLNet by the last, ModernBERT and EuroBERT by
either the first or the mean of all, as their config says; where the tokenizer has put `[CLS]` decides nothing. The
gradient of a logit with respect to the last hidden states is 0 at every token that is not read. Needs torch, imported
inside.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from core.attribution_gradients import embeddings_as

if TYPE_CHECKING:
    from core.inspector_models import Inputs, LoadedModel

log = logging.getLogger(__name__)

Reads = Literal["first", "last", "mean", "unknown"]

PROBE = "이 영화 정말 좋아요"


def find(loaded: LoadedModel) -> Reads:
    """What the classifier of `loaded` reads of a text, tried on a short one: `unknown` where that shows nothing.

    `mean` stands for every answer that depends on more than one token.
    """
    inputs = loaded.subject(PROBE, None).encoded.inputs
    rows: list[int] = []
    # Models whose embeddings cannot be taken hold of, or whose code cannot take the probe: their own error comes up
    # with the first question.
    with suppress(NotImplementedError):
        rows = _rows(loaded, inputs)
    tokens = len(inputs["input_ids"])
    if tokens < 2 or not rows:
        log.info("%s does not show which token its classifier reads", loaded.path)
        return "unknown"
    if len(rows) > 1:
        return "mean"
    if rows[0] == 0:
        return "first"
    return "last" if rows[0] == tokens - 1 else "unknown"


def _rows(loaded: LoadedModel, inputs: Inputs) -> list[int]:
    """The tokens that a logit of `inputs` depends on by way of the last hidden states."""
    import torch

    base = loaded.model.base_model
    if base is loaded.model:
        return []
    seen: list[Any] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else getattr(output, "last_hidden_state", None)
        if isinstance(hidden, torch.Tensor) and hidden.ndim == 3 and hidden.requires_grad:
            seen.append(hidden)

    handle = base.register_forward_hook(keep)
    try:
        with torch.enable_grad(), embeddings_as(loaded):
            logit = loaded.run([inputs]).logits[0, 0]
            if not seen or not logit.requires_grad:
                return []
            (gradient,) = torch.autograd.grad(logit, seen[-1], allow_unused=True)
    finally:
        handle.remove()
    if gradient is None or gradient.shape[1] != len(inputs["input_ids"]):
        return []
    found: list[int] = (gradient[0].abs().amax(-1) > 0).nonzero().flatten().tolist()
    return found
