"""Review's way to what is around a review, and to files of it, walked with keys."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from textual.widgets import Input

from core.i18n import set_language
from core.predictions import Predictions
from tests.tui.review_helpers import app_on, make_run, screen_text, until
from tui.screens.pick import PickScreen
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


async def chosen(pilot: object, app: object, kind: str, path: Path) -> None:
    """`e`, the kind by its name, the path."""
    await pilot.press("e")  # type: ignore[attr-defined]
    await until(pilot, lambda: isinstance(app.screen, PickScreen))  # type: ignore[attr-defined]
    app.screen.query_one(Input).value = kind  # type: ignore[attr-defined]
    await pilot.pause()  # type: ignore[attr-defined]
    await pilot.press("enter")  # type: ignore[attr-defined]
    await until(pilot, lambda: isinstance(app.screen, ReviewScreen))  # type: ignore[attr-defined]
    line = app.screen.query_one("#prompt", Input)  # type: ignore[attr-defined]
    await until(pilot, lambda: line.has_focus)
    line.value = str(path)
    await pilot.press("enter")  # type: ignore[attr-defined]


async def test_the_queue_is_written_by_keys(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "runs")
    app = app_on(run_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await ready(pilot, app)
        path = tmp_path / "queue.csv"
        await chosen(pilot, app, "queue.csv", path)
        await until(pilot, path.exists)
        with path.open(encoding="utf-8", newline="") as file:
            written = [row["id"] for row in csv.DictReader(file)]
        predictions = Predictions(run_dir)
        assert screen.session is not None
        assert written == [predictions.row(int(row)).id for row in screen.session.queue]
        # What is there is not written over: the line stays open and says why.
        await chosen(pilot, app, "queue.csv", path)
        await until(pilot, lambda: "exists" in screen_text(app))
        await pilot.press("escape")
        tasks = tmp_path / "tasks.json"
        await chosen(pilot, app, "labelstudio", tasks)
        await until(pilot, tasks.exists)
        assert len(json.loads(tasks.read_bytes())) == len(written)


async def test_the_review_in_view_is_written_as_it_is_seen(finished_run: Path, tmp_path: Path) -> None:
    from tui.app import NsmcTuiApp

    app = NsmcTuiApp(finished_run.parent, finished_run, "review")
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await ready(pilot, app)
        await until(pilot, lambda: screen.detail.inspection is not None, 120)
        picture, weights = tmp_path / "a.svg", tmp_path / "a.npz"
        await chosen(pilot, app, "svg", picture)
        await until(pilot, picture.exists, 60)
        root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
        letters = "".join("".join(element.itertext()) for element in root.iter())
        assert screen.detail.review is not None
        assert f"#{screen.detail.review.id}" in letters
        assert "layer 1" in letters
        await chosen(pilot, app, "bertviz", weights)
        await until(pilot, lambda: (tmp_path / "a-bertviz.py").exists(), 60)
        with np.load(weights, allow_pickle=False) as found:
            assert str(found["text"]) == screen.detail.review.document
