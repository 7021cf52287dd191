"""Review's way to what is around a review, and to files of it, walked with keys."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.widgets import Input

from core.i18n import set_language
from core.predictions import Predictions
from tests.tui.review_helpers import QuickInspector, app_on, inspection_of, make_run, screen_text, until
from tui.screens.confirm import ConfirmScreen
from tui.screens.export_dialog import ExportDialog
from tui.screens.review import ReviewScreen
from tui.widgets.review_context import ReviewContext


async def ready(pilot: object, app: object) -> ReviewScreen:
    await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.session is not None)  # type: ignore[attr-defined]
    screen = app.screen  # type: ignore[attr-defined]
    await until(pilot, lambda: screen.detail.review is not None)
    return screen  # type: ignore[no-any-return]


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_what_is_around_a_review_stands_below_it(tmp_path: Path, size: tuple[int, int], lang: str) -> None:
    set_language(lang)
    app = app_on(make_run(tmp_path))
    async with app.run_test(size=size) as pilot:
        screen = await ready(pilot, app)
        pane = screen.query_one(ReviewContext)
        if size == (80, 24):
            assert not pane.is_on_screen
            await pilot.press("enter", "enter")
        await until(pilot, lambda: pane.is_on_screen and "alike" in pane._found)
        assert ("학습 이력" if lang == "ko" else "History over training") in screen_text(app)
        first = pane._subject
        await pilot.press("n")
        await until(pilot, lambda: pane._subject != first)


async def chosen(pilot: Any, app: Any, kind: str, path: Path) -> ExportDialog:
    """`e`, the kind by its name, the path."""
    await pilot.press("e")
    await until(pilot, lambda: isinstance(app.screen, ExportDialog) and app.screen.query_one(Input).has_focus)
    dialog = app.screen
    names = [choice.name for choice in dialog._choices]
    await pilot.press(*["down"] * names.index(kind))
    assert dialog.choice.name == kind
    dialog.query_one(Input).value = str(path)
    await pilot.press("enter")
    return dialog


async def test_the_queue_is_written_by_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = make_run(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "papers").mkdir()
    app = app_on(run_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await ready(pilot, app)
        assert screen.session is not None
        path = tmp_path / "papers" / "queue.csv"
        # A name is completed, the home directory is found, a directory gets the name that is proposed.
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ExportDialog) and app.screen.query_one(Input).has_focus)
        dialog = app.screen
        await pilot.press(*["down"] * 7, "ctrl+u", *"~/pap")
        await until(pilot, lambda: dialog.query_one(Input)._suggestion == "~/papers/")
        await pilot.press("tab")
        assert str(path) in screen_text(app).replace("\n", "").replace(" ", "")
        await pilot.press("enter")
        await until(pilot, lambda: dialog.done)
        with path.open(encoding="utf-8", newline="") as file:
            written = [row["id"] for row in csv.DictReader(file)]
        predictions = Predictions(run_dir)
        assert written == [predictions.row(int(row)).id for row in screen.session.queue]
        await pilot.press("y")
        command = f"errors 20260102-030405-tiny --kind all --split test --as csv --to {path}"
        assert app.clipboard.endswith(command)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen)
        # What is there is not written over without a question.
        path.write_text("mine")
        dialog = await chosen(pilot, app, "queue.csv", path)
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        await until(pilot, lambda: app.screen is dialog)
        assert path.read_text() == "mine"
        await pilot.press("enter", "y")
        await until(pilot, lambda: dialog.done)
        assert path.read_text() != "mine"
        await pilot.press("escape")
        tasks = tmp_path / "tasks.json"
        dialog = await chosen(pilot, app, "labelstudio", tasks)
        await until(pilot, lambda: dialog.done)
        assert len(json.loads(tasks.read_bytes())) == len(written)
        await pilot.press("escape")
        # Nowhere to write to: told, and the line can be mended.
        dialog = await chosen(pilot, app, "argilla", tmp_path / "none" / "a.json")
        assert "none" in "".join(screen_text(app).split())
        assert not dialog.writing
        assert not dialog.done
        await pilot.press("escape")
        dialog = await chosen(pilot, app, "run", tmp_path / "all")
        await until(pilot, lambda: dialog.done, 30)
        assert (tmp_path / "all" / "manifest.json").is_file()
    assert [file.name for file in tmp_path.rglob("*.tmp")] == []


async def test_an_export_under_way_is_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    inspector = QuickInspector()
    app = app_on(make_run(tmp_path / "runs"), inspector)
    asked: list[object] = []

    async def ask(question: Any) -> Any:
        asked.append(question)
        await inspector.gate.wait()
        return inspection_of(question.request["text"])

    inspector.ask = ask  # type: ignore[attr-defined]
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await ready(pilot, app)
        await until(pilot, lambda: screen.detail.inspection is not None)
        asked.clear()
        inspector.gate.clear()
        path = tmp_path / "page.html"
        dialog = await chosen(pilot, app, "page", path)
        await until(pilot, lambda: asked and "0 of 5" in screen_text(app))
        await pilot.press("escape")
        inspector.gate.set()
        await until(pilot, lambda: not dialog.writing)
        assert "nothing was written" in screen_text(app)
        assert len(asked) == 1
        assert not path.exists()
        await pilot.press("enter")
        await until(pilot, lambda: dialog.done)
        assert path.exists()


async def test_the_review_in_view_is_written_as_it_is_seen(finished_run: Path, tmp_path: Path) -> None:
    from tui.app import NsmcTuiApp

    app = NsmcTuiApp(finished_run.parent, finished_run, "review")
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await ready(pilot, app)
        await until(pilot, lambda: screen.detail.inspection is not None, 120)
        picture, weights = tmp_path / "a.svg", tmp_path / "a.npz"
        await chosen(pilot, app, "svg", picture)
        await until(pilot, lambda: app.screen.done, 60)
        assert f"--id {screen.detail.review.id} " in app.screen.choice.command_line(picture)
        await pilot.press("enter")
        root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
        letters = "".join("".join(element.itertext()) for element in root.iter())
        assert screen.detail.review is not None
        assert f"#{screen.detail.review.id}" in letters
        assert "layer 1" in letters
        await chosen(pilot, app, "bertviz", weights)
        await until(pilot, lambda: (tmp_path / "a-bertviz.py").exists(), 60)
        with np.load(weights, allow_pickle=False) as found:
            assert str(found["text"]) == screen.detail.review.document
