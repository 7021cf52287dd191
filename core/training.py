"""The Trainer of a run: its arguments, what it learns from, its prediction in the split's own order.

Heavy: imported by the worker and what measures it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    ProgressCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from core import attention_kernels, dropout
from core.batches import TokenTable, as_is
from core.config import OWN_TRAIN, RunConfig
from core.errors import ConfigError
from core.first_token import keep_first
from core.freezing import freeze
from core.i18n import gettext as _
from core.i18n import ngettext
from core.idle_settings import reports_to
from core.loss import ClassificationLoss, class_weights
from core.monitor import Monitor
from core.optimizer import parameter_groups
from core.ranks import Ranks
from core.reporting import PROJECT
from core.trainer import ReviewTrainer

AMPERE = (8, 0)


def build_arguments(config: RunConfig, run_dir: Path) -> TrainingArguments:
    """The `TrainingArguments` of a run. Raises ConfigError when transformers refuses them.

    Among several ranks this is where they meet: torch's process group is made here.
    """
    train = config.train
    values: dict[str, Any] = train.model_dump(exclude=set(OWN_TRAIN))
    # Checkpoints are rotated by `core.checkpoints`, after they are on the disk for good.
    values["save_total_limit"] = None
    values.setdefault("report_to", "none")
    # Trackio takes a run of the same name for one that goes on, and names need not differ.
    values.setdefault("run_name", run_dir.name if reports_to(config, "trackio") else config.launch.name)
    values.setdefault("project", PROJECT)
    # A loss that is not a number must be seen, and the filter costs two waits for the GPU a step.
    values["logging_nan_inf_filter"] = False
    # Encoders use all that they train; looking for what they do not costs a walk through the graph every step.
    values.setdefault("ddp_find_unused_parameters", False)
    _choose_device(config, values)
    # Pinning takes a CUDA context, which a run on the CPU has no use for.
    values.setdefault("dataloader_pin_memory", torch.cuda.is_available() and not values.get("use_cpu"))
    _choose_precision(config, values)
    try:
        arguments = TrainingArguments(
            output_dir=str(run_dir / "checkpoints"), disable_tqdm=True, label_names=["labels"], **values
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(
            _("transformers refuses [train]: {reason}").format(reason=str(error).splitlines()[0]),
            _("`nsmc-tui config describe` lists the fields of the installed version."),
            key="train",
        ) from error
    world = Ranks.from_environment().world
    if arguments.world_size != world:
        raise ConfigError(
            _("{world} processes were started, and each would train alone").format(world=world),
            _('On a machine without GPUs set launch.device = "cpu".'),
            key="launch.processes",
        )
    return arguments


def _choose_device(config: RunConfig, values: dict[str, Any]) -> None:
    device = config.launch.device
    cuda = torch.cuda.is_available()
    if device is not None and device != "cpu" and not cuda:
        raise ConfigError(
            _("launch.device = {device!r}, but torch finds no GPU").format(device=device),
            _("`nsmc-tui doctor` tells why; leave launch.device out to use what there is."),
            key="launch.device",
        )
    if device == "cpu" or (config.launch.processes > 1 and not cuda):
        values["use_cpu"] = True
        if not Ranks.from_environment().alone:
            values.setdefault("ddp_backend", "gloo")
    elif cuda and config.launch.processes > torch.cuda.device_count():
        raise ConfigError(
            ngettext(
                "launch.processes = {wanted}, but there is {found} GPU",
                "launch.processes = {wanted}, but there are {found} GPUs",
                torch.cuda.device_count(),
            ).format(wanted=config.launch.processes, found=torch.cuda.device_count()),
            _("One process a GPU; launch.device chooses which."),
            key="launch.processes",
        )


def _choose_precision(config: RunConfig, values: dict[str, Any]) -> None:
    """bfloat16 and TF32 where the GPU has them and the config says nothing; refuses what no device here can do."""
    cuda = torch.cuda.is_available() and not values.get("use_cpu")
    half = [name for name in ("fp16", "bf16", "fp16_full_eval", "bf16_full_eval") if values.get(name)]
    on_cpu = config.launch.device == "cpu" and all(name.startswith("bf16") for name in half)
    if half and not cuda and not on_cpu:
        raise ConfigError(
            _("train.{name} needs a GPU, and torch finds none").format(name=half[0]),
            _('Leave it out; bfloat16 on the CPU takes launch.device = "cpu".'),
            key=f"train.{half[0]}",
        )
    if not cuda or torch.version.cuda is None:
        return
    ampere = torch.cuda.get_device_capability() >= AMPERE
    if ampere and not {"fp16", "bf16"} & values.keys():
        values["bf16"] = True
    if ampere and "tf32" not in values:
        values["tf32"] = True


def precision(arguments: TrainingArguments) -> str:
    """The arithmetic of a run in a word: `bf16`, `fp16`, `tf32` or `fp32`."""
    return next((name for name in ("bf16", "fp16", "tf32") if getattr(arguments, name)), "fp32")


class Patience(EarlyStoppingCallback):
    """Early stopping that tells `monitor` when it ends a run, and whose count goes on after resuming.

    Trainer restores callbacks from a checkpoint only by building all of them anew.
    """

    def __init__(self, patience: int, threshold: float, monitor: Monitor | None = None) -> None:
        super().__init__(patience, threshold)
        self._monitor = monitor

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Any, **kwargs: Any
    ) -> None:
        """Count, and say why the run ends here."""
        super().on_evaluate(args, state, control, metrics, **kwargs)
        if self._at_end() and self._monitor is not None and not self._monitor.stopping:
            self._monitor.alert("info", "early_stopping", self._reason(args, state))

    def _at_end(self) -> bool:
        return bool(self.early_stopping_patience_counter >= self.early_stopping_patience)

    def _reason(self, args: TrainingArguments, state: TrainerState) -> str:
        return _("training ends after step {step}: {count} evaluations without a better {metric}").format(
            step=state.global_step, count=self.early_stopping_patience_counter, metric=args.metric_for_best_model
        )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take up the count of the checkpoint; a run that would have ended there ends, as soon as it has begun."""
        super().on_train_begin(args, state, control, **kwargs)
        stored = (state.stateful_callbacks or {}).get(type(self).__name__)
        if isinstance(stored, list):
            stored = stored[-1]
        if state.global_step and stored:
            count = stored.get("attributes", {}).get("early_stopping_patience_counter", 0)
            self.early_stopping_patience_counter = int(count)
            if not self._at_end():
                return
            control.should_training_stop = True
            if self._monitor is not None:
                hint = _("With more patience it trains on: `nsmc-tui resume RUN --set {setting}={more}`.").format(
                    setting="train.early_stopping_patience", more=int(count) + self.early_stopping_patience
                )
                self._monitor.alert("info", "early_stopping", self._reason(args, state), hint)


def build_trainer(
    config: RunConfig,
    arguments: TrainingArguments,
    model: torch.nn.Module,
    tokenizer: Any,
    train: Dataset,
    dev: Dataset | None,
    callbacks: list[Any],
    monitor: Monitor | None = None,
) -> ReviewTrainer:
    """The run's Trainer over tokenised splits; prints nothing, reports through `callbacks` and `monitor`.

    Freezes what the config freezes. Raises ModelError or ConfigError where model and config do not fit.
    """
    settings = config.train
    freeze(model, config.model.freeze)
    attention_kernels.for_many_shapes()
    if arguments.n_gpu <= 1:
        # Copies of the model on several GPUs of one process would call the first one's layer.
        keep_first(model)
    if arguments.device.type == "cpu" and not (arguments.torch_compile or arguments.gradient_checkpointing):
        # Compiled code cannot hold numpy's numbers, and a layer that is computed twice needs the same ones twice.
        dropout.install(model)
    table = TokenTable(train, tokenizer.pad_token_id, tokenizer.padding_side)
    callbacks = list(callbacks)
    if settings.early_stopping_patience:
        callbacks.append(Patience(settings.early_stopping_patience, settings.early_stopping_threshold, monitor))

    def groups(trainer: ReviewTrainer) -> list[dict[str, Any]] | None:
        if settings.layer_lr_decay == 1:
            return None
        return parameter_groups(
            model,
            settings.learning_rate,
            settings.weight_decay,
            settings.layer_lr_decay,
            trainer.get_decay_parameter_names(model),
        )

    trainer = ReviewTrainer(
        model=model,
        args=arguments,
        data_collator=as_is,
        train_dataset=table,
        eval_dataset=TokenTable(dev, tokenizer.pad_token_id, tokenizer.padding_side)
        if dev is not None and len(dev)
        else None,
        processing_class=tokenizer,
        compute_loss_func=ClassificationLoss(
            settings.label_smoothing_factor, class_weights(settings.class_weights, table.labels)
        ),
        callbacks=callbacks,
        ranks=Ranks.from_environment(),
        monitor=monitor,
        max_tokens=settings.max_tokens,
        save_limit=settings.save_total_limit,
        halve=config.launch.on_out_of_memory == "halve",
        groups=groups,
    )
    if arguments.dataloader_drop_last and not len(trainer.plan()):
        raise ConfigError(
            _("train.dataloader_drop_last leaves nothing to learn from: {count} train reviews fill no batch").format(
                count=len(table)
            ),
            _("Lower train.per_device_train_batch_size, or leave dataloader_drop_last out."),
            key="train.dataloader_drop_last",
        )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if not trainer.ranks.alone:
        # The same weights on every rank, but not the same dropout.
        torch.manual_seed(settings.seed + trainer.ranks.rank)
    return trainer


def predict_logits(trainer: ReviewTrainer, tokens: Dataset, prefix: str) -> tuple[np.ndarray, dict[str, float]]:
    """Logits (N × 2, float32) in the order of `tokens`, and run time, speed and memory figures with `prefix`."""
    tokenizer: Any = trainer.processing_class
    return trainer.measured_logits(TokenTable(tokens, tokenizer.pad_token_id, tokenizer.padding_side), prefix)
