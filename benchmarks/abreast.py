"""How `overhead.py` measures on a CPU: two trainings at the same time, a core each.

What slows the machine down slows both, and every half second they change cores. Each has one thread: so all that a
worker does beside training, in whatever thread or process, takes time from its own training, and so does the app that
watches it, which shares its core.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import common
from sides import ALONE, PLAIN, Figures, Side, Taken, Watcher, between, watched_row, watching

CHANGE = 0.5


def possible() -> bool:
    """Whether this machine has two cores that processes can be bound to."""
    return hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1


def measure(options: Any, config: Any, directory: Path, shares: list[float], turn: int) -> Figures:
    """Pairs of the plain training with itself, with a worker, and with one that is watched.

    The watcher's shares of a core are added to `shares`. `options.segment` steps make a pair of times, the first
    `options.lead` are not counted. `turn` is how often it was called before.
    """
    figures: Figures = {}
    environment = {**common.product_environment(config), "OMP_NUM_THREADS": "1"}
    for number, row in enumerate((PLAIN, ALONE, "")):
        # Whose model is built first changes from pair to pair.
        kinds = (row != PLAIN, False) if (number + turn) % 2 else (False, row != PLAIN)
        made = [Side(config, directory, environment, worker=worker, steps=options.reviews, lead=0) for worker in kinds]
        first, second = made if (number + turn) % 2 else reversed(made)
        for side in made:
            side.hear()
        with contextlib.ExitStack() as stack:
            watcher = None if row else stack.enter_context(watching(first))
            if watcher is not None:
                row = watched_row(watcher)
            _train(first, second, watcher, shares)
        stamps = first.finish(), second.finish()
        figures[row] = _windows(stamps, options.segment, options.lead)
    return figures


def _train(first: Side, second: Side, watcher: Watcher | None, shares: list[float]) -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    _bind(first, second, watcher, cores)
    begun, worked = time.perf_counter(), watcher.cpu() if watcher is not None else 0.0
    for side in (first, second):
        side.go()
    while not (first.trained() or second.trained()) and first.alive() and second.alive():
        time.sleep(CHANGE)
        cores.reverse()
        _bind(first, second, watcher, cores)
    if watcher is not None:
        shares.append((watcher.cpu() - worked) / (time.perf_counter() - begun))


def _bind(first: Side, second: Side, watcher: Watcher | None, cores: list[int]) -> None:
    bound = [(first.pid, cores[0]), (second.pid, cores[1])]
    if watcher is not None:
        bound.append((watcher.pid, cores[0]))
    for pid, core in bound:
        # Threads come and go, and a training may be over.
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread), {core})


def _windows(stamps: tuple[list[Taken], list[Taken]], size: int, lead: int) -> list[tuple[Taken, Taken]]:
    """What both took for the same `size` steps. The end of the slower one is left out: nobody trained beside it."""
    count = min(map(len, stamps)) - 1
    begins = range(lead, count - size + 1, size)
    if len(begins) > 4:
        begins = begins[:-2]
    ours, peer = ([between(side, begin, begin + size) for begin in begins] for side in stamps)
    return list(zip(ours, peer, strict=True))
