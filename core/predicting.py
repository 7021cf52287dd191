"""Logits of a whole split: sorted by length, shared among ranks, in the split's own order again.

Heavy: torch is imported inside.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from core.batches import TokenTable, longest_first, without_needless_mask
from core.memory import OutOfMemory
from core.ranks import SOLO, Ranks
from core.ready_mask import takes_ready_mask, with_ready_mask

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
    mine = batches[ranks.rank :: ranks.world]
    training = model.training
    ready = takes_ready_mask(model)
    model.eval()

    def forward(rows: np.ndarray) -> torch.Tensor:
        # Both are properties of a thread.
        with autocast(), _without_gradients(device):
            return _logits(model, reviews, rows, device, ready)

    parts: list[torch.Tensor] = []
    try:
        # Around all batches too: where autocast ends, it forgets the weights that it has cast.
        with autocast(), _lanes(device) as lanes:
            under_way: deque[Future[torch.Tensor]] = deque()
            for number in range(rounds):
                if on_batch is not None:
                    on_batch(number, rounds)
                if number < len(mine):
                    under_way.append(lanes.submit(forward, mine[number]))
                if len(under_way) > lanes.ahead:
                    parts.append(under_way.popleft().result())
            parts += [future.result() for future in under_way]
    finally:
        model.train(training)
    if on_batch is not None:
        on_batch(rounds, rounds)
    classes = int(getattr(model.config, "num_labels", 2))
    # One transfer at the end: the device is never waited for between batches.
    logits = torch.cat(parts).float().cpu().numpy() if parts else np.empty((0, classes), np.float32)
    where = np.concatenate(mine) if mine else np.empty(0, np.int64)
    return ranks.merge(where, logits, len(reviews))


def _without_gradients(device: torch.device) -> AbstractContextManager[None]:
    """Inference mode, but under autocast, which keeps nothing that it casts in that: each batch would cast anew."""
    import torch

    return torch.no_grad() if torch.is_autocast_enabled(device.type) else torch.inference_mode()


class _Here:
    """Runs a call at once, in the calling thread: a GPU works through its queue by itself."""

    ahead = 0

    def submit(self, call: Callable[[np.ndarray], torch.Tensor], rows: np.ndarray) -> Future[torch.Tensor]:
        done: Future[torch.Tensor] = Future()
        done.set_result(call(rows))
        return done


class _Threads:
    """Runs calls on a core each."""

    def __init__(self, pool: ThreadPoolExecutor, cores: int) -> None:
        self._pool = pool
        self.ahead = 2 * cores

    def submit(self, call: Callable[[np.ndarray], torch.Tensor], rows: np.ndarray) -> Future[torch.Tensor]:
        return self._pool.submit(call, rows)


@contextmanager
def _lanes(device: torch.device) -> Iterator[_Here | _Threads]:
    """Where batches are computed: on a CPU several at a time, a core for each.

    Sorted reviews make small batches, whose products are too small to share among cores without waiting for each
    other; whole batches need not wait at all. Work that is not begun when the caller leaves is dropped.
    """
    import torch

    cores = torch.get_num_threads()
    if device.type != "cpu" or cores == 1:
        yield _Here()
        return
    # Threads take this number over when they first compute.
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(cores, thread_name_prefix="predict")
    try:
        yield _Threads(pool, cores)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(cores)


def _logits(
    model: torch.nn.Module, reviews: TokenTable, rows: np.ndarray, device: torch.device, ready: bool
) -> torch.Tensor:
    """Logits of `rows` on `device`; `ready`: by `takes_ready_mask`."""
    import torch

    batch = without_needless_mask(reviews.__getitems__(rows.tolist()))
    inputs = {name: _sent(tensor, device) for name, tensor in batch.items() if name != "labels"}
    if ready:
        inputs = with_ready_mask(inputs)
    with OutOfMemory() as memory:
        output = model(**inputs)
        return output["logits"] if isinstance(output, dict) else output[0]
    if len(rows) == 1:
        raise memory.error
    half = len(rows) // 2
    return torch.cat([_logits(model, reviews, part, device, ready) for part in (rows[:half], rows[half:])])


def _sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on `device`. What is not pinned would be copied while the host waits for all before it."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
