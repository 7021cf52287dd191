"""How `overhead.py` measures on a GPU, of which there is one: in turns.

The plain training, a worker, and a worker that is watched train at the same time, but each takes the same steps over
the same batches while the others wait. The app is stopped (SIGSTOP) outside of its worker's turns. The order of the
turns rotates. The first steps of a turn (`--lead`) are not counted: what goes by the clock (an event, a picture of the
app) is due at once after the wait, and a run that never waits has none of it. The first and the last turn of each are
not counted either: caches are cold, or the others are saving already.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import common
from sides import ALONE, PLAIN, Figures, Side, Taken, Watcher, between, watched_row, watching


def measure(options: Any, config: Any, directory: Path, shares: list[float], turn: int) -> Figures:
    """A worker's and a watched worker's turns, each with the plain training's of the same steps.

    The watcher's share of a core in each turn is added to `shares`. `turn`, how often it was called before, makes no
    difference.
    """
    # One for all: it depends on how busy the machine is at that moment.
    environment = common.product_environment(config)
    steps, lead = options.segment, options.lead
    plain, alone, seen = (
        Side(config, directory, environment, worker=worker, steps=steps, lead=lead) for worker in (False, True, True)
    )
    sides = [plain, alone, seen]
    for side in sides:
        side.hear()
    with watching(seen) as watcher:
        watcher.hold(True)
        order = list(sides)
        going_on = True
        while going_on:
            for side in order:
                going_on = _turn(side, watcher if side is seen else None, shares) and going_on
            order = order[1:] + order[:1]
        watcher.hold(False)
        # A side that has turns left takes them.
        for side in sides:
            while not side.trained() and side.alive():
                side.go()
                side.hear()
        peer, *ours = (_turns(side.finish(), steps, lead) for side in sides)
    rows = (PLAIN, ALONE, watched_row(watcher))
    return {row: list(zip(turns, peer, strict=False)) for row, turns in zip(rows, (peer, *ours), strict=True)}


def _turn(side: Side, watcher: Watcher | None, shares: list[float]) -> bool:
    """Let a side take its turn; False when it has none left."""
    if watcher is not None:
        watcher.hold(False)
    side.go()
    counted = side.hear()
    begun, worked = time.perf_counter(), watcher.cpu() if watcher is not None else 0.0
    going_on = side.hear() and not side.trained()
    if watcher is not None:
        if counted:
            shares.append((watcher.cpu() - worked) / (time.perf_counter() - begun))
        watcher.hold(True)
    return going_on


def _turns(stamps: list[Taken], steps: int, lead: int) -> list[Taken]:
    """What each whole turn took. Each step's beginning is a stamp, and a turn's end one more."""
    begins = range(0, len(stamps) - steps, steps + 1)
    turns = [between(stamps, begin + lead, begin + steps) for begin in begins]
    return turns[1:-1] if len(turns) > 3 else turns
