"""Predictions of a split: one row a review in the split's own order, in parquet; and the reviews among them
that were got wrong.

Light: pyarrow and numpy only, so that screens and lists read them without torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from core.errors import RunError
from core.i18n import gettext as _

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from core.inspector_protocol import Inspection

COLUMNS = ("id", "document", "label", "pred", "prob_0", "prob_1", "loss", "margin", "n_tokens")
THRESHOLD = 0.5
"""The probability of 긍정 from which the predictions take a review as positive."""

KINDS = ("all", "fp", "fn", "tp", "tn", "correct", "any")
SORTS = ("loss", "confidence", "length", "id", "margin")


@overload
def class_at(own: int, prob_1: float, threshold: float) -> int: ...


@overload
def class_at(own: np.ndarray, prob_1: np.ndarray, threshold: float) -> np.ndarray: ...


def class_at(own: int | np.ndarray, prob_1: float | np.ndarray, threshold: float) -> int | np.ndarray:
    """The class of a review, or of each of N: 1 where p(positive) is `threshold` or more.

    At 0.5 it is `own`, the model's answer: an exact tie is the model's to break.
    """
    if threshold == THRESHOLD:
        return own
    positive = prob_1 >= threshold
    if isinstance(own, int):
        return int(positive)
    import numpy as np

    return np.asarray(positive, dtype=own.dtype)


def answer_at(inspection: Inspection, threshold: float) -> int:
    """The class that a model's answer stands for at a threshold, which only models of two classes have."""
    given = inspection.probabilities
    return class_at(inspection.pred, given[1], threshold) if len(given) == 2 else inspection.pred


@dataclass(frozen=True)
class Prediction:
    """One review and what the model made of it.

    `loss` is the cross entropy in nats, `margin` p(label) − p(other): negative where the prediction is wrong
    (the normalised margin of confident learning, Northcutt et al. 2021).
    """

    id: str
    document: str
    label: int
    pred: int
    prob_0: float
    prob_1: float
    loss: float
    margin: float
    n_tokens: int

    @property
    def kind(self) -> str:
        """`tn`, `fp`, `fn` or `tp`; positive is 긍정."""
        return (("tn", "fp"), ("fn", "tp"))[self.label][self.pred]

    @property
    def confidence(self) -> float:
        """The probability of the predicted class."""
        return self.prob_1 if self.pred else self.prob_0

    def at(self, threshold: float) -> Prediction:
        """The review with `pred` at another threshold; its loss and margin are the probabilities', and stay."""
        return replace(self, pred=class_at(self.pred, self.prob_1, threshold))

    def as_dict(self) -> dict[str, Any]:
        """The row as the file has it."""
        return {name: getattr(self, name) for name in COLUMNS}


def path_for(run_dir: Path, split: str) -> Path:
    """Where a run keeps the predictions of `split`."""
    return run_dir / f"predictions-{split}.parquet"


def splits(run_dir: Path) -> list[str]:
    """The splits that have predictions: test first, then dev, then others."""
    found = sorted(path.name[12:-8] for path in run_dir.glob("predictions-*.parquet"))
    first = [name for name in ("test", "dev") if name in found]
    return first + [name for name in found if name not in first]


def stamps(run_dir: Path) -> dict[str, tuple[int, int]]:
    """Time (ns) and size of the file of each split that has predictions: whoever has read it knows when to again."""
    found = {}
    for split in splits(run_dir):
        try:
            status = path_for(run_dir, split).stat()
        except OSError:
            # Gone since it was listed; the next look says so.
            continue
        found[split] = (status.st_mtime_ns, status.st_size)
    return found


def table(
    ids: Iterable[str], documents: Iterable[str], labels: np.ndarray, logits: np.ndarray, n_tokens: np.ndarray
) -> pa.Table:
    """The predictions of N reviews from their logits (N × 2, float); softmax and cross entropy in float64."""
    import numpy as np
    import pyarrow as pa

    z = np.asarray(logits, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.int64)
    log_probs = z - np.logaddexp(z[:, 0], z[:, 1])[:, None]
    probs = np.exp(log_probs)
    rows = np.arange(len(labels))
    return pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "document": pa.array(documents, pa.string()),
            "label": pa.array(labels, pa.int64()),
            "pred": pa.array(z.argmax(axis=1), pa.int64()),
            "prob_0": probs[:, 0],
            "prob_1": probs[:, 1],
            "loss": -log_probs[rows, labels],
            "margin": probs[rows, labels] - probs[rows, 1 - labels],
            "n_tokens": pa.array(np.asarray(n_tokens, dtype=np.int64)),
        }
    )


def write(run_dir: Path, split: str, predictions: pa.Table) -> Path:
    """Write the predictions of `split` atomically and return the file."""
    import pyarrow.parquet as pq

    path = path_for(run_dir, split)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(predictions, temporary, compression="zstd")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return path


def column_array(rows: pa.Table, name: str) -> np.ndarray:
    """A numeric column of `rows` as a read-only array. (`to_numpy` of pyarrow imports pandas.)"""
    import numpy as np

    column = rows.column(name).combine_chunks()
    return np.from_dlpack(column) if len(column) else np.empty(0)


class Predictions:
    """The predictions of one split, opened for choosing and reading rows; nothing but the columns is copied.

    Raises RunError when the run has none, or the file is not what it should be.
    """

    def __init__(self, run_dir: Path, split: str | None = None) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        available = splits(run_dir)
        if split is None:
            split = available[0] if available else "test"
        path = path_for(run_dir, split)
        if split not in available:
            raise RunError(
                _("{run} has no predictions of {split}").format(run=run_dir.name, split=split),
                _("They are written when the run ends; `nsmc-tui evaluate {run}` makes them now.").format(
                    run=run_dir.name
                ),
            )
        try:
            # Not pq.read_table: it imports pandas, which takes longer than the reading.
            self.table = pq.ParquetFile(path).read(columns=list(COLUMNS)).combine_chunks()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise RunError(
                _("cannot read {path}: {reason}").format(path=path, reason=error),
                _("`nsmc-tui evaluate {run}` writes it again.").format(run=run_dir.name),
            ) from error
        self.split = split
        self.path = path

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> np.ndarray:
        """A numeric column as an array of N."""
        return column_array(self.table, name)

    def decided(self, threshold: float = THRESHOLD) -> np.ndarray:
        """The class of each review (N) where it is positive from `threshold` on; at 0.5 the file's own."""
        return class_at(self.column("pred"), self.column("prob_1"), threshold)

    def row(self, index: int) -> Prediction:
        """Row `index` of the split's order."""
        return Prediction(**self.table.slice(index, 1).to_pylist()[0])

    def confusion(self, threshold: float = THRESHOLD) -> list[list[int]]:
        """[[tn, fp], [fn, tp]]."""
        label, pred = self.column("label"), self.decided(threshold)
        return [[int(((label == t) & (pred == p)).sum()) for p in (0, 1)] for t in (0, 1)]

    def select(
        self, kind: str = "all", sort: str = "loss", ascending: bool | None = None, threshold: float = THRESHOLD
    ) -> np.ndarray:
        """Row numbers of a kind of review, sorted.

        `kind`: `all` errors, `fp` (predicted 긍정, true 부정), `fn`, `tp`, `tn`, `correct`, or `any` review.
        `sort`: loss and confidence from the highest, margin from the lowest, length in tokens from the longest,
        id in the file's order; `ascending` turns it round. threshold: from which p(positive) 긍정 is predicted.
        """
        import numpy as np

        label, pred = self.column("label"), self.decided(threshold)
        masks = {
            "all": label != pred,
            "fp": (label == 0) & (pred == 1),
            "fn": (label == 1) & (pred == 0),
            "tp": (label == 1) & (pred == 1),
            "tn": (label == 0) & (pred == 0),
            "correct": label == pred,
            "any": np.ones(len(label), dtype=bool),
        }
        chosen = np.flatnonzero(masks[kind])
        if sort == "id":
            keys, natural = chosen.astype(np.float64), True
        elif sort == "confidence":
            keys, natural = np.where(pred == 1, self.column("prob_1"), self.column("prob_0"))[chosen], False
        elif sort == "length":
            keys, natural = self.column("n_tokens")[chosen].astype(np.float64), False
        elif sort == "margin":
            keys, natural = self.column("margin")[chosen], True
        else:
            keys, natural = self.column("loss")[chosen], False
        rising = natural if ascending is None else ascending
        return chosen[np.argsort(keys if rising else -keys, kind="stable")]

    def find_id(self, review: str) -> int:
        """The row of the first review with this id. Raises RunError."""
        try:
            return self.table.column("id").to_pylist().index(review)
        except ValueError:
            raise RunError(
                _("no review {id} in {split}").format(id=review, split=self.split),
                _("`nsmc-tui errors RUN --limit 20` lists ids."),
            ) from None
