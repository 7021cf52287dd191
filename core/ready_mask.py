"""Attention masks that a model hands on as they are, so that no forward pass waits for the GPU to look at one.

Heavy: works on tensors and models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.first_token import ATTENTION, KIN

if TYPE_CHECKING:
    import torch


def takes_ready_mask(model: torch.nn.Module) -> bool:
    """Whether `model` takes `with_ready_mask`'s in place of a mask of B × length.

    transformers asks of the latter whether it hides anything at all, which is known here, and fetches the answer from
    the device in every forward pass. A mask of four dimensions goes to the attention unseen: models whose own code
    reads nothing else of it take that.
    """
    config: Any = getattr(model, "config", None)
    known = str(getattr(config, "model_type", "")) in KIN and not getattr(config, "is_decoder", False)
    return known and getattr(config, "_attn_implementation", None) == ATTENTION


def with_ready_mask(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`batch`, its mask (B × length, where it has one) as booleans of B × 1 × 1 × length: the same for all queries."""
    mask = batch.get("attention_mask")
    return batch if mask is None else {**batch, "attention_mask": mask.bool()[:, None, None]}
