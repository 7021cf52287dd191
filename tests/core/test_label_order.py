"""Models of others: classes the other way round, three of them, padding on another side, damaged files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from core import config_file
from core import inspector_questions as questions
from core.errors import ModelError
from core.evaluation import Paced, evaluate, in_words
from core.i18n import set_language
from core.label_order import is_reversed
from core.predictions import Predictions
from core.preparation import Preparation
from tests.core.test_attribution import TEXT, Asker
from tests.core.tiny_models import MODELS, TOKENIZERS, byte_level, metaspace, save_model, wordpiece

REVERSED = {"id2label": {0: "긍정", 1: "부정"}, "label2id": {"긍정": 0, "부정": 1}}
ROWS = "id\tdocument\tlabel\n1\t정말 재밌다\t1\n2\t지루하다\t0\n3\t최고\t1\n4\t별로\t0\n"


@pytest.fixture
def data(tmp_path: Path) -> str:
    for name in ("ratings_train.txt", "ratings_test.txt"):
        (tmp_path / name).write_text(ROWS)
    return str(tmp_path)


@pytest.mark.parametrize(("interval", "said"), [(600.0, ["평가"]), (0.0, ["평가", "평가 1/800", "평가 400/800"])])
def test_scoring_tells_how_far_it_is_in_the_users_language(
    capsys: pytest.CaptureFixture[str], interval: float, said: list[str]
) -> None:
    set_language("ko")
    told = Paced(in_words, interval)
    for done in (0, 1, 400):
        told("evaluating", done, 800)
    assert capsys.readouterr().err.splitlines() == said


def test_a_left_to_right_classifier_that_names_no_padding_is_scored(tmp_path: Path, data: str) -> None:
    """It cannot tell a review's last token in a batch unless it knows the padding, which its tokenizer does."""
    path = save_model(tmp_path / "gpt2", "gpt2", byte_level(), pad_token_id=None)
    found = evaluate(path, data)
    assert found["n"] == 4
    alone = [evaluate(path, data, batch_size=1), found]
    assert alone[0]["metrics"]["loss"] == pytest.approx(alone[1]["metrics"]["loss"], abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "right"), [("xlnet", "left"), ("gpt2", "right"), ("bert", "right"), ("llama", "right")]
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_what_is_said_of_a_review_does_not_depend_on_its_batch(
    home: Path, tmp_path: Path, data: str, kind: str, right: str, side: str
) -> None:
    """Whatever side the tokenizer pads on; what is trained from it is saved with the right one, for `pipeline`."""
    tokenizer = byte_level() if kind in ("gpt2", "llama") else metaspace() if kind == "xlnet" else wordpiece()
    # Only what a tokenizer was made with is saved with it.
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = side
    # So large that places and padding matter: on the wrong side a probability is off by hundredths, not by rounding.
    torch.manual_seed(7)
    path = save_model(tmp_path / "model", kind, tokenizer, initializer_range=0.5)
    found = []
    for batch in (1, 4):
        evaluate(path, data, batch_size=batch)
        found.append(Predictions(path, "test").column("prob_1"))
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)
    # Reviews of many lengths, about which it does not say the same.
    assert found[0].std() > 1e-4
    told: list[tuple[Any, ...]] = []
    model = {"name": str(path), "max_unknown": 1.0}
    config = config_file.validate({"model": model, "data": {"source": data, "dev_size": 0}})
    prepared = Preparation(config, tmp_path / "run", alert=lambda *alert: told.append(alert)).run(("train",))
    prepared.tokenizer.save_pretrained(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").padding_side == prepared.tokenizer.padding_side == right
    assert [alert[0] for alert in told if alert[1] == "padding"] == (["info"] if side != right else [])


def test_classes_the_other_way_round_are_turned(tmp_path: Path, data: str) -> None:
    # One tokenizer for both: learning it twice may number its pieces otherwise.
    tokenizer = wordpiece()
    plain = save_model(tmp_path / "plain", "bert", tokenizer)
    turned = save_model(tmp_path / "turned", "bert", tokenizer, **REVERSED)
    ask = Asker()
    one, other = (ask(questions.inspect(path, TEXT)) for path in (plain, turned))
    assert other.labels == one.labels == ("부정", "긍정")
    assert other.probabilities == pytest.approx(one.probabilities[::-1])
    # What explains class 1 is what explained class 0.
    of_one, of_other = (
        ask(questions.explain(path, TEXT, method="gradient_x_input", target=target))
        for path, target in ((plain, 0), (turned, 1))
    )
    np.testing.assert_allclose(of_one.tokens, of_other.tokens, atol=1e-6)
    for path in (plain, turned):
        evaluate(path, data)
    np.testing.assert_allclose(
        Predictions(turned, "test").column("prob_1"), Predictions(plain, "test").column("prob_0"), atol=1e-6
    )


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "xlnet", "funnel"])
def test_training_from_classes_the_other_way_round_starts_right_and_says_so(
    home: Path, tmp_path: Path, data: str, kind: str
) -> None:
    """What is trained, and saved, answers with the negative class first; the base itself stays as it is."""
    tokenizer = TOKENIZERS[MODELS.get(kind, "wordpiece")]()
    base = save_model(tmp_path / "base", kind, tokenizer, initializer_range=0.5, **REVERSED)
    before = (base / "model.safetensors").read_bytes()
    told: list[tuple[Any, ...]] = []
    model = {"name": str(base), "max_unknown": 1.0}
    config = config_file.validate({"model": model, "data": {"source": data, "dev_size": 0, "max_length": 32}})
    prepared = Preparation(config, tmp_path / "run", alert=lambda *alert: told.append(alert)).run(("train",))
    assert [alert[:2] for alert in told if alert[1] == "labels"] == [("warning", "labels")]
    prepared.model.save_pretrained(tmp_path / "trained")
    tokenizer.save_pretrained(tmp_path / "trained")
    for path in (base, tmp_path / "trained"):
        evaluate(path, data)
    # `evaluate` turns the base by itself.
    np.testing.assert_allclose(
        Predictions(tmp_path / "trained", "test").column("prob_1"),
        Predictions(base, "test").column("prob_1"),
        atol=1e-6,
    )
    assert np.abs(Predictions(base, "test").column("prob_1") - 0.5).max() > 0.01
    assert (base / "model.safetensors").read_bytes() == before


def test_a_head_made_anew_has_no_order_to_turn(home: Path, tmp_path: Path, data: str) -> None:
    from safetensors.torch import load_file, save_file

    base = save_model(tmp_path / "base", "bert", **REVERSED)
    weights = load_file(base / "model.safetensors")
    encoder = {name: weight for name, weight in weights.items() if not name.startswith("classifier")}
    save_file(encoder, base / "model.safetensors", {"format": "pt"})
    told: list[tuple[Any, ...]] = []
    config = config_file.validate(
        {"model": {"name": str(base), "max_unknown": 1.0}, "data": {"source": data, "dev_size": 0}}
    )
    Preparation(config, tmp_path / "run", alert=lambda *alert: told.append(alert)).run(("train",))
    assert "labels" not in [alert[1] for alert in told]


def test_names_that_say_nothing_turn_nothing() -> None:
    assert is_reversed({0: " Positive", 1: "NEG"})
    for names in (
        {0: "LABEL_0", 1: "LABEL_1"},
        {0: "negative", 1: "positive"},
        {0: "긍정", 1: "중립", 2: "부정"},
        {0: "긍정"},
    ):
        assert not is_reversed(names)


def test_three_classes_and_damaged_weights_are_refused_with_a_way_out(tmp_path: Path, data: str) -> None:
    three = save_model(tmp_path / "three", "bert", id2label={0: "a", 1: "b", 2: "c"}, label2id={"a": 0, "b": 1, "c": 2})
    with pytest.raises(ModelError, match="tells 3 classes apart") as caught:
        evaluate(three, data)
    assert "nsmc-tui attention" in caught.value.hint
    assert len(Asker()(questions.inspect(three, TEXT)).probabilities) == 3
    weights = three / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        Asker()(questions.inspect(three, TEXT))
    damaged = save_model(tmp_path / "damaged", "bert") / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:5000])
    with pytest.raises(ModelError, match="damaged"):
        evaluate(damaged.parent, data)
