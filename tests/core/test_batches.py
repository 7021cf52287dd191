"""Tokens into batches: the tokenizers' ids by the short way, padded tables, which reviews go into which step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from core import preset_tokenizer
from core.batches import NO_REVIEW, BatchPlan, TokenTable, by_length
from core.training_data import ids_of, tokenizer_fingerprint
from tests.core import tiny_models


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return preset_tokenizer.train_tokenizer(tiny_models.SENTENCES, 200)


@pytest.mark.parametrize("kind", [*tiny_models.TOKENIZERS, "bytes"])
def test_the_short_way_to_ids_gives_the_tokenizers_own(kind: str) -> None:
    from transformers import ByT5Tokenizer

    tokenizer = ByT5Tokenizer() if kind == "bytes" else tiny_models.TOKENIZERS[kind]()
    texts = [text.encode("utf-8", "replace").decode() for text in tiny_models.NASTY]
    for side in ("right", "left"):
        tokenizer.truncation_side = side
        encode = ids_of(tokenizer, 9, tiny_models.SENTENCES)
        assert (encode.__name__ == "plain") is (kind == "bytes")
        assert encode(texts) == tokenizer(texts, truncation=True, max_length=9)["input_ids"]


def test_a_tokenizer_of_ones_own_is_asked_itself(tokenizer: Any) -> None:
    class Shouting(type(tokenizer)):
        def __call__(self, text: Any, *args: Any, **kwargs: Any) -> Any:
            return super().__call__([f"{each}!" for each in text], *args, **kwargs)

    own = Shouting(tokenizer_object=tokenizer.backend_tokenizer, pad_token="[PAD]")
    assert ids_of(own, 12, ["재밌다"])(["정말"]) == own(["정말"], truncation=True, max_length=12)["input_ids"]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("pad", ["<pad>", "</s>"])
def test_a_review_without_a_token_is_predicted_as_alone(home: Path, tmp_path: Path, side: str, pad: str) -> None:
    """Tokenizers of left-to-right models add nothing to an empty text, and an input of nothing has no logits."""
    import torch
    from tokenizers import processors
    from transformers import AutoModelForSequenceClassification

    from core.predicting import predict
    from core.training_data import tokenize

    tokenizer = tiny_models.byte_level()
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.pad_token, tokenizer.padding_side = pad, side
    path = tiny_models.save_model(tmp_path / "gpt2", "gpt2", tokenizer)
    model = AutoModelForSequenceClassification.from_pretrained(path).eval()
    texts = ["", "정말 재밌다", "", ""]
    reviews = Dataset.from_dict({"document": texts, "label": [0, 1, 0, 1]})
    tokens = tokenize(reviews, tokenizer, 12, f"no tokens {side} {pad}")
    found = predict(model, TokenTable(tokens, tokenizer.pad_token_id, side), 2)
    with torch.no_grad():
        alone = model(torch.tensor([[tokenizer.pad_token_id]])).logits[0].numpy()
    for row in (0, 2, 3):
        np.testing.assert_allclose(found[row], alone, atol=1e-5)
    assert np.isfinite(found).all()


def test_tokens_are_named_by_what_decides_them_alone(tokenizer: Any) -> None:
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["정말"], truncation=True, max_length=3, padding="max_length")
    assert tokenizer_fingerprint(tokenizer) == before
    tokenizer.truncation_side = "left"
    assert tokenizer_fingerprint(tokenizer) != before
    tokenizer.truncation_side = "right"


def table(rows: list[list[int]], side: str = "right") -> TokenTable:
    return TokenTable(
        Dataset.from_dict(
            {"input_ids": rows, "length": [len(row) for row in rows], "labels": [1, 0, 1, 0][: len(rows)]}
        ),
        9,
        side,
    )


def test_batches_are_padded_to_their_longest() -> None:
    batch = table([[1, 2], [3]]).__getitems__([0, 1])
    assert batch["input_ids"].tolist() == [[1, 2], [3, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert batch["labels"].tolist() == [1, 0]
    assert table([[1, 2], [3]], "left").__getitems__([1, 0])["input_ids"].tolist() == [[9, 3], [1, 2]]


def test_a_review_that_is_none_fills_a_batch_and_counts_in_no_loss() -> None:
    batch = table([[1, 2], [3]]).__getitems__([1, NO_REVIEW])
    assert batch["labels"].tolist() == [0, -100]
    assert batch["attention_mask"].tolist() == [[1], [1]]
    assert table([[1, 2]]).__getitems__([NO_REVIEW])["input_ids"].shape == (1, 1)


@pytest.mark.parametrize("strategy", ["group_by_length", "random", "sequential"])
@pytest.mark.parametrize(("count", "batch"), [(1000, 32), (33, 32), (31, 32), (5, 1), (640, 64)])
def test_a_plan_gives_every_review_once(count: int, batch: int, strategy: str) -> None:
    sizes = np.random.default_rng(3).integers(3, 60, count)
    plan = BatchPlan(sizes, strategy, batch, seed=7)
    batches = list(plan)
    assert len(batches) == len(plan)
    assert sorted(row for rows in batches for row in rows) == list(range(count))
    assert list(plan) == batches
    plan.epoch = 1
    if count > 31 and strategy != "sequential":
        assert list(plan) != batches


@pytest.mark.parametrize("max_tokens", [None, 300])
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_every_batch(world: int, max_tokens: int | None) -> None:
    sizes = np.random.default_rng(3).integers(3, 60, 101)
    plans = [
        BatchPlan(sizes, "group_by_length", 4, world=world, rank=rank, seed=7, max_tokens=max_tokens)
        for rank in range(world)
    ]
    shares = [list(plan) for plan in plans]
    assert {len(share) for share in shares} == {len(plans[0])}
    rows = [row for share in shares for batch in share for row in batch if row != NO_REVIEW]
    assert sorted(rows) == list(range(101))
    if max_tokens is None:
        one = list(BatchPlan(sizes, "group_by_length", 4 * world, seed=7))
        together = [
            sorted(row for share in shares for row in share[step] if row != NO_REVIEW) for step in range(len(one))
        ]
        assert together == [sorted(batch) for batch in one]


def test_a_token_budget_is_kept_and_every_epoch_is_as_long() -> None:
    sizes = np.random.default_rng(3).integers(3, 60, 1000)
    plan = BatchPlan(sizes, "group_by_length", 8, seed=7, max_tokens=256)
    first = list(plan)
    assert all(len(rows) * sizes[rows].max() <= 256 for rows in first)
    assert sizes[first[0]].max() == sizes.max()
    plan.epoch = 1
    second = list(plan)
    assert len(first) == len(second) == len(plan)
    assert first != second


def test_batches_by_length_pad_little_and_are_shuffled() -> None:
    sizes = np.random.default_rng(3).integers(3, 60, 6400)
    order = by_length(sizes, 32, np.random.default_rng([7, 0]))
    batches = sizes[order].reshape(-1, 32)
    assert sizes[order[:32]].max() == sizes.max()
    assert batches.max(axis=1).sum() * 32 < 1.1 * sizes.sum()
    # Neighbouring batches are not sorted by length.
    means = batches.mean(axis=1)
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3
