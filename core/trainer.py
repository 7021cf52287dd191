"""`Trainer` for reviews: batches from Arrow, exact losses, whole checkpoints, prompt evaluation, memory that fits.

Heavy: imported by the worker and what measures it.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers.trainer_utils import speed_metrics

from core import checkpoints, metrics
from core.batches import BatchPlan, TokenTable, as_is
from core.dropout import drawing
from core.errors import DiskFullError
from core.failures import is_disk_full
from core.feeding import Feeder
from core.i18n import gettext as _
from core.loss_log import LossLog
from core.memory import MemoryFigures, OutOfMemory, let_go
from core.monitor import Monitor
from core.orders import Aborted
from core.predicting import predict
from core.ranks import Ranks
from core.ready_mask import takes_ready_mask
from core.step_end import StepEndTrainer


class ReviewTrainer(StepEndTrainer):
    """`Trainer` over `TokenTable`s.

    What differs: `BatchPlan` makes the batches (also those of several ranks and by a token budget); the loss of
    every step is kept exactly (`losses`); a batch that does not fit into the GPU's memory is taken in parts;
    evaluation is sorted by length, uses no random numbers and can be left at any batch; a checkpoint is checked
    for room before, forced to the disk before older ones go, and removed when it could not be written whole.
    """

    def __init__(
        self,
        *args: Any,
        ranks: Ranks,
        monitor: Monitor | None = None,
        max_tokens: int | None = None,
        save_limit: int = 0,
        halve: bool = True,
        groups: Callable[[ReviewTrainer], list[dict[str, Any]] | None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ranks = ranks
        self.monitor = monitor
        self.max_tokens = max_tokens
        self.save_limit = save_limit
        self.halve = halve
        self.groups = groups
        self.losses = LossLog(ranks)
        self.parts = 1
        # A model is compiled twice where some batches have a mask and others none; compiled, it looks at none.
        compiled = bool(self.args.torch_compile)
        self.feeder = Feeder(
            self.args.device, always_masked=compiled, ready_masks=not compiled and takes_ready_mask(self.model)
        )
        self._step_batches: list[dict[str, torch.Tensor]] = []
        self._step = -1
        self._saved_step = -1
        self._saved_best: tuple[float | None, int | None] = (None, None)

    # -- batches -----------------------------------------------------------------------------------------------

    def plan(self) -> BatchPlan:
        """The batches of this rank."""
        assert isinstance(self.train_dataset, TokenTable)
        args = self.args
        return BatchPlan(
            self.train_dataset.lengths,
            str(args.train_sampling_strategy),
            args.train_batch_size,
            accumulation=args.gradient_accumulation_steps,
            world=self.ranks.world,
            rank=self.ranks.rank,
            seed=args.data_seed if args.data_seed is not None else args.seed,
            max_tokens=self.max_tokens,
            drop_last=args.dataloader_drop_last,
        )

    def get_train_dataloader(self) -> DataLoader:
        """A loader of whole batches; ranks are told apart by the plan, not by accelerate."""
        self.batch_plan = self.plan()
        args = self.args
        return DataLoader(
            self.train_dataset,
            batch_sampler=self.batch_plan,
            collate_fn=as_is,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            multiprocessing_context=args.dataloader_multiprocessing_context,
        )

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Trainer's optimizer, over parameter groups of ours where layers learn at different rates."""
        groups = self.groups(self) if self.groups is not None and self.optimizer is None else None
        if groups is None:
            return super().create_optimizer(*([] if model is None else [model]))
        kind, settings = self.get_optimizer_cls_and_kwargs(self.args, self.model)
        self.optimizer = kind(groups, **settings)
        return self.optimizer

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Any], Any]:
        """The batches of one optimizer step, already on the device, and how many reviews they hold on all ranks."""
        batches = self.feeder.take(epoch_iterator, num_batches)
        return batches, self._get_num_items_in_batch(batches, device)

    # -- steps -------------------------------------------------------------------------------------------------

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Forward and backward of one batch, in parts where the GPU's memory has proved too small."""
        step = self.state.global_step
        if step != self._step:
            self._step, self._step_batches = step, []
        self._step_batches.append(inputs)
        with OutOfMemory() as memory, self._drawing():
            loss = self._in_parts(model, inputs, *args, **kwargs)
        if memory.error is not None:
            loss = self._again(model, memory.error, *args, **kwargs)
        self.losses.add(step + 1, loss)
        return loss

    def _in_parts(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        rows = len(inputs["labels"])
        size = -(-rows // self.parts)
        total: torch.Tensor | None = None
        for start in range(0, rows, size):
            part = {name: tensor[start : start + size] for name, tensor in inputs.items()}
            loss = self.lean_step(model, part, *args, **kwargs)
            # The loss is a share of the whole step's: parts add up, and so do their gradients.
            total = loss if total is None else total + loss
        assert total is not None
        return total

    def _drawing(self) -> AbstractContextManager[None]:
        """Where dropout's numbers come from: on the CPU a stream whose seed torch's own generator gives.

        So that generator's state, which checkpoints keep, decides them all, and it moves on by one number a batch.
        """
        if self.args.device.type != "cpu":
            return nullcontext()
        return drawing([int(torch.randint(1 << 62, (), dtype=torch.int64))])

    def _again(self, model: torch.nn.Module, error: BaseException, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Redo this optimizer step's batches in halves until they fit. Raises `error` when they cannot be halved."""
        largest = max(len(batch["labels"]) for batch in self._step_batches)
        while self.halve and self.ranks.alone and self.parts < largest:
            self.parts *= 2
            let_go()
            # What the failed attempt has added to the gradients cannot be told apart: the step begins again.
            model.zero_grad()
            with OutOfMemory() as memory:
                loss = [self._in_parts(model, batch, *args, **kwargs) for batch in self._step_batches][-1]
            if memory.error is None:
                if self.monitor is not None:
                    self.monitor.alert(
                        "warning",
                        "out_of_memory",
                        _("out of GPU memory at step {step}: batches of {batch} are taken in {parts} parts").format(
                            step=self.state.global_step + 1, batch=largest, parts=self.parts
                        ),
                        _(
                            "The result stays the same, steps take longer. The next run: "
                            "train.per_device_train_batch_size = {half}, train.gradient_accumulation_steps = {more}."
                        ).format(
                            half=max(1, self.args.per_device_train_batch_size // self.parts),
                            more=self.args.gradient_accumulation_steps * self.parts,
                        ),
                    )
                return loss
        raise error

    def _maybe_log_save_evaluate(self, tr_loss: Any, grad_norm: Any, *args: Any, **kwargs: Any) -> None:
        if self.monitor is not None:
            self.monitor.after_step(self, grad_norm, kwargs.get("learning_rate"))
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Trainer's log, its loss replaced by the exact mean of the steps since the last one."""
        if "loss" in logs:
            logs["loss"] = self.losses.take_window()
        super().log(logs, *args, **kwargs)

    # -- evaluation --------------------------------------------------------------------------------------------

    def logits(self, reviews: TokenTable) -> np.ndarray:
        """Logits (N × 2, float32) of `reviews` in their order; callbacks hear of every batch."""
        metrics.load_ahead()
        model = self.accelerator.unwrap_model(self.model)
        if next(model.parameters()).device != self.args.device:
            self._move_model_to_device(model, self.args.device)
        full = torch.bfloat16 if self.args.bf16_full_eval else torch.float16 if self.args.fp16_full_eval else None
        if full is not None and not self.is_in_train:
            model.to(full)
        self.to_average()

        def on_batch(done: int, total: int) -> None:
            self.callback_handler.eval_dataloader = range(total)
            self.control = self.callback_handler.on_prediction_step(self.args, self.state, self.control)

        return predict(
            model,
            reviews,
            self.args.eval_batch_size,
            autocast=self.accelerator.autocast,
            on_batch=on_batch,
            ranks=self.ranks,
        )

    def to_average(self) -> None:
        """Have the weights where a schedule-free optimizer stands, not where it learns; the next step moves them."""
        average = getattr(self.optimizer, "eval", None)
        if callable(average):
            average()

    def evaluate(
        self, eval_dataset: TokenTable | None = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Trainer's `evaluate`: the guide's metrics, macro F1 and the loss, logged and told to callbacks."""
        reviews = self.eval_dataset if eval_dataset is None else eval_dataset
        assert isinstance(reviews, TokenTable)
        logits, measured = self.measured_logits(reviews, metric_key_prefix)
        if self.monitor is not None and eval_dataset is None:
            self.monitor.scored(self.state.global_step, logits)
        found = metrics.scores(reviews.labels, logits.argmax(axis=-1))
        loss = float(metrics.losses(logits, reviews.labels).mean())
        result = {f"{metric_key_prefix}_{name}": value for name, value in {"loss": loss, **found}.items()}
        result.update(measured)
        self.log(result)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, result)
        return result

    def measured_logits(self, reviews: TokenTable, prefix: str) -> tuple[np.ndarray, dict[str, float]]:
        """Logits of `reviews` in their order, and `<prefix>_runtime`, `_samples_per_second`, memory figures."""
        memory = MemoryFigures(prefix)
        begun = time.time()
        logits = self.logits(reviews)
        steps = math.ceil(len(reviews) / (self.args.eval_batch_size * self.ranks.world))
        measured = dict(speed_metrics(prefix, begun, num_samples=len(reviews), num_steps=steps))
        return logits, {**measured, **memory.figures()}

    # -- checkpoints -------------------------------------------------------------------------------------------

    def checkpoint_bytes(self) -> int:
        """About what a checkpoint takes on disk: weights, and the optimizer's two moments of what learns."""
        model = self.accelerator.unwrap_model(self.model)
        weights = sum(p.numel() * p.element_size() for p in model.parameters())
        learning = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
        return weights + (0 if self.args.save_only_model else 2 * learning)

    def _save_checkpoint(self, model: Any, trial: Any = None) -> None:
        folder = Path(str(self.args.output_dir))
        path = folder / f"checkpoint-{self.state.global_step}"
        # What is not at a logging step yet has to be in the checkpoint, or resuming would forget it.
        self.losses.settle()
        if not self.weights_are_numbers():
            # It would push the last good one out, and be what resuming begins from.
            if self.monitor is not None:
                self.monitor.lost(self.state.global_step)
            self._forget_save()
            return
        self.to_average()
        try:
            if self.args.should_save:
                folder.mkdir(parents=True, exist_ok=True)
                checkpoints.check_room(folder, self.checkpoint_bytes())
            super()._save_checkpoint(model, trial)
            if self.args.should_save:
                checkpoints.sync(path)
        except Aborted:
            # Nothing can begin from what is cut off.
            if path.is_dir() and not checkpoints.inspect(path).whole:
                shutil.rmtree(path)
            raise
        except Exception as error:
            if not is_disk_full(error, folder):
                raise
            if path.is_dir():
                shutil.rmtree(path)
            self._without_room(error)
            return
        self._saved_step = self.state.global_step
        self._saved_best = (self.state.best_metric, self.state.best_global_step)
        # Every rank's random state is on the disk before the checkpoint counts, and older ones go.
        self.ranks.wait()
        if self.args.should_save:
            checkpoints.rotate(folder, self.save_limit, self.state.best_model_checkpoint)

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        # Before the best weights are loaded: they are such an average already.
        self.to_average()
        return super()._finalize_training(*args, **kwargs)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or self.ranks.alone or self.args.device.type != "cpu":
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        # Several ranks on the CPU: Trainer loads to `cpu:0`, which torch before 2.12 does not know as a place.
        for part, file in ((self.optimizer, "optimizer.pt"), (self.lr_scheduler, "scheduler.pt")):
            part.load_state_dict(torch.load(Path(checkpoint) / file, map_location="cpu", weights_only=True))

    def _without_room(self, error: Exception) -> None:
        """A checkpoint did not fit on the disk: training is worth more than it, unless the run stops with it."""
        reason = error if isinstance(error, DiskFullError) else DiskFullError(
            _("the disk is full: {reason}").format(reason=str(error).splitlines()[0]),
            _("Free room or lower train.save_total_limit; the last whole checkpoint is kept."),
        )  # fmt: skip
        if not self.ranks.alone or self.monitor is None or self._stopping():
            raise reason from error
        self._forget_save()
        self.monitor.alert("error", "disk_full", reason.message, reason.hint)

    def _forget_save(self) -> None:
        """Go on without the checkpoint that was to be made now."""
        if self.state.best_global_step == self.state.global_step:
            # A best model that is nowhere on the disk must not keep a later one from being saved.
            self.state.best_metric, self.state.best_global_step = self._saved_best
        self.control.should_save = False

    def weights_are_numbers(self) -> bool:
        """Whether all that has learned is finite. One sum a weight: any NaN or infinity shows in it."""
        sums = [parameter.detach().sum(dtype=torch.float32) for parameter in self.learning(self.model)]
        return not sums or bool(torch.stack(sums).isfinite().all())
