"""The app's inspector client: with the real process, and with a small stand-in for what is hard to provoke."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from core import inspector_protocol as protocol
from core import inspector_questions as questions
from core.errors import InspectorError, ModelError
from tests.core.tiny_models import save_model
from tui.inspector_client import InspectorClient

STAND_IN = """
import json, os, sys, threading, time
import numpy as np
mode, log = sys.argv[1], open(sys.argv[2], "a")
out = sys.stdout.buffer
lock = threading.Lock()
def say(header, body=b""):
    with lock:
        out.write(json.dumps({**header, "payload": len(body)}).encode() + b"\\n" + body)
        out.flush()
def answer(request):
    size = 300
    body = np.full((2, 2, size, size), 1 / size, "<f4").tobytes()
    fields = {"model": request["model"], "text": request["text"], "tokens": [], "words": [], "cut": None,
              "logits": [0.0, 0.0], "probabilities": [0.5, 0.5], "labels": ["a", "b"], "cls": 0, "max_length": None,
              "seconds": 0.0, "note": "", "notes": [], "fingerprint": request["text"] if mode == "changing" else "",
              "mean_pooled": False,
              "arrays": [{"name": "attention", "dtype": "<f4", "shape": [2, 2, size, size]}]}
    say({"id": request["id"], "ok": True, **fields}, body)
if mode == "broken":
    sys.exit("no module named luck")
if mode == "unkillable":
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
say({"event": "ready"})
for line in sys.stdin:
    request = json.loads(line)
    print(request.get("text", request["op"]), file=log, flush=True)
    if request["op"] != "inspect":
        continue
    text = request["text"]
    if text == "die" or (text == "die once" and not os.path.exists(sys.argv[2] + ".died")):
        open(sys.argv[2] + ".died", "w").close()
        sys.stderr.write("out of luck\\n")
        os._exit(3)
    if text == "garbage" and not os.path.exists(sys.argv[2] + ".died"):
        open(sys.argv[2] + ".died", "w").close()
        out.write(b"Segmentation fault\\n"); out.flush(); time.sleep(60)
    if text == "hang":
        continue
    if text.startswith("slow"):
        time.sleep(0.3)
    answer(request)
if mode == "unkillable":
    time.sleep(60)
"""


def about(*texts: str) -> list[protocol.Question[protocol.Inspection]]:
    """What is asked about each of `texts`."""
    return [questions.inspect("m", text) for text in texts]


class StandIn:
    """A process that speaks the protocol without a model, and notes what it was asked."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.script = directory / "stand_in.py"
        self.script.write_text(STAND_IN)
        self.log = directory / "asked"
        self._monkeypatch = monkeypatch

    def install(self, mode: str = "normal") -> None:
        self._monkeypatch.setattr(protocol, "command", lambda: [sys.executable, str(self.script), mode, str(self.log)])

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn(tmp_path, monkeypatch)
    made.install()
    return made


@pytest_asyncio.fixture
async def client() -> AsyncIterator[InspectorClient]:
    made = InspectorClient()
    yield made
    await made.aclose()


async def test_the_real_one(tmp_path: Path, client: InspectorClient) -> None:
    """Open, ask, ask together, be refused, be killed and start again."""
    path = await asyncio.to_thread(save_model, tmp_path / "bert", "bert")
    info = await client.open(path)
    assert (info.model_type, info.window) == ("bert", 128)
    texts = [f"정말 최고 {n}" for n in range(5)]
    answers = await asyncio.gather(*(client.ask(questions.inspect(path, text, 128)) for text in texts))
    for text, got in zip(texts, answers, strict=True):
        assert got.text == text
        assert got.attention is not None
        assert not got.attention.flags.writeable
        np.testing.assert_allclose(got.attention.sum(-1), 1, atol=1e-5)
    with pytest.raises(ModelError):
        await client.ask(questions.inspect(tmp_path / "nowhere", "글"))

    first = client.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    again = await client.ask(questions.inspect(path, "다른 글"))
    assert again.attention is not None
    assert client.pid != first
    assert client.kept(questions.inspect(path, texts[0], 128)) is answers[0]


async def test_explaining_with_the_real_one(tmp_path: Path, client: InspectorClient) -> None:
    path = await asyncio.to_thread(save_model, tmp_path / "bert", "bert")
    text = "정말 배우들의 연기가 아쉬웠다 최고 " * 5
    told: list[tuple[int, int]] = []
    going = asyncio.Event()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        going.set()

    # A threshold that no probability is below: the search goes on until its evaluations are spent.
    long = asyncio.create_task(client.ask(questions.flip(path, text, max_evaluations=20_000, threshold=0.0), progress))
    await going.wait()
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long
    assert told[-1][0] < told[-1][1] == 20_000

    explained = await client.ask(questions.explain(path, text, method="occlusion", target=1))
    assert explained.words is not None
    assert await client.ask(questions.explain(path, text, method="occlusion", target=1)) is explained
    assert (await client.ask(questions.explain(path, text, method="occlusion", target=0))) is not explained
    agreement = await client.ask(questions.agreement(path, text, methods=["rollout", "relevance"]))
    assert agreement.spearman.shape == (2, 2)
    check = await client.ask(questions.deletion(path, text, methods=["rollout"], most=2, draws=2))
    assert check.curves.shape == (1, 2)
    heads = await client.ask(questions.head_stats(path, text))
    assert heads.values["entropy"].shape == (2, 4)
    assert (await client.ask(questions.knock_out(path, text))).heads is not None
    hidden = await client.ask(questions.inspect(path, text, masked=[0], knocked=[(0, None)]))
    assert hidden.probabilities != explained.inspection.probabilities


async def test_answers_are_kept_within_bounds(stand_in: StandIn) -> None:
    client = InspectorClient(cache_items=3, cache_bytes=5_000_000)
    try:
        first = await client.ask(questions.inspect("m", "1"))
        assert await client.ask(questions.inspect("m", "1")) is first
        assert stand_in.asked == ["1"]
        # Other limits are other questions.
        assert await client.ask(questions.inspect("m", "1", 64)) is not first
        for text in "234":
            await client.ask(questions.inspect("m", text))
        assert [client.kept(questions.inspect("m", text)) is not None for text in "1234"] == [False, True, True, True]
        # Each answer has 1.44 MB: the bytes bind before the number does.
        client._cache_items = 99
        await client.ask(questions.inspect("m", "5"))
        assert [client.kept(questions.inspect("m", text)) is not None for text in "2345"] == [False, True, True, True]
    finally:
        await client.aclose()


async def test_the_same_question_is_asked_once(stand_in: StandIn, client: InspectorClient) -> None:
    one, two = await asyncio.gather(*map(client.ask, about("slow", "slow")))
    assert one is two
    assert stand_in.asked == ["slow"]


async def test_cancelled_question_is_taken_back(stand_in: StandIn, client: InspectorClient) -> None:
    await client.start()
    old = asyncio.create_task(client.ask(questions.inspect("m", "slow old")))
    await asyncio.sleep(0.1)
    old.cancel()
    with pytest.raises(asyncio.CancelledError):
        await old
    # Its answer arrives all the same and must not be taken for the next one's.
    new = await client.ask(questions.inspect("m", "new"))
    assert new.text == "new"
    assert stand_in.asked == ["slow old", "cancel", "new"]
    assert client.kept(questions.inspect("m", "slow old")) is None
    assert client._process.idle
    assert client._shared == {}


async def test_one_of_two_who_wait_gives_up(stand_in: StandIn, client: InspectorClient) -> None:
    await client.start()
    one = asyncio.create_task(client.ask(questions.inspect("m", "slow")))
    two = asyncio.create_task(client.ask(questions.inspect("m", "slow")))
    await asyncio.sleep(0.1)
    one.cancel()
    assert (await two).text == "slow"
    assert stand_in.asked == ["slow"]


async def test_prefetch(stand_in: StandIn, client: InspectorClient) -> None:
    await client.start()
    old = client.prefetch(about("slow a", "b", "c"))
    await asyncio.sleep(0.1)
    await client.prefetch(about("d", "e"))
    assert old.cancelled()
    assert client.kept(questions.inspect("m", "d")) is not None
    assert client.kept(questions.inspect("m", "e")) is not None
    assert "b" not in stand_in.asked


async def test_wanted_text_survives_the_end_of_its_prefetch(stand_in: StandIn, client: InspectorClient) -> None:
    await client.start()
    client.prefetch(about("slow a"))
    await asyncio.sleep(0.1)
    wanted = asyncio.create_task(client.ask(questions.inspect("m", "slow a")))
    await asyncio.sleep(0.05)
    client.prefetch(about())
    assert (await wanted).text == "slow a"
    assert stand_in.asked == ["slow a"]


@pytest.mark.parametrize("text", ["die once", "garbage"])
async def test_started_again_after_a_death(stand_in: StandIn, client: InspectorClient, text: str) -> None:
    others = [asyncio.create_task(client.ask(questions.inspect("m", name))) for name in ("slow", text, "other")]
    assert [answer.text for answer in await asyncio.gather(*others)] == ["slow", text, "other"]


async def test_deadly_question_ends_in_an_error(stand_in: StandIn, client: InspectorClient) -> None:
    with pytest.raises(InspectorError) as caught:
        await client.ask(questions.inspect("m", "die"))
    assert "3" in caught.value.message
    assert "out of luck" in caught.value.hint
    assert stand_in.asked == ["die"] * 3
    assert (await client.ask(questions.inspect("m", "fine"))).text == "fine"


async def test_process_that_cannot_start(stand_in: StandIn, client: InspectorClient) -> None:
    stand_in.install("broken")
    with pytest.raises(InspectorError) as caught:
        await client.ask(questions.inspect("m", "글"))
    assert "no module named luck" in caught.value.hint


async def test_replaced_model_is_forgotten(stand_in: StandIn, client: InspectorClient) -> None:
    stand_in.install("changing")
    await client.ask(questions.inspect("m", "1"))
    await client.ask(questions.inspect("other", "1"))
    await client.ask(questions.inspect("m", "2"))
    assert client.kept(questions.inspect("m", "1")) is None
    assert client.kept(questions.inspect("m", "2")) is not None
    assert client.kept(questions.inspect("other", "1")) is not None


@pytest.mark.parametrize("mode", ["normal", "unkillable"])
async def test_close_is_quick(stand_in: StandIn, mode: str) -> None:
    stand_in.install(mode)
    client = InspectorClient()
    waiting = asyncio.create_task(client.ask(questions.inspect("m", "hang")))
    while not stand_in.log.exists() or not stand_in.asked:
        await asyncio.sleep(0.01)
    pid = client.pid
    assert pid is not None
    started = time.monotonic()
    await client.aclose()
    assert time.monotonic() - started < 60
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(InspectorError):
        await client.ask(questions.inspect("m", "글"))
    await client.aclose()


async def test_close_before_start() -> None:
    await InspectorClient().aclose()


def test_light_imports() -> None:
    program = (
        "import sys, tui.inspector_client;"
        "print([m for m in ('torch', 'transformers', 'datasets', 'sklearn', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "[]"
