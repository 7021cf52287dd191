"""The train reviews nearest to a text as the model sees them: questions to the inspector, and its answers. Light.

Nearness is the cosine of the vectors that the classifier reads (`core.embedding`). Those of train are made once, a
little at a time: every `build` question does a tenth of a second of it and says how far it is, so that other questions
have their turn in between, and stopping is not asking again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.inspector_protocol import Question, unreadable
from core.train_reviews import TrainReview

TEN = 10


@dataclass(frozen=True)
class Neighbours:
    """The nearest train reviews, the nearest first; `similarity` of each is the cosine.

    Among the first `done` of `total` that have a vector; chosen at random until all have one. seconds: for the search.
    """

    reviews: tuple[TrainReview, ...]
    done: int
    total: int
    seconds: float

    @property
    def counts(self) -> tuple[int, int]:
        """How many of them are labelled 부정, 긍정."""
        positive = sum(review.label for review in self.reviews)
        return len(self.reviews) - positive, positive

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return sum(500 + 4 * len(review.document) for review in self.reviews)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "neighbours": [asdict(review) for review in self.reviews],
            "counts": list(self.counts),
            "done": self.done,
            "total": self.total,
        }


@dataclass(frozen=True)
class Progress:
    """How many of the train reviews have a vector; `finished` when the last step is done."""

    done: int
    total: int
    finished: bool


def build(model: str | os.PathLike[str], index: Path, max_length: int | None) -> Question[Progress]:
    """Go on making the vectors of the train reviews in `index` (`core.train_reviews.index_dir`) a little."""
    request = {"op": "neighbours_build", "model": os.fspath(model), "index": str(index), "max_length": max_length}
    return Question(request, _progress_from)


def nearest(
    model: str | os.PathLike[str],
    text: str,
    index: Path,
    max_length: int | None,
    *,
    k: int = TEN,
    exclude: Sequence[str] = (),
    seen: int = 0,
) -> Question[Neighbours]:
    """The `k` train reviews nearest to `text`, among those that have a vector.

    exclude: ids that are left out, such as the review itself. seen: how many had a vector when this was asked; so that
    the answer is not taken for that of an earlier moment.
    """
    request = {"op": "neighbours", "model": os.fspath(model), "text": text, "index": str(index)}
    return Question(
        {**request, "max_length": max_length, "k": k, "exclude": list(exclude), "seen": seen}, _nearest_from
    )


def _progress_from(header: dict[str, Any], _payload: bytes | bytearray) -> Progress:
    try:
        return Progress(header["done"], header["total"], header["finished"])
    except KeyError as error:
        raise unreadable() from error


def _nearest_from(header: dict[str, Any], _payload: bytes | bytearray) -> Neighbours:
    try:
        reviews = tuple(TrainReview(**review) for review in header["reviews"])
        return Neighbours(reviews, header["done"], header["total"], header["seconds"])
    except (KeyError, TypeError) as error:
        raise unreadable() from error
