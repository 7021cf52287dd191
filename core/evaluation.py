"""Scoring a model on a split, outside a training run: `python -m core.evaluation` with a JSON request.

Heavy: torch and transformers are imported inside, in a process of its own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core import config_file, formats
from core.answering import answer, tell
from core.config import DataConfig, ModelConfig
from core.data_sources import lone_file
from core.errors import ModelError, UsageError
from core.i18n import gettext as _
from core.predictions import THRESHOLD, class_at
from core.runs import CONFIG_FILE, is_run_dir, load_run

SPLITS = ("train", "dev", "test")

Progress = Callable[[str, int, int], None]


def model_dir(run_dir: Path) -> Path:
    """The model that a run stands for. Raises ModelError while there is none."""
    path = run_dir / "model"
    if not (path / "config.json").is_file():
        raise ModelError(
            _("{run} has no model yet").format(run=run_dir.name),
            _model_hint(run_dir),
        )
    return path


def _model_hint(run_dir: Path) -> str:
    if load_run(run_dir).live:
        return _("It is written when training ends; `nsmc-tui watch {run}` shows how far it is.").format(
            run=run_dir.name
        )
    checkpoints = sorted(run_dir.glob("checkpoints/checkpoint-*/config.json"), key=lambda path: path.stat().st_mtime)
    if checkpoints:
        return _("The run ended before it was written; its last checkpoint is {path}.").format(
            path=checkpoints[-1].parent
        )
    return _("The run ended before it saved anything; start a new one from its settings (T in the list of runs).")


def evaluate(
    path: Path,
    data: str | None = None,
    split: str = "test",
    batch_size: int = 64,
    progress: Progress | None = None,
    threshold: float | str = THRESHOLD,
    reading: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Predict and score `split` with the model of a run or model directory; writes the predictions there.

    `data` takes the place of the run's own data (a model directory needs it), `reading` that of fields of its
    `DataConfig`; of a file that has no test file beside it, `test` is all of it. Predictions of a run on its own
    data replace the run's; on other data they are written as `predictions-<split>@<data>.parquet`. `threshold` is
    for the scores alone: a number, or `dev` for that with the highest F1 on the dev predictions. Returns the
    document of `nsmc-tui evaluate --json`. Raises the errors of `core.errors`.
    """
    import torch

    from core import attention_kernels, metrics, models, predictions, reliability, slice_scores
    from core import data as data_module
    from core.batches import TokenTable
    from core.decision import Decision, best_on
    from core.first_token import keep_first
    from core.label_order import is_reversed, turn_round
    from core.predicting import predict
    from core.predictions import column_array
    from core.training_data import lengths, tokenize

    report = progress or (lambda _name, _done, _total: None)
    run = is_run_dir(path)
    directory = model_dir(path) if run else path
    config = config_file.load(path / CONFIG_FILE) if run and (path / CONFIG_FILE).is_file() else None
    own = config.data if config is not None else None
    settings = own.model_copy(deep=True) if own is not None else DataConfig(source=data or "")
    if own is None and not data:
        raise UsageError(_("a model directory needs --data"), _("For example --data sample."))
    other = data is not None and (own is None or data != own.source or bool(reading))
    if data is not None:
        # The run's trial limits are about its own data.
        limits = {"train_limit": None, "test_limit": None} if other else {}
        changed = {**settings.model_dump(), "source": data, "test_file": None, **limits, **(reading or {})}
        settings = DataConfig.model_validate(changed)
    if split not in SPLITS:
        raise UsageError(
            _("no split {split}").format(split=split), _("Splits are {names}.").format(names=", ".join(SPLITS))
        )
    named = ModelConfig(name=str(directory))
    report("building", 0, 0)
    architecture = models.load_config(named)
    classes = _classes(directory)
    tokenizer = models.load_tokenizer(named)
    models.settle_padding(tokenizer, architecture)
    model, fresh = models.build_model(named, architecture)
    if fresh:
        raise ModelError(
            _("{path} is not a trained classifier: {names} are missing").format(
                path=directory, names=", ".join(fresh[:3])
            ),
            _("Train it first: `nsmc-tui train --model {path}`.").format(path=directory),
        )
    if is_reversed(classes):
        turn_round(model)
    alone = lone_file(settings) if data is not None and split == "test" else None
    if alone is not None:
        report("loading", 0, 0)
        reviews, fingerprint = data_module.load_alone(alone, settings)
    else:
        splits = data_module.load_splits(settings, report)
        reviews, fingerprint = splits[split], splits.fingerprint
    if len(reviews) == 0:
        raise UsageError(
            _("the split {split} is empty").format(split=split), _("data.dev_size makes a dev split from train.")
        )
    max_length = models.window(tokenizer, architecture, settings.max_length)
    tokens = tokenize(
        reviews,
        tokenizer,
        max_length,
        f"{fingerprint}:{split}",
        lambda done, total: report("tokenizing", done, total),
    )
    attention_kernels.for_many_shapes()
    keep_first(model)
    metrics.load_ahead()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    begun = time.monotonic()
    logits = predict(
        model.to(device),
        TokenTable(tokens, tokenizer.pad_token_id, tokenizer.padding_side),
        batch_size,
        on_batch=lambda done, total: report("evaluating", done, total),
    )
    seconds = time.monotonic() - begun
    rows = predictions.table(
        reviews["id"][:], reviews["document"][:], reviews.with_format("numpy")["label"][:], logits, lengths(tokens)
    )
    name = f"{split}@{Path(data).name}" if run and data is not None and other else split
    written = predictions.write(path, name, rows) if os.access(path, os.W_OK) else None
    decision = best_on(path) if threshold == "dev" else Decision(float(threshold))
    label, prob_1, pred = (column_array(rows, column) for column in ("label", "prob_1", "pred"))
    scored = metrics.report(
        label,
        class_at(pred, prob_1, decision.threshold),
        float(column_array(rows, "loss").mean()),
        config.evaluate.bootstrap if config is not None else 2000,
    )
    slices = slice_scores.SliceScores(reviews["document"][:], label, pred, prob_1).at(decision.threshold)
    return {
        "run_id": path.name,
        "model": str(directory),
        "data": settings.source,
        "split": split,
        **scored,
        "calibration": reliability.as_document(reliability.reliability(label, prob_1)),
        "slices": slice_scores.as_document(slices),
        "threshold": decision.threshold,
        "threshold_from": decision.split or None,
        "samples_per_second": len(reviews) / max(seconds, 1e-9),
        "predictions": str(written) if written else None,
    }


def _classes(directory: Path) -> dict[int, str]:
    """The classes of the model in `directory` by number. Raises ModelError unless there are two."""
    from transformers import AutoConfig

    names: dict[int, str] = AutoConfig.from_pretrained(
        directory, local_files_only=True, trust_remote_code=False
    ).id2label
    if len(names) != 2:
        raise ModelError(
            _("{path} tells {n} classes apart; reviews are negative or positive").format(path=directory, n=len(names)),
            _("`nsmc-tui attention {path} --text …` shows what it says of a text; training gives it two.").format(
                path=directory
            ),
        )
    return names


class Paced:
    """Hands progress on to `report`: each phase as it begins, without figures, then how far it is each `interval` s."""

    def __init__(self, report: Progress, interval: float) -> None:
        self._report = report
        self._interval = interval
        self._phase = ""
        self._at = 0.0

    def __call__(self, name: str, done: int, total: int) -> None:
        """Take one report."""
        now, begins = time.monotonic(), name != self._phase
        if begins or now - self._at >= self._interval:
            self._phase, self._at = name, now
            self._report(name, *((0, 0) if begins else (done, total)))


def in_words(name: str, done: int, total: int) -> None:
    """A line of progress for people, on stderr."""
    figures = f" {formats.count(done)}/{formats.count(total)}" if total else ""
    print(formats.phase(name) + figures, file=sys.stderr, flush=True)


# What may be asked for with `progress`, and how often it is told: people read lines, screens draw figures.
_PROGRESS: dict[str, tuple[Progress, float]] = {"words": (in_words, 5.0), "figures": (tell, 0.3)}


def _work(request: dict[str, Any]) -> dict[str, Any]:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    wanted = request.get("progress")
    return evaluate(
        Path(request["path"]),
        request.get("data"),
        request.get("split", "test"),
        request.get("batch_size", 64),
        Paced(*_PROGRESS[wanted]) if wanted else None,
        request.get("threshold", THRESHOLD),
        request.get("reading"),
    )


if __name__ == "__main__":
    sys.exit(answer(_work))
