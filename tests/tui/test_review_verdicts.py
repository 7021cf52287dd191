"""Verdicts, filters and the place in the queue, with keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion
from textual.widgets import Input, OptionList

from core.i18n import language, set_language
from core.review_log import Opinion, ReviewLog
from tests.tui.picture import picture
from tests.tui.review_helpers import NASTY, QuickInspector, app_on, make_run, screen_text, until
from tui.app import NsmcTuiApp
from tui.screens.apply_dialog import ApplyDialog
from tui.screens.evaluation import EvaluationScreen
from tui.screens.filter_dialog import FilterDialog
from tui.screens.review import ReviewScreen
from tui.widgets.prompt_line import PromptLine
from tui.widgets.review_about import ReviewAbout
from tui.widgets.review_context import ReviewContext
from tui.widgets.review_list import ReviewList
from tui.widgets.spread_line import SpreadLine

WIDE, SMALL = (160, 48), (80, 24)


@pytest.fixture(autouse=True)
def own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("TEXTUAL_THEME", "nsmc-dark")
    monkeypatch.setenv("NSMC_TUI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NSMC_TUI_REVIEWER", "kim")
    before = language()
    set_language("en")
    yield
    set_language(before)


def review_of(app: NsmcTuiApp) -> ReviewScreen:
    assert isinstance(app.screen, ReviewScreen)
    return app.screen


def opened(app: NsmcTuiApp) -> bool:
    return isinstance(app.screen, ReviewScreen) and app.screen.session is not None


def queue_line(app: NsmcTuiApp) -> str:
    return review_of(app).query_one("#queue", SpreadLine).plain


def records(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "review.jsonl").read_text().splitlines()]


def verdicts(run_dir: Path) -> dict[str, str | None]:
    return {record["id"]: record["verdict"] for record in records(run_dir)}


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("size", [WIDE, SMALL])
async def test_from_a_cell_of_the_matrix_to_a_verdict_and_back(
    tmp_path: Path, size: tuple[int, int], lang: str
) -> None:
    set_language(lang)
    run_dir = make_run(tmp_path)
    app = app_on(run_dir, QuickInspector())
    app._first = (run_dir, "evaluation")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen) and app.focused is not None)
        evaluation = app.screen
        await pilot.press("right", "enter")
        await until(pilot, lambda: opened(app) and review_of(app).attention.heat is not None)
        screen = review_of(app)
        assert (screen.session.kind, len(screen.session)) == ("fp", 3)
        await pilot.press("enter", "l", "h")
        assert (screen.attention.heat.choice.layer, screen.attention.heat.choice.head) == (None, 0)
        await pilot.press("1")
        await until(pilot, lambda: screen.session.position == 1)
        assert verdicts(run_dir) == {"1001": "label_wrong"}
        assert "#1001" in queue_line(app)
        assert ("1 judged" if lang == "en" else "판정 1") in queue_line(app)
        await pilot.press("n", "s")
        await until(pilot, lambda: "1006" in verdicts(run_dir))
        assert screen.session.position == 2
        text = screen_text(app)
        assert all(cell_len(row) == size[0] for row in text.split("\n"))
        await pilot.press("p", "p")
        about = "\n".join(line.plain for line in screen.query_one(ReviewAbout).lines())
        assert ("label wrong → positive" if lang == "en" else "라벨 오류 → 긍정") in about
        await pilot.press("escape")
        if size == SMALL:
            await pilot.press("escape")
        await until(pilot, lambda: app.screen is evaluation)


async def test_every_key_keeps_its_verdict_and_undo_takes_it_back(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    app = app_on(run_dir)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        session = review_of(app).session
        # By loss: 1001 (FP), 1005 (FN), 1002 (FP), 1003 (FN), 1006 (FP).
        await pilot.press("d", "0", "a", "c", "s")
        await until(pilot, lambda: len(verdicts(run_dir)) == 5)
        assert verdicts(run_dir) == {
            "1001": "model_wrong",
            "1005": "label_wrong",
            "1002": "ambiguous",
            "1003": "needs_context",
            "1006": "sarcasm",
        }
        assert session.judged == 5
        assert session.position == 4
        await pilot.press("u", "u")
        await until(pilot, lambda: session.judged == 3)
        assert session.position == 3
        assert "undone: needs context · #1003" in queue_line(app)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: session.judged == 4)
        await pilot.press("backspace")
        await until(pilot, lambda: session.judged == 3)
        # It is labelled positive already, so it cannot be wrong that way.
        await pilot.press("1")
        await pilot.pause()
        assert session.judged == 3
        assert "already" in str([toast.message for toast in app._notifications])
        await pilot.press("greater_than_sign", "0")
        await until(pilot, lambda: session.judged == 4)
        assert session.position == 3
        await pilot.press("greater_than_sign")
        assert len(records(run_dir)) == 10


async def test_korean_letters_of_the_same_keys_judge_too(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    app = app_on(run_dir)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        await pilot.press("ㄴ", "ㅁ", "ㅇ", "ㅊ", "ㅕ")
        await until(pilot, lambda: len(records(run_dir)) == 5)
        assert list(verdicts(run_dir).values()) == ["sarcasm", "ambiguous", "model_wrong", None]


async def test_tags_notes_marks_and_many_at_once(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    app = app_on(run_dir)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        session, log = review_of(app).session, review_of(app).session.log
        await pilot.press("t", *"irony", "space", *"[x]", "enter")
        await until(pilot, lambda: log.shown("1001").tags == ("irony", "[x]"))
        await pilot.press("N", *"why [/x]", "enter")
        await until(pilot, lambda: log.shown("1001").note == "why [/x]")
        assert not app.screen.query_one(PromptLine).display
        assert "#[x]" in screen_text(app)
        # Marked ones get tags together, beside those they have.
        await pilot.press("space", "space", "t", *"two", "enter")
        await until(pilot, lambda: log.shown("1005").tags == ("two",))
        assert log.shown("1001").tags == ("irony", "[x]", "two")
        assert session.marked == {1, 5}
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, ApplyDialog))
        assert "the 2 marked reviews" in screen_text(app)
        await pilot.press("s")
        assert "sarcasm: 2 reviews" in screen_text(app)
        await pilot.press("y")
        await until(pilot, lambda: opened(app) and session.judged == 2)
        assert session.marked == set()
        assert log.shown("1001").tags == ("irony", "[x]", "two")
        # All of the queue, less those that have the label already; esc does nothing.
        await pilot.press("A", "1", "escape")
        await until(pilot, lambda: opened(app))
        assert session.judged == 2
        await pilot.press("A", "1")
        assert "label wrong → positive: 3 reviews" in screen_text(app)
        assert "2 have this label already" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: opened(app) and log.shown("1006").verdict == "label_wrong")
        assert (log.shown("1001").new_label, log.shown("1005").verdict) == (1, "sarcasm")
        await pilot.press("u")
        await until(pilot, lambda: log.shown("1006").empty)
        assert log.shown("1001").verdict == "sarcasm"


async def test_a_full_disk_is_told_and_nothing_is_shown_as_kept(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    (run_dir / "review.jsonl").symlink_to("/dev/full")
    app = app_on(run_dir)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        await pilot.press("s")
        await until(pilot, lambda: app._notifications)
        assert "not kept" in str([toast.message for toast in app._notifications])
        assert review_of(app).session.position == 0
        assert review_of(app).session.judged == 0
        assert "✓" not in queue_line(app)


async def test_another_reviewers_verdicts_appear(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    app = app_on(run_dir)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        await pilot.press("greater_than_sign", "s")
        await until(pilot, lambda: (run_dir / "review.jsonl").exists())
        await pilot.press("greater_than_sign")
        lee = ReviewLog(run_dir, "test", "lee [/x]")
        lee.keep([("1001", Opinion("label_wrong", 1)), ("1005", Opinion("ambiguous"))])
        await until(pilot, lambda: review_of(app).session.judged == 2)
        text = screen_text(app)
        assert "label wrong → positive" in text
        assert "lee [/x]" in text
        await pilot.press("F", *" conflict")
        await until(pilot, lambda: "1 of 7" in screen_text(app) or "0 of 7" in screen_text(app))
        await pilot.press("escape")
        lee.undo()
        await until(pilot, lambda: review_of(app).session.judged == 1)
        assert "sarcasm" in screen_text(app)


async def test_the_filter_dialog_and_its_expression_say_the_same(tmp_path: Path) -> None:
    app = app_on(make_run(tmp_path))
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: opened(app))
        session = review_of(app).session
        await pilot.press("F")
        await until(pilot, lambda: isinstance(app.screen, FilterDialog) and "5 of 7" in screen_text(app))
        line = app.screen.query_one(Input)
        assert line.value == "kind:errors"
        await pilot.press(*" loss>2")
        await until(pilot, lambda: "3 of 7" in screen_text(app))
        await pilot.press("down", "down", "space")
        await until(pilot, lambda: line.value == "kind:fp loss>2" and "2 of 7" in screen_text(app))
        options = app.screen.query_one(OptionList)
        options.highlighted = next(
            n for n in range(options.option_count) if "slice:negation" in str(options.get_option_at_index(n).prompt)
        )
        await pilot.press("space", "space")
        await until(pilot, lambda: line.value == "kind:fp loss>2 -slice:negation" and "1 of 7" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: opened(app))
        assert (session.kind, session.queue.tolist()) == ("fp", [2])
        assert "loss>2 -slice:negation" in queue_line(app)
        # What cannot be understood is said, and not taken.
        await pilot.press("F")
        await until(pilot, lambda: isinstance(app.screen, FilterDialog))
        app.screen.query_one(Input).value = "los>2"
        await until(pilot, lambda: "Did you mean loss?" in screen_text(app))
        await pilot.press("enter")
        assert isinstance(app.screen, FilterDialog)
        app.screen.query_one(Input).value = "slice:emoji loss>90"
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.has_class("-empty"))
        assert "meets the filter slice:emoji loss>90" in screen_text(app)


async def test_search_by_initials_and_patterns(tmp_path: Path) -> None:
    app = app_on(make_run(tmp_path))
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: opened(app))
        session = review_of(app).session
        await pilot.press("slash", *"ㄴㅃㅈ")
        await until(pilot, lambda: session.queue.tolist() == [1])
        await pilot.press("escape", "slash", *"/ㅠㅠ|강추$/")
        await until(pilot, lambda: session.queue.tolist() == [3])
        await pilot.press("escape", "slash", *"/(/")
        await until(pilot, lambda: "not a regular expression" in screen_text(app))
        assert len(session) == 5


async def test_going_to_a_place_and_the_threshold(tmp_path: Path) -> None:
    app = app_on(make_run(tmp_path))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        session = review_of(app).session
        await pilot.press("g", "3", "enter")
        await until(pilot, lambda: session.position == 2)
        await pilot.press("g", *"#1003", "enter")
        await until(pilot, lambda: session.position == 3)
        await pilot.press("g", *"77", "enter")
        await until(pilot, lambda: "no review 77" in screen_text(app))
        await pilot.press("escape", "g", *"1004", "enter")
        await until(pilot, lambda: session.kind == "any" and session.current.id == "1004")
        await pilot.press("G")
        assert session.position == 6
        await pilot.press("equals_sign", *["backspace"] * 3, *"1.5", "enter")
        assert session.threshold == 0.5
        await pilot.press(*["backspace"] * 3, *"0.7", "enter")
        await until(pilot, lambda: session.threshold == 0.7)
        await pilot.press("f")
        assert session.queue.tolist() == [1, 5, 2, 3]
        assert "0.70" in screen_text(app)


async def test_where_one_left_off_is_there_again(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    app = app_on(run_dir)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        review_of(app).session.set_query("all", ())
        await pilot.press("S", "S", "n", "n")
        review = review_of(app).session.current.id
    app = app_on(run_dir)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: opened(app))
        session = review_of(app).session
        assert (session.sort, session.current.id, session.position) == ("margin", review, 2)
        assert app.screen.query_one(ReviewList).cursor == 2


def around(app: NsmcTuiApp) -> bool:
    """Whether what is around the review in view is there, or not shown."""
    pane = app.screen.query_one(ReviewContext)
    return pane._complete or not pane.is_on_screen


@pytest.mark.parametrize("size", [WIDE, SMALL])
@pytest.mark.parametrize("lang", ["en", "ko"])
async def test_pictures(tmp_path: Path, snapshot: SnapshotAssertion, size: tuple[int, int], lang: str) -> None:
    set_language(lang)
    run_dir = make_run(tmp_path)
    log = ReviewLog(run_dir, "test", "kim")
    log.keep([("1002", Opinion("sarcasm", tags=("[x]",), note=NASTY)), ("1005", Opinion("label_wrong", 0))])
    ReviewLog(run_dir, "test", "lee").keep([("1002", Opinion("ambiguous"))])
    app = app_on(run_dir)
    # The machine's figures are never the same.
    app._machine.line = lambda: ""  # type: ignore[method-assign]
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: opened(app))
        await pilot.press("n")
        if size == SMALL:
            assert picture(app, colours=False) == snapshot(name="list")
        await pilot.press("n", "enter")
        await until(pilot, lambda: around(app))
        assert picture(app, colours=False) == snapshot(name="foreign text")
        await pilot.press("p")
        await until(pilot, lambda: around(app))
        assert picture(app, colours=False) == snapshot(name="long text")
        await pilot.press("F", *" slice:quotes", "enter")
        await until(pilot, lambda: opened(app) and app.screen.has_class("-empty"))
        assert picture(app, colours=False) == snapshot(name="empty")
