"""A moved threshold decides the answer on every screen of Review, each run's own on that run's side."""

from __future__ import annotations

import shutil
from pathlib import Path

from core.decision import Decision
from tests.tui.review_helpers import QuickInspector, app_on, make_run, screen_text, until
from tui.screens.methods import MethodsScreen
from tui.screens.review import ReviewScreen
from tui.screens.two_models import TwoModelsScreen
from tui.screens.what_if import WhatIfScreen
from tui.widgets.prob_bar import ProbBar
from tui.widgets.spread_line import SpreadLine

# p(긍정) of every answer is 0.73.
HIGH = 0.805


async def test_the_answer_at_a_moved_threshold(tmp_path: Path) -> None:
    run_dir, inspector = make_run(tmp_path), QuickInspector()
    app = app_on(run_dir, inspector)
    other = tmp_path / "20260101-000000-other"
    shutil.copytree(run_dir, other)
    app.decisions.put(run_dir, Decision(HIGH, "test"))
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None)
        review = app.screen
        await pilot.press("enter", "i")
        await until(pilot, lambda: isinstance(app.screen, WhatIfScreen))
        bar, moved = app.screen.query_one(ProbBar), app.screen.query_one("#moved", SpreadLine)
        assert (bar.pred, bar.threshold, app.screen.pane.target) == (0, HIGH, 0)
        assert "p(negative) 0.270" in moved.plain
        assert "threshold 0.805" in moved.plain
        await pilot.press("X")
        await until(pilot, lambda: inspector.others)
        assert [(one["op"], one["threshold"]) for one in inspector.others] == [("flip", HIGH)]
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is review)
        # Methods are asked for the class of the answer.
        await pilot.press("M")
        await until(pilot, lambda: isinstance(app.screen, MethodsScreen) and len(inspector.others) > 1)
        assert {one["target"] for one in inspector.others[1:]} == {0}
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is review)
        # The other run has a reader's threshold of its own, or the model's.
        await pilot.press("C")
        await until(pilot, lambda: "20260101-000000-other" in screen_text(app))
        await pilot.press("enter")
        await until(
            pilot,
            lambda: isinstance(app.screen, TwoModelsScreen) and all(side.inspection for side in app.screen.sides),
        )
        assert [side.query_one(ProbBar).pred for side in app.screen.sides] == [0, 1]
        assert [side.pane._target for side in app.screen.sides] == [0, 1]
        assert "another answer" in app.screen.query_one("#alike", SpreadLine).plain
        assert screen_text(app).count("threshold 0.805") == 1
