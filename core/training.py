"""The Trainer of a run: arguments, loss, order of the reviews, prediction in the split's own order.

Heavy: imported by the worker only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import Sampler, SequentialSampler
from transformers import EvalPrediction, PrinterCallback, ProgressCallback, Trainer, TrainingArguments

from core import metrics
from core.config import RunConfig
from core.errors import ConfigError
from core.i18n import gettext as _
from core.training_data import Collator, LengthGroupedSampler, lengths


def build_arguments(config: RunConfig, run_dir: Path) -> TrainingArguments:
    """The `TrainingArguments` of a run. Raises ConfigError when transformers refuses them."""
    train = config.train
    values: dict[str, Any] = train.model_dump()
    values["save_total_limit"] = train.save_total_limit or None
    values.setdefault("report_to", "none")
    # A loss that is not a number must be seen, and the filter costs two waits for the GPU a step.
    values.setdefault("logging_nan_inf_filter", False)
    values.setdefault("dataloader_pin_memory", torch.cuda.is_available())
    device = config.launch.device
    if device == "cpu":
        values["use_cpu"] = True
    elif device is not None and not torch.cuda.is_available():
        raise ConfigError(
            _("launch.device = {device!r}, but torch finds no GPU").format(device=device),
            _("`nsmc-tui doctor` tells why; leave launch.device out to use what there is."),
            key="launch.device",
        )
    half = [name for name in ("fp16", "bf16") if values.get(name)]
    if half and not torch.cuda.is_available() and not (half == ["bf16"] and device == "cpu"):
        raise ConfigError(
            _("train.{name} needs a GPU, and torch finds none").format(name=half[0]),
            _('Leave it out; bfloat16 on the CPU takes launch.device = "cpu".'),
            key=f"train.{half[0]}",
        )
    try:
        return TrainingArguments(
            output_dir=str(run_dir / "checkpoints"), disable_tqdm=True, label_names=["labels"], **values
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(
            _("transformers refuses [train]: {reason}").format(reason=str(error).splitlines()[0]),
            _("`nsmc-tui config describe` lists the fields of the installed version."),
            key="train",
        ) from error


class ClassificationLoss:
    """Cross entropy over all reviews of an optimizer step, whatever the number of batches it is cut into.

    transformers hands `num_items_in_batch` to models whose classification heads ignore it, and then takes their
    loss as already scaled: accumulation multiplies loss and gradient. Summing here and dividing by the number of
    reviews is exact, the last, shorter step included. Evaluation has no label smoothing.
    """

    def __init__(self, label_smoothing: float) -> None:
        self.label_smoothing = label_smoothing

    def __call__(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        logits = (outputs["logits"] if isinstance(outputs, dict) else outputs[0]).float()
        smoothing = self.label_smoothing if logits.requires_grad else 0.0
        if num_items_in_batch is None:
            return torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        total = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")
        return total / num_items_in_batch


def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """The guide's metrics and macro F1 of a dev evaluation."""
    logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    return metrics.scores(np.asarray(prediction.label_ids), np.asarray(logits).argmax(axis=-1))


def only_logits(logits: Any, labels: Any) -> Any:
    """Keep the logits of what a model returns; hidden states and attentions of a whole split fill any memory."""
    return logits[0] if isinstance(logits, tuple | list) else logits


class ReviewTrainer(Trainer):
    """`Trainer` with our order of train reviews, and evaluation in the order it is given."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if self.args.train_sampling_strategy != "group_by_length" or dataset is None:
            return super()._get_train_sampler(train_dataset)
        seed = self.args.data_seed if self.args.data_seed is not None else self.args.seed
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return LengthGroupedSampler(lengths(self.train_dataset), batch, seed)  # type: ignore[return-value]

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler | None:
        # transformers shuffles evaluation under `group_by_length`; predictions must keep their rows.
        return SequentialSampler(eval_dataset) if self.args.world_size <= 1 else None


def longest_first(tokens: Dataset) -> tuple[Dataset, np.ndarray]:
    """`tokens` sorted by length, longest first, and the row number of each: little padding, memory shows at once."""
    order = np.argsort(-lengths(tokens), kind="stable")
    return tokens.select(order), order


def build_trainer(
    config: RunConfig,
    arguments: TrainingArguments,
    model: torch.nn.Module,
    tokenizer: Any,
    train: Dataset,
    dev: Dataset | None,
    callbacks: list[Any],
) -> ReviewTrainer:
    """The run's Trainer over tokenised splits; prints nothing, reports through `callbacks`."""
    trainer = ReviewTrainer(
        model=model,
        args=arguments,
        data_collator=Collator(tokenizer.pad_token_id, tokenizer.padding_side),
        train_dataset=train,
        eval_dataset=longest_first(dev)[0] if dev is not None and len(dev) else None,
        processing_class=tokenizer,
        compute_loss_func=ClassificationLoss(config.train.label_smoothing_factor),
        compute_metrics=compute_metrics,
        preprocess_logits_for_metrics=only_logits,
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def predict_logits(trainer: ReviewTrainer, tokens: Dataset, prefix: str) -> tuple[np.ndarray, dict[str, float]]:
    """Logits (N × 2, float32) in the order of `tokens`, and Trainer's metrics with `prefix`."""
    ordered, order = longest_first(tokens)
    output = trainer.predict(ordered, metric_key_prefix=prefix)
    logits = np.empty_like(output.predictions)
    logits[order] = output.predictions
    return logits, dict(output.metrics or {})
