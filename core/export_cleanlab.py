"""Reviews with the columns that cleanlab's `Datalab.get_issues("label")` gives them, for tools that read those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.confident import pruned_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = ("id", "is_label_issue", "label_score", "given_label", "predicted_label")


def rows(ids: Sequence[str], labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> list[dict[str, Any]]:
    """cleanlab's columns for all reviews of a split, in its order. `labels` N, `probabilities` N × 2.

    label_score is p(given label), cleanlab's self-confidence; is_label_issue is what cleanlab's
    `find_label_issues(filter_by="prune_by_noise_rate")` says, its default (`core.confident.pruned_errors`).
    """
    issues = pruned_errors(labels, probabilities)
    return [
        {
            "id": review,
            "is_label_issue": bool(issue),
            "label_score": float(row[label]),
            "given_label": int(label),
            "predicted_label": int(row.argmax()),
        }
        for review, issue, row, label in zip(ids, issues.tolist(), probabilities, labels.tolist(), strict=True)
    ]
