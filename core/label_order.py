"""Which class is the positive one: models of others that count positive as 0 are turned round.

Everything here takes class 0 for negative (부정) and class 1 for positive (긍정), as NSMC does. A classifier whose
config names them the other way round would be scored upside down, or begin training so, without anybody noticing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEGATIVE = frozenset({"negative", "neg", "부정", "부정적"})
POSITIVE = frozenset({"positive", "pos", "긍정", "긍정적"})


def is_reversed(id2label: Mapping[Any, Any]) -> bool:
    """Whether the names of a model's classes, by number, say that 0 is positive and 1 negative."""
    names = {int(number): str(name).strip().casefold() for number, name in id2label.items()}
    return len(names) == 2 and names.get(0) in POSITIVE and names.get(1) in NEGATIVE


def turn_round(model: Any) -> None:
    """Have a two-class `transformers` classifier answer with the negative class first; weights stay as they are."""

    def swap(_module: Any, _inputs: Any, output: Any) -> Any:
        output.logits = output.logits.flip(-1)
        return output

    model.register_forward_hook(swap)


def head_of(model: Any) -> str:
    """The name of the layer of a two-class `transformers` classifier that gives its logits; empty where none is found.

    It is the last linear one with two outputs outside the encoder.
    """
    from torch.nn import Linear

    encoder = f"{model.base_model_prefix}."
    found = [
        name
        for name, module in model.named_modules()
        if isinstance(module, Linear) and module.out_features == 2 and not name.startswith(encoder)
    ]
    return found[-1] if found else ""


def turn_head(model: Any, name: str) -> None:
    """Exchange the classes of the layer `name` (`head_of`) in its weights, so that what is trained and saved has them.

    `turn_round` would be lost with the process.
    """
    import torch

    layer = model.get_submodule(name)
    with torch.no_grad():
        for weights in (layer.weight, layer.bias):
            if weights is not None:
                weights.copy_(weights.flip(0))
