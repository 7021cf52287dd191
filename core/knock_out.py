"""Heads switched off: what the answer is without them. Needs torch, imported inside.

Off means that what a head hands to the attention's output projection is 0 (Michel et al. 2019, arXiv:1905.10650). For
a whole layer that is done to all its heads: the projection's bias, the residual connection and the feed-forward part
stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import UsageError
from core.i18n import gettext as _

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_models import Inputs, LoadedModel
    from core.inspector_ops import Task

PROJECTIONS = re.compile(
    r"(?:^|\.)(?:"
    + "|".join(
        (
            r"attention\.output\.dense",  # BERT, RoBERTa, XLM-R, ELECTRA, DeBERTa, BigBird
            r"attention\.out_lin",  # DistilBERT
            r"attentions\.\d+\.out_lin",  # XLM, FlauBERT
            r"(?<!bottleneck\.)attention\.dense",  # ALBERT, GPT-NeoX; MobileBERT's bottleneck makes queries of it
            r"attention\.attn\.o",  # MPNet
            r"attn\.Wo",  # ModernBERT
            r"attention\.post_proj",  # Funnel
            r"self_attn\.(?:o_proj|out_proj|dense)",  # Gemma, Llama, Qwen; OPT, BioGPT; Phi
            r"attn\.c_proj",  # GPT-2
            r"attn\.(?:attention\.)?out_proj",  # GPT-J, MPT; GPT-Neo
        )
    )
    + ")$"
)
"""How the modules are called that take the heads' contexts, one after the other, and mix them."""

Head = tuple[int, int | None]
"""Layer and head; None for all heads of the layer."""


@dataclass(frozen=True)
class Heads:
    """The heads of a model that can be switched off: modules in the order they are called, one a layer."""

    modules: tuple[Any, ...]
    n_heads: int

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.modules)


def heads_of(loaded: LoadedModel, inputs: Inputs) -> Heads | None:
    """The model's heads, None where they cannot be reached. The first call runs the model once, on `inputs`."""
    if "heads" not in loaded.memo:
        loaded.memo["heads"] = _find(loaded, inputs)
    found: Heads | None = loaded.memo["heads"]
    return found


def unavailable(loaded: LoadedModel) -> str:
    """Why no head can be switched off, for the reader."""
    return _("Heads of models of type {type} cannot be switched off here.").format(type=loaded.model_type)


def _find(loaded: LoadedModel, inputs: Inputs) -> Heads | None:
    import torch

    from core.attention import capture

    n_heads = getattr(loaded.model.config, "num_attention_heads", None)
    if not isinstance(n_heads, int):
        return None
    called: list[Any] = []
    widths: list[int] = []

    def note(module: Any, given: tuple[Any, ...]) -> None:
        called.append(module)
        widths.append(given[0].shape[-1])

    found = [module for name, module in loaded.model.named_modules() if PROJECTIONS.search(name)]
    handles = [module.register_forward_pre_hook(note) for module in found]
    try:
        # Layers that share their weights (ALBERT) are one module: calls, not modules, are layers.
        with torch.inference_mode():
            attention = capture(loaded.run([inputs], attention=True))
    finally:
        for handle in handles:
            handle.remove()
    if not called or any(width % n_heads for width in widths):
        return None
    # Half of ConvBERT's "heads" are convolutions: what is switched off must be what the maps show.
    if attention is not None and attention.shape[:2] != (len(called), n_heads):
        return None
    return Heads(tuple(called), n_heads)


@contextmanager
def switched_off(heads: Heads, rows: Sequence[Iterable[Head]]) -> Iterator[None]:
    """Inside, row n of every batch is computed without the heads of `rows[n]`."""
    import torch

    layer = 0
    wanted: dict[int, list[Head]] = {}
    for number, row in enumerate(rows):
        for place, head in row:
            wanted.setdefault(place, []).append((number, head))

    def silence(_module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        nonlocal layer
        chosen = wanted.get(layer % heads.n_layers)
        layer += 1
        if chosen is None:
            return None
        context = inputs[0]
        keep = torch.ones(len(rows), 1, heads.n_heads, 1, dtype=context.dtype, device=context.device)
        for number, head in chosen:
            keep[number, :, slice(None) if head is None else head] = 0
        split = context.reshape(*context.shape[:-1], heads.n_heads, -1)
        return ((split * keep).reshape(context.shape), *inputs[1:])

    handles = [module.register_forward_pre_hook(silence) for module in dict.fromkeys(heads.modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def without_heads(
    loaded: LoadedModel, inputs: Inputs, knocked: Iterable[Sequence[int | None]]
) -> AbstractContextManager[None]:
    """Inside, the model works without the (layer, head) pairs `knocked`.

    Raises UsageError for pairs that it does not have, and where no head can be switched off.
    """
    heads = heads_of(loaded, inputs)
    if heads is None:
        raise UsageError(unavailable(loaded))
    pairs: list[Head] = []
    for layer, head in knocked:
        if layer is None or not 0 <= layer < heads.n_layers or not (head is None or 0 <= head < heads.n_heads):
            raise UsageError(
                _("There is no layer {layer} with a head {head}.").format(layer=layer, head=head),
                _("Layers {layers}, heads {heads}, counted from 0.").format(
                    layers=f"0–{heads.n_layers - 1}", heads=f"0–{heads.n_heads - 1}"
                ),
            )
        pairs.append((layer, head))
    return switched_off(heads, [pairs])


def knock_out(
    loaded: LoadedModel, inputs: Inputs, task: Task
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Probabilities without each head (layers × heads × classes) and without each layer's (layers × classes).

    None where the model's heads cannot be reached.
    """
    from core.inspector_batches import predict, probabilities

    heads = heads_of(loaded, inputs)
    if heads is None:
        return None
    variants: list[Head] = [(layer, None) for layer in range(heads.n_layers)]
    variants += [(layer, head) for layer in range(heads.n_layers) for head in range(heads.n_heads)]
    logits = predict(
        loaded,
        [inputs] * len(variants),
        task,
        total=len(variants),
        around=lambda indexes: switched_off(heads, [[variants[index]] for index in indexes]),
    )
    values = probabilities(loaded, logits)
    layers, single = values[: heads.n_layers], values[heads.n_layers :]
    return single.reshape(heads.n_layers, heads.n_heads, -1), layers
