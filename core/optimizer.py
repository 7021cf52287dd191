"""Parameter groups of the optimizer: weight decay, and a learning rate for each layer.

Heavy: works on a torch model; torch itself is imported by whoever made it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from core.model_parts import split

if TYPE_CHECKING:
    import torch


def parameter_groups(
    model: torch.nn.Module,
    learning_rate: float,
    weight_decay: float,
    layer_lr_decay: float,
    decay_names: Collection[str],
) -> list[dict[str, Any]]:
    """Groups for a torch optimizer, each with `params`, `lr` and `weight_decay`.

    The head learns at `learning_rate`, each layer below at `layer_lr_decay` of the rate of the one above it, the
    embeddings at the lowest: discriminative fine-tuning (Howard and Ruder 2018, ULMFiT, section 3.2), for BERT Sun
    et al. 2019, "How to Fine-Tune BERT for Text Classification?", section 4.3 (0.95 there). With a decay of 1 there
    are just the two groups that `Trainer` makes.

    `decay_names` are the parameters that weight decay applies to (`Trainer.get_decay_parameter_names`). Frozen
    parameters are left out, and so are empty groups. The head comes first: `Trainer` logs the first group's rate.
    Raises ModelError when the layers of the model have no order and the decay is below 1.
    """
    decayed = frozenset(decay_names)
    if layer_lr_decay == 1:
        return _by_decay(model.named_parameters(), learning_rate, weight_decay, decayed)
    parts = split(model)
    groups = []
    for depth, floor in enumerate([parts.head, *reversed(parts.layers), parts.embeddings]):
        groups += _by_decay(floor, learning_rate * layer_lr_decay**depth, weight_decay, decayed)
    return groups


def _by_decay(
    named: Iterable[tuple[str, torch.nn.Parameter]], rate: float, weight_decay: float, decayed: frozenset[str]
) -> list[dict[str, Any]]:
    with_decay: list[torch.nn.Parameter] = []
    without: list[torch.nn.Parameter] = []
    for name, parameter in named:
        if parameter.requires_grad:
            (with_decay if name in decayed else without).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": share}
        for parameters, share in ((with_decay, weight_decay), (without, 0.0))
        if parameters
    ]
