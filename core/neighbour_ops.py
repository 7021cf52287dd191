"""The inspector's ops about the nearest train reviews: making their vectors, and looking among them."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.embedding import embed
from core.errors import InspectorError
from core.i18n import gettext as _
from core.inspector_batches import Pace
from core.inspector_ops import Answer, Request, Task, max_length_of, text_of
from core.train_reviews import TrainReviews
from core.vector_index import VectorIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_models import LoadedModel

BUDGET = 0.1
"""Seconds of work a step."""

BLOCK = 4096
"""Reviews that are sorted by length together: less padding, and whatever is done so far is a random sample."""

KEEP_EVERY = 5.0
KEEP_MODELS = 3
"""Vectors of so many models are kept of one data set; those unused longest go."""


@dataclass
class _Nearest:
    """What the inspector holds of one index and one model: the train reviews, their vectors, and the step it is at."""

    train: TrainReviews
    directory: Path
    index: VectorIndex | None = None
    steps: Iterator[None] | None = None
    pace: Pace = field(default_factory=lambda: Pace(64))
    kept: float = 0.0


def neighbours_build(task: Task, request: Request) -> Answer:
    """Go on for BUDGET seconds; how far it is."""
    loaded = task.model(request)
    state = _state(loaded, request)
    max_length = max_length_of(request)
    if state.index is None:
        state.index = _begin(loaded, state, max_length)
    index = state.index
    begun = time.perf_counter()
    while not index.finished and time.perf_counter() - begun < BUDGET:
        task.check()
        if index.done < index.total:
            _add(loaded, state, index, max_length)
        else:
            state.steps = state.steps or index.finish()
            next(state.steps, None)
    if index.finished:
        state.steps = None
    elif time.monotonic() - state.kept > KEEP_EVERY and index.done < index.total:
        state.kept = time.monotonic()
        index.keep()
    header = {"done": index.done, "total": index.total, "finished": index.finished}
    return Answer({**header, "fingerprint": loaded.fingerprint})


def neighbours(task: Task, request: Request) -> Answer:
    """The reviews nearest to `text` among those that have a vector."""
    loaded = task.model(request)
    state = _state(loaded, request)
    text, max_length = text_of(request), max_length_of(request)
    exclude = {str(review) for review in request.get("exclude") or ()}
    begun = time.perf_counter()
    reviews: list[dict[str, Any]] = []
    if state.index is None:
        state.index = _open(state.directory)
    index = state.index
    if index is not None:
        k = int(request.get("k", 10))
        vector = embed(loaded, [text], max_length)[0]
        begun = time.perf_counter()
        # Ids of a data set repeat only by mistake: a few more than asked for make up for those left out.
        rows, cosines = index.nearest(vector, k + len(exclude))
        found = (state.train.review(int(row), float(cosine)) for row, cosine in zip(rows, cosines, strict=True))
        reviews = [asdict(review) for review in found if review.id not in exclude][:k]
    return Answer(
        {
            "reviews": reviews,
            "done": index.done if index is not None else 0,
            "total": len(state.train),
            "seconds": time.perf_counter() - begun,
            "fingerprint": loaded.fingerprint,
        }
    )


def _state(loaded: LoadedModel, request: Request) -> _Nearest:
    place = request.get("index")
    if not isinstance(place, str):
        raise InspectorError(_("The inspector does not know this request."))
    max_length = max_length_of(request)
    key = ("neighbours", place, max_length)
    state = loaded.memo.get(key)
    if state is None:
        try:
            train = TrainReviews(Path(place))
        except (OSError, ValueError, KeyError) as error:
            raise InspectorError(
                _("The index of the train reviews cannot be read: {reason}").format(reason=error),
                _("It is made again when it is asked for; {path} can be deleted.").format(path=place),
            ) from error
        # The same model by other means, such as a copied run, has the same vectors; the path does not matter.
        name = hashlib.sha256(f"{loaded.fingerprint}:{max_length}".encode()).hexdigest()[:16]
        state = loaded.memo[key] = _Nearest(train, Path(place) / f"vectors-{name}")
    return state


def _open(directory: Path) -> VectorIndex | None:
    """The vectors that are there already; None where there are none that can be used."""
    try:
        index = VectorIndex(directory)
    except (OSError, ValueError, KeyError):
        return None
    (directory / "done.json").touch()
    return index


def _begin(loaded: LoadedModel, state: _Nearest, max_length: int | None) -> VectorIndex:
    index = _open(state.directory)
    if index is not None and index.total == len(state.train):
        return index
    _make_room(state.directory)
    width = embed(loaded, ["."], max_length).shape[1]
    return VectorIndex.create(state.directory, order(state.train), width)


def order(train: TrainReviews) -> NDArray[np.int32]:
    """All rows in a random order, the same every time, sorted by length within blocks."""
    import numpy as np

    rows = np.random.default_rng(0).permutation(len(train)).astype(np.int32)
    lengths = train.lengths()
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    sorted_blocks = [block[np.argsort(lengths[block], kind="stable")] for block in blocks]
    return np.concatenate(sorted_blocks) if sorted_blocks else rows


def _make_room(directory: Path) -> None:
    others = [path for path in directory.parent.glob("vectors-*") if path != directory]

    def used(path: Path) -> float:
        try:
            return (path / "done.json").stat().st_mtime
        except OSError:
            return 0.0

    for path in sorted(others, key=used)[: max(0, len(others) - KEEP_MODELS + 1)]:
        shutil.rmtree(path, ignore_errors=True)


def _add(loaded: LoadedModel, state: _Nearest, index: VectorIndex, max_length: int | None) -> None:
    rows = index.rows[index.done : index.done + state.pace.rows]
    begun = time.perf_counter()
    index.add(embed(loaded, state.train.documents(rows), max_length))
    state.pace.took(time.perf_counter() - begun)
