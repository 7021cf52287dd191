"""`nsmc-tui explain …` on a model directory: the same answers as the inspector's, as JSON and as lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from core import inspector_questions as questions
from core.errors import NsmcTuiError, UsageError
from core.inspector_client import InspectorSession, inspector_session
from tests.core.tiny_models import save_model
from tui.cli import cli

TEXT = "배우들의 연기가 아쉬웠다 ㅋㅋㅋ 정말 최고 [/x] \x1b[31m"


@pytest.fixture(scope="module")
def session() -> Iterator[InspectorSession]:
    with inspector_session() as running:
        yield running


@pytest.fixture
def call(session: InspectorSession, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A command in this process, with one real inspector for all of them."""

    @contextmanager
    def shared() -> Iterator[InspectorSession]:
        yield session

    monkeypatch.setattr("core.inspector_client.inspector_session", shared)

    def invoke(*arguments: str) -> Result:
        group = [] if arguments[0] == "attention" else ["explain"]
        return CliRunner().invoke(cli, [*group, *arguments])

    return invoke


def test_same_answers_as_json_and_as_lines(tmp_path: Path, session: InspectorSession, call: Any) -> None:
    model = str(save_model(tmp_path / "bert", "bert"))
    about = (model, "--text", TEXT)

    def document(command: str, *arguments: str) -> dict[str, Any]:
        done = call(command, *about, *arguments, "--json")
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        assert (found["text"], found["model"], found["id"]) == (TEXT, model, None)
        assert [word["text"] for word in found["words"]] == TEXT.split()
        return found

    agreed = document("agreement", "--steps", "4", "--method", "attention", "--method", "occlusion")
    wanted = session.ask(questions.agreement(model, TEXT, steps=4, methods=("attention", "occlusion")))
    np.testing.assert_allclose(agreed["spearman"], wanted.spearman)
    np.testing.assert_allclose(agreed["weights"]["occlusion"], wanted.attributions[1].words)

    checked = document("deletion", "--method", "occlusion", "--k", "3", "--draws", "2", "--target", "1")
    wanted = session.ask(questions.deletion(model, TEXT, methods=("occlusion",), most=3, draws=2, target=1))
    np.testing.assert_allclose(checked["curves"]["occlusion"]["probabilities"], wanted.curves[0])
    np.testing.assert_allclose(checked["random"]["mean"], wanted.random)
    assert (checked["target"], len(checked["curves"]["occlusion"]["order"])) == (1, 3)

    heads = document("heads")
    wanted = session.ask(questions.knock_out(model, TEXT))
    np.testing.assert_allclose(heads["without_head"], wanted.heads)
    np.testing.assert_allclose(heads["without_layer"], wanted.layers)
    assert np.shape(heads["stats"]["entropy"]) == (2, 4)

    flipped = document("flip", "--evaluations", "40")
    found = session.ask(questions.flip(model, TEXT, max_evaluations=40))
    assert (flipped["found"], flipped["removed"], flipped["after"]) == (
        found.found, list(found.words), list(found.probabilities),
    )  # fmt: skip

    # Words that are hidden, and a threshold that turns the answer round.
    hidden = document("heads", "--mask", "2", "--mask", "0")
    wanted = session.ask(questions.knock_out(model, TEXT, masked=(0, 2)))
    np.testing.assert_allclose(hidden["without_layer"], wanted.layers)
    own = int(np.argmax(wanted.inspection.probabilities))
    at = f"{min(0.999, max(0.001, wanted.inspection.probabilities[1] + (0.05 if own else -0.05))):.6f}"
    turned = document("heads", "--mask", "2", "--mask", "0", "--threshold", at)
    assert (turned["target"], turned["pred"], turned["threshold"]) == (1 - own, 1 - own, float(at))
    for method in ("attention", "occlusion"):
        looked = document("attention", "--mask", "0", "--threshold", at, "--method", method)
        assert looked["masked"] == [0]
        assert looked["pred"] == int(looked["probabilities"][1] >= float(at))
        assert looked.get("target", looked["pred"]) == looked["pred"]
    last = document("attention", "--layer", "last")
    assert (last["layer"], last["weights"]) == (1, document("attention", "--layer", "1")["weights"])
    for wrong in (("--mask", "99"), ("--layer", "-1"), ("--threshold", "dev"), ("--id", "1")):
        refused = call("attention", *about, *wrong)
        assert isinstance(refused.exception, UsageError | SystemExit), refused.output
        assert refused.stdout == ""

    for command, options in (("agreement", ["--steps", "4"]), ("deletion", ["--k", "2"]), ("heads", []), ("flip", [])):
        done = call(command, *about, *options)
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("배우들의 연기가")
        assert "p(negative)" in done.stdout
        assert "\x1b" not in done.stdout


def test_what_a_model_does_not_give_is_said(tmp_path: Path, session: InspectorSession, call: Any) -> None:
    model = str(save_model(tmp_path / "funnel", "funnel"))
    done = call("heads", model, "--text", TEXT, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["stats"] == {}
    assert any("funnel" in note for note in json.loads(done.stdout)["notes"])
    done = call("deletion", model, "--text", TEXT, "--k", "1", "--draws", "1")
    assert "attention: Models of type funnel" in done.stdout
    # Its pooling fails on so few tokens: said with a reason, and the next question is answered.
    with pytest.raises(NsmcTuiError) as caught:
        session.inspect(model, "")
    assert "worker.log" not in caught.value.hint
    assert session.inspect(model, TEXT).words
