"""Scores of a split and how sure they are.

Heavy: scikit-learn is imported inside, which takes seconds on a busy machine.
"""

from __future__ import annotations

import importlib
import threading
from contextlib import suppress
from typing import Any

import numpy as np

SCORES = ("accuracy", "precision", "recall", "f1", "macro_f1")


def load_ahead() -> None:
    """Begin to import in a thread what `scores` needs: for who computes logits first, and takes orders meanwhile."""
    threading.Thread(target=_load, name="load-scikit-learn", daemon=True).start()


def _load() -> None:
    # Who needs it gets the error. A process that ends meanwhile refuses what an import registers for its end.
    with suppress(ImportError, RuntimeError):
        importlib.import_module("sklearn.metrics")


def scores(labels: np.ndarray, preds: np.ndarray) -> dict[str, float]:
    """The guide's four metrics and macro F1 of N labels and predictions (0/1); the positive class is 1 (긍정)."""
    from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

    precision, recall, f1, _support = precision_recall_fscore_support(
        labels, preds, labels=[0, 1], pos_label=1, average="binary", zero_division=0
    )
    return {
        "accuracy": float(accuracy_score(labels, preds)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "macro_f1": float(f1_score(labels, preds, labels=[0, 1], average="macro", zero_division=0)),
    }


def losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross entropy of each review (N, float64) from logits (N × 2) and labels (N)."""
    z = np.asarray(logits, dtype=np.float64)
    return np.logaddexp(z[:, 0], z[:, 1]) - z[np.arange(len(z)), np.asarray(labels, dtype=np.int64)]


def confusion(labels: np.ndarray, preds: np.ndarray) -> list[list[int]]:
    """[[tn, fp], [fn, tp]]: rows are true labels, columns predictions."""
    return [[int(((labels == t) & (preds == p)).sum()) for p in (0, 1)] for t in (0, 1)]


def from_confusion(matrix: list[list[int]]) -> dict[str, float]:
    """The same scores as `scores`, from [[tn, fp], [fn, tp]] alone: what a screen computes without scikit-learn."""
    (tn, fp), (fn, tp) = matrix
    total = tn + fp + fn + tp
    positive, negative = 2 * tp + fp + fn, 2 * tn + fp + fn
    f1 = 2 * tp / positive if positive else 0.0
    return {
        "accuracy": (tn + tp) / total if total else 0.0,
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": tp / (tp + fn) if tp + fn else 0.0,
        "f1": f1,
        "macro_f1": (f1 + (2 * tn / negative if negative else 0.0)) / 2,
    }


def wilson(successes: int, total: int, z: float = 1.959964) -> list[float]:
    """The 95% score interval of a share (Wilson 1927), as [low, high]; [0, 1] of nothing."""
    if total == 0:
        return [0.0, 1.0]
    share = successes / total
    centre = share + z * z / (2 * total)
    spread = z * float(np.sqrt(share * (1 - share) / total + z * z / (4 * total * total)))
    scale = 1 + z * z / total
    return [max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)]


def intervals(matrix: list[list[int]], resamples: int = 2000, seed: int = 0) -> dict[str, list[float]]:
    """95% intervals of the scores of a confusion matrix, as [low, high].

    Shares have Wilson's interval; F1 and macro F1 the percentile bootstrap over reviews (Efron 1979), drawn as
    multinomial counts of the four cells, which is the same thing and needs no reviews.
    """
    (tn, fp), (fn, tp) = matrix
    total = tn + fp + fn + tp
    found = {
        "accuracy": wilson(tn + tp, total),
        "precision": wilson(tp, tp + fp),
        "recall": wilson(tp, tp + fn),
    }
    if total:
        rng = np.random.default_rng(seed)
        draws = rng.multinomial(total, np.array([tn, fp, fn, tp]) / total, size=resamples).astype(np.float64)
        dtn, dfp, dfn, dtp = draws.T
        positive = 2 * dtp / np.maximum(2 * dtp + dfp + dfn, 1)
        negative = 2 * dtn / np.maximum(2 * dtn + dfp + dfn, 1)
        for name, values in (("f1", positive), ("macro_f1", (positive + negative) / 2)):
            low, high = np.percentile(values, [2.5, 97.5])
            found[name] = [float(low), float(high)]
    return found


def report(labels: np.ndarray, preds: np.ndarray, loss: float, resamples: int = 2000) -> dict[str, Any]:
    """Everything about a split: `n`, `metrics` (with `loss`), `intervals`, `confusion`."""
    matrix = confusion(labels, preds)
    return {
        "n": len(labels),
        "metrics": {**scores(labels, preds), "loss": float(loss)},
        "intervals": intervals(matrix, resamples),
        "confusion": matrix,
    }
