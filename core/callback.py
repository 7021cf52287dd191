"""The Trainer's side of live monitoring and control: events by time, orders between steps.

Heavy: imported by the worker only.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from core import checkpoints, memory
from core.dynamics import Keeper
from core.errors import NanLossError
from core.failures import nan_dev_loss, nan_loss, nan_weights
from core.i18n import gettext as _
from core.loss_log import mean
from core.orders import Orders
from core.recorder import Recorder
from core.resumed import find_best
from core.sampler import DeviceSampler
from core.step_end import take_up

if TYPE_CHECKING:
    import numpy as np

    from core.trainer import ReviewTrainer

PAUSE_POLL = 0.1


class EvaluationCut(Exception):  # noqa: N818 - not an error: the user asked for it
    """A stop came in the middle of an evaluation: it is left, and the run ends with what it has."""


class MonitorCallback(TrainerCallback, ExportableState):
    """Streams a run's figures as events, at most `events_per_second`, and takes orders after each step.

    Between two events a step costs a clock reading and a `stat`. Among several ranks the first one's clock and
    orders hold, shared once a step. What the history of a run needs beyond Trainer's own state is kept in its
    checkpoints (`state`).
    """

    def __init__(
        self,
        recorder: Recorder,
        orders: Orders,
        *,
        events_per_second: float,
        stop_on_nan: bool,
        has_dev: bool,
        world: int = 1,
    ) -> None:
        self._recorder = recorder
        self._orders = orders
        self._sampler: DeviceSampler | None = None
        # Each evaluation has the peak counted anew.
        self._peaks = memory.Peaks()
        self._interval = 1.0 / events_per_second
        self._stop_on_nan = stop_on_nan
        self._has_dev = has_dev
        self._world = world
        self._trainer: ReviewTrainer | None = None
        self._last = 0.0
        self._last_step = 0
        self._step_at = 0.0
        self._speed = 0.0
        self._due = False
        self._told = False
        # Gradient norm and learning rate of the newest step.
        self._newest: tuple[Any, float | None] = (None, None)
        self._idle = 0.0
        self._seen = {"reviews": 0, "tokens": 0, "padded": 0}
        self._waited = 0.0
        self._nan_seen = False
        self._lost = False
        self._eval_done = 0
        self._begun = 0.0
        # What earlier lives of the run, up to the checkpoint it goes on from, have spent.
        self._earlier_seconds = 0.0
        self.paused_seconds = 0.0
        self.history: Keeper | None = None
        # What else the checkpoints keep, and which of them was the best in the one that the run goes on from.
        self.keep: dict[str, Any] = {}
        self.best: str | None = None
        self.evaluation_due = False

    def attach(self, trainer: ReviewTrainer, sampler: DeviceSampler) -> None:
        """Watch `trainer`, and take the process's memory from `sampler`."""
        self._trainer = trainer
        self._sampler = sampler

    def alert(self, level: str, code: str, message: str, hint: str = "") -> None:
        """Tell the user something."""
        self._recorder.alert(level, code, message, hint)

    @property
    def stopping(self) -> bool:
        """Whether the user has stopped the run."""
        return self._orders.stop

    # -- the run's history over several lives -------------------------------------------------------------------

    def seconds(self) -> float:
        """Seconds spent in training by all lives of the run, without pauses."""
        now = time.monotonic() - self._begun - self.paused_seconds - self._idle if self._begun else 0.0
        return self._earlier_seconds + now

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, in `trainer_state.json` (`core.checkpoints.kept`)."""
        losses = self._trainer.losses.state() if self._trainer is not None else {}
        kept = {"losses": losses, "seconds": self.seconds(), "world": self._world, **self.keep}
        return {"args": {}, "attributes": kept}

    def _restore(self, args: TrainingArguments, state: TrainerState) -> None:
        attributes = checkpoints.kept({"stateful_callbacks": state.stateful_callbacks})
        if state.global_step:
            folder = Path(str(args.output_dir))
            best = take_up(state, self.keep, self.best)
            find_best(best, folder, state, self._recorder.alert, wanted=args.load_best_model_at_end)
        if state.global_step and self._trainer is not None:
            self._trainer.losses.restore(attributes.get("losses", {}))
            self._earlier_seconds = float(attributes.get("seconds", 0.0))
        # A checkpoint of another program has no place for what ours keep.
        known = dict(state.stateful_callbacks or {})
        known.setdefault(type(self).__name__, {})
        if self._trainer is not None:
            keepers = [*self._trainer.callback_handler.callbacks, self._trainer.control]
            for keeper in keepers:
                if isinstance(keeper, ExportableState):
                    known.setdefault(type(keeper).__name__, {})
        state.stateful_callbacks = known

    # -- training ---------------------------------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock at the first step."""
        self._restore(args, state)
        # Those of the checkpoint are in it: what has been changed since is in `args`.
        state.compute_steps(args, state.max_steps)
        self._orders.can_evaluate = self._has_dev
        self._last, self._last_step = time.monotonic(), state.global_step
        self._step_at = self._begun = self._last
        running = "stopping" if self._orders.stop else "running"
        self._recorder.set_state(running, step=state.global_step, max_steps=state.max_steps, phase="training")
        self._recorder.phase("training", state.global_step, state.max_steps)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Give the batches their epoch: what wraps a loader after resuming does not always pass it on."""
        plan = getattr(self._trainer, "batch_plan", None)
        if plan is not None:
            plan.epoch = int(state.epoch or 0)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Take orders; see whether it is time for an event."""
        orders = self._orders
        orders.take(state.global_step)
        orders.reached(state.global_step, state.epoch or 0.0)
        now = time.monotonic()
        (due,) = orders.share(float(now - self._last >= self._interval))
        if orders.paused:
            self._wait(state)
            # A place to stop may have been named meanwhile.
            orders.reached(state.global_step, state.epoch or 0.0)
            orders.share()
        if orders.save:
            orders.save, control.should_save = False, True
        if orders.evaluate:
            orders.evaluate, control.should_evaluate = False, self._has_dev
            # An evaluation may find a new best model: without a checkpoint Trainer would remember one it has not.
            control.should_save = control.should_save or args.save_strategy != "no"
        self.evaluation_due = control.should_evaluate
        if orders.stop:
            control.should_training_stop = control.should_save = True
            # The last state competes with the best one before the run ends.
            control.should_evaluate = self._has_dev and args.eval_strategy != "no"
        self._step_at = time.monotonic()
        orders.trained = state.global_step >= state.max_steps
        last_step = orders.trained or orders.stop
        if last_step:
            self._wait_for_turn()
        first = not self._told and state.global_step == self._last_step + 1
        self._due = bool(due) or last_step or first
        return control

    def _wait_for_turn(self) -> None:
        """The last step is told too, and no faster than the others."""
        wait = max(0.0, self._interval - (time.monotonic() - self._last))
        time.sleep(wait)
        self._idle += wait

    def tell_last(self) -> None:
        """Tell of the steps since the last event when training has ended where nobody knew that it would.

        Collective: all ranks call it at the same place.
        """
        trainer = self._trainer
        if trainer is None or trainer.state.global_step <= self._last_step:
            return
        self._not_training()
        self._wait_for_turn()
        self._due = True
        self.after_step(trainer, *self._newest)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """An evaluation may have ended the training: early stopping."""
        self._orders.trained = True
        self.tell_last()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """A stopped run is saved and evaluated at its last step, not a second time here."""
        if self._orders.stop:
            control.should_evaluate = control.should_save = False
        return control

    def _wait(self, state: TrainerState) -> None:
        begun = time.monotonic()
        self._recorder.set_state("paused", step=state.global_step, epoch=state.epoch)
        while self._orders.paused:
            time.sleep(PAUSE_POLL)
            self._orders.take(state.global_step)
            self._orders.share()
            self._recorder.update()
        waited = time.monotonic() - begun
        self.paused_seconds += waited
        self._last += waited
        # So that a pause in an evaluation is not taken off a second time with it.
        self._step_at += waited

    def after_step(self, trainer: ReviewTrainer, grad_norm: Any, learning_rate: float | None) -> None:
        """Tell of the steps since the last event when it is time; their loss is the mean of all of them."""
        self._newest = grad_norm, learning_rate
        if not self._due:
            return
        self._due, self._told = False, True
        state = trainer.state
        new = trainer.losses.take_new()
        now = time.monotonic()
        steps = state.global_step - self._last_step
        seconds = max(now - self._last, 1e-9)
        self._last, self._last_step = now, state.global_step
        if steps > 0:
            speed = steps / seconds
            # Smoothed so that the ETA does not dance: about the last 20 events count.
            self._speed = speed if self._speed == 0 else 0.9 * self._speed + 0.1 * speed
        eta = (state.max_steps - state.global_step) / self._speed if self._speed else None
        since = {name: (count - self._seen[name]) * self._world for name, count in trainer.feeder.seen.items()}
        self._seen = dict(trainer.feeder.seen)
        waited, self._waited = trainer.feeder.waited - self._waited, trainer.feeder.waited
        values = [value for _step, value in new]
        finite = [value for value in values if math.isfinite(value)]
        loss = mean(values)
        if learning_rate is None:
            learning_rate = trainer._get_learning_rate()
        figures = {
            "step": state.global_step,
            "max_steps": state.max_steps,
            "epoch": state.epoch,
            "loss": loss,
            "loss_min": min(finite, default=None),
            "loss_max": max(finite, default=None),
            "learning_rate": learning_rate,
            "grad_norm": float(grad_norm) if grad_norm is not None else None,
            "samples_per_second": since["reviews"] / seconds,
            "tokens_per_second": since["tokens"] / seconds,
            "padding": 1 - since["tokens"] / since["padded"] if since["padded"] else None,
            "loader_stall": min(1.0, waited / seconds),
            "eta": eta,
            **self._memory(),
        }
        self._recorder.emit("step", **figures)
        self._recorder.update(
            step=state.global_step, max_steps=state.max_steps, epoch=state.epoch, eta=eta, loss=loss, phase="training"
        )
        bad = next(((step, value) for step, value in new if not math.isfinite(value)), None)
        if bad is not None:
            self._not_a_number(nan_loss(*bad))

    def _memory(self) -> dict[str, int | None]:
        rss = self._sampler.rss if self._sampler is not None else None
        cuda = memory.cuda_in_use()
        if cuda is None:
            return {"gpu_allocated": None, "gpu_reserved": None, "gpu_peak": None, "rss": rss}
        return {
            "gpu_allocated": cuda.memory_allocated(),
            "gpu_reserved": cuda.memory_reserved(),
            "gpu_peak": self._peaks.note().gpu,
            "rss": rss,
        }

    def lost(self, step: int) -> None:
        """The weights after `step` are no longer numbers: there is nothing to save. Raises where the run is to end."""
        failure = nan_weights(step)
        told = self._nan_seen
        self._not_a_number(failure)
        if told and not self._lost:
            self._recorder.alert("error", "nan_weights", failure.message, failure.hint)
        self._lost = True

    def _not_a_number(self, failure: NanLossError) -> None:
        if not self._nan_seen:
            self._nan_seen = True
            self._recorder.alert("error", "nan_loss", failure.message, failure.hint)
        if self._stop_on_nan:
            raise failure

    def scored(self, step: int, logits: np.ndarray) -> None:
        """Keep what an evaluation made of each dev review. A full disk costs this, not the run."""
        if self.history is None:
            return
        try:
            self.history.add(step, logits)
        except OSError as error:
            self.history = None
            self._recorder.alert(
                "warning",
                "history",
                _("the history of single reviews ends here: {reason}").format(reason=error.strerror or error),
            )

    # -- evaluation and checkpoints ---------------------------------------------------------------------------

    def on_prediction_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        eval_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Count an evaluation's batches; a stop cuts it short."""
        stopping = self._orders.stop
        self._orders.take(state.global_step)
        self._orders.share()
        while self._orders.paused:
            self._wait(state)
        if self._orders.stop and not stopping:
            self._eval_done = 0
            raise EvaluationCut
        total = len(eval_dataloader) if eval_dataloader is not None else 0
        self._recorder.phase("evaluating", self._eval_done, total)
        self._eval_done = 0 if self._eval_done >= total else self._eval_done + 1

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Report dev metrics in the middle of training, and restart the clock: evaluating is not training."""
        self._eval_done = 0
        if metrics:
            self._recorder.emit("eval", step=state.global_step, split="dev", metrics=metrics)
            self._recorder.add_metrics({key: value for key, value in metrics.items() if key.startswith("eval_")})
            loss = float(metrics.get("eval_loss", 0.0))
            if not math.isfinite(loss):
                self._not_a_number(nan_dev_loss(state.global_step, loss))
        stopping = self._orders.stop
        # A place to stop may have been named while the evaluation was under way.
        self._orders.reached(state.global_step, state.epoch or 0.0)
        self._orders.share()
        if self._orders.stop and not stopping:
            control.should_training_stop = True
        self._not_training()
        self._recorder.phase("training", state.global_step, state.max_steps)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Report a checkpoint that is whole on disk."""
        path = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        if path.is_dir():
            best = state.best_global_step == state.global_step
            name = f"eval_{str(args.metric_for_best_model).removeprefix('eval_')}"
            scores = (
                entry[name]
                for entry in state.log_history[::-1]
                if entry.get("step") == state.global_step and name in entry
            )
            self._recorder.emit(
                "checkpoint", step=state.global_step, path=str(path), metric=next(scores, None), best=best
            )
        self._not_training()

    def _not_training(self) -> None:
        """What came since the last step was no training: it does not count in the speed."""
        now = time.monotonic()
        self._last += now - self._step_at
        self._step_at = now
