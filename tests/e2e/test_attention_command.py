"""`nsmc-tui attention` with every method, on a model directory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core import inspector_questions as questions
from core.inspector_client import InspectorSession, inspector_session
from tests.conftest import run_cli
from tests.core.tiny_models import save_model

TEXT = "배우들의 연기가 아쉬웠다 ㅋㅋㅋ 정말 최고 [/x] \x1b[31m"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "bert", "bert")


@pytest.fixture(scope="module")
def session() -> InspectorSession:
    with inspector_session() as running:
        yield running


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_one_weight_a_token(model: Path, session: InspectorSession, method: str) -> None:
    arguments = ("attention", str(model), "--text", TEXT, "--method", method, "--target", "0", "--steps", "8", "--json")
    done = run_cli(*arguments)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["method"], document["target"], document["layer"], document["head"]) == (method, 0, None, None)
    assert (document["text"], len(document["tokens"])) == (TEXT, len(document["weights"]))
    wanted = session.ask(questions.explain(model, TEXT, method=method, target=0, steps=8))
    np.testing.assert_allclose(document["weights"], wanted.tokens, atol=1e-4)
    for number, word in enumerate(document["words"]):
        own = [
            weight
            for token, weight in zip(document["tokens"], document["weights"], strict=True)
            if token["word"] == number
        ]
        assert word["weight"] == pytest.approx(sum(own), abs=1e-4)
    assert (document["gap"] is None) == (method != "integrated_gradients")


def test_printed(model: Path) -> None:
    done = run_cli("attention", str(model), "--text", TEXT, "--method", "integrated_gradients", "--target", "1")
    assert done.returncode == 0, done.stderr
    assert "integrated gradients · for positive · 32 steps, gap " in done.stdout
    assert "\x1b" not in done.stdout
    assert "[/x]" in done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    assert len(lines) == len(TEXT.split())
    assert all(("░" in line) == (" -" in line) for line in lines if "░" in line or "█" in line)
    korean = run_cli("--lang", "ko", "attention", str(model), "--text", TEXT, "--method", "occlusion")
    assert "가림" in korean.stdout


def test_model_without_attention(tmp_path: Path) -> None:
    path = save_model(tmp_path / "fnet", "fnet")
    printed = run_cli("attention", str(path), "--text", TEXT, "--method", "relevance")
    assert printed.returncode == 0
    assert "fnet" in printed.stdout
    document = json.loads(run_cli("attention", str(path), "--text", TEXT, "--method", "relevance", "--json").stdout)
    assert document["weights"] is None
    assert {word["weight"] for word in document["words"]} == {None}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--method", "magic"),
        ("--method", "occlusion", "--layer", "1"),
        ("--method", "occlusion", "--target", "2"),
    ],
)
def test_refused(model: Path, arguments: tuple[str, ...]) -> None:
    done = run_cli("attention", str(model), "--text", TEXT, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
