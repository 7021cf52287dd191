"""What a worker goes on from: the checkpoint's own word on the run it belongs to. Light."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import checkpoints
from core.config import RunConfig
from core.errors import ResumeError
from core.i18n import gettext as _

if TYPE_CHECKING:
    from transformers import TrainerState

Alert = Callable[[str, str, str], None]


class Resumed:
    """The checkpoint that a run goes on from; of a new run `step` and `epoch` are 0 and `path` is None."""

    def __init__(self, checkpoint: checkpoints.Checkpoint | None = None) -> None:
        self.path: Path | None = checkpoint.path if checkpoint is not None else None
        self.step = checkpoint.step if checkpoint is not None else 0
        state = checkpoints.state_of(checkpoint.path) if checkpoint is not None else {}
        self.epoch = float(state.get("epoch") or 0.0)
        self.best: str | None = state.get("best_model_checkpoint")
        self._kept: dict[str, Any] = checkpoints.kept(state)

    def loadable(self, config: RunConfig, alert: Alert) -> RunConfig:
        """`config`; where the directory of its model is gone, with the checkpoint, which has all of it."""
        name = config.model.name
        if self.path is None or config.model.preset is not None or name is None:
            return config
        if not Path(name).is_absolute() or Path(name).is_dir():
            return config
        alert(
            "info",
            "model",
            _("{model} is gone: architecture and tokenizer are those of {checkpoint}").format(
                model=name, checkpoint=self.path.name
            ),
        )
        found = config.model_copy(deep=True)
        found.model.name = str(self.path)
        return found

    def check_data(self, digests: dict[str, str], alert: Alert) -> None:
        """Compare the `digests` of the data's files with those that the checkpoint keeps.

        Raises ResumeError when the train reviews are others: their order is part of what is resumed.
        """
        before = self._kept.get("data")
        if not isinstance(before, dict):
            return
        changed = [split for split, digest in digests.items() if before.get(split, digest) != digest]
        if "train" in changed:
            raise ResumeError(
                _("the train reviews are not those that the run began with: their file has changed"),
                _("Put it back, or start a new run from the weights: `nsmc-tui train --model {path}`.").format(
                    path=self.path
                ),
            )
        if changed:
            alert(
                "warning",
                "data",
                _("the test reviews are not those that the run began with: their file has changed"),
            )

    def check_gpus(self, gpus: int) -> None:
        """Raise ResumeError where one process had another number of GPUs than `gpus`, over which it spreads a batch.

        Then a step would have other reviews than before.
        """
        before = self._kept.get("gpus", gpus)
        if before != gpus:
            raise ResumeError(
                _("the process used {before} GPUs and sees {now}: steps would have other reviews").format(
                    before=before, now=gpus
                ),
                _("Show it as many as before: launch.device, or CUDA_VISIBLE_DEVICES."),
            )


def find_best(best: str | None, folder: Path, state: TrainerState, alert: Alert, *, wanted: bool) -> None:
    """Have `state` name the best checkpoint where the run is now: Trainer keeps its absolute path, and runs are moved.

    `best` is its path as the checkpoint that the run goes on from has it, `folder` that of the run's checkpoints.
    `wanted` says whether the run is to stand for the best one.
    """
    if best is None:
        return
    here = folder / Path(best).name
    if here.is_dir() and not checkpoints.inspect(here).broken:
        state.best_model_checkpoint = str(here)
        return
    state.best_model_checkpoint = None
    if not wanted:
        return
    # A best figure without its model would keep every later one from being taken.
    state.best_metric = state.best_global_step = None
    alert(
        "warning",
        "best",
        _("{checkpoint}, the best one so far, is gone: the best is looked for among those from here on").format(
            checkpoint=here.name
        ),
    )
