"""Vectors of train reviews on the disk, and the nearest of them to a vector: exact cosine, in milliseconds.

The vectors (unit length, float16) are mapped, not read. Once all are there a sketch of them is made: their coordinates
on the SKETCH axes along which they differ most, and the length of what is left. By Cauchy and Schwarz q·x is at most
q'·x' + |q − q'| |x − x'| with ' for the part on the axes; only vectors that may still be among the nearest by that
bound are looked at whole. What is found is what comparing all of them would find. Needs numpy only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import foreign_json
from core.paths import write_atomically

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SKETCH = 64
_CHUNK = 4096
_SAMPLE = 20_000
# What float32 sums may be off by.
_SLACK = 1e-4


class VectorIndex:
    """The vectors of `rows` (rows of the train split), in the order they were made; `done` of `total` are there.

    `create` begins an empty one, `add` appends, `finish` makes the sketch; a process that ends in between loses little.
    """

    def __init__(self, directory: Path) -> None:
        import numpy as np

        self.directory = directory
        self.rows: NDArray[np.int32] = np.load(directory / "rows.npy", mmap_mode="r", allow_pickle=False)
        mode: Any = "r" if (directory / "sketch.npy").is_file() else "r+"
        self.vectors: NDArray[np.float16] = np.load(directory / "vectors.npy", mmap_mode=mode, allow_pickle=False)
        self.done = int(foreign_json.parse((directory / "done.json").read_bytes())["done"])
        self._sketch: Any = None
        if mode == "r":
            names = ("axes", "sketch", "rest")
            self._sketch = {name: np.load(directory / f"{name}.npy", mmap_mode="r") for name in names}

    @classmethod
    def create(cls, directory: Path, rows: NDArray[np.int32], width: int) -> VectorIndex:
        """An index for the vectors (of `width` numbers) of `rows`, empty."""
        import numpy as np

        directory.mkdir(parents=True, exist_ok=True)
        np.save(directory / "rows.npy", rows.astype(np.int32))
        # Room for all of it is taken now: a disk without that room says so before the work, not after.
        made = np.lib.format.open_memmap(directory / "vectors.npy", "w+", np.float16, (len(rows), width))
        if hasattr(os, "posix_fallocate"):
            with (directory / "vectors.npy").open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, made.offset + made.nbytes)
        write_atomically(directory / "done.json", json.dumps({"done": 0}))
        return cls(directory)

    @property
    def total(self) -> int:
        """How many vectors there will be."""
        return len(self.rows)

    @property
    def finished(self) -> bool:
        """Whether all vectors are there, with their sketch."""
        return self._sketch is not None

    def add(self, vectors: NDArray[np.floating[Any]]) -> None:
        """Append `vectors` (B × width), brought to unit length."""
        self.vectors[self.done : self.done + len(vectors)] = unit(vectors)
        self.done += len(vectors)

    def keep(self) -> None:
        """Note on the disk how many vectors there are."""
        self.vectors.flush()  # type: ignore[attr-defined]
        write_atomically(self.directory / "done.json", json.dumps({"done": self.done}))

    def finish(self) -> Iterator[None]:
        """Make the sketch, in steps of some tens of milliseconds."""
        import numpy as np

        self.keep()
        total, width = self.vectors.shape
        # Orthonormal axes that hold most of the vectors' lengths: eigenvectors of their second moments.
        moments = np.zeros((width, width))
        for start in range(0, min(total, _SAMPLE), _CHUNK):
            part = self.vectors[start : start + _CHUNK].astype(np.float32)
            moments += part.T @ part
            yield
        _values, vectors = np.linalg.eigh(moments)
        axes = np.ascontiguousarray(vectors[:, ::-1][:, : min(SKETCH, width)].astype(np.float32))
        sketch = np.empty((total, axes.shape[1]), np.float32)
        rest = np.empty(total, np.float32)
        for start in range(0, total, _CHUNK):
            part = self.vectors[start : start + _CHUNK].astype(np.float32)
            sketch[start : start + _CHUNK] = part @ axes
            left = (part**2).sum(1) - (sketch[start : start + _CHUNK] ** 2).sum(1)
            rest[start : start + _CHUNK] = np.sqrt(np.maximum(left, 0))
            yield
        # The sketch comes last: it says that everything is there.
        for name, array in (("axes", axes), ("rest", rest), ("sketch", sketch)):
            temporary = self.directory / f".{name}.npy"
            np.save(temporary, array)
            os.replace(temporary, self.directory / f"{name}.npy")
        self._sketch = {"axes": axes, "sketch": sketch, "rest": rest}

    def nearest(
        self, query: NDArray[np.floating[Any]], k: int, exclude: Collection[int] = ()
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows of the train split nearest to `query`, at most `k`, and their cosines, the highest first.

        Among the vectors there are. exclude: rows of the split that are left out.
        """
        import numpy as np

        wanted = unit(query[None].astype(np.float32))[0]
        if not self.done or k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        k_all = min(k + len(exclude), self.done)
        if self._sketch is None:
            places, values = self._all(wanted, k_all)
        else:
            places, values = self._bounded(wanted, k_all)
        rows = np.asarray(self.rows[places], dtype=np.int64)
        kept = ~np.isin(rows, list(exclude))
        return rows[kept][:k], values[kept][:k]

    def _all(self, query: NDArray[np.float32], k: int) -> tuple[Any, Any]:
        import numpy as np

        values = np.empty(self.done, np.float32)
        for start in range(0, self.done, _CHUNK):
            end = min(start + _CHUNK, self.done)
            values[start:end] = self.vectors[start:end].astype(np.float32) @ query
        places = _best(values, k)
        return places, values[places]

    def _bounded(self, query: NDArray[np.float32], k: int) -> tuple[Any, Any]:
        import numpy as np

        axes, sketch, rest = (self._sketch[name] for name in ("axes", "sketch", "rest"))
        on_axes = query @ axes
        off_axes = float(np.sqrt(max(0.0, 1.0 - float(on_axes @ on_axes))))
        bound = sketch @ on_axes + off_axes * rest + np.float32(_SLACK)
        places = _best(bound, min(len(bound), max(4 * k, 64)))
        values = self.vectors[places].astype(np.float32) @ query
        best = _best(values, k)
        places, values, seen = places[best], values[best], set(places.tolist())
        left = np.flatnonzero(bound >= values[-1])
        left = left[np.argsort(-bound[left], kind="stable")]
        for start in range(0, len(left), _CHUNK):
            chunk = left[start : start + _CHUNK]
            if bound[chunk[0]] < values[-1]:
                break
            chunk = np.sort(chunk[~np.isin(chunk, list(seen))])
            if not len(chunk):
                continue
            places = np.concatenate([places, chunk])
            values = np.concatenate([values, self.vectors[chunk].astype(np.float32) @ query])
            best = _best(values, k)
            places, values = places[best], values[best]
        return places, values


def _best(values: NDArray[np.floating[Any]], k: int) -> NDArray[np.int64]:
    """Places of the `k` highest values, the highest first, the earlier place first where they are equal."""
    import numpy as np

    if k < len(values):
        least = np.partition(values, len(values) - k)[len(values) - k]
        candidates = np.flatnonzero(values >= least)
    else:
        candidates = np.arange(len(values))
    return candidates[np.argsort(-values[candidates], kind="stable")][:k]


def unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """`vectors` (B × width) at length 1; one of length 0 stays."""
    import numpy as np

    floats = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(floats, axis=1, keepdims=True)
    return np.divide(floats, lengths, out=np.zeros_like(floats), where=lengths > 0)
