"""Logits of a whole split: sorted by length, shared among ranks, in the split's own order again.

Heavy: torch is imported inside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from core.batches import TokenTable, longest_first, without_needless_mask
from core.memory import OutOfMemory
from core.ranks import SOLO, Ranks

if TYPE_CHECKING:
    import torch


def predict(
    model: torch.nn.Module,
    reviews: TokenTable,
    batch_size: int,
    *,
    autocast: Callable[[], Any] = contextlib.nullcontext,
    on_batch: Callable[[int, int], None] | None = None,
    ranks: Ranks = SOLO,
) -> np.ndarray:
    """Logits (N × classes, float32) of `reviews` in their own order, by `model` on the device it is on.

    `batch_size` reviews at a time, fewer from the moment a batch does not fit into the GPU's memory.
    `on_batch(done, total)` is called before each batch on every rank and may raise to leave. The model is put
    back into the mode it was in. Random numbers are neither used nor moved on: evaluating changes no training.
    """
    import torch

    device = next(model.parameters()).device
    batches = longest_first(reviews.lengths, batch_size)
    rounds = -(-len(batches) // ranks.world)
    training = model.training
    model.eval()
    rows, parts = [], []
    try:
        with torch.inference_mode(), autocast():
            for number in range(rounds):
                if on_batch is not None:
                    on_batch(number, rounds)
                mine = number * ranks.world + ranks.rank
                if mine < len(batches):
                    rows.append(batches[mine])
                    parts.append(_logits(model, reviews, batches[mine], device))
    finally:
        model.train(training)
    if on_batch is not None:
        on_batch(rounds, rounds)
    classes = int(getattr(model.config, "num_labels", 2))
    # One transfer at the end: the device is never waited for between batches.
    logits = torch.cat(parts).float().cpu().numpy() if parts else np.empty((0, classes), np.float32)
    where = np.concatenate(rows) if rows else np.empty(0, np.int64)
    return ranks.merge(where, logits, len(reviews))


def _logits(model: torch.nn.Module, reviews: TokenTable, rows: np.ndarray, device: torch.device) -> torch.Tensor:
    import torch

    batch = without_needless_mask(reviews.__getitems__(rows.tolist()))
    inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items() if name != "labels"}
    with OutOfMemory() as memory:
        output = model(**inputs)
        return output["logits"] if isinstance(output, dict) else output[0]
    if len(rows) == 1:
        raise memory.error
    half = len(rows) // 2
    return torch.cat([_logits(model, reviews, part, device) for part in (rows[:half], rows[half:])])
