"""Weights of tokens and words against independent few lines of torch, and Captum, on every kind of model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import export_svg
from core import inspector_questions as questions
from core.attention import answer_json
from core.attribution_methods import METHODS
from core.errors import UsageError
from core.export_attention import ReviewExport
from core.export_svg import View
from core.inspector_answers import Attribution
from core.inspector_ops import Task, find
from core.inspector_protocol import Question, RequestCancelledError, pack
from core.inspector_shelf import ModelShelf
from tests.core.tiny_models import MODELS, NASTY, save_model
from tui.heat_view import HeatChoice, heat_of

TEXT = "배우들의 연기가 아쉬웠다 ㅋㅋㅋ 정말 최고 ㅠㅠ"
CLOSE = {"atol": 1e-4, "rtol": 0}


class Asker:
    """Asks ops as the inspector does, without its process; what goes over the pipe is made and read all the same."""

    def __init__(self) -> None:
        self.shelf = ModelShelf(max_models=20)
        self.progress: list[tuple[int, int]] = []
        self.checks = 0
        self.cancel_after: int | None = None

    def check(self) -> None:
        self.checks += 1
        if self.cancel_after is not None and self.checks > self.cancel_after:
            raise RequestCancelledError("")

    def __call__(self, question: Question[Any]) -> Any:
        self.progress.clear()
        task = Task(self.shelf, self.check, lambda done, total: self.progress.append((done, total)))
        answer = find(question.request["op"])(task, {**question.request, "device": "cpu"})
        described, bodies = pack(answer.arrays)
        header = json.loads(json.dumps({**answer.header, "arrays": described}))
        return question.read(header, b"".join(bodies))


@pytest.fixture(scope="module")
def ask() -> Asker:
    return Asker()


@pytest.fixture(scope="module", params=sorted(MODELS))
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / request.param, request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "bert", "bert")


class Peer:
    """The model and its inputs for one text, as anyone would load them."""

    def __init__(self, path: Path, text: str = TEXT) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = AutoModelForSequenceClassification.from_pretrained(path, attn_implementation="eager").eval()
        self.inputs = self.tokenizer(text, return_tensors="pt")
        self.ids = self.inputs["input_ids"]
        self.mask = self.inputs["attention_mask"]

    def probability(self, text: str, target: int) -> float:
        with self.torch.no_grad():
            logits = self.model(**self.tokenizer(text, return_tensors="pt")).logits[0]
        return float(logits.softmax(-1)[target])

    @property
    def special(self) -> Any:
        return self.torch.tensor(
            self.tokenizer.get_special_tokens_mask(self.ids[0].tolist(), already_has_special_tokens=True),
            dtype=self.torch.bool,
        )


def words_of(attribution: Attribution) -> np.ndarray:
    """Word sums by the plainest means."""
    assert attribution.tokens is not None
    sums = [0.0] * len(attribution.inspection.words)
    for token, weight in zip(attribution.inspection.tokens, attribution.tokens, strict=True):
        if token.word is not None:
            sums[token.word] += weight
    return np.array(sums)


@pytest.mark.parametrize("target", [0, 1])
def test_gradient_x_input(saved: Path, ask: Asker, target: int) -> None:
    got = ask(questions.explain(saved, TEXT, method="gradient_x_input", target=target))
    peer = Peer(saved)
    embedded = peer.model.get_input_embeddings()(peer.ids).detach().requires_grad_()
    # Positions that RoBERTa counts from the ids are the same for a text without padding.
    logits = peer.model(inputs_embeds=embedded, attention_mask=peer.mask).logits
    logits[0, target].backward()
    np.testing.assert_allclose(got.tokens, (embedded * embedded.grad).sum(-1)[0].detach().numpy(), **CLOSE)
    np.testing.assert_allclose(got.words, words_of(got), atol=1e-9)
    assert (got.target, got.signed, got.of) == (target, True, "logit")
    assert got.tokens.min() < 0 < got.tokens.max()


def test_integrated_gradients_equal_captum(saved: Path, ask: Asker) -> None:
    from captum.attr import LayerIntegratedGradients

    got = ask(questions.explain(saved, TEXT, method="integrated_gradients", target=1, steps=20))
    peer = Peer(saved)
    baseline = peer.torch.where(peer.special, peer.ids, peer.tokenizer.pad_token_id)
    captum = LayerIntegratedGradients(
        lambda ids: peer.model(input_ids=ids, attention_mask=peer.mask.expand_as(ids)).logits,
        peer.model.get_input_embeddings(),
    )
    wanted = captum.attribute(peer.ids, baselines=baseline, target=1, n_steps=20)
    np.testing.assert_allclose(got.tokens, wanted.sum(-1)[0].numpy(), **CLOSE)
    np.testing.assert_allclose(got.words, words_of(got), atol=1e-9)
    assert (got.baseline, got.steps, got.of, got.signed) == ("pad", 20, "logit", True)
    # Added tokens are their own baseline.
    np.testing.assert_array_equal(got.tokens[np.array(got.inspection.special_mask)], 0)


def test_completeness_gap_is_what_is_missing_and_shrinks(bert: Path, ask: Asker) -> None:
    peer = Peer(bert)
    table = peer.model.get_input_embeddings()
    baseline = table(peer.torch.where(peer.special, peer.ids, peer.tokenizer.pad_token_id))
    with peer.torch.no_grad():
        whole = table(peer.ids)
        ends = [float(peer.model(inputs_embeds=x, attention_mask=peer.mask).logits[0, 1]) for x in (baseline, whole)]
    coarse, fine = (ask(questions.explain(bert, TEXT, target=1, steps=steps)) for steps in (4, 1000))
    for got in (coarse, fine):
        assert got.gap == pytest.approx(got.tokens.sum() - (ends[1] - ends[0]), abs=1e-4)
    assert abs(fine.gap) < 0.05 * abs(ends[1] - ends[0])
    assert abs(fine.gap) < abs(coarse.gap)


def test_integrated_gradients_of_the_probability(bert: Path, ask: Asker) -> None:
    got = ask(questions.explain(bert, TEXT, target=0, of="probability", steps=500))
    assert got.of == "probability"
    assert abs(got.gap) < 0.1
    other = ask(questions.explain(bert, TEXT, target=1, of="probability", steps=500))
    np.testing.assert_allclose(got.tokens, -other.tokens, atol=1e-4)


def test_relevance(saved: Path, ask: Asker) -> None:
    got = ask(questions.explain(saved, TEXT, method="relevance", target=1))
    peer = Peer(saved)
    torch = peer.torch
    outputs = peer.model(**peer.inputs, output_attentions=True)
    for layer in outputs.attentions:
        layer.retain_grad()
    outputs.logits[0, 1].backward()
    wanted = torch.eye(peer.ids.shape[1], dtype=torch.float64)
    for layer in outputs.attentions:
        mean = (layer.grad * layer).clamp(min=0)[0].mean(0).detach().double()
        wanted = wanted + mean @ wanted
    np.testing.assert_allclose(got.tokens, wanted[0].numpy(), **CLOSE)
    np.testing.assert_allclose(got.words, words_of(got), atol=1e-9)
    assert not got.signed
    other = ask(questions.explain(saved, TEXT, method="relevance", target=0))
    assert np.abs(got.tokens - other.tokens).max() > 1e-3


@pytest.mark.parametrize("of", ["probability", "logit"])
def test_occlusion_by_mask(saved: Path, ask: Asker, of: str) -> None:
    got = ask(questions.explain(saved, TEXT, method="occlusion", target=1, of=of))
    peer = Peer(saved)
    torch = peer.torch

    def value(ids: Any) -> float:
        with torch.no_grad():
            logits = peer.model(**{**peer.inputs, "input_ids": ids}).logits[0]
        return float((logits.softmax(-1) if of == "probability" else logits)[1])

    offsets = peer.tokenizer(TEXT, return_offsets_mapping=True)["offset_mapping"]
    for number, word in enumerate(got.inspection.words):
        own = torch.tensor([start < word.end and end > word.start for start, end in offsets]) & ~peer.special
        masked = torch.where(own, peer.tokenizer.mask_token_id, peer.ids)
        assert got.words[number] == pytest.approx(value(peer.ids) - value(masked), abs=1e-4)
    np.testing.assert_allclose(got.words, words_of(got), atol=1e-9)
    assert (got.baseline, got.of, got.signed) == ("mask", of, True)


def test_occlusion_by_deletion(saved: Path, ask: Asker) -> None:
    got = ask(questions.explain(saved, TEXT, method="occlusion", target=0, mode="delete"))
    peer = Peer(saved)
    pieces = TEXT.split(" ")
    for number in range(len(pieces)):
        shorter = " ".join(piece for n, piece in enumerate(pieces) if n != number)
        wanted = peer.probability(TEXT, 0) - peer.probability(shorter, 0)
        assert got.words[number] == pytest.approx(wanted, abs=1e-4)
    assert got.baseline == "delete"


def test_words_that_are_masked_are_explained_as_what_the_model_got(saved: Path, ask: Asker) -> None:
    hidden = [1, 3]
    peer = Peer(saved)
    torch = peer.torch
    offsets = peer.tokenizer(TEXT, return_offsets_mapping=True)["offset_mapping"]
    inspection = ask(questions.inspect(saved, TEXT, masked=hidden))
    spans = [inspection.words[number] for number in hidden]
    own = torch.tensor([any(s < word.end and e > word.start for word in spans) for s, e in offsets]) & ~peer.special
    peer.ids = torch.where(own, peer.tokenizer.mask_token_id, peer.ids)
    peer.inputs["input_ids"] = peer.ids
    assert inspection.masked == tuple(hidden)
    for token, masked in zip(inspection.tokens, own.tolist(), strict=True):
        assert token.masked == masked
        # The mask token stands on the word that it hides.
        assert not masked or (token.text == peer.tokenizer.mask_token and token.word in hidden)
        assert masked or token.special or token.text == TEXT[token.start : token.end]
    with torch.no_grad():
        layers = torch.stack(peer.model(**peer.inputs, output_attentions=True).attentions)[:, 0]
    np.testing.assert_allclose(inspection.attention, layers.numpy(), atol=1e-5)
    got = ask(questions.explain(saved, TEXT, method="gradient_x_input", target=1, masked=hidden))
    assert got.inspection.probabilities == pytest.approx(inspection.probabilities, abs=1e-6)
    embedded = peer.model.get_input_embeddings()(peer.ids).detach().requires_grad_()
    peer.model(inputs_embeds=embedded, attention_mask=peer.mask).logits[0, 1].backward()
    np.testing.assert_allclose(got.tokens, (embedded * embedded.grad).sum(-1)[0].detach().numpy(), **CLOSE)
    np.testing.assert_allclose(got.words, words_of(got), atol=1e-9)
    occluded = ask(questions.explain(saved, TEXT, method="occlusion", target=1, masked=hidden))
    assert occluded.words[hidden] == pytest.approx(0, abs=1e-6)
    assert np.abs(occluded.words).max() > 1e-4


def test_masked_words_stay_masked_where_others_are_taken_out(bert: Path, ask: Asker) -> None:
    from captum.attr import LayerIntegratedGradients

    peer = Peer(bert)
    hide = peer.tokenizer.mask_token
    words = TEXT.split(" ")
    pieces = [len(peer.tokenizer(word, add_special_tokens=False)["input_ids"]) for word in words]
    shown = [" ".join([hide] * pieces[n]) if n == 2 else word for n, word in enumerate(words)]
    got = ask(questions.explain(bert, TEXT, method="occlusion", target=0, mode="delete", masked=[2]))
    for number in range(len(words)):
        shorter = " ".join(word for n, word in enumerate(shown) if n != number)
        wanted = peer.probability(" ".join(shown), 0) - peer.probability(shorter, 0)
        assert got.words[number] == pytest.approx(wanted, abs=1e-4)
    found = ask(questions.flip(bert, TEXT, masked=[2], max_evaluations=60))
    left = [n for n in range(len(words)) if n not in found.words]
    assert [left[n] for n in found.masked] == [n for n in (2,) if n in left]
    peer = Peer(bert, " ".join(shown))
    captum = LayerIntegratedGradients(
        lambda ids: peer.model(input_ids=ids, attention_mask=peer.mask.expand_as(ids)).logits,
        peer.model.get_input_embeddings(),
    )
    special = peer.torch.isin(peer.ids, peer.torch.tensor([peer.tokenizer.cls_token_id, peer.tokenizer.sep_token_id]))
    baseline = peer.torch.where(special, peer.ids, peer.tokenizer.pad_token_id)
    gradients = ask(questions.explain(bert, TEXT, target=1, steps=20, masked=[2]))
    wanted = captum.attribute(peer.ids, baselines=baseline, target=1, n_steps=20).sum(-1)[0].numpy()
    np.testing.assert_allclose(gradients.tokens, wanted, **CLOSE)


def test_attention_and_rollout_are_rows(saved: Path, ask: Asker) -> None:
    peer = Peer(saved)
    torch = peer.torch
    with torch.no_grad():
        layers = torch.stack(peer.model(**peer.inputs, output_attentions=True).attentions)[:, 0]
    for layer, head, wanted in [(None, None, layers.mean((0, 1))), (1, None, layers[1].mean(0)), (0, 3, layers[0, 3])]:
        got = ask(questions.explain(saved, TEXT, method="attention", layer=layer, head=head))
        np.testing.assert_allclose(got.tokens, wanted[0].numpy(), atol=1e-5)
        assert (got.layer, got.head, got.of, got.signed) == (layer, head, "attention", False)
    joint = torch.eye(layers.shape[-1])
    for layer in layers:
        mixed = layer.mean(0) + torch.eye(layers.shape[-1])
        joint = (mixed / mixed.sum(-1, keepdim=True)) @ joint
    got = ask(questions.explain(saved, TEXT, method="rollout"))
    np.testing.assert_allclose(got.tokens, joint[0].numpy(), **CLOSE)


def test_model_that_pads_its_input_itself(tmp_path: Path, ask: Asker) -> None:
    path = save_model(tmp_path / "longformer", "longformer")
    for name, method in METHODS.items():
        got = ask(questions.explain(path, TEXT, method=name, target=1, steps=400))
        assert (got.tokens is None) == method.attention
        assert got.tokens is None or len(got.tokens) == len(got.inspection.tokens)
        if got.gap is not None:
            assert abs(got.gap) < 0.1 * np.abs(got.tokens).sum()
    peer = Peer(path)
    seen: list[Any] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        output.retain_grad()
        seen.append(output)

    peer.model.get_input_embeddings().register_forward_hook(keep)
    peer.model(**peer.inputs).logits[0, 1].backward()
    wanted = (seen[0] * seen[0].grad).sum(-1)[0].detach().numpy()
    got = ask(questions.explain(path, TEXT, method="gradient_x_input", target=1))
    assert len(wanted) > len(got.tokens)
    np.testing.assert_allclose(got.tokens, wanted[: len(got.tokens)], **CLOSE)


def test_model_that_embeds_in_another_order(tmp_path: Path, ask: Asker) -> None:
    path = save_model(tmp_path / "xlnet", "xlnet")
    for name in ("gradient_x_input", "integrated_gradients"):
        got = ask(questions.explain(path, TEXT, method=name))
        assert got.tokens is None
        assert "xlnet" in got.note
    both = ask(questions.agreement(path, TEXT))
    assert "occlusion" in both.methods
    heads = ask(questions.head_stats(path, TEXT))
    assert "gradient" not in heads.values
    assert heads.values or heads.note


@pytest.mark.parametrize("kind", ["fnet", "funnel"])
def test_model_without_plain_attention(tmp_path: Path, ask: Asker, kind: str) -> None:
    path = save_model(tmp_path / kind, kind)
    for name, method in METHODS.items():
        got = ask(questions.explain(path, TEXT, method=name))
        assert (got.tokens is None) == (got.words is None) == bool(got.note) == method.attention
    assert ask(questions.head_stats(path, TEXT)).values == {}
    both = ask(questions.agreement(path, TEXT))
    assert both.methods == tuple(name for name, method in METHODS.items() if not method.attention)
    assert ask(questions.flip(path, TEXT, max_evaluations=5)).evaluations == 5


def test_model_without_mask_token(tmp_path: Path, ask: Asker) -> None:
    from tests.core.tiny_models import wordpiece

    tokenizer = wordpiece()
    tokenizer.mask_token = None
    path = save_model(tmp_path / "m", "bert", tokenizer)
    assert ask(questions.explain(path, TEXT, method="occlusion")).baseline == "delete"
    assert ask(questions.deletion(path, TEXT, methods=["occlusion"])).mode == "delete"
    for question in (
        questions.explain(path, TEXT, method="occlusion", mode="mask"),
        questions.inspect(path, TEXT, masked=[0]),
    ):
        with pytest.raises(UsageError, match="mask"):
            ask(question)


def test_model_that_reads_the_mean_of_its_tokens(tmp_path: Path, ask: Asker) -> None:
    path = save_model(tmp_path / "m", "modernbert", classifier_pooling="mean")
    got = ask(questions.explain(path, TEXT, method="attention"))
    peer = Peer(path)
    with peer.torch.no_grad():
        layers = peer.torch.stack(peer.model(**peer.inputs, output_attentions=True).attentions)[:, 0]
    np.testing.assert_allclose(got.tokens, layers.mean((0, 1, 2)).numpy(), atol=1e-5)
    assert got.inspection.mean_pooled
    # What is drawn of it, on screen and in pictures: the last layer's mean over all tokens that ask.
    inspection = ask(questions.inspect(path, TEXT))
    asked = layers[1].mean((0, 1)).numpy()
    heat = heat_of(inspection, HeatChoice(special="shown", words=False))
    assert heat is not None
    np.testing.assert_allclose(heat.row, asked, atol=1e-5)
    assert heat.query == "mean of all tokens"
    drawn = export_svg.numbers(ReviewExport(inspection), View(layer=1, special="shown", words=False))
    np.testing.assert_allclose(drawn.row, asked, atol=1e-5)
    assert "head mean · mean of all tokens" in export_svg.svg(ReviewExport(inspection), View(layer=1))
    assert answer_json(inspection, layer=1)["mean_pooled"]


def test_half_precision_checkpoint(tmp_path: Path, ask: Asker, bert: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(bert, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path)
    got = ask(questions.explain(tmp_path, TEXT, method="integrated_gradients", steps=300))
    assert abs(got.gap) < 0.2 * np.abs(got.tokens).sum()


def test_one_logit_and_many_labels(tmp_path: Path, ask: Asker) -> None:
    one = save_model(tmp_path / "one", "bert", id2label={0: "점수"}, label2id={"점수": 0})
    got = ask(questions.explain(one, TEXT, method="gradient_x_input"))
    assert (got.target, len(got.inspection.probabilities)) == (0, 1)
    assert ask(questions.flip(one, TEXT, max_evaluations=20)).found is False
    many = save_model(tmp_path / "many", "bert", problem_type="multi_label_classification")
    got = ask(questions.explain(many, TEXT, method="occlusion", target=0))
    peer = Peer(many)
    with peer.torch.no_grad():
        assert got.inspection.probabilities == pytest.approx(peer.model(**peer.inputs).logits[0].sigmoid().tolist())


@pytest.mark.parametrize("text", NASTY)
def test_nasty_texts_have_weights_of_the_right_length(bert: Path, ask: Asker, text: str) -> None:
    both = ask(questions.agreement(bert, text, 64, steps=2))
    assert both.methods == tuple(METHODS)
    for attribution in both.attributions:
        assert len(attribution.tokens) == len(attribution.inspection.tokens)
        assert len(attribution.words) == len(attribution.inspection.words)
        assert np.isfinite(attribution.tokens).all()


def test_words_beyond_the_window_have_no_weight(bert: Path, ask: Asker) -> None:
    text = "배우들의 연기가 아쉬웠다 " * 20
    got = ask(questions.explain(bert, text, 32, method="occlusion"))
    assert got.inspection.cut is not None
    beyond = [number for number, word in enumerate(got.inspection.words) if word.start >= got.inspection.cut]
    assert beyond
    np.testing.assert_array_equal(got.words[beyond], 0)


def test_what_cannot_be_asked(bert: Path, ask: Asker) -> None:
    for options in (
        {"method": "magic"},
        {"target": 2},
        {"target": -1},
        {"steps": 0},
        {"steps": 10**9},
        {"of": "loss"},
        {"method": "occlusion", "mode": "burn"},
        {"method": "attention", "layer": 9},
        {"method": "rollout", "head": 0},
    ):
        with pytest.raises(UsageError):
            ask(questions.explain(bert, TEXT, **options))
    with pytest.raises(UsageError):
        ask(questions.agreement(bert, TEXT, methods=["attention", "magic"]))


def test_long_methods_tell_progress_and_can_be_cancelled(bert: Path) -> None:
    ask = Asker()
    ask(questions.explain(bert, TEXT, steps=300))
    assert ask.progress[-1] == (300, 300)
    assert len(ask.progress) > 2
    assert [done for done, _total in ask.progress] == sorted(done for done, _total in ask.progress)
    for question in (
        questions.explain(bert, TEXT, steps=300),
        questions.explain(bert, TEXT, method="occlusion"),
        questions.deletion(bert, TEXT, methods=["attention"]),
        questions.knock_out(bert, TEXT),
        questions.flip(bert, TEXT),
    ):
        ask.checks, ask.cancel_after = 0, 1
        with pytest.raises(RequestCancelledError):
            ask(question)


def test_every_method_is_described() -> None:
    import re

    for name, method in METHODS.items():
        assert method.name == name
        assert re.search(r"arXiv:\d{4}\.\d{4,5}", method.source)
        assert len(method.help) < 110
