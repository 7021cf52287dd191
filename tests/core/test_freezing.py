"""Frozen layers and a learning rate for each layer, on the architectures that Korean encoders come in."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer

from core.errors import ModelError
from core.freezing import freeze
from core.model_parts import split
from core.optimizer import parameter_groups

COMMON = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm"}
KINDS: dict[str, dict[str, Any]] = {
    "bert": COMMON,
    "roberta": COMMON,
    "xlm-roberta": COMMON,
    "camembert": COMMON,
    "electra": {**COMMON, "embedding_size": 8},
    "distilbert": {"vocab_size": 60, "dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24, "pad_token_id": 0},
    "deberta-v2": {**COMMON, **RELATIVE},
    "modernbert": {**COMMON, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
    "funnel": {"vocab_size": 60, "block_sizes": [2, 1], "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 24},
    "big_bird": COMMON,
    "xlm-roberta-xl": COMMON,
}
SIZES = {**KINDS, "albert": {**COMMON, "embedding_size": 8}}
HEADS = {
    "bert": ("bert.pooler.dense", "classifier"),
    "roberta": ("classifier.dense", "classifier.out_proj"),
    "distilbert": ("pre_classifier", "classifier"),
    "modernbert": ("head.dense", "head.norm", "classifier"),
    "deberta-v2": ("pooler.dense", "classifier"),
}


def make(kind: str, **overrides: Any) -> Any:
    torch.manual_seed(3)
    return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **{**SIZES[kind], **overrides}))


def loss_of(model: Any) -> torch.Tensor:
    ids = torch.randint(5, 60, (4, 9), generator=torch.Generator().manual_seed(1))
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1, 0]))


def moved(model: Any) -> set[str]:
    """The parameters that one step of gradient descent with a huge rate changes."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=10.0)
    loss_of(model).backward()
    optimizer.step()
    return {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_on_one_floor(kind: str) -> None:
    model = make(kind)
    parts = split(model)
    names = [name for floor in (parts.embeddings, *parts.layers, parts.head) for name, _parameter in floor]
    assert sorted(names) == sorted(name for name, _parameter in model.named_parameters())
    assert len(parts.layers) == 3
    sizes = {sum(p.numel() for name, p in layer if "norm" not in name.lower()) for layer in parts.layers}
    assert len(sizes) == 1, "layers are alike"
    assert all("embed" in name or kind == "deberta-v2" for name, _parameter in parts.embeddings)


@pytest.mark.parametrize("kind", HEADS)
def test_the_head_is_the_classifier_and_what_pools_for_it(kind: str) -> None:
    assert {name.rpartition(".")[0] for name, _parameter in split(make(kind)).head} == set(HEADS[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("setting", ["embeddings", "2", "encoder"])
def test_frozen_parts_stay_and_the_rest_learns(kind: str, setting: str) -> None:
    model = make(kind)
    parts = split(model)
    floors = {"embeddings": [parts.embeddings], "2": [parts.embeddings, *parts.layers[:2]]}
    floors["encoder"] = [parts.embeddings, *parts.layers]
    expected = {name for floor in floors[setting] for name, _parameter in floor}
    count = freeze(model, setting)
    assert count == sum(parameter.numel() for name, parameter in model.named_parameters() if name in expected)
    assert {name for name, parameter in model.named_parameters() if not parameter.requires_grad} == expected
    changed = moved(model)
    assert not changed & expected
    assert {name for name, _parameter in parts.head} & changed
    for layer in parts.layers[2:] if setting == "2" else ():
        assert {name for name, _parameter in layer} & changed


def test_none_freezes_nothing() -> None:
    model = make("bert")
    assert freeze(model, "none") == 0
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_as_many_layers_as_there_are_is_the_encoder_and_more_is_refused() -> None:
    first, second = make("xlm-roberta"), make("xlm-roberta")
    assert freeze(first, "3") == freeze(second, "encoder")
    with pytest.raises(ModelError, match="3 layers"):
        freeze(make("xlm-roberta"), "4")


@pytest.mark.parametrize("setting", ["embeddings", "1"])
def test_layers_that_share_their_weights_are_refused(setting: str) -> None:
    model = make("albert")
    with pytest.raises(ModelError, match="same weights") as caught:
        freeze(model, setting)
    assert "encoder" in caught.value.hint
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert freeze(model, "encoder") > 0
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} <= {"albert", "classifier"}
    with pytest.raises(ModelError, match="same weights"):
        parameter_groups(make("albert"), 1e-3, 0.0, 0.9, [])


def test_models_without_an_order_of_layers_are_refused() -> None:
    config = AutoConfig.for_model(
        "bart", vocab_size=60, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8,
    )  # fmt: skip
    with pytest.raises(ModelError, match="bart"):
        freeze(AutoModelForSequenceClassification.from_config(config), "1")
    with pytest.raises(ModelError, match="Linear"):
        freeze(torch.nn.Linear(2, 2), "encoder")


def decay_names(model: Any) -> list[str]:
    return Trainer.get_decay_parameter_names(None, model)


@pytest.mark.parametrize("kind", KINDS)
def test_rates_fall_from_the_head_to_the_embeddings(kind: str) -> None:
    model = make(kind)
    parts = split(model)
    groups = parameter_groups(model, 1e-3, 0.05, 0.5, decay_names(model))
    assert groups[0]["lr"] == 1e-3
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(rate) == sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    expected = {0: parts.head, 1: parts.layers[2], 2: parts.layers[1], 3: parts.layers[0], 4: parts.embeddings}
    for depth, floor in expected.items():
        assert {rate[id(parameter)] for _name, parameter in floor} == {1e-3 * 0.5**depth}
    wanted = set(decay_names(model))
    for name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (0.05 if name in wanted else 0.0)


def test_a_decay_of_one_gives_trainers_two_groups() -> None:
    model = make("bert")
    groups = parameter_groups(model, 2e-5, 0.01, 1.0, decay_names(model))
    wanted = set(decay_names(model))
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(2e-5, 0.01), (2e-5, 0.0)]
    assert [id(p) for p in groups[0]["params"]] == [id(p) for name, p in model.named_parameters() if name in wanted]


def test_frozen_parameters_and_empty_groups_are_left_out() -> None:
    model = make("electra")
    freeze(model, "2")
    groups = parameter_groups(model, 1e-3, 0.01, 0.5, decay_names(model))
    assert all(parameter.requires_grad for group in groups for parameter in group["params"])
    assert {group["lr"] for group in groups} == {1e-3, 5e-4}
    torch.optim.AdamW(groups)
    freeze(model, "encoder")
    assert len(parameter_groups(model, 1e-3, 0.0, 1.0, [])) == 1


def test_layers_really_learn_at_their_rates() -> None:
    """Plain gradient descent moves a weight by its rate times its gradient."""
    model = make("roberta", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    optimizer = torch.optim.SGD(parameter_groups(model, 1.0, 0.0, 0.5, []), lr=9.0)
    weight = model.roberta.encoder.layer[1].output.dense.weight
    loss_of(model).backward()
    assert weight.grad is not None
    expected = weight.detach() - 0.25 * weight.grad
    optimizer.step()
    torch.testing.assert_close(weight.detach(), expected)
