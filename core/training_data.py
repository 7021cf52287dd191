"""From reviews to batches: tokenised splits in Arrow, a padding collator, batches grouped by length.

Heavy: torch and datasets are imported inside.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import DataError
from core.i18n import gettext as _
from core.paths import cache_dir
from core.tokenization import stand_in

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# Raised when what is stored for a review changes, so that no older cache is taken for the new form.
FORMAT = 2
BATCH = 2000
# Reviews for which the short way to ids is compared with the tokenizer's own.
COMPARED = 200

Progress = Callable[[int, int], None]


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """A hash of everything that decides which ids a text gets, whatever the tokenizer was asked before."""
    state = repr(tokenizer)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        # What the last call wanted; each call says it anew.
        backend.no_truncation()
        backend.no_padding()
        sides = (tokenizer.truncation_side, getattr(tokenizer, "split_special_tokens", False))
        state = f"{backend.to_str()}:{sides}"
    return hashlib.sha256(state.encode()).hexdigest()[:16]


def ids_of(tokenizer: PreTrainedTokenizerBase, max_length: int, texts: list[str]) -> Callable[[list[str]], list[Any]]:
    """What turns reviews into their ids (special tokens included, cut at `max_length`), as `tokenizer` would.

    A third of a tokenizer's time goes into offsets and masks that nobody reads here: where it hands over to its
    backend without doing anything of its own, the backend is asked itself, after both gave the same for `texts`.
    """
    from transformers import PreTrainedTokenizerFast

    def plain(documents: list[str]) -> list[Any]:
        return list(
            tokenizer(
                documents,
                truncation=True,
                max_length=max_length,
                return_attention_mask=False,
                return_token_type_ids=False,
            )["input_ids"]
        )

    kind = type(tokenizer)
    ways = ("__call__", "_encode_plus", "set_truncation_and_padding")
    inherited = all(getattr(kind, name, None) is getattr(PreTrainedTokenizerFast, name) for name in ways)
    # The call leaves the backend set to `max_length`.
    expected = plain(texts)
    if not inherited:
        return plain
    backend: Any = tokenizer.backend_tokenizer

    def quick(documents: list[str]) -> list[Any]:
        return [encoding.ids for encoding in backend.encode_batch_fast(documents)]

    return quick if quick(texts) == expected else plain


def tokenize(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    fingerprint: str,
    progress: Progress | None = None,
) -> Dataset:
    """`dataset` as `input_ids` (special tokens included, cut at `max_length`), `length`, `labels`, in its order.

    No review is empty: one that the tokenizer makes nothing of has its stand-in, as the inspector gives it.
    The result is an Arrow file in the cache, memory-mapped; a second call with the same data, tokenizer and
    length only opens it. `fingerprint` names the split's content. Raises DataError when the cache cannot be
    written.
    """
    import pyarrow as pa
    from datasets import Dataset

    key = f"{fingerprint}:{tokenizer_fingerprint(tokenizer)}:{max_length}:{FORMAT}"
    path = cache_dir() / "tokens" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.arrow"
    total = len(dataset)
    nothing = [stand_in(tokenizer)]
    if not path.is_file():
        schema = pa.schema([("input_ids", pa.list_(pa.int32())), ("length", pa.int32()), ("labels", pa.int64())])
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file, pa.ipc.new_stream(file, schema) as writer:
                encode = ids_of(tokenizer, max_length, list(dataset[:COMPARED]["document"])) if total else list
                for start in range(0, total, BATCH):
                    rows = dataset[start : start + BATCH]
                    ids = [row or nothing for row in encode(list(rows["document"]))]
                    columns = [ids, [len(row) for row in ids], list(rows["label"])]
                    writer.write_batch(
                        pa.record_batch(
                            [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
                        )
                    )
                    if progress is not None:
                        progress(min(start + BATCH, total), total)
            os.replace(temporary, path)
        except OSError as error:
            _discard(temporary)
            raise DataError(
                _("cannot write the tokens to {path}: {reason}").format(path=path, reason=error.strerror or error),
                _("Set NSMC_TUI_CACHE to a directory with room."),
            ) from error
        except BaseException:
            # Interrupted: half a file of tokens is of no use to anyone.
            _discard(temporary)
            raise
    elif progress is not None:
        progress(total, total)
    return Dataset.from_file(str(path))


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)


def largest_id(tokens: Dataset) -> int:
    """The largest token id in `tokens`, -1 when there is none. Read as Arrow: no Python lists."""
    import pyarrow.compute as pc

    found = (pc.max(pc.list_flatten(chunk)).as_py() for chunk in tokens.data.column("input_ids").chunks)
    return max((int(number) for number in found if number is not None), default=-1)


def lengths(tokens: Dataset) -> np.ndarray:
    """The length of each review in tokens, as an int array of the split's size."""
    return tokens.with_format("numpy")["length"][:]
