"""Dropout on the CPU at a fraction of torch's price, from random numbers that belong to a part of a batch.

torch draws the numbers of a mask one after the other on one core, from one generator for the whole process: about a
tenth of a small model's step, and an order that depends on which thread comes first. Here a mask is cut from 16 bits
a value of an SFC64 stream (Doty-Humphrey's "small fast counting" generator, as in numpy), and each thread draws from
the stream that `drawing` gave it. Heavy: torch is imported on top.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

VALUES = 1 << 16
ATTENTION = "sdpa"
# What transformers' function does more than plain attention for.
NOT_PLAIN = ("position_bias", "cache", "softcap")

_thread = threading.local()


class Stream:
    """Dropout masks from one seed: the same seed and the same shapes in the same order give the same masks."""

    def __init__(self, seed: Sequence[int]) -> None:
        self._bits = np.random.SFC64(list(seed))

    def mask(self, shape: Sequence[int], keep: int, dtype: torch.dtype) -> torch.Tensor:
        """A tensor of `shape`: 0, or with a probability of `keep` / 65536 its inverse, so that the mean is 1."""
        count = 1
        for size in shape:
            count *= size
        drawn = self._bits.random_raw(-(-count // 4)).view(np.int16)
        bits = torch.from_numpy(drawn)[:count].view(*shape)
        return bits.ge(VALUES // 2 - keep).to(dtype).mul_(VALUES / keep)


@contextmanager
def drawing(seed: Sequence[int]) -> Iterator[None]:
    """Have this thread's dropout draw from a stream of `seed`; without it torch's own generator is asked."""
    _thread.stream = Stream(seed)
    try:
        yield
    finally:
        _thread.stream = None


def _stream(tensor: torch.Tensor, p: float) -> tuple[Stream | None, int]:
    """This thread's stream, None where torch's dropout has to do it, and how many of 65536 values are kept."""
    keep = round(VALUES * (1 - p))
    stream: Stream | None = getattr(_thread, "stream", None)
    return (stream if 0 < keep < VALUES and tensor.device.type == "cpu" else None), keep


class StreamDropout(nn.Dropout):
    """`nn.Dropout` that takes its masks from the thread's stream, where there is one; `p` is met to 1 / 65536."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """`input` with a share `p` of its values zero and the others scaled, while training."""
        stream, keep = _stream(input, self.p) if self.training else (None, 0)
        if stream is None:
            return super().forward(input)
        return input * stream.mask(input.shape, keep, input.dtype)


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """transformers' `sdpa` attention (each B × heads × length × size), its dropout from the thread's stream.

    With dropout torch's kernel computes the same products and masks one after the other on a CPU too. Whatever is
    not plain attention of one sequence to itself is left to transformers.
    """
    stream, keep = _stream(query, dropout) if dropout > 0 else (None, 0)
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
    plain = query.shape[1] == key.shape[1] and not any(kwargs.get(name) is not None for name in NOT_PLAIN)
    if stream is None or not plain or (causal and attention_mask is None):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **kwargs
        )
    batch, heads, asking, size = query.shape
    lines, length = batch * heads, key.shape[2]
    scores = torch.bmm(query.reshape(lines, asking, size), key.transpose(2, 3).reshape(lines, size, length))
    scores = scores.mul_(size**-0.5 if scaling is None else scaling)
    if attention_mask is not None:
        if attention_mask.dtype == torch.bool:
            # The least number instead of -inf: a row that may look at nothing stays a number.
            attention_mask = torch.where(attention_mask, 0.0, torch.finfo(scores.dtype).min)
        scores = scores.view(batch, heads, asking, length).add_(attention_mask).view(lines, asking, length)
    weights = torch.softmax(scores, dim=-1)
    weights = weights * stream.mask(weights.shape, keep, weights.dtype)
    found = torch.bmm(weights, value.reshape(lines, length, -1))
    return found.view(batch, heads, asking, -1).transpose(1, 2).contiguous(), None


def install(model: nn.Module) -> None:
    """Let the dropout layers of `model` and transformers' `sdpa` attention ask for the thread's stream."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, StreamDropout(child.p, child.inplace))
    # Shadows the entry for this process; without a stream it does what it did.
    ALL_ATTENTION_FUNCTIONS[ATTENTION] = attention
