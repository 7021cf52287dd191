"""What a run leaves behind when its training is over: the summary, the model, the scores and predictions.

Heavy: works on a Trainer and its model; metrics and predictions are imported inside.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import checkpoints, predictions
from core.failures import no_model
from core.i18n import gettext as _
from core.paths import write_atomically
from core.recorder import Recorder
from core.runs import read_results

if TYPE_CHECKING:
    from datasets import Dataset

    from core.callback import MonitorCallback
    from core.trainer import ReviewTrainer

# The prefixes of what is measured on splits in results files.
SCORED = ("eval", "test")
# Where the model of an earlier life is while a newer one takes its place.
EARLIER_MODEL = ".model.before"


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


def leave_earlier(run_dir: Path, recorder: Recorder, resumed: int) -> None:
    """Say of the model that an earlier life of the run has saved that the run goes on from step `resumed` without it.

    It and its scores stay until there is a newer one, which may never be; what lists show is of this life.
    """
    from core import model_card

    keep_earlier(run_dir)
    if not (run_dir / "model" / "config.json").is_file():
        return
    saved = recorder.get("earlier_model")
    step = saved if saved is not None else recorder.get("model_step")
    step = resumed if step is None else int(step)
    recorder.set_state(recorder.state, earlier_model=step, metrics={})
    model_card.note_resumed(run_dir, step)


def tell_earlier(run_dir: Path, recorder: Recorder) -> None:
    """Alert the user when the run ends and the model in its directory is still that of an earlier life."""
    step = recorder.get("earlier_model")
    if step is None:
        return
    message = _(
        "model, predictions and scores are as of step {step}, before the run went on: it ended without newer ones"
    ).format(step=step)
    hint = _("`nsmc-tui resume {run}` goes on from the last whole checkpoint.").format(run=run_dir.name)
    recorder.alert("warning", "earlier_model", message, hint)


def _forget_scores(run_dir: Path) -> None:
    """Remove what was said of the model before: whatever cuts the scoring, nothing passes for the new one's.

    On other data too (`predictions-<split>@<data>.parquet`): `nsmc-tui evaluate` makes them anew.
    """
    for split in predictions.splits(run_dir):
        predictions.path_for(run_dir, split).unlink(missing_ok=True)
    for prefix in SCORED:
        (run_dir / f"{prefix}_results.json").unlink(missing_ok=True)
    results = read_results(run_dir)
    left = {key: value for key, value in results.items() if not key.startswith(tuple(f"{name}_" for name in SCORED))}
    if left != results:
        write_atomically(run_dir / "all_results.json", json.dumps(left, indent=4, sort_keys=True))


def save_model(run_dir: Path, recorder: Recorder, trainer: ReviewTrainer, max_length: int) -> None:
    """Write `model/` beside its place and move it there, so that nobody loads a half of it."""
    final = run_dir / "model"
    temporary, earlier = run_dir / ".model.tmp", run_dir / EARLIER_MODEL
    if temporary.exists():
        shutil.rmtree(temporary)
    model = trainer.accelerator.unwrap_model(trainer.model)
    # Whoever loads the model cuts reviews where training cut them, with `truncation=True`.
    tokenizer: Any = trainer.processing_class
    tokenizer.model_max_length = max_length
    try:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        _forget_scores(run_dir)
        if final.exists():
            # An abort between the two leaves the one before, which has taken hours, too.
            os.replace(final, earlier)
        os.replace(temporary, final)
        recorder.set_state(recorder.state, model_step=trainer.state.global_step, earlier_model=None)
    finally:
        # There is one only after a failure: half a model on a full disk keeps others from writing.
        if temporary.exists():
            shutil.rmtree(temporary)
        keep_earlier(run_dir)


def keep_earlier(run_dir: Path) -> None:
    """Put the model of before back where the newer one did not take its place; else remove it."""
    earlier = run_dir / EARLIER_MODEL
    if not earlier.exists():
        return
    if (run_dir / "model").exists():
        shutil.rmtree(earlier)
    else:
        os.replace(earlier, run_dir / "model")


def score(
    run_dir: Path, recorder: Recorder, trainer: ReviewTrainer, split: str, tokens: Dataset, reviews: Dataset
) -> None:
    """Predict a split and write its predictions, results and `eval` event, on the first rank only.

    Raises EvaluationCut when a stop comes in the middle.
    """
    from core import metrics
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
