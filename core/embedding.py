"""What a classifier decides on: the vector that goes into its last layer, for each text.

Whatever lies before it (`[CLS]` and a pooler, a dense layer, the mean of all tokens, the last token of a left-to-right
model), that vector is all that the answer depends on. Needs torch, imported inside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.errors import ModelError
from core.i18n import gettext as _

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_models import LoadedModel

_SURROGATE = re.compile("[\ud800-\udfff]")


def last_layer(model: Any) -> Any:
    """The linear layer of `model` that gives the logits. Raises ModelError when it has none that can be told."""
    import torch

    classes, body = model.config.num_labels, f"{model.base_model_prefix}."
    found = [
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == classes and not name.startswith(body)
    ]
    if not found:
        raise ModelError(
            _("Models of type {type} do not show what their classifier reads.").format(type=model.config.model_type),
            _("There are no nearest reviews for them; everything else works."),
        )
    return found[-1]


def embed(loaded: LoadedModel, texts: Sequence[str], max_length: int | None) -> NDArray[np.float32]:
    """The vectors (texts × width) that the classifier reads of `texts`, cut to `max_length` tokens and the window.

    Texts of about one length in one call spare padding. Raises ModelError as `last_layer` does.
    """
    import torch

    limit = min((n for n in (max_length, loaded.window) if n is not None), default=None)
    options: dict[str, Any] = {} if limit is None else {"truncation": True, "max_length": limit}
    batch = loaded.tokenizer(
        [_SURROGATE.sub("\ufffd", text) for text in texts],
        padding=len(texts) > 1,
        return_tensors="pt",
        verbose=False,
        **options,
    )
    inputs = {name: tensor.to(loaded.device) for name, tensor in batch.items() if name in loaded.accepts}
    seen: list[Any] = []
    hook = last_layer(loaded.model).register_forward_pre_hook(lambda _layer, given: seen.append(given[0]))
    try:
        with torch.inference_mode():
            loaded.model(**inputs, return_dict=True)
    finally:
        hook.remove()
    vectors = seen[-1].float()
    if vectors.dim() == 3:
        # Left-to-right models give logits to every token and read those of the last one that is no padding.
        mask = batch["attention_mask"].to(loaded.device)
        places = torch.arange(mask.shape[1], device=mask.device)
        last = (mask * places).argmax(dim=1)
        vectors = vectors[torch.arange(len(texts), device=last.device), last]
    result: NDArray[np.float32] = vectors.cpu().numpy()
    return result
