"""The loss of every optimizer step, exactly, without waiting for the GPU at every step. Heavy: torch inside."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from core.ranks import SOLO, Ranks

if TYPE_CHECKING:
    import torch


class LossLog:
    """Collects losses on the device and brings them to the host when somebody looks.

    Losses of the batches of one optimizer step add up to the step's, because each is divided by the reviews of
    the whole step; over ranks the step's loss is their mean. Means are sums of float64 over the steps (`fsum`):
    they do not depend on when somebody looked, so that a resumed run logs the same digits.
    """

    def __init__(self, ranks: Ranks = SOLO) -> None:
        self._ranks = ranks
        self._steps: list[int] = []
        self._tensors: list[torch.Tensor] = []
        self._window: list[float] = []
        self._new: list[tuple[int, float]] = []
        self.total = 0.0
        self.count = 0

    def add(self, step: int, loss: torch.Tensor) -> None:
        """Add a batch's share (a scalar on any device) to the loss of `step`."""
        if self._steps and self._steps[-1] == step:
            self._tensors[-1] = self._tensors[-1] + loss.detach()
        else:
            self._steps.append(step)
            self._tensors.append(loss.detach())

    def settle(self) -> None:
        """Bring everything to the host. Collective: every rank at the same step."""
        if not self._steps:
            return
        import torch

        values = self._ranks.mean(torch.stack([tensor.float() for tensor in self._tensors]).tolist())
        for step, value in zip(self._steps, values, strict=True):
            self._window.append(value)
            self._new.append((step, value))
            self.total += value
            self.count += 1
        self._steps, self._tensors = [], []

    def take_new(self) -> list[tuple[int, float]]:
        """(step, loss) of the steps since the last call."""
        self.settle()
        new, self._new = self._new, []
        return new

    def take_window(self) -> float:
        """The mean loss of the steps since the last call; NaN of none."""
        self.settle()
        window, self._window = self._window, []
        return mean(window)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"window": self._window, "total": self.total, "count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from the `state` of a checkpoint."""
        self._window = [float(value) for value in state.get("window", [])]
        self.total, self.count = float(state.get("total", 0.0)), int(state.get("count", 0))


def mean(values: list[float]) -> float:
    """The mean of `values`: NaN of none, infinite or NaN where one of them is."""
    if not values:
        return math.nan
    finite = all(math.isfinite(value) for value in values)
    return (math.fsum(values) if finite else sum(values)) / len(values)
