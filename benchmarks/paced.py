"""One side of `overhead.py`: trains a few steps when it is told to, says how long they took, and waits.

`paced.py bare REQUEST ANSWER` is the peer, `paced.py worker RUN_DIR` the product's worker. Both train with a callback
that at every `STEPS` steps (environment) ends its turn and waits for a byte on the file descriptor `HEAR`, which costs
no CPU time. The first `LEAD` steps of a turn are not counted; after them, and at the end of the turn, it writes a line
to `TELL`: an empty one, and the seconds and CPU seconds of the steps between.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STEPS, LEAD = "NSMC_TUI_PACE_STEPS", "NSMC_TUI_PACE_LEAD"
TELL, HEAR = "NSMC_TUI_PACE_TELL", "NSMC_TUI_PACE_HEAR"


def pace() -> Any:
    """The callback that waits for its turn."""
    import torch
    from transformers import TrainerCallback

    steps, lead, tell, hear = (int(os.environ[name]) for name in (STEPS, LEAD, TELL, HEAR))

    class Pace(TrainerCallback):
        begun: tuple[float, float] | None = None

        def _end(self) -> None:
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            if self.begun is not None:
                taken = (time.perf_counter() - self.begun[0], time.process_time() - self.begun[1])
                os.write(tell, f"{taken[0]} {taken[1]}\n".encode())
            self.begun = None

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            place = state.global_step % steps
            if place == 0:
                self._end()
                os.read(hear, 1)
            if place == lead:
                os.write(tell, b"\n")
                self.begun = time.perf_counter(), time.process_time()

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._end()

    return Pace()


def bare(request: dict[str, Any]) -> dict[str, Any]:
    """Train as the worker does, without its monitor, sampler and orders."""
    from core.config import RunConfig
    from core.preparation import Preparation
    from core.training import build_trainer

    config = RunConfig.model_validate(request["config"])
    with tempfile.TemporaryDirectory() as directory:
        prepared = Preparation(config, Path(directory)).run(("train",))
        trainer = build_trainer(
            config, prepared.arguments, prepared.model, prepared.tokenizer, prepared.tokens["train"], None, [pace()]
        )
        return {"steps": trainer.train().global_step}


def worker(run_dir: str) -> int:
    """The worker of `run_dir`, its Trainer with one callback more."""
    import core.training
    import core.worker

    build = core.training.build_trainer

    def paced(*args: Any, **kwargs: Any) -> Any:
        trainer = build(*args, **kwargs)
        trainer.add_callback(pace())
        return trainer

    core.training.build_trainer = paced
    return core.worker.main([run_dir])


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        sys.exit(worker(sys.argv[2]))
    from common import answer_part

    del sys.argv[1]
    answer_part(bare)
