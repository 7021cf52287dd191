"""Many variants of a text through a model, in batches that stay short enough to be cancelled between.

Only texts of equally many tokens share a batch: without padding a batch gives what each text alone would. Needs torch,
imported inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_models import Inputs, LoadedModel
    from core.inspector_ops import Task

QUICK, SLOW = 0.08, 0.25
"""Seconds: a batch that took less lets the next one double, one that took more halves it."""

MOST_ROWS = 256


class Pace:
    """How many rows the next batch has, so that cancelling takes effect within about a quarter of a second."""

    def __init__(self, most: int = MOST_ROWS) -> None:
        self._most = max(1, most)
        self.rows = 1

    def took(self, seconds: float) -> None:
        """Tell how long a batch of `rows` took."""
        if seconds < QUICK:
            self.rows = min(2 * self.rows, self._most)
        elif seconds > SLOW:
            self.rows = max(1, self.rows // 2)


def paced(count: int, task: Task, pace: Pace, work: Callable[[int, int], None], done: int = 0, total: int = 0) -> None:
    """Call `work(first, last)` for batches of `count` rows, checking and telling progress (`done` of `total`) between.

    Raises RequestCancelledError when the request was taken back.
    """
    first = 0
    while first < count:
        task.check()
        last = min(count, first + pace.rows)
        started = time.perf_counter()
        work(first, last)
        pace.took(time.perf_counter() - started)
        first = last
        if total:
            task.progress(done + first, total)


def predict(
    loaded: LoadedModel,
    rows: Sequence[Inputs],
    task: Task,
    *,
    done: int = 0,
    total: int = 0,
    around: Callable[[list[int]], AbstractContextManager[object]] | None = None,
) -> NDArray[np.float32]:
    """The logits (rows × classes) of `rows`.

    done, total: progress in rows to tell, from `done`; nothing without `total`. around: a context for each batch, made
    from the indexes of its rows (to intervene in the model); without it rows that are the same are computed once.
    """
    import numpy as np
    import torch

    of_row: dict[object, int] = {}
    unique: list[int] = []
    places = []
    for index, row in enumerate(rows):
        key: object = index if around is not None else tuple(row["input_ids"])
        if key not in of_row:
            of_row[key] = len(unique)
            unique.append(index)
        places.append(of_row[key])
    by_length: dict[int, list[int]] = {}
    for place, index in enumerate(unique):
        by_length.setdefault(len(rows[index]["input_ids"]), []).append(place)
    results: NDArray[np.float32] | None = None
    pace = Pace()
    told = done + len(rows) - len(unique)
    for group in by_length.values():

        def work(first: int, last: int, group: list[int] = group) -> None:
            nonlocal results
            places = group[first:last]
            indexes = [unique[place] for place in places]
            context = nullcontext() if around is None else around(indexes)
            with torch.inference_mode(), context:
                logits = loaded.run([rows[index] for index in indexes]).logits.float().cpu().numpy()
            if results is None:
                results = np.empty((len(unique), logits.shape[-1]), np.float32)
            results[places] = logits

        paced(len(group), task, pace, work, told, total)
        told += len(group)
    if results is None:
        return np.empty((0, loaded.model.config.num_labels), np.float32)
    chosen: NDArray[np.float32] = results[places]
    return chosen


def probabilities(loaded: LoadedModel, logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The probabilities (rows × classes) of `logits` (rows × classes)."""
    import torch

    result: NDArray[np.float64] = loaded.probabilities(torch.from_numpy(logits)).double().numpy()
    return result
