"""The Trainer's side of live monitoring and control: events by time, orders between steps.

Heavy: imported by the worker only.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from core.device import DeviceSampler
from core.failures import nan_loss
from core.orders import Orders
from core.recorder import Recorder

PAUSE_POLL = 0.1


class EvaluationCut(Exception):  # noqa: N818 - not an error: the user asked for it
    """A stop came in the middle of an evaluation: it is left, the model is saved."""


class MonitorCallback(TrainerCallback):
    """Streams a run's figures as events, at most `events_per_second`, and takes orders after each step.

    Between two events a step costs a clock reading and a `stat`. Figures come from Trainer's own log, asked for
    when the time has come, so that the loss is the mean over all steps since the last event. Entries that are
    not at `logging_steps` are taken out of the history again: it must not grow with time.
    """

    def __init__(
        self,
        recorder: Recorder,
        orders: Orders,
        *,
        events_per_second: float,
        tokens_per_sample: float,
        stop_on_nan: bool,
        has_dev: bool,
    ) -> None:
        self._recorder = recorder
        self._orders = orders
        self._sampler: DeviceSampler | None = None
        self._interval = 1.0 / events_per_second
        self._tokens_per_sample = tokens_per_sample
        self._stop_on_nan = stop_on_nan
        self._has_dev = has_dev
        self._last = 0.0
        self._last_step = 0
        self._step_at = 0.0
        self._speed = 0.0
        self._own_log = False
        # (mean loss, steps) of the logs since the last event, and since the last entry kept in the history.
        self._unsaid: list[tuple[float, int]] = []
        self._unlogged: list[tuple[float, int]] = []
        self._logged_step = 0
        self._nan_seen = False
        self._eval_done = 0
        self.paused_seconds = 0.0

    def attach(self, sampler: DeviceSampler) -> None:
        """Take the process's memory from `sampler`."""
        self._sampler = sampler

    # -- training ---------------------------------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock at the first step."""
        self._last, self._last_step = time.monotonic(), state.global_step
        self._step_at, self._logged_step = self._last, state.global_step
        running = "stopping" if self._orders.stop else "running"
        self._recorder.set_state(running, step=state.global_step, max_steps=state.max_steps, phase="training")
        self._recorder.phase("training", state.global_step, state.max_steps)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Take orders; ask for a log when it is time."""
        orders = self._orders
        orders.take(state.global_step)
        if orders.paused:
            self._wait(state)
        if orders.save:
            orders.save, control.should_save = False, True
        if orders.evaluate:
            orders.evaluate, control.should_evaluate = False, self._has_dev
            # An evaluation may find a new best model: without a checkpoint Trainer would remember one it has not.
            control.should_save = control.should_save or args.save_strategy != "no"
        if orders.stop:
            control.should_training_stop = control.should_save = True
            # The last state competes with the best one before the run ends.
            control.should_evaluate = self._has_dev and args.eval_strategy != "no"
        self._step_at = time.monotonic()
        elapsed = self._step_at - self._last
        last_step = state.global_step >= state.max_steps or orders.stop
        if last_step and elapsed < self._interval:
            # The last step is told too, and no faster than the others.
            time.sleep(self._interval - elapsed)
        if elapsed >= self._interval or last_step:
            self._own_log = not control.should_log
            control.should_log = True
        return control

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """A stopped run is saved and evaluated by the worker, not a second time here."""
        if self._orders.stop:
            control.should_evaluate = control.should_save = False
        return control

    def _wait(self, state: TrainerState) -> None:
        begun = time.monotonic()
        self._recorder.set_state("paused")
        while self._orders.paused:
            time.sleep(PAUSE_POLL)
            self._orders.take(state.global_step)
            self._recorder.update()
        waited = time.monotonic() - begun
        self.paused_seconds += waited
        self._last += waited

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Turn Trainer's log of the last steps into one `step` event."""
        if logs is None or "loss" not in logs:
            return
        newest = (float(logs["loss"]), state.global_step - self._logged_step)
        self._logged_step = state.global_step
        self._keep_history_lean(state, newest)
        self._unsaid.append(newest)
        now = time.monotonic()
        number = math.isfinite(newest[0])
        early = now - self._last < self._interval and state.global_step < state.max_steps
        if number and early and not self._orders.stop:
            # `logging_steps` came before the time for an event.
            return
        loss = _mean(self._unsaid)
        self._unsaid.clear()
        steps = state.global_step - self._last_step
        seconds = max(now - self._last, 1e-9)
        self._last, self._last_step = now, state.global_step
        if steps > 0:
            speed = steps / seconds
            # Smoothed so that the ETA does not dance: about the last 20 events count.
            self._speed = speed if self._speed == 0 else 0.9 * self._speed + 0.1 * speed
        batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        samples = steps / seconds * batch
        eta = (state.max_steps - state.global_step) / self._speed if self._speed else None
        figures = {
            "step": state.global_step,
            "max_steps": state.max_steps,
            "epoch": state.epoch,
            "loss": loss,
            "learning_rate": logs.get("learning_rate"),
            "grad_norm": logs.get("grad_norm"),
            "samples_per_second": samples,
            "tokens_per_second": samples * self._tokens_per_sample,
            "eta": eta,
            **self._memory(),
        }
        self._recorder.emit("step", **figures)
        self._recorder.update(
            step=state.global_step, max_steps=state.max_steps, epoch=state.epoch, eta=eta, loss=loss, phase="training"
        )
        if not number:
            self._not_a_number(state.global_step, newest[0])

    def _keep_history_lean(self, state: TrainerState, newest: tuple[float, int]) -> None:
        self._unlogged.append(newest)
        if self._own_log:
            self._own_log = False
            if state.log_history and "loss" in state.log_history[-1]:
                state.log_history.pop()
            return
        if state.log_history:
            # Trainer's entry covers only the steps since our last one; `logging_steps` means all of them.
            state.log_history[-1]["loss"] = _mean(self._unlogged)
        self._unlogged.clear()

    def _memory(self) -> dict[str, int | None]:
        rss = self._sampler.rss if self._sampler is not None else None
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            return {
                "gpu_allocated": torch.cuda.memory_allocated(),
                "gpu_reserved": torch.cuda.memory_reserved(),
                "gpu_peak": torch.cuda.max_memory_allocated(),
                "rss": rss,
            }
        return {"gpu_allocated": None, "gpu_reserved": None, "gpu_peak": None, "rss": rss}

    def _not_a_number(self, step: int, loss: float) -> None:
        failure = nan_loss(step, loss)
        if not self._nan_seen:
            self._nan_seen = True
            self._recorder.alert("error", "nan_loss", failure.message, failure.hint)
        if self._stop_on_nan:
            raise failure

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
        self._eval_done += 1
        total = len(eval_dataloader) if eval_dataloader is not None else 0
        stopping = self._orders.stop
        self._orders.take(state.global_step)
        while self._orders.paused:
            self._wait(state)
        if self._orders.stop and not stopping:
            self._eval_done = 0
            raise EvaluationCut
        self._recorder.phase("evaluating", self._eval_done, total)

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
        self._not_training()
        self._recorder.phase("training", state.global_step, state.max_steps)

    def on_predict(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Any = None, **kwargs: Any
    ) -> None:
        """A whole split is predicted: the next evaluation counts from zero."""
        self._eval_done = 0

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Report a checkpoint that is whole on disk."""
        path = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        best = state.best_global_step == state.global_step
        self._recorder.emit("checkpoint", step=state.global_step, path=str(path), metric=state.best_metric, best=best)
        self._not_training()

    def _not_training(self) -> None:
        """What came since the last step was no training: it does not count in the speed."""
        now = time.monotonic()
        self._last += now - self._step_at
        self._step_at = now


def _mean(parts: list[tuple[float, int]]) -> float:
    """The mean loss a step of logs that each cover some steps."""
    steps = sum(count for _loss, count in parts)
    if steps == 0:
        return parts[-1][0]
    return sum(loss * count for loss, count in parts) / steps
