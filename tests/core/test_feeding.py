"""Batches on their way to the device; the stream of its own is tested on a GPU (tests/gpu)."""

from __future__ import annotations

import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from core.batches import NO_REVIEW, TokenTable, as_is
from core.feeding import Feeder


def loader(plan: list[list[int]]) -> DataLoader:
    rows = [[1, 2, 3], [4, 5], [6, 7, 8], [9]]
    tokens = Dataset.from_dict({"input_ids": rows, "length": [len(row) for row in rows], "labels": [0, 1, 0, 1]})
    return DataLoader(TokenTable(tokens, 0), batch_sampler=plan, collate_fn=as_is)  # type: ignore[arg-type]


def test_batches_come_in_order_and_end_with_the_epoch() -> None:
    feeder = Feeder(torch.device("cpu"))
    batches = iter(loader([[0], [1], [2], [3], [0]]))
    taken = [feeder.take(batches, 2) for _ in range(4)]
    ids = [[batch["input_ids"].tolist() for batch in step] for step in taken]
    assert ids == [[[[1, 2, 3]], [[4, 5]]], [[[6, 7, 8]], [[9]]], [[[1, 2, 3]]], []]
    again = iter(loader([[3]]))
    assert [batch["input_ids"].tolist() for batch in feeder.take(again, 2)] == [[[9]]]


def test_a_mask_comes_only_with_padding_and_everything_is_counted() -> None:
    feeder = Feeder(torch.device("cpu"))
    even, uneven, none = feeder.take(iter(loader([[0, 2], [0, 3], [1, NO_REVIEW]])), 3)
    assert "attention_mask" not in even
    assert uneven["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert none["labels"].tolist() == [1, -100]
    (masked,) = Feeder(torch.device("cpu"), always_masked=True).take(iter(loader([[0, 2]])), 1)
    assert masked["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert feeder.seen == {"reviews": 5, "tokens": 6 + 4 + 2, "padded": 6 + 6 + 4}


def test_a_ready_mask_is_the_same_for_all_queries_and_counts_alike() -> None:
    feeder = Feeder(torch.device("cpu"), ready_masks=True)
    even, uneven = feeder.take(iter(loader([[0, 2], [0, 3]])), 2)
    assert "attention_mask" not in even
    assert uneven["attention_mask"].tolist() == [[[[True, True, True]]], [[[True, False, False]]]]
    assert feeder.seen == {"reviews": 4, "tokens": 6 + 4, "padded": 6 + 6}
