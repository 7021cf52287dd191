"""The command that the export dialog shows writes what the dialog writes, byte for byte."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from core.attention import LAST
from core.export_svg import View
from core.inspector_client import InspectorSession, inspector_session
from core.review_log import Opinion
from core.review_query import parse
from tests.tui.review_helpers import NASTY, make_run
from tui.cli import cli
from tui.export_choice import ExportChoice
from tui.review_exports import ReviewExports
from tui.review_session import ReviewSession, open_run

THRESHOLD = 0.613


@pytest.fixture(scope="module")
def session() -> Iterator[InspectorSession]:
    with inspector_session() as running:
        yield running


@pytest.fixture
def shared(session: InspectorSession, monkeypatch: pytest.MonkeyPatch) -> InspectorSession:
    """One real inspector for the dialog's questions and the commands'."""

    @contextmanager
    def same() -> Iterator[InspectorSession]:
        yield session

    monkeypatch.setattr("core.inspector_client.inspector_session", same)
    return session


def exports_of(run_dir: Path, view: View, ask: Any, **queue: Any) -> list[ExportChoice]:
    """The dialog's choices for a queue at a moved threshold, with two reviews marked where there are some."""
    opened = open_run(run_dir)
    assert opened.predictions is not None
    review = ReviewSession(opened.predictions, queue["kind"], opened.log, threshold=THRESHOLD)
    review.search, review.sort, review.seed = queue.get("search", ""), queue["sort"], 7
    review.set_query(queue["kind"], parse(queue.get("where", "")))
    review.take(review.compute())
    review.marked = set(review.queue[1:3].tolist())
    review.move_to(1)
    return ReviewExports(run_dir, review, opened, view, ask, ("nsmc-tui", "--runs", str(run_dir.parent))).choices()


def twins(choice: ExportChoice, directory: Path) -> list[tuple[bytes, bytes]]:
    """What the dialog writes and what its command writes, file by file."""
    first, second = (directory / name / choice.file for name in ("dialog", "command"))
    for path in (first, second):
        path.parent.mkdir(exist_ok=True)
    written = asyncio.run(choice.write(first, False, lambda _done, _total: None))
    words = shlex.split(choice.command_line(second))
    assert words[0] == "nsmc-tui"
    done = CliRunner().invoke(cli, words[1:])
    assert done.exit_code == 0, done.output
    return [(path.read_bytes(), (second.parent / path.name).read_bytes()) for path in written]


@pytest.mark.parametrize(
    "queue",
    [
        {"kind": "fp", "sort": "margin", "where": 'length<400 -tag:"a b"'},
        {"kind": "any", "sort": "random", "search": "영화"},
        {"kind": "tp", "sort": "loss", "search": "/최.의|x\\/y/"},
    ],
)
def test_a_queue(tmp_path: Path, queue: dict[str, Any]) -> None:
    rows = [
        ("최고의 영화 정말 재미있다", 1, 4.0),
        (NASTY, 0, 2.0),
        ("별로", 0, 0.3),
        ("영화", 1, 0.6),
        ("최신의 영화", 1, 0.9),
    ]
    run_dir = make_run(tmp_path / "runs", rows * 3)
    log = open_run(run_dir).log
    assert log is not None
    log.keep([("1001", Opinion("sarcasm", None, ("a b",)))])
    choices = {choice.name: choice for choice in exports_of(run_dir, View(), None, **queue)}
    for name in ("queue.csv", "queue.jsonl", "queue.parquet", "labelstudio", "argilla"):
        for dialog, command in twins(choices[name], tmp_path):
            assert dialog == command
    lines = [json.loads(line) for line in (tmp_path / "command" / "queue.jsonl").read_text("utf-8").splitlines()]
    assert lines
    # 0.3 is p(긍정) 0.574: 부정 at this threshold.
    assert all(line["pred"] == int(line["prob_1"] >= THRESHOLD) for line in lines)
    assert queue["kind"] == "any" or {line["kind"] for line in lines} == {queue["kind"]}


@pytest.mark.parametrize(
    "view",
    [
        View("attention", 0, 1, "shown", False, "dark"),
        View("rollout", LAST),
        View("gradient_x_input", None, None, "renormalised"),
    ],
)
def test_reviews_with_their_weights(finished_run: Path, tmp_path: Path, shared: InspectorSession, view: View) -> None:
    async def ask(question: Any) -> Any:
        return shared.ask(question)

    choices = exports_of(finished_run, view, ask, kind="errors", sort="confidence")
    for choice in choices:
        if choice.name in ("svg", "csv") or (choice.name in ("page", "html", "bertviz") and view.layer == 0):
            for dialog, command in twins(choice, tmp_path):
                assert dialog == command
            assert "-1" not in choice.command


def test_the_run(finished_run: Path, tmp_path: Path) -> None:
    choice = exports_of(finished_run, View(), None, kind="all", sort="loss")[-1]
    dialog, command = tmp_path / "dialog", tmp_path / "command"
    asyncio.run(choice.write(dialog, False, lambda _done, _total: None))
    done = CliRunner().invoke(cli, shlex.split(choice.command_line(command))[1:])
    assert done.exit_code == 0, done.output
    manifests = [json.loads((path / "manifest.json").read_bytes()) for path in (dialog, command)]
    assert manifests[0]["files"] == manifests[1]["files"]
    assert manifests[0]["threshold"] == THRESHOLD
    scores = (command / "tables" / "confusion-test.csv").read_text()
    lines = [json.loads(line) for line in (command / "errors.jsonl").read_text("utf-8").splitlines()]
    assert sum(line["kind"] == "fp" for line in lines) == int(scores.splitlines()[1].split(",")[2])
