"""The floors of an encoder, from its embeddings to its head: what freezing and layer-wise rates go by.

Heavy: torch is imported by whoever has a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import ModelError
from core.i18n import gettext as _

if TYPE_CHECKING:
    import torch

# Where transformers' encoders keep their layers, below the base model.
LAYERS = ("encoder.layer", "encoder.layers", "encoder.blocks", "transformer.layer", "layers", "layer", "h")
# Parts of the base model that come after the last layer, as a prefix of their parameters' names.
POOLERS = ("pooler", "pooler_activation")
LAST = ("final_norm", "norm", "ln_f", "encoder.norm", "encoder.final_layer_norm")
# XLM-RoBERTa-XL's norm after the last layer; DeBERTa-v2's of that name is for the relative positions all layers share.
LAST_OR_SHARED = "encoder.LayerNorm"


@dataclass(frozen=True)
class Parts:
    """A classifier's parameters by floor, each a list of (name, parameter) with the model's own names.

    embeddings: all that the layers build on, such as projections and relative positions that they share.
    layers: one list a layer, the lowest first; the norm after the last layer belongs to it.
    head: the classification head, a pooler included: it is made for one sentence-level task, and many checkpoints
        come without it.
    """

    embeddings: list[tuple[str, torch.nn.Parameter]]
    layers: list[list[tuple[str, torch.nn.Parameter]]]
    head: list[tuple[str, torch.nn.Parameter]]


def _base_prefix(model: Any) -> str:
    prefix = getattr(model, "base_model_prefix", "")
    if not prefix or not hasattr(model, prefix):
        raise ModelError(
            _("{model} does not tell its encoder from its head").format(model=type(model).__name__),
            _('Set model.freeze = "none" and train.layer_lr_decay = 1.'),
        )
    return str(prefix)


def _is_under(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def encoder_and_head(model: torch.nn.Module) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """All parameters of `model` as (below the head, head). Raises ModelError for a model that has no such border."""
    prefix = _base_prefix(model)
    below: list[tuple[str, Any]] = []
    head: list[tuple[str, Any]] = []
    for name, parameter in model.named_parameters():
        inner = name.removeprefix(f"{prefix}.")
        (head if inner == name or _is_under(inner, POOLERS) else below).append((name, parameter))
    return below, head


def _layer_names(base: Any) -> list[str]:
    """The names of the layers below `base`, the lowest first; a block of layers is opened."""
    import torch

    for path in LAYERS:
        found = base
        for part in path.split("."):
            found = getattr(found, part, None)
        if isinstance(found, torch.nn.ModuleList):
            return list(_leaves(path, found))
    return []


def _leaves(path: str, modules: Any) -> Iterator[str]:
    import torch

    for number, module in enumerate(modules):
        if isinstance(module, torch.nn.ModuleList):
            yield from _leaves(f"{path}.{number}", module)
        else:
            yield f"{path}.{number}"


def split(model: torch.nn.Module) -> Parts:
    """The floors of `model`, a sequence classifier of transformers.

    Raises ModelError for what has no order of layers: encoder-decoders, weights shared by all layers (ALBERT), and
    architectures whose layers are not found.
    """
    prefix = _base_prefix(model)
    base, config = getattr(model, prefix), model.config
    kind = str(getattr(config, "model_type", type(model).__name__))
    way_out = _('model.freeze = "none" or "encoder" and train.layer_lr_decay = 1 work with any model.')
    if kind == "albert":
        raise ModelError(_("{model}: all layers share the same weights").format(model=kind), way_out)
    names = [] if getattr(config, "is_encoder_decoder", False) else _layer_names(base)
    if not names:
        raise ModelError(_("{model}: its layers cannot be told apart").format(model=kind), way_out)
    last = LAST if hasattr(getattr(base, "encoder", None), "rel_embeddings") else (*LAST, LAST_OR_SHARED)
    number_of = {f"{prefix}.{name}.": number for number, name in enumerate(names)}
    embeddings: list[tuple[str, Any]] = []
    layers: list[list[tuple[str, Any]]] = [[] for _name in names]
    below, head = encoder_and_head(model)
    for name, parameter in below:
        owner = next((number for start, number in number_of.items() if name.startswith(start)), None)
        if owner is None and _is_under(name.removeprefix(f"{prefix}."), last):
            owner = len(names) - 1
        (embeddings if owner is None else layers[owner]).append((name, parameter))
    return Parts(embeddings, layers, head)
