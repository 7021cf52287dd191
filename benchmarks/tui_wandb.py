"""An offline W&B run with the values of our benchmarks; run by the interpreter that wandb is installed in.

`python benchmarks/tui_wandb.py DIR STEPS [PER_SECOND]` logs STEPS steps of six metrics, at once or so many a second.
"""

from __future__ import annotations

import random
import sys
import time

import wandb
from tui_runs import values


def main() -> None:
    """Log, and print the run's directory before the first step."""
    directory, steps = sys.argv[1], int(sys.argv[2])
    pause = 1 / float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    settings = wandb.Settings(silent=True, x_disable_stats=True, console="off")
    run = wandb.init(mode="offline", dir=directory, project="benchmark", settings=settings)
    print(run.dir, flush=True)
    chance = random.Random(7)
    begun = time.time()
    for step in range(1, steps + 1):
        run.log(values(step, steps, chance), step=step)
        if pause:
            time.sleep(max(0.0, begun + step * pause - time.time()))
    run.finish()


if __name__ == "__main__":
    main()
