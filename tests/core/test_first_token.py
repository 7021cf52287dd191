"""The last layer for the first token alone: the same logits and gradients, less of everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from core.first_token import keep_first
from tests.core.tiny_models import save_model

FAMILIES = ["bert", "electra", "roberta", "xlm-roberta", "distilbert"]
NO_DROPOUT = (
    {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0},
)


def pair(folder: Path, kind: str, **overrides: Any) -> tuple[Any, Any]:
    """The same model twice."""
    path = save_model(folder / kind, kind, **overrides)
    return tuple(AutoModelForSequenceClassification.from_pretrained(path) for _ in range(2))


def batch(model: Any, side: str = "right") -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    ids = torch.randint(5, model.config.vocab_size, (4, 9))
    mask = torch.ones_like(ids)
    for row, size in enumerate((9, 7, 3, 1)):
        padding = slice(size, None) if side == "right" else slice(0, 9 - size)
        ids[row, padding], mask[row, padding] = model.config.pad_token_id, 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", FAMILIES)
def test_logits_and_gradients_are_those_of_the_whole_layer(tmp_path: Path, kind: str, side: str) -> None:
    # In double precision, where rounding is far from what is compared.
    whole, cut = (model.double() for model in pair(tmp_path, kind, **NO_DROPOUT[kind == "distilbert"]))
    assert keep_first(cut)
    for given in (batch(whole, side), {"input_ids": batch(whole)["input_ids"][:1]}):
        outputs = []
        for model in (whole, cut):
            model.train()
            model.zero_grad()
            logits = model(**given).logits
            (logits[:, 1] - logits[:, 0]).square().sum().backward()
            outputs.append(logits.detach())
        torch.testing.assert_close(outputs[1], outputs[0])
        largest = max(float(each.grad.abs().max()) for each in whole.parameters() if each.grad is not None)
        for (name, expected), found in zip(whole.named_parameters(), cut.parameters(), strict=True):
            if expected.grad is None:
                assert found.grad is None, name
                continue
            torch.testing.assert_close(found.grad, expected.grad, rtol=1e-7, atol=1e-9 * largest, msg=name)


def test_the_last_layer_works_on_one_position(tmp_path: Path) -> None:
    _whole, model = pair(tmp_path, "bert")
    assert keep_first(model)
    layers = model.base_model.encoder.layer
    seen: dict[str, tuple[int, ...]] = {}
    for number, layer in enumerate(layers):
        layer.intermediate.register_forward_hook(
            lambda module, given, found, number=number: seen.update({f"feed-forward {number}": tuple(given[0].shape)})
        )
        layer.attention.self.query.register_forward_hook(
            lambda module, given, found, number=number: seen.update({f"query {number}": tuple(given[0].shape)})
        )
    model(**batch(model))
    assert seen == {
        "feed-forward 0": (4, 9, 32),
        "feed-forward 1": (4, 1, 32),
        "query 0": (4, 9, 32),
        "query 1": (4, 1, 32),
    }


def test_other_attention_than_sdpa_gives_the_same(tmp_path: Path) -> None:
    whole, model = pair(tmp_path, "bert")
    assert keep_first(model)
    model.set_attn_implementation("eager")
    torch.testing.assert_close(
        model.eval()(**batch(model)).logits, whole.eval()(**batch(model)).logits, rtol=1e-4, atol=1e-5
    )


def test_a_head_that_reads_all_positions_is_left_alone(tmp_path: Path) -> None:
    whole, model = pair(tmp_path, "roberta")

    class MeanHead(torch.nn.Module):
        def __init__(self, head: Any) -> None:
            super().__init__()
            self.out_proj = head.out_proj

        def forward(self, features: torch.Tensor, **kwargs: Any) -> torch.Tensor:
            return self.out_proj(features.mean(dim=1))

    for each in (whole, model):
        each.classifier = MeanHead(each.classifier)
    assert not keep_first(model)
    given = batch(model)
    assert torch.equal(model.eval()(**given).logits, whole.eval()(**given).logits)


def test_models_of_other_kinds_are_left_alone(tmp_path: Path) -> None:
    whole, model = pair(tmp_path, "deberta-v2")
    assert not keep_first(model)
    assert torch.equal(model.eval()(**batch(model)).logits, whole.eval()(**batch(model)).logits)


def test_mode_random_numbers_and_files_stay_as_they_were(tmp_path: Path) -> None:
    _whole, model = pair(tmp_path, "electra")
    names = list(model.state_dict())
    model.train()
    before = torch.get_rng_state()
    assert keep_first(model)
    assert keep_first(model), "twice does no harm"
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    model.save_pretrained(tmp_path / "saved")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert list(again.state_dict()) == names
    torch.testing.assert_close(
        again.eval()(**batch(model)).logits, model.eval()(**batch(model)).logits, rtol=1e-4, atol=1e-5
    )
