"""What a run leaves behind when its training is over: the summary, the model, the scores and predictions.

Heavy: works on a Trainer and its model; metrics and predictions are imported inside.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import checkpoints
from core.failures import no_model
from core.i18n import gettext as _
from core.recorder import Recorder

if TYPE_CHECKING:
    from datasets import Dataset

    from core.callback import MonitorCallback
    from core.trainer import ReviewTrainer


def totals(trainer: ReviewTrainer, monitor: MonitorCallback, metrics: dict[str, Any]) -> dict[str, Any]:
    """Trainer's summary, over all lives of a resumed run and without pauses; the loss is the mean of all steps."""
    trainer.losses.settle()
    seconds, steps = max(monitor.seconds(), 1e-9), trainer.losses.count
    batch = trainer.args.train_batch_size * trainer.args.gradient_accumulation_steps * trainer.ranks.world
    summary = {
        **metrics,
        "train_runtime": seconds,
        "train_steps_per_second": steps / seconds,
        "train_samples_per_second": steps * batch / seconds,
        "train_loss": trainer.losses.total / max(steps, 1),
    }
    if trainer.max_tokens is not None and trainer.state.epoch is not None:
        reviews = len(trainer.train_dataset) * trainer.state.epoch
        summary["train_samples_per_second"] = reviews / seconds
    if monitor.paused_seconds:
        summary["paused_seconds"] = monitor.paused_seconds
    return summary


def settle_weights(run_dir: Path, recorder: Recorder, trainer: ReviewTrainer) -> None:
    """Take the newest checkpoint's weights where those that training ended with are no numbers.

    Raises NanLossError when there is none: then the run has no model.
    """
    if trainer.weights_are_numbers():
        return
    whole = [checkpoint for checkpoint in checkpoints.list_checkpoints(run_dir) if not checkpoint.broken]
    if not whole:
        raise no_model(trainer.state.global_step)
    newest = whole[-1]
    trainer._load_from_checkpoint(str(newest.path))
    recorder.alert(
        "warning",
        "nan_weights",
        _("the last weights are no numbers: the model and its scores are those of {checkpoint}").format(
            checkpoint=newest.path.name
        ),
        _("`nsmc-tui resume` goes on from there."),
    )


def save_model(run_dir: Path, trainer: ReviewTrainer, max_length: int) -> None:
    """Write `model/` beside its place and move it there, so that nobody loads a half of it."""
    final = run_dir / "model"
    temporary = run_dir / ".model.tmp"
    if temporary.exists():
        shutil.rmtree(temporary)
    model = trainer.accelerator.unwrap_model(trainer.model)
    # Whoever loads the model cuts reviews where training cut them, with `truncation=True`.
    tokenizer: Any = trainer.processing_class
    tokenizer.model_max_length = max_length
    try:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
    finally:
        # There is one only after a failure: half a model on a full disk keeps others from writing.
        if temporary.exists():
            shutil.rmtree(temporary)


def score(
    run_dir: Path, recorder: Recorder, trainer: ReviewTrainer, split: str, tokens: Dataset, reviews: Dataset
) -> None:
    """Predict a split and write its predictions, results and `eval` event, on the first rank only.

    Raises EvaluationCut when a stop comes in the middle.
    """
    from core import metrics, predictions
    from core.training import predict_logits
    from core.training_data import lengths

    if len(tokens) == 0:
        return
    prefix = "eval" if split == "dev" else split
    recorder.phase("evaluating", 0, 0, split=split)
    begun = time.monotonic()
    logits, measured = predict_logits(trainer, tokens, prefix)
    if not trainer.ranks.head:
        return
    rows = predictions.table(
        reviews["id"][:], reviews["document"][:], reviews.with_format("numpy")["label"][:], logits, lengths(tokens)
    )
    labels, preds = rows["label"].to_numpy(), rows["pred"].to_numpy()
    loss = float(rows["loss"].to_numpy().mean())
    predictions.write(run_dir, split, rows)
    scored = {f"{prefix}_{name}": value for name, value in metrics.scores(labels, preds).items()}
    results = {f"{prefix}_loss": loss, **scored, **measured, f"{prefix}_samples": len(labels)}
    if trainer.state.epoch is not None:
        results["epoch"] = trainer.state.epoch
    recorder.write_results(prefix, results)
    recorder.emit(
        "eval",
        step=trainer.state.global_step,
        split=split,
        metrics=results,
        final=True,
        seconds=time.monotonic() - begun,
    )
    recorder.add_metrics({key: value for key, value in results.items() if key.startswith(prefix + "_")})
