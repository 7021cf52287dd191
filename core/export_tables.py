"""Reviews and verdicts as rows with the types of their columns, for the formats of `core.export_rows`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import export_labels, export_rows
from core.export_files import write
from core.predictions import COLUMNS, THRESHOLD, Prediction, Predictions
from core.review_scores import read_verdicts

if TYPE_CHECKING:
    import numpy as np


TOLD_EVERY = 500
"""Reviews after which it is said how many are done."""


def verdict_rows(run_dir: Path, split: str) -> dict[str, dict[str, Any]]:
    """For each review of `split` that somebody holds something of, what counts: `id, verdict, new_label, tags, note,
    by, ts`."""
    held = read_verdicts(run_dir, split).held()
    return {
        review: {
            "id": review,
            "verdict": opinion.verdict,
            "new_label": opinion.new_label,
            "tags": list(opinion.tags),
            "note": opinion.note,
            "by": opinion.by,
            "ts": opinion.ts,
        }
        for review, opinion in held.items()
    }


def verdict_schema() -> Any:
    """The columns of verdicts and their types."""
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("id", "document", "verdict")]
    tags = ("tags", pa.list_(pa.string()))
    return pa.schema(
        [*texts, ("new_label", pa.int64()), tags, ("note", pa.string()), ("by", pa.string()), ("ts", pa.float64())]
    )


def variant_schema() -> Any:
    """The columns of variants (`core.variants.rows`, and `document`: the review itself) and their types."""
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("id", "split", "variant", "parent", "document", "text")]
    numbers = [(name, pa.float64()) for name in ("prob_0", "prob_1", "base_0", "base_1", "change")]
    masked = ("masked", pa.list_(pa.int64()))
    return pa.schema([*texts, masked, *numbers, ("flipped", pa.bool_()), ("note", pa.string()), ("ts", pa.float64())])


def review_rows(reviews: Sequence[Prediction], verdicts: export_labels.Verdicts) -> list[dict[str, Any]]:
    """Reviews as rows: the columns of the predictions, `kind`, and the verdict that counts."""
    empty: dict[str, Any] = {"verdict": None, "new_label": None, "tags": [], "note": ""}
    return [
        {
            **review.as_dict(),
            "kind": review.kind,
            **{name: verdicts.get(review.id, empty)[name] for name in ("verdict", "new_label", "tags", "note")},
        }
        for review in reviews
    ]


def review_schema(predictions: Predictions) -> Any:
    """The columns of `review_rows` and their types."""
    import pyarrow as pa

    fields = [predictions.table.schema.field(name) for name in COLUMNS]
    added = [("kind", pa.string()), ("verdict", pa.string()), ("new_label", pa.int64())]
    return pa.schema([*fields, *added, ("tags", pa.list_(pa.string())), ("note", pa.string())])


def write_rows(
    kind: str,
    path: Path,
    predictions: Predictions,
    rows: Sequence[int] | np.ndarray,
    run_dir: Path,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    threshold: float = THRESHOLD,
) -> Path:
    """Write reviews (row numbers of the split, in order) to one file: a format of `export_rows.FORMATS`, or
    `labelstudio` or `argilla`; predicted positive from `threshold` on. Raises ExportError when it is there (and not
    `force`) or cannot be written, and whatever `progress` raises, before anything is written.
    """
    reviews = []
    for number, row in enumerate(rows):
        if number % TOLD_EVERY == 0:
            progress(number, len(rows))
        reviews.append(predictions.row(int(row)).at(threshold))
    verdicts = verdict_rows(run_dir, predictions.split)
    if kind == "labelstudio":
        data = export_labels.label_studio(reviews, run_dir.name, verdicts)
    elif kind == "argilla":
        data = export_labels.argilla(reviews, run_dir.name, verdicts)
    else:
        schema = review_schema(predictions)
        data = export_rows.encode(kind, schema.names, review_rows(reviews, verdicts), schema=schema)
    progress(len(rows), len(rows))
    return write(path, data, force)
