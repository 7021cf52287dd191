"""What if: drafts and their way back; the screen with a real model."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.widgets import OptionList

from core import inspector_questions as questions
from core.i18n import set_language
from core.variants import Variants
from tests.tui.review_helpers import app_on, screen_text, until
from tui.app import NsmcTuiApp
from tui.screens.review import ReviewScreen
from tui.screens.what_if import WhatIfScreen
from tui.what_if_state import Draft, Drafts, typeable
from tui.widgets.spread_line import SpreadLine
from tui.widgets.text_editor import TextEditor


def test_words_go_and_come_back() -> None:
    drafts = Drafts("나쁘진  않지만 돈이 아깝다")
    assert not drafts.changed
    assert drafts.mask(2)
    assert drafts.delete(0)
    assert drafts.current == Draft("않지만 돈이 아깝다", frozenset({1}))
    # The masked word itself goes, the masks behind it move up.
    assert drafts.mask(2)
    assert drafts.delete(1)
    assert drafts.current == Draft("않지만 아깝다", frozenset({1}))
    assert not drafts.delete(2)
    assert not drafts.mask(-1)
    assert drafts.undo()
    assert drafts.undo()
    assert drafts.current == Draft("않지만 돈이 아깝다", frozenset({1}))
    assert drafts.redo()
    assert drafts.current.masked == frozenset({1, 2})
    assert drafts.reset()
    assert not drafts.changed
    assert drafts.undo()
    assert drafts.changed
    assert drafts.delete(0)
    assert not drafts.can_redo


def test_typing_is_one_step_and_keeps_masks_in_place() -> None:
    drafts = Drafts("아주 재미있다")
    drafts.mask(0)
    for text in ("아주 재미있다 정", "아주 재미있다 정말", "아주 재미없다 정말"):
        assert drafts.type(text)
    assert drafts.current == Draft("아주 재미없다 정말", frozenset({0}))
    drafts.stop_typing()
    drafts.type("전혀 재미없다")
    assert drafts.current.masked == frozenset()
    drafts.undo()
    assert drafts.current.text == "아주 재미없다 정말"
    drafts.undo()
    assert drafts.current == Draft("아주 재미있다", frozenset({0}))
    assert not drafts.type("아주 재미있다")


def test_nothing_that_a_terminal_obeys_is_typed() -> None:
    assert typeable("a\x1b]0;x\x07\nb\tc\u202e") == "a␛]0;x␇\nb␉c·"


def what_if(app: NsmcTuiApp) -> WhatIfScreen:
    assert isinstance(app.screen, WhatIfScreen)
    return app.screen


def line(app: NsmcTuiApp, name: str) -> str:
    return app.screen.query_one(f"#{name}", SpreadLine).plain


def answered(app: NsmcTuiApp) -> bool:
    screen = what_if(app)
    return screen.inspection is not None and screen.inspection.text == screen.drafts.current.text


@pytest.mark.parametrize(("size", "lang"), [((80, 24), "ko"), ((160, 48), "en")])
async def test_words_out_a_search_and_variants(run_copy: Path, size: tuple[int, int], lang: str) -> None:
    set_language(lang)
    app = app_on(run_copy)
    async with app.run_test(size=size) as pilot:
        await until(
            pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None, seconds=60
        )
        review = app.screen
        await pilot.press("enter", "i")
        await until(pilot, lambda: isinstance(app.screen, WhatIfScreen))
        screen, text = what_if(app), review.session.current.document
        before = screen.subject.inspection.probabilities
        words = text.split()
        await pilot.press("right", "x")
        assert screen.drafts.current.text.split() == [words[0], *words[2:]]
        await until(pilot, lambda: answered(app) and screen.pane.heat is not None)
        real = await app.inspector.ask(
            questions.inspect(screen.subject.inspection.model, screen.drafts.current.text, 64)
        )
        assert screen.inspection.probabilities == pytest.approx(real.probabilities)
        assert f"{screen.inspection.probabilities[before.index(max(before))]:.3f}" in line(app, "moved")
        assert all(cell_len(row) == size[0] for row in screen_text(app).split("\n"))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count == 1)
        kept = Variants(run_copy).of(review.session.current.id, "test")
        assert [variant.text for variant in kept] == [screen.drafts.current.text]
        # Masks, and the way back.
        await pilot.press("g", "space")
        assert screen.drafts.current.masked == {0}
        await until(pilot, lambda: answered(app))
        await pilot.press("m", "m")
        await until(pilot, lambda: screen.pane.attribution is not None)
        assert screen.pane.attribution.inspection.masked == (0,)
        assert screen.pane.heat.units[0].label == "[MASK]"
        await pilot.press("u", "u")
        assert screen.drafts.current.text == text
        await until(pilot, lambda: screen.pane.attribution is not None)
        assert screen.pane.attribution.inspection.text == text
        await pilot.press("ctrl+r", "U")
        assert not screen.drafts.changed
        # The search.
        await pilot.press("X")
        await until(pilot, lambda: not screen._searching)
        if screen.drafts.changed:
            await until(pilot, lambda: answered(app))
            assert screen.inspection.pred != screen.subject.inspection.pred
        # A variant comes back.
        screen.query_one(OptionList).focus()
        await pilot.press("home", "enter")
        await until(pilot, lambda: screen.drafts.current.text == kept[0].text)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is review)
        assert review.attention.choice.method == "gradient_x_input"


async def test_typing_asks_once_and_drops_what_is_stale(run_copy: Path) -> None:
    app = app_on(run_copy)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(
            pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None, seconds=60
        )
        await pilot.press("enter", "i")
        await until(pilot, lambda: isinstance(app.screen, WhatIfScreen))
        screen = what_if(app)
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.focused, TextEditor))
        # Letters are letters while one types.
        await pilot.press("space", *"xmUq")
        await until(pilot, lambda: screen.drafts.current.text.endswith(" xmUq"))
        stale = Draft(screen.drafts.current.text[:-1])
        screen.post_message(WhatIfScreen.Answered(stale, screen.subject.inspection))
        await pilot.pause()
        assert screen.inspection is None or screen.inspection.text == screen.drafts.current.text
        await until(pilot, lambda: answered(app))
        app.screen.query_one(TextEditor).insert("\x1b[31m")
        await until(pilot, lambda: "␛[31m" in screen.drafts.current.text)
        await pilot.press("escape")
        assert not screen.editing
        assert app.screen is screen
        await pilot.press("u")
        assert not screen.drafts.changed
