"""The inspector process: its protocol over real pipes, and the synchronous client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import inspector_protocol as protocol
from core import inspector_questions as questions
from core.errors import InspectorError, ModelError, UsageError
from core.inspector_client import InspectorSession, inspect_once, inspector_session
from core.inspector_loading import load
from core.inspector_shelf import ModelShelf, expected_bytes
from tests.core.tiny_models import save_model


class Raw:
    """An inspector spoken to byte by byte."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("wb")
        self.process = subprocess.Popen(
            protocol.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=protocol.environment(),
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def send(self, *messages: dict[str, Any] | bytes) -> None:
        self.stdin.write(b"".join(m if isinstance(m, bytes) else protocol.dump(m) for m in messages))
        self.stdin.flush()

    def receive(self) -> tuple[dict[str, Any], bytes]:
        header = json.loads(self.stdout.readline())
        return header, self.stdout.read(header["payload"])

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.stdin.close()
        self.stdout.close()
        self._log.close()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    directory = tmp_path_factory.mktemp("models")
    return [str(save_model(directory / f"{kind}-{n}", kind)) for n, kind in enumerate(("bert", "xlm-roberta", "bert"))]


@pytest.fixture(scope="module")
def session() -> Iterator[InspectorSession]:
    with inspector_session() as running:
        yield running


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raw]:
    inspector = Raw(tmp_path_factory.mktemp("log") / "stderr")
    header, _payload = inspector.receive()
    assert header["event"] == "ready"
    yield inspector
    inspector.end()


def test_open_and_inspect(session: InspectorSession, models: list[str]) -> None:
    info = session.open(models[0])
    assert (info.model_type, info.labels, info.window) == ("bert", ("부정", "긍정"), 128)
    assert info.device in {"cpu", "cuda"}
    got = session.inspect(models[0], "정말 최고", 128)
    size = len(got.tokens)
    assert got.attention is not None
    assert got.attention.shape == (2, 4, size, size)
    assert (got.n_layers, got.n_heads, got.cls, got.cut, got.max_length) == (2, 4, 0, None, 128)
    assert got.special_mask == (True, *[False] * (size - 2), True)
    assert [word.text for word in got.words] == ["정말", "최고"]
    assert sum(got.probabilities) == pytest.approx(1)
    with pytest.raises(ValueError, match="read-only"):
        got.attention[0, 0, 0, 0] = 1


def test_answers_are_the_models_own(session: InspectorSession, models: list[str]) -> None:
    for path in models[:2]:
        header, array = load(path, "cpu").inspect("그냥 그래요 ㅠㅠ", None, True)
        got = session.inspect(path, "그냥 그래요 ㅠㅠ", device="cpu")
        assert got.attention is not None
        assert array is not None
        np.testing.assert_allclose(got.attention, array, atol=1e-6)
        assert got.probabilities == pytest.approx(header["probabilities"])


def test_errors_come_back_as_their_kind(session: InspectorSession, models: list[str], tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        session.open(tmp_path / "nowhere")
    assert "nowhere" in caught.value.message
    assert caught.value.hint
    with pytest.raises(UsageError):
        session.inspect(models[0], "글", -1)
    with pytest.raises(UsageError):
        session.inspect(models[0], "글", device="warp")
    assert session.inspect(models[0], "글").tokens


def test_least_used_model_is_closed(models: list[str]) -> None:
    shelf = ModelShelf(max_models=2)
    for path in (*models[:2], models[0], models[2]):
        assert shelf.get(path, "cpu").path == path
    assert shelf.paths == [models[0], models[2]]


def test_open_models_are_bounded_in_bytes(models: list[str]) -> None:
    sizes = [load(path, "cpu").nbytes for path in models]
    shelf = ModelShelf(max_bytes=sizes[0] + sizes[1] + 20_000)
    for path in models[:2]:
        shelf.get(path, "cpu")
    assert shelf.paths == models[:2]
    assert shelf.nbytes == sizes[0] + sizes[1]
    shelf.get(models[2], "cpu")
    assert shelf.paths == models[1:]
    # One that alone is too large is opened all the same, by itself.
    small = ModelShelf(max_bytes=100)
    for path in models[:2]:
        small.get(path, "cpu")
        assert small.paths == [path]


def test_memory_of_half_precision_weights_doubles(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    path = save_model(tmp_path / "m", "bert")
    full = load(str(path), "cpu").nbytes
    assert expected_bytes(str(path)) == pytest.approx(full, rel=0.2)
    AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float16).save_pretrained(path)
    assert expected_bytes(str(path)) == pytest.approx(full, rel=0.2)
    assert expected_bytes("a/name/of-the-hub") == 0


def test_replaced_files_are_loaded_anew(session: InspectorSession, tmp_path: Path) -> None:
    path = save_model(tmp_path / "m", "bert")
    before = session.inspect(path, "정말 최고")
    save_model(path, "bert", initializer_range=0.3)
    after = session.inspect(path, "정말 최고")
    assert before.fingerprint != after.fingerprint
    assert before.probabilities != after.probabilities


def test_queued_requests_can_be_cancelled(raw: Raw, models: list[str]) -> None:
    requests = [
        {"id": 100 + n, **questions.inspect(models[0], "최고 " * 100, 128).request, "device": "cpu"} for n in range(9)
    ]
    raw.send(*requests, {"op": "cancel", "target": 107}, {"op": "cancel", "target": 4711})
    answers = {header["id"]: header for header, _payload in (raw.receive() for _request in requests)}
    assert sorted(answers) == list(range(100, 109))
    assert answers[107]["error"] == protocol.CANCELLED
    assert all(answers[n]["ok"] for n in range(100, 107))


LONG = "정말 배우들의 연기가 아쉬웠다 최고 " * 6
"""A text whose search for a flip goes on for minutes."""


def long_request(model: str, number: int, **fields: Any) -> dict[str, Any]:
    request = questions.flip(model, LONG, max_evaluations=20_000, threshold=0.0).request
    return {"id": number, **request, "device": "cpu", **fields}


def wait_until_working(raw: Raw, number: int) -> None:
    header, _payload = raw.receive()
    assert (header["id"], header["event"]) == (number, protocol.PROGRESS)
    assert 0 < header["done"] < header["total"] == 20_000


def next_answer(raw: Raw) -> dict[str, Any]:
    while True:
        header, _payload = raw.receive()
        if header.get("event") != protocol.PROGRESS:
            return header


def test_request_under_way_is_cancelled(raw: Raw, models: list[str]) -> None:
    raw.send(long_request(models[0], 200))
    wait_until_working(raw, 200)
    raw.send({"op": "cancel", "target": 200}, {"id": 201, "op": "ping"})
    header = next_answer(raw)
    assert (header["id"], header["ok"], header["error"]) == (200, False, protocol.CANCELLED)
    assert next_answer(raw)["id"] == 201


def test_newer_request_of_a_slot_supersedes_older_ones(raw: Raw, models: list[str]) -> None:
    raw.send(long_request(models[0], 210, slot="what if"))
    wait_until_working(raw, 210)
    plain = {**questions.inspect(models[0], "최고", 128, attention=False).request, "device": "cpu"}
    raw.send({"id": 211, **plain, "slot": "what if"}, {"id": 212, **plain}, {"id": 213, **plain, "slot": "what if"})
    answers = [next_answer(raw) for _request in range(4)]
    assert {header["id"]: header.get("error") for header in answers} == {
        210: protocol.CANCELLED,
        211: protocol.CANCELLED,
        212: None,
        213: None,
    }


def test_explanation_over_the_pipe(session: InspectorSession, models: list[str]) -> None:
    told: list[tuple[int, int]] = []
    got = session.ask(
        questions.explain(models[0], "정말 최고", steps=300), "cpu", lambda done, total: told.append((done, total))
    )
    assert told[-1] == (300, 300)
    assert len(got.tokens) == len(got.inspection.tokens)
    assert not got.tokens.flags.writeable
    with pytest.raises(UsageError, match="magic"):
        session.ask(questions.explain(models[0], "정말 최고", method="magic"))


def test_nonsense_is_refused_and_survived(raw: Raw, models: list[str]) -> None:
    raw.send(b"not json\n", b"[1]\n", b"\n", {"id": 5, "op": "dance"}, {"id": 6, "op": "inspect", "model": 3})
    assert [raw.receive()[0]["error"] for _n in range(4)] == ["inspector"] * 4
    question = {**questions.inspect(models[0], "최고").request, "device": "cpu"}
    for fields in ({"op": []}, {"text": None}):
        raw.send({"id": 8, **question, **fields})
        assert raw.receive()[0]["error"] == "inspector"
    for fields in ({"masked": ["x"]}, {"knocked": [[0]]}, {"knocked": [["x", 0]]}, {"max_length": "long"}):
        raw.send({"id": 8, **question, **fields})
        assert raw.receive()[0]["error"] == "usage"
    raw.send({"id": 7, "op": "ping"})
    header, _payload = raw.receive()
    assert (header["id"], header["ok"]) == (7, True)


def test_stdout_of_libraries_does_not_reach_the_protocol(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from core import inspector\n"
        "source, sink = inspector._own_pipes()\n"
        "print('noise', flush=True)\n"
        "os.write(1, b'noise from C')\n"
        "os.system('echo noise of a child')\n"
        "server = inspector.Server(source, sink)\n"
        "server.event(event='ready', stdin=os.read(0, 10).decode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=b"secret\n", capture_output=True, timeout=240, check=True
    )
    assert json.loads(done.stdout) == {"event": "ready", "stdin": "", "payload": 0}
    assert done.stderr.count(b"noise") == 3


def test_ends_with_its_parent(tmp_path: Path) -> None:
    """Even while it is still importing: whoever started it and died cannot tell it to stop."""
    inspector = Raw(tmp_path / "stderr")
    time.sleep(1.0)
    inspector.stdin.close()
    assert inspector.process.wait(240) == 0
    inspector.end()


def test_close_is_answered(tmp_path: Path) -> None:
    inspector = Raw(tmp_path / "stderr")
    inspector.send({"id": 1, "op": "close"})
    assert inspector.receive()[0]["event"] == "ready"
    assert inspector.receive()[0] == {"id": 1, "ok": True, "payload": 0}
    assert inspector.process.wait(10) == 0
    assert (tmp_path / "stderr").read_text() == ""
    inspector.end()


def test_ctrl_c_is_left_to_the_parent(raw: Raw) -> None:
    import signal

    raw.process.send_signal(signal.SIGINT)
    raw.send({"id": 50, "op": "ping"})
    assert raw.receive()[0]["ok"]


def test_death_is_told_with_its_cause() -> None:
    with inspector_session() as session:
        session._process.kill()
        with pytest.raises(InspectorError, match="SIGKILL"):
            session.inspect("model", "글")


def test_inspect_once_from_a_directory_with_a_trap(
    models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `core.py` or `torch.py` where the user happens to be must not be run."""
    for name in ("core", "torch", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('trapped')")
    relative = os.path.relpath(models[0], tmp_path)
    monkeypatch.chdir(tmp_path)
    got = inspect_once(relative, "정말 최고", 128)
    assert got.attention is not None
    assert got.model == relative


def test_light_imports() -> None:
    program = (
        "import sys, core.inspector_client, core.inspector_protocol, core.attention, core.tokenization;"
        "print([m for m in ('torch', 'transformers', 'datasets', 'sklearn', 'textual', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "[]"
