"""What the verdicts say about a score: the accuracy with disputed labels left out, and with them put right."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from core.metrics import wilson
from core.predictions import THRESHOLD, Predictions
from core.review_log import REVIEW_FILE, VERDICTS, ReviewLog


def _accuracy(right: np.ndarray) -> dict[str, Any]:
    n = len(right)
    good = int(right.sum())
    return {"n": n, "accuracy": good / n if n else None, "interval": wilson(good, n)}


def after_review(predictions: Predictions, log: ReviewLog, threshold: float = THRESHOLD) -> dict[str, Any]:
    """The verdicts on a split in figures; reviews are predicted positive from `threshold` on.

    `judged`, `verdicts`, `tags`, `conflicts`, `reviewers` count reviews. `disputed` are those whose label was called
    wrong. `accuracy` has `as_labelled`, `without_disputed` and `corrected`, each with `n`, `accuracy` and its 95%
    `interval` (Wilson). `judged_errors` of `errors` and `judged_correct` of `correct` say how much was looked at: where
    only errors are judged, both other accuracies can only be higher than the true one.
    """
    label, pred = predictions.column("label"), predictions.decided(threshold)
    held = log.held()
    rows: dict[str, list[int]] = {}
    if held:
        for row, review in enumerate(predictions.table.column("id").to_pylist()):
            if review in held:
                rows.setdefault(review, []).append(row)
    disputed = np.zeros(len(label), dtype=bool)
    judged = np.zeros(len(label), dtype=bool)
    corrected = np.array(label, dtype=np.int64)
    verdicts: Counter[str] = Counter()
    tags: Counter[str] = Counter()
    for review, places in rows.items():
        opinion = held[review]
        tags.update(opinion.tags)
        if opinion.verdict is None:
            continue
        verdicts[opinion.verdict] += 1
        judged[places] = True
        if opinion.verdict == "label_wrong":
            disputed[places] = True
            corrected[places] = 1 - label[places] if opinion.new_label is None else opinion.new_label
    right = label == pred
    return {
        "split": predictions.split,
        "n": len(label),
        "judged": int(judged.sum()),
        "errors": int((~right).sum()),
        "judged_errors": int((judged & ~right).sum()),
        "correct": int(right.sum()),
        "judged_correct": int((judged & right).sum()),
        "verdicts": {name: verdicts[name] for name in (*VERDICTS, *sorted(set(verdicts) - set(VERDICTS)))},
        "tags": dict(tags.most_common()),
        "conflicts": sum(log.conflict(review) for review in rows),
        "reviewers": sorted({opinion.by for review in rows for opinion in log.opinions(review)}),
        "unknown_ids": len(held) - len(rows),
        "disputed": int(disputed.sum()),
        "changed": int((corrected != label).sum()),
        "accuracy": {
            "as_labelled": _accuracy(right),
            "without_disputed": _accuracy(right[~disputed]),
            "corrected": _accuracy(corrected == pred),
        },
        "skipped_lines": log.skipped,
    }


def read_verdicts(run_dir: Path, split: str) -> ReviewLog:
    """The verdicts on a split as they stand."""
    log = ReviewLog(run_dir, split)
    log.refresh()
    return log


def review_summary(run_dir: Path, split: str | None = None, threshold: float = THRESHOLD) -> dict[str, Any] | None:
    """`after_review` of a run's split; None where nobody has judged anything. Raises RunError without predictions."""
    if not (run_dir / REVIEW_FILE).is_file():
        return None
    predictions = Predictions(run_dir, split)
    return after_review(predictions, read_verdicts(run_dir, predictions.split), threshold)
