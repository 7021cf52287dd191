"""Models of others: classes the other way round, three of them, damaged files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from core import inspector_questions as questions
from core.errors import ModelError
from core.evaluation import Told, evaluate
from core.i18n import set_language
from core.label_order import is_reversed
from core.predictions import Predictions
from tests.core.test_attribution import TEXT, Asker
from tests.core.tiny_models import byte_level, save_model, wordpiece

REVERSED = {"id2label": {0: "긍정", 1: "부정"}, "label2id": {"긍정": 0, "부정": 1}}
ROWS = "id\tdocument\tlabel\n1\t정말 재밌다\t1\n2\t지루하다\t0\n3\t최고\t1\n4\t별로\t0\n"


@pytest.fixture
def data(tmp_path: Path) -> str:
    for name in ("ratings_train.txt", "ratings_test.txt"):
        (tmp_path / name).write_text(ROWS)
    return str(tmp_path)


def test_scoring_tells_how_far_it_is_in_the_users_language(monkeypatch: pytest.MonkeyPatch) -> None:
    set_language("ko")
    out = io.StringIO()
    told = Told(out)
    for done in (0, 1):
        told("evaluating", done, 800)
    monkeypatch.setattr(Told, "INTERVAL", 0.0)
    told("evaluating", 400, 800)
    assert out.getvalue().splitlines() == ["평가", "평가 400/800"]


def test_a_left_to_right_classifier_that_names_no_padding_is_scored(tmp_path: Path, data: str) -> None:
    """It cannot tell a review's last token in a batch unless it knows the padding, which its tokenizer does."""
    path = save_model(tmp_path / "gpt2", "gpt2", byte_level(), pad_token_id=None)
    found = evaluate(path, data)
    assert found["n"] == 4
    alone = [evaluate(path, data, batch_size=1), found]
    assert alone[0]["metrics"]["loss"] == pytest.approx(alone[1]["metrics"]["loss"], abs=1e-5)


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
