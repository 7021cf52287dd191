"""Making the index over a run's train reviews: `python -m core.train_index` with a JSON request.

Heavy: `datasets` is imported inside, in a process of its own. What it makes is read by `core.train_reviews`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import config_file
from core.answering import answer, tell
from core.errors import DataError
from core.i18n import gettext as _
from core.runs import CONFIG_FILE
from core.train_reviews import fingerprint_of, fold, index_dir, pieces, stamp

if TYPE_CHECKING:
    from datasets import Dataset

_BATCH = 10_000

Progress = Callable[[str, int, int], None]


def build(run_dir: Path, progress: Progress | None = None) -> Path:
    """The directory of the index over the train reviews of a run, made when there is none yet.

    Raises RunError when the run does not say what it was trained on, DataError when that data is not there any more,
    has changed, or the cache cannot be written.
    """
    fingerprint = fingerprint_of(run_dir)
    directory = index_dir(fingerprint)
    if (directory / "meta.json").is_file():
        return directory
    from core.data import load_splits

    report = progress or (lambda _name, _done, _total: None)
    splits = load_splits(config_file.load(run_dir / CONFIG_FILE).data, report)
    if splits.fingerprint != fingerprint:
        raise DataError(
            _("the data of {run} has changed since it was trained").format(run=run_dir.name),
            _("What is in its place now would be compared with what it never saw."),
        )
    try:
        write(directory, splits.train, fingerprint, report)
    except OSError as error:
        raise DataError(
            _("the cache {path} cannot be written: {reason}").format(path=cache_of(directory), reason=error.strerror),
            _("make room there, or set NSMC_TUI_CACHE to a directory that you can write to"),
        ) from error
    return directory


def cache_of(directory: Path) -> Path:
    """The cache that an index's `directory` is part of."""
    return directory.parent.parent


def write(directory: Path, train: Dataset, fingerprint: str, progress: Progress) -> None:
    """Write the index over `train` (columns id, document, label) to `directory`, whole or not at all.

    Besides the reviews themselves: their stamps sorted (`stamps` uint64, `stamped` int32 rows), and from each piece
    (`pieces` uint64, sorted) to the rows that have it (`rows` int32, from `starts[n]` to `starts[n + 1]`); `sizes` is
    the number of pieces of each row.
    """
    import numpy as np
    import pyarrow as pa

    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=directory.parent))
    total = len(train)
    stamps = np.empty(total, dtype=np.uint64)
    parts: list[tuple[Any, Any]] = []
    try:
        schema = pa.schema([("id", pa.string()), ("document", pa.string()), ("label", pa.int8())])
        with (
            pa.OSFile(str(temporary / "reviews.arrow"), "wb") as file,
            pa.ipc.new_file(file, schema) as writer,
        ):
            for start in range(0, total, _BATCH):
                rows = train[start : start + _BATCH]
                columns = [list(rows[name]) for name in schema.names]
                writer.write_batch(
                    pa.record_batch(
                        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)],
                        schema=schema,
                    )
                )
                folded = [fold(text) for text in columns[1]]
                stamps[start : start + len(folded)] = [stamp(text) for text in folded]
                found, owners = pieces(folded)
                parts.append((found, owners + np.int32(start)))
                progress("indexing", min(start + _BATCH, total), total)
        order = np.argsort(stamps, kind="stable")
        pieces_of = np.concatenate([part[0] for part in parts]) if parts else np.empty(0, np.uint64)
        owners = np.concatenate([part[1] for part in parts]) if parts else np.empty(0, np.int32)
        parts.clear()
        by_piece = np.argsort(pieces_of, kind="stable")
        pieces_of = pieces_of[by_piece]
        new = np.ones(len(pieces_of), dtype=bool)
        new[1:] = pieces_of[1:] != pieces_of[:-1]
        first = np.flatnonzero(new)
        arrays: dict[str, Any] = {
            "stamps": stamps[order],
            "stamped": order.astype(np.int32),
            "pieces": pieces_of[first],
            "starts": np.append(first, len(pieces_of)).astype(np.int64),
            "rows": owners[by_piece],
            "sizes": np.bincount(owners, minlength=total).astype(np.int32),
        }
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        (temporary / "meta.json").write_text(json.dumps({"fingerprint": fingerprint, "reviews": total}))
        try:
            os.rename(temporary, directory)
        except OSError:
            # Another process was first with the same index; anything else stays an error.
            if not (directory / "meta.json").is_file():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _work(request: dict[str, Any]) -> dict[str, Any]:
    return {"directory": str(build(Path(request["path"]), tell if request.get("progress") else None))}


if __name__ == "__main__":
    sys.exit(answer(_work))
