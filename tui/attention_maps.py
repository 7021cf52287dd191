"""The maps that are made of one review's attention, kept while it is in view: means, rollout, small pictures of heads.

A mean over 24 layers and 16 heads of 512 tokens reads 400 MB. What was computed once is kept, and `warm` computes what
the next keys may ask for; it is safe to call from a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from core import attention as attentions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.inspector_protocol import Inspection

    Floats = NDArray[np.floating[Any]]

LARGE = 8 << 20
"""Bytes of attention from which means are worth computing ahead of time, off the event loop."""


class AttentionMaps:
    """The maps (tokens × tokens) of `inspection`, which has attention."""

    def __init__(self, inspection: Inspection) -> None:
        assert inspection.attention is not None
        self.attention: NDArray[np.float32] = inspection.attention
        self._special = np.asarray(inspection.special_mask, dtype=bool)
        self._kept: dict[tuple[Any, ...], Any] = {}
        self._lock = Lock()

    @property
    def large(self) -> bool:
        """Whether `warm` is worth a thread."""
        return self.attention.nbytes > LARGE

    def matrix(self, method: str, layer: int | None, head: int | None) -> Floats:
        """The map of `method` (`attention` or `rollout`); `layer` and `head` None for means, as `core.attention`."""
        if method == "rollout":
            return self.keep(("rollout", layer), lambda: self._rollout(layer))
        if layer is not None and head is not None:
            return self.attention[layer, head]
        if layer is not None:
            return self.keep(("layer", layer), lambda: attentions.select(self.attention, layer, None))
        if head is not None:
            return self.keep(("head", head), lambda: attentions.select(self.attention, None, head))
        return self.keep(("all",), self._mean_of_all)

    def warm(self) -> None:
        """Compute every mean and the rollout of the last layer."""
        layers, heads = self.attention.shape[:2]
        for layer in range(layers):
            self.matrix("attention", layer, None)
        self.matrix("attention", None, None)
        for head in range(heads):
            self.matrix("attention", None, head)
        self.matrix("rollout", layers - 1, None)

    def small(self, size: int, special: bool) -> NDArray[np.float32]:
        """Each head as a small map (layers × heads × side × side), at most `size` a side, the highest of each patch.

        `special` False leaves out the tokens that the tokenizer added.
        """
        kept = self.keep(("small", size, special), lambda: self._small(size, special))
        return np.asarray(kept, dtype=np.float32)

    def keep(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What is kept under `key`; `make` makes it where there is nothing yet."""
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            # Twice at the same time is harmless: both find the same.
            found = make()
            with self._lock:
                self._kept[key] = found
        return found

    # -- computing ---------------------------------------------------------------------------------------------

    def _mean_of_all(self) -> Floats:
        # The mean of the layers' means, which are kept anyhow.
        layers = [self.matrix("attention", layer, None) for layer in range(self.attention.shape[0])]
        mean: Floats = np.mean(layers, axis=0)
        return mean

    def _rollout(self, layer: int | None) -> Floats:
        last = self.attention.shape[0] - 1 if layer is None else layer
        if last >= self.attention.shape[0] or not self.large:
            return attentions.rollout(self.attention, layer)
        # As core.attention.rollout, from the kept means and the kept rollout of the layer before.
        size = self.attention.shape[-1]
        mixed = 0.5 * self.matrix("attention", last, None).astype(np.float64) + 0.5 * np.eye(size)
        mixed /= mixed.sum(axis=-1, keepdims=True)
        return mixed if last == 0 else mixed @ self.matrix("rollout", last - 1, None)

    def _small(self, size: int, special: bool) -> Floats:
        layers, heads, tokens = self.attention.shape[:3]
        shown = np.arange(tokens) if special else np.flatnonzero(~self._special)
        side = max(1, min(size, len(shown)))
        if not len(shown):
            return np.zeros((layers, heads, 1, 1), dtype=np.float32)
        bounds = np.linspace(0, len(shown), side + 1).astype(int)[:-1]
        result = np.empty((layers, heads, side, side), dtype=np.float32)
        for layer in range(layers):
            maps = self.attention[layer]
            if len(shown) == shown[-1] - shown[0] + 1:
                # Added tokens mostly stand at the ends: what is between them need not be copied.
                maps = maps[:, shown[0] : shown[-1] + 1, shown[0] : shown[-1] + 1]
            else:
                maps = maps[:, shown][:, :, shown]
            result[layer] = np.maximum.reduceat(np.maximum.reduceat(maps, bounds, axis=1), bounds, axis=2)
        return result
