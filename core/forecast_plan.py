"""The arithmetic of a forecast: which steps to try, what their times say about all, how often what happens.

Light: numpy only, imported inside.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def strata(costs: np.ndarray, count: int, rounds: int, seed: int) -> list[int]:
    """A stratified sample of `costs` (one entry a step, in padded tokens): `rounds` × at most `count` indices.

    Steps sorted by cost are cut into `count` parts of equal size, and each round draws one of every part, so that
    short and long steps are tried in the proportion in which the run has them. Each round is in random order.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    parts = np.array_split(np.argsort(costs, kind="stable"), min(count, len(costs)))
    drawn = []
    for _round in range(rounds):
        drawn += rng.permutation([rng.choice(part) for part in parts]).tolist()
    return [int(index) for index in drawn]


def expected_seconds(costs: np.ndarray, seconds: np.ndarray, all_costs: np.ndarray) -> float:
    """The mean seconds of steps that cost `all_costs`, from tried ones that took `seconds` and cost `costs`.

    The regression estimator (Cochran, Sampling Techniques, 1977, chapter 7): the mean of the sample, corrected along
    the line of least squares for the difference between its mean cost and that of all. A line that falls is noise
    and not used.
    """
    import numpy as np

    spread = float(np.var(costs))
    slope = float(np.mean((costs - costs.mean()) * (seconds - seconds.mean()))) / spread if spread > 0 else 0.0
    estimate = float(seconds.mean()) + max(slope, 0.0) * float(all_costs.mean() - costs.mean())
    # Far outside of what was tried the line may reach zero; nothing takes less than in proportion to its tokens.
    return max(estimate, float(seconds.min()) * min(1.0, float(all_costs.mean() / costs.max())))


def _every(value: float | None, total: int) -> int:
    """`eval_steps` or `save_steps` as a number of steps: below 1 it is a share of all, as in transformers."""
    interval = value or 500.0
    return max(1, math.ceil(interval * total) if interval < 1 else int(interval))


def occasions(strategy: str, interval: float | None, total: int, planned: int, per_epoch: int, delay: float = 0) -> int:
    """How often something happens in `planned` of `total` steps under a strategy of transformers' names.

    `steps`: every `interval` steps and after the last one; `epoch`: at the end of each epoch, the last, cut one too.
    Nothing before `delay` (steps or epochs, as the strategy counts).
    """
    if strategy == "steps":
        every = _every(interval, total)
        moments = {*range(every, planned + 1, every), planned}
        return sum(moment >= delay for moment in moments)
    if strategy == "epoch":
        return sum(min(epoch, planned / per_epoch) >= delay for epoch in range(1, math.ceil(planned / per_epoch) + 1))
    return 0


def steps_in_epoch(batches: int, processes: int, accumulation: int) -> int:
    """Optimizer steps in an epoch of `batches` (those of all processes together); the last may be shorter."""
    return max(1, math.ceil(math.ceil(batches / processes) / accumulation))


def planned_steps(config: Any, total: int, per_epoch: int) -> int:
    """`total`, or fewer where `launch.stop_at_step` or `launch.stop_at_epoch` end the run before."""
    limits = [total]
    if config.launch.stop_at_step is not None:
        limits.append(config.launch.stop_at_step)
    if config.launch.stop_at_epoch is not None:
        limits.append(math.ceil(config.launch.stop_at_epoch * per_epoch))
    return max(1, min(limits))


def kept_checkpoints(saves: int, limit: int, best: bool) -> int:
    """Checkpoints on disk at the fullest, of `saves`, when `limit` are kept (0: all).

    An old one goes only when the new one is whole, which takes the room of one more; the best and the newest stay
    even with a limit of 1.
    """
    if limit <= 0:
        return saves
    return min(saves, max(limit, 2 if best else 1) + 1)
