"""The methods side by side, with a real model; the heat of each on the text in Review."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from core.attribution_methods import METHODS
from core.i18n import set_language
from core.inspector_questions import explain
from tests.tui.review_helpers import app_on, screen_text, until
from tui.app import NsmcTuiApp
from tui.screens.methods import MethodsScreen
from tui.screens.review import ReviewScreen
from tui.widgets.shaded_table import ShadedTable
from tui.widgets.spread_line import SpreadLine


def heated(app: NsmcTuiApp) -> bool:
    return isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None


@pytest.mark.parametrize(("size", "lang"), [((80, 24), "en"), ((160, 48), "ko")])
async def test_all_methods_on_the_same_words(finished_run: Path, size: tuple[int, int], lang: str) -> None:
    set_language(lang)
    app = app_on(finished_run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: heated(app))
        review = app.screen
        await pilot.press("enter", "M")
        await until(
            pilot, lambda: isinstance(app.screen, MethodsScreen) and app.screen.deletion is not None, seconds=60
        )
        screen = app.screen
        words = screen.subject.inspection.words
        table = screen.query_one("#words", ShadedTable)
        assert [row.label for row in table.rows] == [word.text for word in words]
        for number, name in enumerate(METHODS):
            attribution = next(a for a in screen.agreement.attributions if a.method == name)
            shown = [row.cells[number][0].replace("−", "-") for row in table.rows]
            np.testing.assert_allclose([float(text) for text in shown], attribution.words, atol=6e-4)
        text = screen_text(app)
        assert all(cell_len(row) == size[0] for row in text.split("\n"))
        if size[0] == 80:
            await pilot.press("o")
            assert not table.display
            await pilot.press("o")
        rows = screen.query_one("#deletion", ShadedTable).rows
        fall = float(rows[0].cells[0][0].replace("−", "-"))
        assert fall == pytest.approx(float(screen.deletion.curves[0, 0]) - screen.deletion.probability, abs=6e-4)
        # Help for the chosen method, then its heat in Review.
        if size[0] == 80:
            await pilot.press("o")
        table.focus()
        await pilot.press("right", "right", "right")
        await until(pilot, lambda: "arXiv:1703.01365" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is review and review.attention.attribution is not None)
        assert review.attention.heat.choice.method == "integrated_gradients"
        assert re.search(r"−\d+\.\d\d", app.screen.query_one("#scale", SpreadLine).plain)


async def test_the_heat_of_each_method_is_that_of_the_inspector(finished_run: Path) -> None:
    app = app_on(finished_run)
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: heated(app))
        pane = app.screen.attention
        matrix = pane.heat.matrix
        for name in list(METHODS)[2:]:
            pane.choose(pane.choice.next_method() if name != "gradient_x_input" else pane.choice.next_method(2))
            assert pane.choice.method == name
            assert pane.heat.pending
            await until(pilot, lambda: pane.attribution is not None)
            inspection = pane.inspection
            question = explain(
                inspection.model, inspection.text, inspection.max_length, method=name, target=inspection.pred
            )
            attribution = app.inspector.kept(question)
            np.testing.assert_allclose(pane.heat.row, attribution.words, atol=1e-9)
            # The map beside it stays the layer's.
            np.testing.assert_array_equal(pane.heat.matrix, matrix)
        # Occlusion is by word, also where tokens are asked for.
        pane.toggle_words()
        np.testing.assert_allclose(pane.heat.row, attribution.words, atol=1e-9)
        first = pane.target
        await pilot.press("b")
        await until(pilot, lambda: pane.attribution is not None and pane.attribution.target != inspection.pred)
        assert first is None
        assert pane.heat.target == 1 - inspection.pred
