"""Attention as transformers gives it, and the numbers made of it, against independent few-liners."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import attention as attentions
from core.errors import ModelError, UsageError
from core.inspector_loading import load
from core.inspector_models import LoadedModel
from core.inspector_protocol import Inspection, inspection_from, pack
from tests.core.tiny_models import MODELS, NASTY, save_model

TEXTS = [NASTY[3], NASTY[6], NASTY[10], "", "배우들의 연기가 아쉬웠다 " * 40]


@pytest.fixture(scope="module", params=sorted(MODELS))
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / request.param, request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(str(save_model(tmp_path_factory.mktemp("models") / "bert", "bert")), "cpu")


def ask(loaded: LoadedModel, text: str, max_length: int | None = None, attention: bool = True) -> Inspection:
    header, array = loaded.inspect(text, max_length, attention)
    described, bodies = pack({} if array is None else {"attention": array})
    return inspection_from(json.loads(json.dumps({**header, "arrays": described})), b"".join(bodies))


def reference(path: Path, text: str, max_length: int) -> Any:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(
        path, attn_implementation="eager", output_attentions=True
    ).eval()
    with torch.no_grad():
        return model(**tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt"))


def test_equals_eager_transformers(saved: Path) -> None:
    import torch

    loaded = load(str(saved), "cpu")
    for text in TEXTS:
        got = ask(loaded, text, 64)
        expected = reference(saved, text, 64)
        assert got.attention is not None
        wanted = torch.stack(expected.attentions)[:, 0].numpy()
        assert got.attention.shape == wanted.shape
        np.testing.assert_allclose(got.attention, wanted, atol=1e-5, rtol=0)
        np.testing.assert_allclose(got.attention.sum(-1), 1, atol=1e-5)
        np.testing.assert_allclose(got.logits, expected.logits[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(got.probabilities, expected.logits[0].softmax(-1).numpy(), atol=1e-5)
        assert got.labels == ("부정", "긍정")
        assert len(got.tokens) == wanted.shape[-1]
        # Random weights would pass for each other if all maps were flat.
        assert len(got.tokens) < 4 or np.abs(wanted - wanted.mean()).max() > 0.05


def test_window_holds_long_texts(saved: Path) -> None:
    loaded = load(str(saved), "cpu")
    assert loaded.window == 128
    for max_length in (None, 10_000):
        long = ask(loaded, "정말 최고 " * 400, max_length)
        assert len(long.tokens) == 128
        assert long.cut is not None


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_window_of_the_positions_when_the_tokenizer_names_none(tmp_path: Path, kind: str) -> None:
    from tests.core.tiny_models import TOKENIZERS

    tokenizer = TOKENIZERS[MODELS[kind]]()
    tokenizer.model_max_length = int(1e30)
    loaded = load(str(save_model(tmp_path / kind, kind, tokenizer)), "cpu")
    assert len(ask(loaded, "최고 " * 400).tokens) == 128


def test_pipeline_agrees(bert: LoadedModel) -> None:
    from transformers import pipeline

    classify = pipeline("text-classification", model=bert.path, top_k=None)
    for text in TEXTS[:3]:
        scores = {answer["label"]: answer["score"] for answer in classify([text])[0]}
        got = ask(bert, text)
        assert dict(zip(got.labels, got.probabilities, strict=True)) == pytest.approx(scores, abs=1e-5)


def test_config_that_asks_for_attention_itself(tmp_path: Path) -> None:
    """Such a checkpoint comes back with SDPA and then gives an empty tuple."""
    path = save_model(tmp_path / "m", "bert")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"output_attentions": True}))
    loaded = load(str(path), "cpu")
    assert ask(loaded, "최고").attention is not None
    assert ask(loaded, "최고", attention=False).attention is None


def test_half_precision_checkpoint_is_computed_in_float32(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    path = save_model(tmp_path / "m", "bert")
    AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float16).save_pretrained(path)
    loaded = load(str(path), "cpu")
    assert loaded.model.dtype == torch.float32
    np.testing.assert_allclose(ask(loaded, "최고 최고").attention.sum(-1), 1, atol=1e-6)


def test_missing_head_is_said(tmp_path: Path, bert: LoadedModel) -> None:
    from transformers import AutoModel, AutoTokenizer

    AutoModel.from_pretrained(bert.path).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(bert.path).save_pretrained(tmp_path)
    assert "classifier" in " ".join(load(str(tmp_path), "cpu").notes)
    assert "classifier" not in " ".join(bert.notes)


def test_models_without_token_to_token_attention(tmp_path: Path) -> None:
    path = save_model(tmp_path / "fnet", "fnet")
    got = ask(load(str(path), "cpu"), "정말 최고")
    assert got.attention is None
    assert "fnet" in got.note
    assert sum(got.probabilities) == pytest.approx(1)
    answer = attentions.answer_json(got)
    assert answer["weights"] is None
    assert answer["note"] == got.note
    assert [word["weight"] for word in answer["words"]] == [None, None]


def test_left_to_right_model_reads_its_last_token(tmp_path: Path) -> None:
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    loaded = load(str(save_model(tmp_path / "gpt2", "gpt2", **sizes)), "cpu")
    got = ask(loaded, "정말 최고")
    assert got.cls == len(got.tokens) - 1
    assert got.attention is not None


def test_broken_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        load(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="empty"):
        load(str(tmp_path / "empty"))


def test_nan_weights_are_reported(tmp_path: Path) -> None:
    import torch

    loaded = load(str(save_model(tmp_path / "m", "bert")), "cpu")
    with torch.no_grad():
        loaded.model.classifier.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="not a number"):
        ask(loaded, "최고")


def test_select() -> None:
    attention = np.random.default_rng(0).random((3, 4, 5, 5), dtype=np.float32)
    np.testing.assert_array_equal(attentions.select(attention, 2, 1), attention[2, 1])
    np.testing.assert_allclose(attentions.select(attention, 2), attention[2].mean(0), rtol=1e-6)
    np.testing.assert_allclose(attentions.select(attention, None, 3), attention[:, 3].mean(0), rtol=1e-6)
    np.testing.assert_allclose(attentions.select(attention), attention.mean((0, 1)), rtol=1e-6)


@pytest.mark.parametrize(("layer", "head", "last"), [(3, None, 2), (-1, None, 2), (0, 4, 3), (None, -1, 3)])
def test_layers_and_heads_that_are_not_there(layer: int | None, head: int | None, last: int) -> None:
    with pytest.raises(UsageError) as caught:
        attentions.select(np.zeros((3, 4, 5, 5)), layer, head)
    assert f"0 to {last}" in caught.value.hint


def test_rollout_equals_the_paper(bert: LoadedModel) -> None:
    import torch

    got = ask(bert, TEXTS[0])
    assert got.attention is not None
    joint = None
    for layer in torch.tensor(got.attention, dtype=torch.float64):
        residual = layer.mean(0) + torch.eye(layer.shape[-1])
        residual = residual / residual.sum(-1, keepdim=True)
        joint = residual if joint is None else residual @ joint
    assert joint is not None
    np.testing.assert_allclose(attentions.rollout(got.attention), joint.numpy(), atol=1e-6)
    first = attentions.rollout(got.attention, 0)
    np.testing.assert_allclose(first, 0.5 * got.attention[0].mean(0) + 0.5 * np.eye(len(first)), atol=1e-6)
    assert not np.allclose(first, joint.numpy(), atol=1e-3)
    with pytest.raises(UsageError):
        attentions.rollout(got.attention, 2)


def test_rows_of_asking_tokens() -> None:
    matrix = np.arange(9, dtype=float).reshape(3, 3)
    assert attentions.token_row(matrix).tolist() == [0, 1, 2]
    assert attentions.token_row(matrix, "cls", cls=2).tolist() == [6, 7, 8]
    assert attentions.token_row(matrix, 1).tolist() == [3, 4, 5]
    assert attentions.token_row(matrix, [0, 2]).tolist() == [6, 8, 10]
    assert attentions.token_row(matrix, "mean").tolist() == [3, 4, 5]
    with pytest.raises(UsageError):
        attentions.token_row(matrix, 3)


def test_words_sum_over_answering_and_average_over_asking_tokens() -> None:
    matrix = np.array(
        [
            [0.4, 0.1, 0.2, 0.3],
            [0.1, 0.5, 0.3, 0.1],
            [0.3, 0.3, 0.1, 0.3],
            [0.25, 0.25, 0.25, 0.25],
        ]
    )
    words = [None, 0, 0, 1]
    np.testing.assert_allclose(attentions.word_weights(matrix[0], words, 3), [0.3, 0.3, 0.0])
    expected = [[(0.8 + 0.4) / 2, (0.1 + 0.3) / 2, 0], [0.5, 0.25, 0], [0, 0, 0]]
    np.testing.assert_allclose(attentions.word_matrix(matrix, words, 3), expected)


def test_special_tokens_dropped() -> None:
    matrix = np.array([[0.5, 0.25, 0.25], [0.6, 0.3, 0.1], [1.0, 0.0, 0.0]])
    special = [True, False, False]
    np.testing.assert_allclose(attentions.drop_special(matrix[1], special), [0, 0.3, 0.1])
    np.testing.assert_allclose(attentions.drop_special(matrix[1], special, True), [0, 0.75, 0.25])
    np.testing.assert_allclose(attentions.drop_special(matrix, special), [[0, 0, 0], [0, 0.3, 0.1], [0, 0, 0]])
    renormalised = attentions.drop_special(matrix, special, renormalise=True)
    np.testing.assert_allclose(renormalised, [[0, 0, 0], [0, 0.75, 0.25], [0, 0, 0]])


@pytest.mark.parametrize(
    ("method", "layer", "head"), [("attention", None, None), ("attention", 1, 3), ("rollout", None, None)]
)
def test_answer_json(bert: LoadedModel, method: str, layer: int | None, head: int | None) -> None:
    text = "정말 재미있어요 \x1b]0;x\x07[/x]"
    got = ask(bert, text)
    answer = json.loads(json.dumps(attentions.answer_json(got, method, layer, head), allow_nan=False))
    assert answer["text"] == text
    assert (answer["method"], answer["layer"], answer["head"]) == (method, layer, head)
    weights = np.array(answer["weights"])
    assert weights.shape == (len(answer["tokens"]),) * 2
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert [word["text"] for word in answer["words"]] == text.split()
    for number, word in enumerate(answer["words"]):
        own = [i for i, token in enumerate(answer["tokens"]) if token["word"] == number]
        assert own
        assert word["weight"] == pytest.approx(sum(weights[0][i] for i in own), abs=1e-6)
        for i in own:
            token = answer["tokens"][i]
            assert token["text"] == text[token["start"] : token["end"]]
    assert answer["tokens"][0] | {"special": True, "text": "[CLS]"} == answer["tokens"][0]


@pytest.mark.parametrize(("method", "head"), [("magic", None), ("rollout", 1)])
def test_methods_that_cannot_be(bert: LoadedModel, method: str, head: int | None) -> None:
    with pytest.raises(UsageError):
        attentions.answer_json(ask(bert, "최고"), method, None, head)


def test_too_much_attention_is_left_out(bert: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attentions, "MAX_BYTES", 500)
    got = ask(bert, "정말 최고 영화")
    assert got.attention is None
    assert got.note
    assert sum(got.probabilities) == pytest.approx(1)
