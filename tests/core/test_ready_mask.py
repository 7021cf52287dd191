"""Masks that nobody looks at on the way to the attention: the same logits, and nothing to wait for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForSequenceClassification

from core import dropout
from core.batches import TokenTable
from core.first_token import keep_first
from core.predicting import predict
from core.ready_mask import takes_ready_mask, with_ready_mask
from tests.core.tiny_models import save_model

FAMILIES = ["bert", "electra", "roberta", "xlm-roberta", "distilbert"]


class Calls(TorchDispatchMode):
    """The operations that were called, with their arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.made.append((func._schema.name, args, kwargs or {}))
        return func(*args, **(kwargs or {}))

    @property
    def fetched(self) -> int:
        """How often a number was fetched from the device: on a GPU all work before it is waited for."""
        return sum(name == "aten::_local_scalar_dense" for name, _args, _kwargs in self.made)


def model_of(folder: Path, kind: str) -> Any:
    model = AutoModelForSequenceClassification.from_pretrained(save_model(folder / kind, kind))
    return model.eval()


def padded(model: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    ids = torch.randint(5, model.config.vocab_size, (4, 9))
    mask = torch.ones_like(ids)
    for row, size in enumerate((9, 7, 3, 1)):
        ids[row, size:], mask[row, size:] = model.config.pad_token_id, 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("kind", FAMILIES)
def test_logits_are_those_of_the_plain_mask(tmp_path: Path, kind: str) -> None:
    model = model_of(tmp_path, kind)
    assert takes_ready_mask(model)
    given = padded(model)
    expected = model(**given).logits
    unmasked = model(input_ids=given["input_ids"]).logits
    assert not torch.allclose(unmasked, expected), "the mask makes no difference here"
    torch.testing.assert_close(model(**with_ready_mask(given)).logits, expected)
    assert keep_first(model)
    torch.testing.assert_close(model(**with_ready_mask(given)).logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_forward_pass_fetches_nothing(tmp_path: Path, kind: str) -> None:
    model = model_of(tmp_path, kind)
    keep_first(model)
    given = padded(model)
    with torch.no_grad():
        with Calls() as plain:
            model(**given)
        with Calls() as ready:
            model(**with_ready_mask(given))
    assert plain.fetched, "transformers does not look at masks any more: nothing of this is needed"
    assert ready.fetched == 0


def test_training_with_our_dropout_takes_it(tmp_path: Path) -> None:
    model = model_of(tmp_path, "bert")
    dropout.install(model)
    model.train()
    given = padded(model)
    found = []
    for batch in (given, with_ready_mask(given)):
        model.zero_grad()
        with dropout.drawing([7]):
            logits = model(**batch).logits
        logits[:, 1].sum().backward()
        found.append((logits.detach(), model.bert.embeddings.word_embeddings.weight.grad.clone()))
    torch.testing.assert_close(found[1], found[0])


def test_other_models_get_the_plain_mask(tmp_path: Path) -> None:
    assert not takes_ready_mask(model_of(tmp_path, "deberta-v2"))
    model = model_of(tmp_path, "bert")
    model.set_attn_implementation("eager")
    assert not takes_ready_mask(model), "eager attention adds its mask"


def test_a_batch_without_padding_has_none() -> None:
    batch = {"input_ids": torch.ones(2, 3)}
    assert with_ready_mask(batch) == batch


def test_weights_are_cast_once_an_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one thread, as on a GPU: autocast forgets its casts where it ends, and used to end with every batch."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    model = model_of(tmp_path, "bert")
    rows = [[5 + (number + place) % 30 for place in range(3 + number % 5)] for number in range(40)]
    tokens = Dataset.from_dict({"input_ids": rows, "length": [len(row) for row in rows], "labels": [0, 1] * 20})
    reviews = TokenTable(tokens, model.config.pad_token_id)
    weight = model.bert.encoder.layer[0].intermediate.dense.weight
    with Calls() as calls:
        before = predict(model, reviews, 8, autocast=lambda: torch.autocast("cpu", torch.bfloat16))
    casts = [args[0].data_ptr() for name, args, _kwargs in calls.made if name in ("aten::to", "aten::_to_copy")]
    assert casts.count(weight.data_ptr()) == 1
    with torch.no_grad():
        weight.mul_(-1)
    after = predict(model, reviews, 8, autocast=lambda: torch.autocast("cpu", torch.bfloat16))
    assert not np.allclose(before, after), "the cast of old weights was kept"
