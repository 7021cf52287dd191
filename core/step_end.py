"""What is logged, scored and saved after a step, so that a run goes on from any checkpoint as if it had never ended.

Heavy: imported by the worker and what measures it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerControl, TrainerState
from transformers.optimization import GreedyLR
from transformers.trainer_callback import DefaultFlowCallback, ExportableState

from core import checkpoints
from core.lean_trainer import LeanTrainer
from core.monitor import Monitor
from core.paths import write_atomically

# In what a checkpoint keeps: that the evaluation due at its step is still to be made, and which checkpoint was the
# best before a stop had its own scored.
OWED = "evaluation_owed"
BEFORE_STOP = "best_before_stop"
# Schedules whose step is an evaluation.
BY_EVALUATIONS = (torch.optim.lr_scheduler.ReduceLROnPlateau, GreedyLR)
_BEST = ("best_metric", "best_global_step", "best_model_checkpoint")


class StepEndTrainer(LeanTrainer):
    """`Trainer` whose checkpoints hold all that was due at their step, or say that it is owed.

    What is due at the end of an epoch is done at its last step, not after a checkpoint of that step. A stop saves
    first and scores then: an evaluation that was due anyway is added to the checkpoint; one that only the stop wanted
    competes for the model that the run leaves, and is forgotten when the run goes on.
    """

    control: Any
    monitor: Monitor | None
    save_limit: int
    _saved_step: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._epoch_settled = -1

    def _stopping(self) -> bool:
        return self.monitor is not None and self.monitor.stopping

    # -- after a step ------------------------------------------------------------------------------------------

    def _maybe_log_save_evaluate(
        self, tr_loss: Any, grad_norm: Any, model: Any, trial: Any, *args: Any, **kwargs: Any
    ) -> None:
        control, step = self.control, self.state.global_step
        if step == self._epoch_settled:
            # The end of the epoch, whose last step had it all.
            control.should_log = control.should_save = control.should_evaluate = False
            return
        if float(self.state.epoch or 0.0).is_integer():
            self._epoch_settled = step
            self._bring_forward()
        given = (tr_loss, grad_norm, model, trial, *args)
        stopping = self._stopping()
        if not (stopping and control.should_save and control.should_evaluate):
            super()._maybe_log_save_evaluate(*given, **kwargs)
            if not stopping and self._stopping() and self._saved_step != step:
                # A stop came to its place while this was evaluated, perhaps where no checkpoint was due.
                control.should_log, control.should_save, control.should_evaluate = False, True, False
                super()._maybe_log_save_evaluate(*given, **kwargs)
            return
        # The user ends the run here. What was learned is safe on the disk before anything else takes time.
        assert self.monitor is not None
        due = self.monitor.evaluation_due
        self._owe(due)
        control.should_evaluate = False
        super()._maybe_log_save_evaluate(*given, **kwargs)
        before = {name: getattr(self.state, name) for name in _BEST}
        self._score(None if due else before)

    def _bring_forward(self) -> None:
        """Have what is due at the end of the epoch done now."""
        control = self.control
        wanted = DefaultFlowCallback().on_epoch_end(self.args, self.state, TrainerControl())
        control.should_log = control.should_log or wanted.should_log
        control.should_save = control.should_save or wanted.should_save
        control.should_evaluate = control.should_evaluate or wanted.should_evaluate
        if self.monitor is not None:
            self.monitor.evaluation_due = self.monitor.evaluation_due or wanted.should_evaluate

    def _owe(self, owed: bool) -> None:
        if self.monitor is not None:
            self.monitor.keep[OWED] = owed

    def _evaluate(self, trial: Any, ignore_keys_for_eval: Any, skip_scheduler: bool = False) -> dict[str, float]:
        """Trainer's; a checkpoint of a stop that cuts it says that it is owed."""
        if skip_scheduler:
            # That before the first step: a run that goes on has had it.
            return {} if self.state.global_step else super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler)
        self._owe(True)
        found = super()._evaluate(trial, ignore_keys_for_eval)
        self._owe(False)
        return dict(found)

    # -- an evaluation of a step that is saved already -----------------------------------------------------------

    def _score(self, before: dict[str, Any] | None) -> None:
        """Evaluate where there is a checkpoint already. `before`: the best so far, if only a stop wanted it."""
        metrics = self._evaluate(None, None)
        self._determine_best_metric(metrics=metrics, trial=None)
        state = self.state
        path = Path(str(self.args.output_dir)) / f"checkpoint-{state.global_step}"
        if not path.is_dir():
            return
        best = state.best_global_step == state.global_step
        if best:
            state.best_model_checkpoint = str(path)
        if before is None and isinstance(self.lr_scheduler, BY_EVALUATIONS):
            # The schedule and the rates in the optimizer are others now.
            self._save_checkpoint(self.model, None)
        elif before is None and self.args.should_save:
            self._add_evaluation(path)
            checkpoints.rotate(path.parent, self.save_limit, state.best_model_checkpoint)
        elif best and self.args.should_save:
            self._note_best(path, before)
        if best:
            # Told once more, now as the best.
            self.control = self.callback_handler.on_save(self.args, state, self.control)

    def _add_evaluation(self, path: Path) -> None:
        """Bring the checkpoint to what it would be, had the evaluation come before it."""
        stored = self.state.stateful_callbacks
        for keeper in [*self.callback_handler.callbacks, self.control]:
            if isinstance(keeper, ExportableState):
                name = type(keeper).__name__
                if isinstance(stored[name], list):
                    stored[name][-1] = keeper.state()
                else:
                    stored[name] = keeper.state()
        _write(path, dataclasses.asdict(self.state))

    def _note_best(self, path: Path, before: dict[str, Any] | None) -> None:
        """Write into the checkpoint that it has proved to be the best, and what was `before`."""
        document = checkpoints.state_of(path)
        document.update({name: getattr(self.state, name) for name in _BEST})
        checkpoints.kept(document)[BEFORE_STOP] = before
        _write(path, document)

    # -- going on ----------------------------------------------------------------------------------------------

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        self._pay()
        # Patience may have been at its end where the run was stopped: then so is the run.
        if not self.control.should_training_stop:
            super()._run_epoch(*args, **kwargs)

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        self._pay()
        return super()._finalize_training(*args, **kwargs)

    def _pay(self) -> None:
        """Make the evaluation that the checkpoint owes, if the run still makes any."""
        if self.monitor is None or not self.monitor.keep.get(OWED):
            return
        self._owe(False)
        if self.args.eval_strategy != "no" and self.eval_dataset is not None:
            self._score(None)


def _write(path: Path, document: dict[str, Any]) -> None:
    write_atomically(path / checkpoints.STATE_FILE, json.dumps(document, indent=2, sort_keys=True) + "\n")


def take_up(state: TrainerState, keep: dict[str, Any], best: str | None) -> str | None:
    """Leave a stop behind in `state`, and note in `keep` what its checkpoint owes; the best checkpoint's path.

    `best` is that path as the checkpoint has it.
    """
    kept = checkpoints.kept({"stateful_callbacks": state.stateful_callbacks})
    keep[OWED] = kept.get(OWED) is True
    before = kept.get(BEFORE_STOP)
    if not isinstance(before, dict):
        return best
    for name in _BEST:
        setattr(state, name, before.get(name))
    return state.best_model_checkpoint
