"""Attention together with its gradient, and the relevance made of both. Needs torch, imported inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.attribution_gradients import embeddings_as, first, score_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_models import Inputs, LoadedModel


@dataclass(frozen=True, eq=False)
class AttentionGradients:
    """One forward and backward pass: attention and its gradient (layers × heads × T × T), gradient × input (T).

    attention and gradients are None for a model that gives no attention from token to token, or whose attention is not
    on the way to its answer.
    """

    attention: NDArray[np.float32] | None
    gradients: NDArray[np.float32] | None
    gradient_x_input: NDArray[np.float64]


def attention_gradients(loaded: LoadedModel, inputs: Inputs, target: int, of: str = "logit") -> AttentionGradients:
    """The attention of one text and the gradient with respect to it of class `target` (`logit` or `probability`)."""
    import numpy as np
    import torch

    from core.attention import capture

    with torch.enable_grad(), embeddings_as(loaded) as seen:
        outputs = loaded.run([inputs], attention=True)
        score = score_of(loaded, outputs.logits, target, of).sum()
        attention = capture(outputs)
        layers: tuple[Any, ...] = () if attention is None else tuple(outputs.attentions)
        tokens = len(inputs["input_ids"])
        leaf = first(seen, tokens)
        gradients = torch.autograd.grad(score, (leaf, *layers), allow_unused=True)
    embedded = (gradients[0] * leaf).detach().sum(-1)[0, :tokens].cpu().double().numpy()
    if attention is None or any(gradient is None for gradient in gradients[1:]):
        return AttentionGradients(attention, None, embedded)
    stacked = np.stack([gradient[0].float().cpu().numpy() for gradient in gradients[1:]])
    return AttentionGradients(attention, stacked, embedded)


def relevance(
    attention: NDArray[np.floating[Any]], gradients: NDArray[np.floating[Any]], layer: int | None = None
) -> NDArray[np.float64]:
    """Relevance (T × T): how much of each input token reaches each position by attention that raises the class.

    Chefer et al. 2021, arXiv:2103.15679, equations 5 and 6, self-attention: from R = I, for each layer up to `layer`
    (None: the last), R becomes R + Ā R, with Ā the mean over heads of the positive part of gradient times attention.
    """
    import numpy as np

    last = len(attention) if layer is None else layer + 1
    result: NDArray[np.float64] = np.eye(attention.shape[-1])
    for weights, gradient in zip(attention[:last], gradients[:last], strict=True):
        positive = np.maximum(gradient.astype(np.float64) * weights, 0).mean(axis=0)
        result = result + positive @ result
    return result
