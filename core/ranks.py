"""The processes of one run: one on its own, or the ranks that `torch.distributed.run` started.

Heavy: torch is imported inside.
"""

from __future__ import annotations

import datetime
import os
import sys
from typing import Any

import numpy as np


class Ranks:
    """What the ranks of a run have to agree on. On its own, everything here is free.

    Agreement goes through a group of its own (gloo, on the CPU), so that it neither waits for the GPU nor mixes
    with the gradients; its patience is long enough for a pause over a weekend. Every method is collective: all
    ranks call it at the same place.
    """

    PATIENCE = datetime.timedelta(days=30)

    def __init__(self, world: int = 1, rank: int = 0) -> None:
        self.world = world
        self.rank = rank
        self._group: Any = None

    @classmethod
    def from_environment(cls) -> Ranks:
        """This process's place among those that `torch.distributed.run` started; alone without it.

        Some clusters set RANK and WORLD_SIZE for every process: by themselves they mean nothing.
        """
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        return cls(int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0")))

    @property
    def alone(self) -> bool:
        """Whether there is only this process."""
        return self.world <= 1

    @property
    def head(self) -> bool:
        """Whether this is the rank that writes the run directory."""
        return self.rank == 0

    @property
    def together(self) -> bool:
        """Whether the processes can agree on anything yet: they find each other when torch's process group is made."""
        torch = sys.modules.get("torch")
        return self.alone or (torch is not None and bool(torch.distributed.is_initialized()))

    def _our_group(self) -> Any:
        import torch.distributed as dist

        if self._group is None:
            self._group = dist.new_group(backend="gloo", timeout=self.PATIENCE)
        return self._group

    def agree(self, numbers: tuple[float, ...]) -> tuple[float, ...]:
        """Rank 0's `numbers` on every rank."""
        if self.alone:
            return numbers
        import torch
        import torch.distributed as dist

        told = torch.tensor(numbers, dtype=torch.float64)
        dist.broadcast(told, src=0, group=self._our_group())
        return tuple(told.tolist())

    def mean(self, values: list[float]) -> list[float]:
        """The mean over the ranks of each value; all ranks give equally many."""
        if self.alone or not values:
            return values
        import torch
        import torch.distributed as dist

        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total, group=self._our_group())
        return [float(value) for value in (total / self.world).tolist()]

    def merge(self, rows: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
        """`values` (n × …) of each rank's `rows` put together in the order of rows, `count` in all, on every rank."""
        whole = np.empty((count, *values.shape[1:]), dtype=values.dtype)
        if self.alone:
            whole[rows] = values
            return whole
        import torch.distributed as dist

        parts: list[Any] = [None] * self.world
        dist.all_gather_object(parts, (rows, values), group=self._our_group())
        for part_rows, part_values in parts:
            whole[part_rows] = part_values
        return whole

    def wait(self) -> None:
        """Until every rank is here."""
        if not self.alone:
            import torch.distributed as dist

            dist.barrier(group=self._our_group())


SOLO = Ranks()
