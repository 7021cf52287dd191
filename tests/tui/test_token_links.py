"""Token to token: both columns are the map's row and column, and one leaves with the layer and head in view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from core.i18n import set_language
from tests.tui.review_helpers import QuickInspector, app_on, make_run, screen_text, until
from tui.screens.review import ReviewScreen
from tui.screens.token_links import TokenLinksScreen
from tui.widgets.token_links import TokenLinks


@pytest.mark.parametrize(("size", "lang"), [((80, 24), "ko"), ((160, 48), "en")])
async def test_where_one_word_looks_and_who_looks_at_it(tmp_path: Path, size: tuple[int, int], lang: str) -> None:
    set_language(lang)
    app = app_on(make_run(tmp_path), QuickInspector())
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None)
        review = app.screen
        await pilot.press("enter", "T")
        await until(pilot, lambda: isinstance(app.screen, TokenLinksScreen))
        links = app.screen.query_one(TokenLinks)
        assert [unit.label for unit in links.units] == review.session.current.document.split()
        await pilot.press("down", "j")
        assert links.cursor == 2
        matrix = review.attention.heat.matrix
        np.testing.assert_array_equal(links.looks, matrix[2])
        np.testing.assert_array_equal(links.looked_at, matrix[:, 2])
        text = screen_text(app)
        assert all(cell_len(line) == size[0] for line in text.split("\n"))
        row = next(line for line in text.split("\n") if "▸" in line)
        assert f"{matrix[2, 2]:.3f}" in row
        await pilot.press("l", "l", "h", "w", "Z", "Z")
        await until(pilot, lambda: links.units[0].label == "[CLS]")
        assert links.matrix.shape[0] == len(review.attention.inspection.tokens)
        np.testing.assert_allclose(links.matrix, review.attention.inspection.attention[0, 0], atol=1e-6)
        await pilot.press("G")
        assert links.cursor == len(links.units) - 1
        await pilot.press("m")
        await until(pilot, lambda: app.screen.choice.rolled)
        await pilot.press("m", "escape")
        await until(pilot, lambda: app.screen is review)
        choice = review.attention.choice
        assert (choice.method, choice.layer, choice.words, choice.special) == ("attention", 0, False, "shown")
