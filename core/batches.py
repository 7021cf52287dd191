"""Batches of tokenised reviews: which reviews go into which step, on which rank, and their padded tensors.

Heavy: torch and datasets are imported inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

# A row that is none: it fills the batch of a rank that has no review left, and counts in no loss.
NO_REVIEW = -1
IGNORED_LABEL = -100


class TokenTable:
    """A tokenised split as padded batches, read straight from the memory-mapped Arrow columns.

    `lengths` (int32) and `labels` (int64) have the split's size and order; token ids stay on the disk until a
    batch asks for them. Given a list of row numbers, `__getitems__` answers with the whole batch, so that a
    `DataLoader` needs no collator that goes review by review.
    """

    def __init__(self, tokens: Dataset, pad_token_id: int, padding_side: str = "right") -> None:
        table = tokens.flatten_indices() if tokens._indices is not None else tokens
        column = table.data.column("input_ids")
        self._chunks: list[np.ndarray] = []
        chunk_of, starts = [], []
        for number, chunk in enumerate(column.chunks):
            offsets = chunk.offsets.to_numpy()
            self._chunks.append(chunk.values.to_numpy())
            starts.append(offsets[:-1].astype(np.int64))
            chunk_of.append(np.full(len(chunk), number, dtype=np.int32))
        self._chunk_of = np.concatenate(chunk_of) if chunk_of else np.empty(0, np.int32)
        self._starts = np.concatenate(starts) if starts else np.empty(0, np.int64)
        self.lengths: np.ndarray = table.data.column("length").to_numpy().astype(np.int32)
        self.labels: np.ndarray = table.data.column("labels").to_numpy().astype(np.int64)
        self.pad_token_id = pad_token_id
        self.left = padding_side == "left"

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        """One review as a batch of one."""
        return self.__getitems__([row])

    def __getitems__(self, rows: list[int]) -> dict[str, torch.Tensor]:
        """`input_ids`, `attention_mask` (B × longest) and `labels` (B) of the reviews `rows`, int64."""
        import torch

        real = [row for row in rows if row != NO_REVIEW]
        sizes = self.lengths[real].tolist()
        longest = max(sizes, default=1)
        ids = np.full((len(rows), longest), self.pad_token_id, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        labels = np.full(len(rows), IGNORED_LABEL, dtype=np.int64)
        labels[: len(real)] = self.labels[real]
        # Attention over nothing is not a number: a row that is none looks at one padding token.
        mask[len(real) :, 0] = 1
        places = zip(real, sizes, self._chunk_of[real].tolist(), self._starts[real].tolist(), strict=True)
        for line, (_row, size, chunk, start) in enumerate(places):
            where = slice(longest - size, longest) if self.left else slice(0, size)
            ids[line, where] = self._chunks[chunk][start : start + size]
            mask[line, where] = 1
            if self.left and size == 1 and ids[line, -1] == self.pad_token_id:
                # A review without words. Left-to-right models read the first place where they find only padding.
                mask[line] = 1
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
            "labels": torch.from_numpy(labels),
        }


def without_needless_mask(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`batch` without its attention mask when nothing in it is padded: attention is quicker where it need not ask."""
    mask = batch["attention_mask"]
    if int(mask.sum()) < mask.numel():
        return batch
    return {name: tensor for name, tensor in batch.items() if name != "attention_mask"}


def as_is(batch: Any) -> Any:
    """The collator of a `TokenTable`, whose batches are whole already."""
    return batch


def by_length(lengths: np.ndarray, step: int, rng: np.random.Generator, group: int = 50) -> np.ndarray:
    """An order of all reviews in which the `step` reviews of one optimizer step are about equally long.

    Shuffled reviews are sorted by length within groups of `group` steps, cut into steps, and the steps are
    shuffled again: unlike transformers' sampler of the same name the loss does not fall and rise with the
    lengths. The first step holds the longest review, so that a lack of memory shows at once.
    """
    count = len(lengths)
    order = rng.permutation(count)
    span = max(step, min(group, max(1, count // (step * 4))) * step)
    parts = [order[start : start + span] for start in range(0, count, span)]
    order = np.concatenate([part[np.argsort(-lengths[part], kind="stable")] for part in parts])
    whole = count // step
    steps = rng.permutation(whole)
    longest = int(np.argmax(lengths[order])) // step
    if longest < whole:
        steps = np.concatenate([[longest], steps[steps != longest]])
    shuffled = [order[number * step : (number + 1) * step] for number in steps]
    return np.concatenate([*shuffled, order[whole * step :]])


class BatchPlan:
    """The batches of one rank in each epoch: lists of row numbers, by seed and epoch alone.

    A batch of all ranks holds `batch_size` × `world` reviews and is dealt out by length, so that ranks have
    equal work; the last one of an epoch may be short, and a rank without a review gets one that is none.
    With `max_tokens` a batch on one rank holds as many reviews of about one length as that many tokens allow,
    padding included; every epoch has the same number of batches. `epoch` is set from outside.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        strategy: str,
        batch_size: int,
        *,
        accumulation: int = 1,
        world: int = 1,
        rank: int = 0,
        seed: int = 42,
        max_tokens: int | None = None,
        drop_last: bool = False,
    ) -> None:
        self.lengths = lengths
        self.strategy = strategy
        self.step = batch_size * accumulation * world
        self.shared = batch_size * world
        self.world = world
        self.rank = rank
        self.seed = seed
        self.max_tokens = max_tokens
        self.drop_last = drop_last
        self.epoch = 0
        self._budget = _cut(np.sort(lengths)[::-1], max_tokens) if max_tokens else []

    def __len__(self) -> int:
        if self.max_tokens:
            return -(-len(self._budget) // self.world)
        count = len(self.lengths)
        return count // self.shared if self.drop_last else -(-count // self.shared)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.max_tokens:
            yield from self._by_tokens(rng)
            return
        count = len(self.lengths)
        if self.strategy == "group_by_length":
            order = by_length(self.lengths, self.step, rng)
        elif self.strategy == "sequential":
            order = np.arange(count)
        else:
            order = rng.permutation(count)
        for number in range(len(self)):
            yield self._share(order[number * self.shared : (number + 1) * self.shared])

    def _share(self, rows: np.ndarray) -> list[int]:
        """This rank's part of a batch of all ranks."""
        if self.world > 1:
            rows = rows[np.argsort(-self.lengths[rows], kind="stable")][self.rank :: self.world]
        return [int(row) for row in rows] or [NO_REVIEW]

    def _by_tokens(self, rng: np.random.Generator) -> Iterator[list[int]]:
        order = rng.permutation(len(self.lengths))
        order = order[np.argsort(-self.lengths[order], kind="stable")]
        numbers = rng.permutation(len(self))
        # The longest reviews come first here too.
        for number in [0, *numbers[numbers != 0].tolist()]:
            mine = number * self.world + self.rank
            if mine < len(self._budget):
                start, end = self._budget[mine]
                yield order[start:end].tolist()
            else:
                yield [NO_REVIEW]


def _cut(falling: np.ndarray, max_tokens: int) -> list[tuple[int, int]]:
    """Where batches of at most `max_tokens` begin and end in reviews sorted by falling length."""
    cuts, start, count = [], 0, len(falling)
    while start < count:
        end = min(count, start + max(1, max_tokens // max(1, int(falling[start]))))
        cuts.append((start, end))
        start = end
    return cuts


def longest_first(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Batches of row numbers for prediction: by falling length, so that little is padded and memory shows at once."""
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
