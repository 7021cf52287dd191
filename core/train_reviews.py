"""The reviews a run was trained on, looked up by text: the same one, and nearly the same ones.

Light: numpy and pyarrow on memory-mapped files that `core.train_index` made, so that screens may use it. A text is
compared in the form of `fold`. "Nearly the same" is Jaccard similarity of sets of three characters (Broder 1997, "On
the resemblance and containment of documents"), counted exactly through an inverted index, not estimated.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import foreign_json
from core.errors import RunError
from core.i18n import gettext as _
from core.paths import cache_dir

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1
"""Raise it when the files of an index, or what `fold` makes of a text, change."""

NEAR = 0.5
"""The least similarity that counts as nearly the same: half of all three-character pieces of both texts are shared."""

_SPACE = re.compile(r"\s+")
_RUN = re.compile(r"([ㄱ-ㅣ]|[^\w\s])\1+")
_EDGE = "\x02", "\x03"
_BITS = 21


@dataclass(frozen=True)
class TrainReview:
    """A review of the train split: its row, id, text and label, and how similar it is to what was asked (0 to 1)."""

    row: int
    id: str
    document: str
    label: int
    similarity: float


@dataclass(frozen=True)
class Alike:
    """What train has of a text. same, near: the first few of each, the most similar first. n_same: (부정, 긍정) counts
    of all reviews with the same text."""

    same: tuple[TrainReview, ...]
    n_same: tuple[int, int]
    near: tuple[TrainReview, ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "same": [asdict(review) for review in self.same],
            "n_same": list(self.n_same),
            "near": [asdict(review) for review in self.near],
        }


def fold(text: str) -> str:
    """`text` as it is compared: NFC, without case and whitespace, runs of one jamo or sign (`ㅋㅋㅋ`, `!!!`) as one."""
    composed = unicodedata.normalize("NFC", text).casefold()
    return _RUN.sub(r"\1", _SPACE.sub("", composed))


def stamp(folded: str) -> int:
    """64 bits that tell folded texts apart (BLAKE2b)."""
    return int.from_bytes(hashlib.blake2b(folded.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def pieces(folded: Iterable[str]) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """The distinct three-character pieces of each text, as (piece, number of the text), both of length P, by text.

    A piece is three code points of 21 bits each in one number; a text's edges count as characters, so that one of a
    single character has a piece too. An empty text has none.
    """
    import numpy as np

    texts = [f"{_EDGE[0]}{text}{_EDGE[1]}" if text else "" for text in folded]
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    raw = "".join(texts).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(raw, dtype="<u4").astype(np.uint64)
    if len(codes) < 3:
        return np.empty(0, np.uint64), np.empty(0, np.int32)
    joined = (codes[:-2] << np.uint64(2 * _BITS)) | (codes[1:-1] << np.uint64(_BITS)) | codes[2:]
    owners = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
    inside = owners[:-2] == owners[2:]
    joined, owners = joined[inside], owners[:-2][inside]
    order = np.lexsort((joined, owners))
    joined, owners = joined[order], owners[order]
    new = np.ones(len(joined), dtype=bool)
    new[1:] = (joined[1:] != joined[:-1]) | (owners[1:] != owners[:-1])
    return joined[new], owners[new]


def fingerprint_of(run_dir: Path) -> str:
    """The fingerprint of the data that a run was trained on. Raises RunError for a run that has not got so far."""
    try:
        environment = foreign_json.parse((run_dir / "environment.json").read_bytes())
        found = environment["data"]["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            _("{run} does not say what it was trained on").format(run=run_dir.name),
            _("environment.json tells it once the data is loaded."),
        ) from error
    return str(found)


def index_dir(fingerprint: str) -> Path:
    """Where the index over the train reviews of the data `fingerprint` is, or will be."""
    return cache_dir() / "context" / f"{fingerprint[:24]}-{VERSION}"


class TrainReviews:
    """An index that has been built, opened for reading. Raises FileNotFoundError where there is none.

    Memory stays small however many reviews there are: the files are mapped, not read.
    """

    def __init__(self, directory: Path) -> None:
        import numpy as np
        import pyarrow as pa

        self.directory = directory
        meta = foreign_json.parse((directory / "meta.json").read_bytes())
        self.fingerprint = str(meta["fingerprint"])
        source = pa.memory_map(str(directory / "reviews.arrow"))
        self._table = pa.ipc.open_file(source).read_all()
        self._stamps, self._stamped = self._map("stamps"), self._map("stamped")
        self._pieces, self._starts, self._rows = self._map("pieces"), self._map("starts"), self._map("rows")
        self._sizes = np.asarray(self._map("sizes"))

    def _map(self, name: str) -> Any:
        import numpy as np

        return np.load(self.directory / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def review(self, row: int, similarity: float = 1.0) -> TrainReview:
        """The review in row `row` of the train split."""
        found = self._table.slice(row, 1).to_pylist()[0]
        return TrainReview(row, found["id"], found["document"], found["label"], similarity)

    def documents(self, rows: Any) -> list[str]:
        """The texts of `rows`."""
        import numpy as np

        return [str(text) for text in self._table.column("document").take(np.asarray(rows)).to_pylist()]

    def lengths(self) -> NDArray[np.int32]:
        """About how long each review is: its three-character pieces, which are made of its characters."""
        return self._sizes

    def alike(self, text: str, limit: int = 5, exclude_id: str | None = None) -> Alike:
        """What train has of `text`: the same, and up to `limit` nearly the same reviews (a few milliseconds).

        `exclude_id` is the review itself where it is one of train.
        """
        folded = fold(text)
        if not folded:
            return Alike((), (0, 0), ())
        same = [review for review in self._same(folded) if review.id != exclude_id]
        counts = tuple(sum(review.label == label for review in same) for label in (0, 1))
        near = self._near(folded, limit, {review.row for review in same}, exclude_id)
        return Alike(tuple(same[:limit]), (counts[0], counts[1]), near)

    def _same(self, folded: str) -> list[TrainReview]:
        import numpy as np

        wanted = np.uint64(stamp(folded))
        first, last = (int(np.searchsorted(self._stamps, wanted, side=side)) for side in ("left", "right"))
        found = [self.review(int(row)) for row in sorted(self._stamped[first:last].tolist())]
        return [review for review in found if fold(review.document) == folded]

    def _near(self, folded: str, limit: int, same: set[int], exclude_id: str | None) -> tuple[TrainReview, ...]:
        import numpy as np

        wanted, _owners = pieces([folded])
        places = np.searchsorted(self._pieces, wanted)
        places = places[places < len(self._pieces)]
        known = places[np.isin(self._pieces[places], wanted)] if len(places) else places
        if not len(known):
            return ()
        rows = np.concatenate([self._rows[self._starts[place] : self._starts[place + 1]] for place in known.tolist()])
        shared = np.bincount(rows, minlength=len(self._sizes))
        candidates = np.flatnonzero(shared)
        similar = shared[candidates] / (self._sizes[candidates] + len(wanted) - shared[candidates])
        order = candidates[np.argsort(-similar, kind="stable")]
        values = np.sort(-similar, kind="stable")
        found: list[TrainReview] = []
        for row, value in zip(order.tolist(), values.tolist(), strict=True):
            if -value < NEAR or len(found) == limit:
                break
            if row not in same:
                review = self.review(row, -value)
                if review.id != exclude_id:
                    found.append(review)
        return tuple(found)
