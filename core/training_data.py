"""From reviews to batches: tokenised splits in Arrow, a padding collator, batches grouped by length.

Heavy: torch and datasets are imported inside.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import DataError
from core.i18n import gettext as _
from core.paths import cache_dir

if TYPE_CHECKING:
    import numpy as np
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# Raised when what is stored for a review changes, so that no older cache is taken for the new form.
FORMAT = 1
BATCH = 2000

Progress = Callable[[int, int], None]


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """A hash of everything that decides which ids a text gets."""
    state = tokenizer.backend_tokenizer.to_str() if hasattr(tokenizer, "backend_tokenizer") else repr(tokenizer)
    return hashlib.sha256(state.encode()).hexdigest()[:16]


def tokenize(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    fingerprint: str,
    progress: Progress | None = None,
) -> Dataset:
    """`dataset` as `input_ids` (special tokens included, cut at `max_length`), `length`, `labels`, in its order.

    The result is an Arrow file in the cache, memory-mapped; a second call with the same data, tokenizer and
    length only opens it. `fingerprint` names the split's content. Raises DataError when the cache cannot be
    written.
    """
    import pyarrow as pa
    from datasets import Dataset

    key = f"{fingerprint}:{tokenizer_fingerprint(tokenizer)}:{max_length}:{FORMAT}"
    path = cache_dir() / "tokens" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.arrow"
    total = len(dataset)
    if not path.is_file():
        schema = pa.schema([("input_ids", pa.list_(pa.int32())), ("length", pa.int32()), ("labels", pa.int64())])
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file, pa.ipc.new_stream(file, schema) as writer:
                for start in range(0, total, BATCH):
                    rows = dataset[start : start + BATCH]
                    ids = tokenizer(
                        list(rows["document"]),
                        truncation=True,
                        max_length=max_length,
                        return_attention_mask=False,
                        return_token_type_ids=False,
                    )["input_ids"]
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
    elif progress is not None:
        progress(total, total)
    return Dataset.from_file(str(path))


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)


def lengths(tokens: Dataset) -> np.ndarray:
    """The length of each review in tokens, as an int array of the split's size."""
    return tokens.with_format("numpy")["length"][:]


class Collator:
    """Pads the reviews of one batch to the longest of them: `input_ids`, `attention_mask`, `labels` as tensors.

    Plain tensors from lists; the tokenizer's own `pad` does the same at many times the cost.
    """

    def __init__(self, pad_token_id: int, padding_side: str = "right") -> None:
        self.pad_token_id = pad_token_id
        self.left = padding_side == "left"

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        import torch

        longest = max(len(row["input_ids"]) for row in rows)
        ids, mask = [], []
        for row in rows:
            tokens = row["input_ids"]
            padding = longest - len(tokens)
            fill, ones, zeros = [self.pad_token_id] * padding, [1] * len(tokens), [0] * padding
            ids.append(fill + tokens if self.left else tokens + fill)
            mask.append(zeros + ones if self.left else ones + zeros)
        return {
            "input_ids": torch.tensor(ids, dtype=torch.long),
            "attention_mask": torch.tensor(mask, dtype=torch.long),
            "labels": torch.tensor([row["labels"] for row in rows], dtype=torch.long),
        }


class LengthGroupedSampler:
    """Order of the train reviews in which neighbours are about equally long, so that hardly anything is padded.

    Shuffled reviews are sorted by length within groups of `group` batches, cut into batches, and the batches are
    shuffled again: unlike transformers' sampler of the same name the loss does not fall and rise with the
    lengths. The first batch holds the longest review, so that a lack of memory shows at once. The order depends
    on `seed` and epoch alone.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int, group: int = 50) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.group = group
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch from the next iteration on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        import numpy as np

        count, size = len(self.lengths), self.batch_size
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(count)
        span = max(size, min(self.group, max(1, count // (size * 4))) * size)
        parts = [order[start : start + span] for start in range(0, count, span)]
        order = np.concatenate([part[np.argsort(-self.lengths[part], kind="stable")] for part in parts])
        whole = count // size
        batches = rng.permutation(whole)
        longest = int(np.argmax(self.lengths[order])) // size
        if longest < whole:
            batches = np.concatenate([[longest], batches[batches != longest]])
        shuffled = [order[batch * size : (batch + 1) * size] for batch in batches]
        return iter(np.concatenate([*shuffled, order[whole * size :]]).tolist())
