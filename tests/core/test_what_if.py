"""Heads in numbers and switched off, rank agreement, the deletion check and the search for flips."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import inspector_questions as questions
from core.errors import UsageError
from core.flip import Words, search
from core.head_stats import STATS, head_stats
from core.rank_agreement import kendall, spearman
from core.word_edits import delete_words
from tests.core.test_attribution import TEXT, Asker, Peer
from tests.core.tiny_models import MODELS, save_model


@pytest.fixture(scope="module")
def ask() -> Asker:
    return Asker()


@pytest.fixture(scope="module", params=sorted(MODELS))
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / request.param, request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "bert", "bert")


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=12))
def test_rank_agreement_equals_scipy(pairs: list[tuple[int, int]]) -> None:
    import warnings

    from scipy import stats

    one, other = ([pair[side] for pair in pairs] for side in (0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = stats.spearmanr(one, other).statistic, stats.kendalltau(one, other).statistic
    np.testing.assert_allclose((spearman(one, other), kendall(one, other)), wanted, atol=1e-12)


def test_rank_agreement_of_nothing() -> None:
    assert np.isnan([spearman([], []), kendall([1], [2]), spearman([1, 1], [1, 2])]).all()


def test_agreement_ranks_signs_only_where_both_have_them(bert: Path, ask: Asker) -> None:
    from scipy import stats

    got = ask(questions.agreement(bert, TEXT, methods=["attention", "occlusion", "integrated_gradients"]))
    attention, occlusion, gradients = (attribution.words for attribution in got.attributions)
    assert got.signed.tolist() == [[False, False, False], [False, True, True], [False, True, True]]
    assert got.spearman[1, 2] == pytest.approx(stats.spearmanr(occlusion, gradients).statistic)
    assert got.kendall[1, 2] == pytest.approx(stats.kendalltau(occlusion, gradients).statistic)
    assert got.spearman[0, 1] == pytest.approx(stats.spearmanr(attention, np.abs(occlusion)).statistic)
    np.testing.assert_allclose(np.diag(got.kendall), 1)
    alone = ask(questions.explain(bert, TEXT, method="occlusion"))
    np.testing.assert_allclose(occlusion, alone.words, atol=1e-4)


def test_deletion_check(bert: Path, ask: Asker) -> None:
    got = ask(questions.deletion(bert, TEXT, methods=["occlusion", "rollout"], target=1, most=3, draws=4, seed=5))
    again = ask(questions.deletion(bert, TEXT, methods=["occlusion"], target=1, most=3, draws=4, seed=5))
    other = ask(questions.deletion(bert, TEXT, methods=["occlusion"], target=1, most=3, draws=4, seed=6))
    assert (got.mode, got.draws, got.seed, got.curves.shape) == ("mask", 4, 5, (2, 3))
    occlusion = ask(questions.explain(bert, TEXT, method="occlusion", target=1))
    assert got.order[0].tolist() == np.argsort(-occlusion.words, kind="stable")[:3].tolist()
    for number in range(2):
        for count in range(1, 4):
            seen = ask(questions.inspect(bert, TEXT, masked=got.order[number, :count].tolist()))
            assert got.curves[number, count - 1] == pytest.approx(seen.probabilities[1], abs=1e-4)
    whole = ask(questions.inspect(bert, TEXT)).probabilities[1]
    assert got.probability == pytest.approx(whole, abs=1e-4)
    np.testing.assert_allclose(got.areas, (whole - got.curves).mean(1), atol=1e-5)
    assert got.random_area == pytest.approx(float((whole - got.random).mean()), abs=1e-4)
    np.testing.assert_allclose(again.random, got.random, atol=1e-4)
    assert not np.allclose(other.random, got.random)
    # One random word at a time, drawn often: the mean over all words.
    many = ask(questions.deletion(bert, TEXT, methods=[], target=1, most=1, draws=200))
    singles = [ask(questions.inspect(bert, TEXT, masked=[n])).probabilities[1] for n in range(len(TEXT.split()))]
    assert many.random[0] == pytest.approx(np.mean(singles), abs=0.1)
    assert many.random_sd[0] == pytest.approx(np.std(singles), abs=0.1)


def test_deletion_check_by_deleting(bert: Path, ask: Asker) -> None:
    got = ask(questions.deletion(bert, TEXT, methods=["gradient_x_input"], mode="delete", most=50))
    assert got.curves.shape == (1, len(TEXT.split()))
    for count in range(1, got.curves.shape[1] + 1):
        text = delete_words(TEXT, got.order[0, :count].tolist())
        seen = ask(questions.inspect(bert, text)).probabilities[got.target]
        assert got.curves[0, count - 1] == pytest.approx(seen, abs=1e-4)


@pytest.mark.parametrize("text", ["", "   ", "하나"])
def test_texts_with_too_few_words(bert: Path, ask: Asker, text: str) -> None:
    got = ask(questions.deletion(bert, text, methods=["attention"]))
    assert got.curves.shape == (1, len(text.split()))
    assert ask(questions.flip(bert, text)).found is False
    agreement = ask(questions.agreement(bert, text, methods=["attention", "occlusion"], steps=2))
    assert np.isnan(agreement.spearman).all()
    assert set(ask(questions.head_stats(bert, text)).values) == set(STATS)


def test_head_stats_equal_loops(saved: Path, ask: Asker) -> None:
    from scipy import stats

    got = ask(questions.head_stats(saved, TEXT, target=1))
    attention = ask(questions.inspect(saved, TEXT)).attention
    gradient = np.abs(ask(questions.explain(saved, TEXT, method="gradient_x_input", target=1)).tokens)
    special = np.array(got.inspection.special_mask)
    size = len(special)
    assert list(got.values) == list(STATS)
    for layer, head in np.ndindex(*attention.shape[:2]):
        rows = attention[layer, head].astype(float)
        entropy = np.mean([stats.entropy(row) for row in rows]) / np.log(size)
        distance = np.mean([sum(weight * abs(i - j) for j, weight in enumerate(row)) for i, row in enumerate(rows)])
        near = np.mean([sum(row[j] for j in (i - 1, i + 1) if 0 <= j < size) for i, row in enumerate(rows)])
        separators = np.mean([sum(row[j] for j in range(1, size) if special[j]) for row in rows])
        wanted = {
            "entropy": entropy,
            "first": rows[:, 0].mean(),
            "separators": separators,
            "neighbours": near,
            "distance": distance,
            "gradient": stats.spearmanr(rows[0][~special], gradient[~special]).statistic,
        }
        for name, value in wanted.items():
            assert got.values[name][layer, head] == pytest.approx(value, abs=1e-4), name


def test_head_stats_of_plain_heads() -> None:
    size = 5
    even, own = np.full((size, size), 1 / size), np.eye(size)
    found = head_stats(np.stack([even, own])[None], [True, False, False, False, True])
    np.testing.assert_allclose(found["entropy"], [[1, 0]], atol=1e-12)
    np.testing.assert_allclose(found["first"], [[0.2, 0.2]])
    np.testing.assert_allclose(found["separators"], [[0.2, 0.2]])
    np.testing.assert_allclose(found["neighbours"], [[8 / 25, 0]])
    np.testing.assert_allclose(found["distance"], [[1.6, 0]])
    assert np.isnan(head_stats(np.ones((1, 1, 1, 1)), [True])["entropy"]).all()


def values_module(model: Any, layer: int) -> tuple[Any, slice]:
    """The projection to values of a layer, and where in its output the values stand."""
    names = {
        "bert": "bert.encoder.layer.{}.attention.self.value",
        "electra": "electra.encoder.layer.{}.attention.self.value",
        "roberta": "roberta.encoder.layer.{}.attention.self.value",
        "xlm-roberta": "roberta.encoder.layer.{}.attention.self.value",
        "deberta-v2": "deberta.encoder.layer.{}.attention.self.value_proj",
        "distilbert": "distilbert.transformer.layer.{}.attention.v_lin",
        "modernbert": "model.layers.{}.attn.Wqkv",
    }
    kind = model.config.model_type
    size = model.config.hidden_size
    module = model.get_submodule(names[kind].format(layer))
    return module, slice(2 * size, 3 * size) if kind == "modernbert" else slice(0, size)


def test_knock_out_equals_a_head_without_values(saved: Path, ask: Asker) -> None:
    """A head whose values are 0 hands on 0, whatever it looks at."""
    import torch

    peer = Peer(saved)
    if peer.model.config.model_type == "albert":
        pytest.skip("its layers share their weights: looked at in the next test")
    got = ask(questions.knock_out(saved, TEXT, target=1))
    size = peer.model.config.hidden_size // 4
    for layer in range(2):
        module, place = values_module(peer.model, layer)
        kept = {name: value.detach().clone() for name, value in module.named_parameters()}
        for head in (None, 0, 1, 2, 3):
            part = place if head is None else slice(place.start + head * size, place.start + (head + 1) * size)
            with torch.no_grad():
                for value in module.parameters():
                    value[part] = 0
                wanted = peer.model(**peer.inputs).logits[0].softmax(-1).numpy()
                for name, value in module.named_parameters():
                    value.copy_(kept[name])
            found = got.layers[layer] if head is None else got.heads[layer, head]
            np.testing.assert_allclose(found, wanted, atol=1e-5)
            seen = ask(questions.inspect(saved, TEXT, knocked=[(layer, head)]))
            np.testing.assert_allclose(seen.probabilities, wanted, atol=1e-5)
    assert np.abs(got.heads[..., 1] - got.inspection.probabilities[1]).max() > 1e-3


def test_knock_out_in_layers_that_share_weights(tmp_path: Path, ask: Asker) -> None:
    """In the last layer only the classifier's own row matters, and in the first all of them."""
    path = save_model(tmp_path / "m", "albert")
    got = ask(questions.knock_out(path, TEXT))
    assert got.heads.shape == (2, 4, 2)
    plain = ask(questions.inspect(path, TEXT)).attention
    for layer in (0, 1):
        changed = ask(questions.inspect(path, TEXT, knocked=[(layer, None)])).attention
        np.testing.assert_allclose(changed[0], plain[0], atol=1e-5)
        assert np.allclose(changed[1], plain[1], atol=1e-5) == (layer == 1)
    every = ask(questions.inspect(path, TEXT, knocked=[(1, head) for head in range(4)]))
    np.testing.assert_allclose(every.probabilities, got.layers[1], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "mixer", "sizes"),
    [
        ("mpnet", "mpnet.encoder.layer.{}.attention.attn.o", {}),
        ("gpt_neo", "transformer.h.{}.attn.attention.out_proj", {"attention_types": [[["global"], 2]]}),
        ("opt", "model.decoder.layers.{}.self_attn.out_proj", {"ffn_dim": 64, "word_embed_proj_dim": 32}),
        (
            "mobilebert",
            "mobilebert.encoder.layer.{}.attention.output.dense",
            {"embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32},
        ),
    ],
)
def test_knock_out_equals_a_projection_that_is_deaf_to_a_head(
    tmp_path: Path, ask: Asker, kind: str, mixer: str, sizes: dict[str, Any]
) -> None:
    path = save_model(tmp_path / kind, kind, **sizes)
    got = ask(questions.knock_out(path, TEXT))
    peer = Peer(path)
    assert got.heads.shape == (2, 4, 2)
    for layer, head in np.ndindex(2, 4):
        weight = peer.model.get_submodule(mixer.format(layer)).weight
        kept, size = weight.detach().clone(), weight.shape[1] // 4
        with peer.torch.no_grad():
            weight[:, head * size : (head + 1) * size] = 0
            wanted = peer.model(**peer.inputs).logits[0].softmax(-1).numpy()
            weight.copy_(kept)
        np.testing.assert_allclose(got.heads[layer, head], wanted, atol=1e-5)
    assert np.ptp(got.heads[..., 1]) > 1e-4


def test_convolutions_are_no_heads(tmp_path: Path, ask: Asker) -> None:
    got = ask(questions.knock_out(save_model(tmp_path / "m", "convbert", embedding_size=32), TEXT))
    assert got.heads is None
    assert "convbert" in got.note


def test_knock_out_leaves_the_model_as_it_was(bert: Path, ask: Asker) -> None:
    before = ask(questions.inspect(bert, TEXT))
    ask(questions.knock_out(bert, TEXT))
    after = ask(questions.inspect(bert, TEXT))
    assert before.probabilities == pytest.approx(after.probabilities, abs=1e-4)
    ask.shelf.get(str(bert), "cpu").memo.pop("logits", None)
    np.testing.assert_allclose(ask(questions.knock_out(bert, TEXT)).inspection.logits, before.logits, atol=1e-4)


def test_heads_that_cannot_be_switched_off(bert: Path, tmp_path: Path, ask: Asker) -> None:
    fnet = save_model(tmp_path / "fnet", "fnet")
    got = ask(questions.knock_out(fnet, TEXT))
    assert got.heads is None
    assert got.layers is None
    assert "fnet" in got.note
    for question in (
        questions.inspect(fnet, TEXT, knocked=[(0, 0)]),
        questions.inspect(bert, TEXT, knocked=[(2, 0)]),
        questions.inspect(bert, TEXT, knocked=[(0, 4)]),
        questions.inspect(bert, TEXT, masked=[99]),
    ):
        with pytest.raises(UsageError):
            ask(question)


def test_masked_words_hide_in_attention_too(bert: Path, ask: Asker) -> None:
    got = ask(questions.inspect(bert, TEXT, masked=[1, 3]))
    peer = Peer(bert)
    ids = peer.ids.clone()
    for place, token in enumerate(got.tokens):
        if token.word in (1, 3):
            ids[0, place] = peer.tokenizer.mask_token_id
    with peer.torch.no_grad():
        outputs = peer.model(**{**peer.inputs, "input_ids": ids}, output_attentions=True)
    np.testing.assert_allclose(got.attention, peer.torch.stack(outputs.attentions)[:, 0].numpy(), atol=1e-5)
    for token, plain in zip(got.tokens, ask(questions.inspect(bert, TEXT)).tokens, strict=True):
        hidden = token.word in (1, 3)
        assert token.text == (peer.tokenizer.mask_token if hidden else plain.text)
        assert (token.start, token.end, token.word, token.masked) == (plain.start, plain.end, plain.word, hidden)


@pytest.mark.parametrize(
    ("text", "indexes", "wanted"),
    [
        ("하나 둘 셋", [1], "하나 셋"),
        ("하나  둘\t셋", [1], "하나  셋"),
        ("하나 둘 셋", [2], "하나 둘"),
        ("하나 둘 셋", [0], "둘 셋"),
        (" 하나 둘 셋\n", [1, 2], " 하나\n"),
        ("하나 둘", [0, 1], ""),
        ("하나 둘", [7], "하나 둘"),
        ("", [0], ""),
        ("하나\u3000둘 👨‍👩‍👧‍👦 셋", [2], "하나\u3000둘 셋"),
    ],
)
def test_delete_words(text: str, indexes: list[int], wanted: str) -> None:
    assert delete_words(text, indexes) == wanted


def brute(judge: dict[Words, float], words: Sequence[int]) -> int | None:
    """The size of the smallest set that flips, by trying all."""
    for size in range(1, len(words)):
        if any(judge[chosen] < 0 for chosen in combinations(words, size)):
            return size
    return None


@given(st.integers(0, 10_000), st.integers(1, 7), st.floats(0, 3))
def test_search_with_enough_evaluations_finds_the_smallest(seed: int, count: int, bar: float) -> None:
    rng = np.random.default_rng(seed)
    words = [2 * n for n in range(count)]
    weights = rng.normal(size=count)
    sets = [chosen for size in range(1, count + 1) for chosen in combinations(words, size)]
    # Additive but for noise, as models are about.
    judge = {chosen: bar - sum(weights[n // 2] for n in chosen) + 0.3 * rng.normal() for chosen in sets}
    asked: list[Words] = []

    def ask(chosen: Sequence[Words]) -> list[float]:
        asked.extend(chosen)
        return [judge[words] for words in chosen]

    found = search(words, ask, 500)
    smallest = brute(judge, words)
    assert (None if found.words is None else len(found.words)) == smallest
    assert found.words is None or judge[found.words] < 0
    assert found.minimal == (smallest is not None)
    assert (len(asked), len(set(asked))) == (found.evaluations, found.evaluations)
    assert not found.exhausted


def test_search_within_few_evaluations() -> None:
    words = list(range(40))

    def judge(sets: Sequence[Words]) -> list[float]:
        return [1.0 - 0.3 * len(set(chosen) & {3, 17, 28, 39}) - 0.01 * len(chosen) for chosen in sets]

    found = search(words, judge, 400)
    assert found.words == (3, 17, 28, 39)
    assert (found.minimal, found.tried_size, found.exhausted) == (False, 1, False)
    proven = search(words, judge, 20_000)
    assert proven.words == (3, 17, 28, 39)
    assert (proven.minimal, proven.tried_size) == (True, 3)
    few = search(words, judge, 10)
    assert (few.words, few.evaluations, few.exhausted) == (None, 10, True)
    # Words that count alone or not at all hide a pair from the greedy way; trying all pairs finds it.
    pair = search(words, lambda sets: [-1.0 if {5, 33} <= set(c) and len(c) < 4 else 1.0 for c in sets], 2000)
    assert (pair.words, pair.minimal) == ((5, 33), True)


@pytest.mark.parametrize("mode", ["delete", "mask"])
def test_flip_on_a_model(saved: Path, ask: Asker, mode: str) -> None:
    got = ask(questions.flip(saved, TEXT, mode=mode, max_evaluations=300))
    before = got.inspection.pred
    words = len(got.inspection.words)
    flipping = []
    for size in range(1, words):
        for chosen in combinations(range(words), size):
            if mode == "mask":
                seen = ask(questions.inspect(saved, TEXT, attention=False, masked=chosen))
            else:
                seen = ask(questions.inspect(saved, delete_words(TEXT, chosen), attention=False))
            if seen.pred != before:
                flipping.append((chosen, seen))
        if flipping:
            break
    assert got.found == bool(flipping)
    if flipping:
        assert got.minimal
        assert got.text == delete_words(TEXT, got.words)
        after = dict(flipping)[got.words]
        assert got.probabilities == pytest.approx(after.probabilities, abs=1e-4)


def test_flip_at_a_threshold(bert: Path, ask: Asker) -> None:
    seen = ask(questions.inspect(bert, TEXT)).probabilities[1]
    low = ask(questions.flip(bert, TEXT, threshold=max(0.0, seen - 1e-3)))
    assert low.found
    assert low.probabilities[1] < seen - 1e-3
    high = ask(questions.flip(bert, TEXT, threshold=min(1.0, seen + 1e-3)))
    assert high.found
    assert high.probabilities[1] >= seen + 1e-3
    with pytest.raises(UsageError):
        ask(questions.flip(bert, TEXT, threshold=2.0))
