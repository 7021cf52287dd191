"""Frozen layers: which weights training leaves as they are.

Heavy: works on a torch model; torch itself is imported by whoever made it.
"""

from __future__ import annotations

from typing import Any

from core.errors import ModelError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.model_parts import encoder_and_head, split


def freeze(model: Any, setting: str) -> int:
    """Freeze what `model.freeze` says, and return the number of frozen parameters (weights, not tensors).

    `model` is a sequence classifier of transformers, `setting` one of:
    `none`; `embeddings`, all that the layers build on; a number N, embeddings and the N lowest layers; `encoder`,
    everything below the classification head (a pooler counts as head). Layers stay in training mode, so that their
    dropout works as in the rest. Raises ModelError when N is above the number of layers, or the model's layers have
    no order (ALBERT's share their weights; encoder-decoders).
    """
    if setting == "none":
        return 0
    if setting == "encoder":
        frozen = encoder_and_head(model)[0]
    else:
        parts = split(model)
        wanted = 0 if setting == "embeddings" else int(setting)
        if wanted > len(parts.layers):
            raise ModelError(
                ngettext(
                    "model.freeze = {wanted}, but {model} has {n} layer",
                    "model.freeze = {wanted}, but {model} has {n} layers",
                    len(parts.layers),
                ).format(wanted=wanted, model=model.config.model_type, n=len(parts.layers)),
                _("Give a number up to {n}; {n} trains the head alone, as `encoder` does.").format(n=len(parts.layers)),
            )
        frozen = [*parts.embeddings, *(pair for layer in parts.layers[:wanted] for pair in layer)]
    for _name, parameter in frozen:
        parameter.requires_grad_(False)
    return sum(parameter.numel() for _name, parameter in frozen)
