"""One side of `overhead.py`: trains when it is told to, and writes down when each step began.

`paced.py bare REQUEST ANSWER` is the peer, `paced.py worker RUN_DIR` the product's worker. Both train with one callback
more. Before the first step, and then at every `STEPS` steps (environment), it writes a line to the file descriptor
`TELL` and waits for a byte on `HEAR`, which costs no CPU time. `LEAD` steps behind each wait, and at the end, it writes
a line too. The file `STAMPS` then holds, as JSON, the time and the CPU seconds of the process when each step began and
when each turn between two waits ended.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STEPS, LEAD = "NSMC_TUI_PACE_STEPS", "NSMC_TUI_PACE_LEAD"
TELL, HEAR = "NSMC_TUI_PACE_TELL", "NSMC_TUI_PACE_HEAR"
STAMPS = "NSMC_TUI_PACE_STAMPS"


def pace() -> Any:
    """The callback that waits for its turn and keeps the time."""
    import torch
    from transformers import TrainerCallback

    steps, lead, tell, hear = (int(os.environ[name]) for name in (STEPS, LEAD, TELL, HEAR))
    stamps: list[tuple[float, float]] = []
    # What others see is complete or not there.
    target = Path(os.environ[STAMPS])

    def stamp() -> None:
        stamps.append((time.perf_counter(), time.process_time()))

    def wait_for_gpu() -> None:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()

    class Pace(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            place = state.global_step % steps
            if place == 0:
                wait_for_gpu()
                if state.global_step:
                    stamp()
                os.write(tell, b"\n")
                os.read(hear, 1)
            if place == lead:
                wait_for_gpu()
                os.write(tell, b"\n")
            stamp()

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            wait_for_gpu()
            stamp()
            part = target.with_suffix(".part")
            part.write_text(json.dumps(stamps), encoding="utf-8")
            part.replace(target)
            os.write(tell, b"\n")

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
