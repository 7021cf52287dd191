"""Patterns on the screen: counted by the real inspector, kept, opened in Review, copied, written to files."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import shutil
import time
from pathlib import Path

import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from core import patterns
from core.i18n import set_language
from core.patterns import HeadPattern, Patterns, WordPattern
from core.predictions import Predictions
from core.review_log import Opinion, ReviewLog
from core.review_query import parse
from tests.conftest import run_cli
from tests.tui.picture import picture
from tests.tui.review_helpers import make_run, screen_text, until
from tui import pattern_tables as tables
from tui.app import NsmcTuiApp
from tui.pattern_finding import Wanted, _place
from tui.review_session import open_run
from tui.screens.evaluation import EvaluationScreen
from tui.screens.export_dialog import ExportDialog
from tui.screens.patterns import PatternsScreen
from tui.screens.review import ReviewScreen
from tui.screens.review_at import word_filter
from tui.widgets.pattern_list import PatternList

FIXED = Patterns(
    n={"fp": 20, "fn": 18, "correct": 20},
    method="attention",
    split="test",
    seed=0,
    words=(
        WordPattern("[bold]재미", 8, 0, 9, 2, 1.84, 3.1),
        WordPattern("최고의영화라고생각했던사람들에게는정말로", 5, 1, 6, 1, 0.91, 1.4),
        WordPattern("ㅋㅋㅋ", 0, 7, 1, 8, -1.62, -2.8),
    ),
    tokens=(WordPattern("재", 9, 1, 9, 3, 1.5, 2.0), WordPattern("ㅋ", 1, 8, 2, 8, -1.4, -2.2)),
    heads=(
        HeadPattern(1, 0, "entropy", 0.812, 0.655, 0.94, 0.38, 1.5),
        HeadPattern(0, 1, "gradient", -0.102, 0.201, -0.71, -1.26, -0.16),
    ),
    compared=24,
)


def prepared(finished_run: Path, directory: Path) -> Path:
    """A copy with a name that does not change, verdicts, and patterns in the cache."""
    run_dir = directory / "runs" / "20260102-030405-small-run"
    shutil.copytree(finished_run, run_dir)
    predictions = Predictions(run_dir, "test")
    log = ReviewLog(run_dir, "test", by="kim")
    ids = [predictions.row(row).id for row in (0, 1, 2)]
    log.keep([(ids[0], Opinion("sarcasm", None, ("알바",))), (ids[1], Opinion("ambiguous"))])
    place = _place(open_run(run_dir), Wanted())
    assert place is not None
    patterns.keep(place, FIXED)
    os.utime(place, times=(time.time() - 200_000,) * 2)
    return run_dir


def quiet_app(run_dir: Path, screen: str) -> NsmcTuiApp:
    app = NsmcTuiApp(run_dir.parent, run_dir, screen)
    # The machine's figures are never the same.
    app._machine.line = lambda: ""  # type: ignore[method-assign]
    return app


def shown(app: NsmcTuiApp) -> bool:
    screen = app.screen
    return isinstance(screen, PatternsScreen) and screen.found is not None and not screen.busy


@pytest.mark.parametrize(("size", "screen"), [((80, 24), "evaluation"), ((160, 48), "review")])
async def test_counted_by_the_model_then_words_and_heads_open_in_review(
    run_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], screen: str
) -> None:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text("patterns_sample = 4\n")
    app = quiet_app(run_copy, screen)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen | ReviewScreen))
        below = app.screen
        if screen == "review":
            await until(pilot, lambda: below.session is not None, 30)
        await pilot.press("P")
        await until(pilot, lambda: shown(app), 90)
        patterned = app.screen
        found = patterned.found.patterns
        assert found.n == {"fp": 4, "fn": 4, "correct": 4}
        assert [row.keys for row in (patterned.query_one("#fp", PatternList).table,)] == [
            tuple(word for word in found.words if word.z > 0)
        ]
        assert all(cell_len(line) == size[0] for line in screen_text(app).split("\n"))
        await until(pilot, lambda: isinstance(app.focused, PatternList))
        # A word: the queue of its kind, filtered by it.
        word = patterned.query_one("#fp", PatternList).chosen
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.session is not None, 30)
        session = app.screen.session
        assert (session.kind, session.query) == ("fp", parse(word_filter(word.word)))
        await until(pilot, lambda: len(app.screen.session) > 0)
        assert all(word.word in session.document(row).casefold() for row in session.queue.tolist())
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is patterned)
        # A head: its heat.
        await pilot.press("tab", "tab", "down")
        head = patterned.query_one("#heads", PatternList).chosen
        assert patterned.query_one("#heads-pane").region.height > 0
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None, 60)
        choice = app.screen.attention.heat.choice
        assert (choice.layer, choice.head, choice.method) == (head.layer, head.head, "attention")
        if size[0] == 80:
            # Out of the text, which was opened at once.
            await pilot.press("escape")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is patterned)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is below)
        # What was counted is shown at once, without asking.
        await pilot.press("P")
        await until(pilot, lambda: shown(app), 30)
        assert app.screen.found.patterns == found


async def test_counting_is_stopped_and_leaving_ends_it(run_copy: Path) -> None:
    app = quiet_app(run_copy, "evaluation")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, PatternsScreen) and app.screen.busy, 30)
        screen = app.screen
        await until(pilot, lambda: isinstance(app.focused, PatternList))
        await pilot.press("full_stop")
        await until(pilot, lambda: not screen.busy)
        assert screen.found is None
        assert not [worker for worker in screen.workers if worker.group == "count" and worker.is_running]
        await until(pilot, lambda: "Nothing counted yet" in screen_text(app))
        await pilot.press("full_stop")
        await until(pilot, lambda: screen.busy)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        assert not [worker for worker in app.workers if worker.group == "count" and worker.is_running]


async def test_files_clipboard_and_the_size_of_the_sample(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = prepared(finished_run, tmp_path)
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.chdir(tmp_path)
    app = quiet_app(run_dir, "evaluation")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        await pilot.press("P")
        await until(pilot, lambda: shown(app) and isinstance(app.focused, PatternList), 30)
        screen = app.screen
        await pilot.press("y")
        copied = app.clipboard
        assert "| [bold]재미 | +1.84 | 8/9 | 0/2 | +3.1 |" in copied
        assert "1/0 entropy | +0.94 | [+0.38, +1.50]" in copied
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ExportDialog) and "--as json" in screen_text(app))
        commands = {
            choice.name: shlex.split(choice.command_line(tmp_path / f"by-command-{choice.name}"))
            for choice in app.screen._choices
        }
        await pilot.press("enter", "enter")
        await until(pilot, (tmp_path / "patterns.json").is_file)
        document = json.loads((tmp_path / "patterns.json").read_text())
        assert document["words"] == json.loads(json.dumps(FIXED.as_dict()))["words"]
        assert document["slices"] == screen.slices
        await pilot.press("number_sign", "backspace", "backspace", "1", "enter")
        await until(pilot, lambda: "⚠" in screen_text(app))
        assert screen.wanted.each == 20
        await pilot.press("escape")
        assert isinstance(app.focused, PatternList)
    # The command that the dialog shows writes the same.
    assert list(commands) == ["json", "words", "tokens", "heads", "slices"]
    wanted = {"json": (tmp_path / "patterns.json").read_text(), "heads": tables.as_csv("heads", FIXED, {})}
    for name, text in (wanted | {"slices": tables.as_csv("slices", None, document["slices"])}).items():
        done = run_cli(*commands[name][1:])
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"by-command-{name}").read_text() == text
        again = run_cli(*commands[name][1:])
        assert again.returncode == 1
        assert "--force" in again.stderr
    assert run_cli("--runs", str(run_dir.parent), "patterns", run_dir.name, "--to", "x.csv").returncode == 2
    rows = list(csv.DictReader(io.StringIO(tables.as_csv("heads", FIXED, {}))))
    assert [(row["layer"], row["head"], row["d"]) for row in rows] == [("1", "0", "0.94"), ("0", "1", "-0.71")]
    counts = tables.as_csv("slices", None, {"negation": {"judged": 2, "#a,b": 1}})
    assert list(csv.reader(io.StringIO(counts)))[1:] == [["negation", "judged", "2"], ["negation", "#a,b", "1"]]


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 48)])
async def test_pictures(
    finished_run: Path, tmp_path: Path, snapshot: SnapshotAssertion, size: tuple[int, int], lang: str
) -> None:
    set_language(lang)
    app = quiet_app(prepared(finished_run, tmp_path), "evaluation")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        await pilot.press("P")
        await until(pilot, lambda: shown(app) and isinstance(app.focused, PatternList), 30)
        await pilot.pause()
        assert picture(app, colours=False) == snapshot(name="words")
        if size[0] == 80:
            await pilot.press("tab", "tab")
            await pilot.pause()
            assert picture(app, colours=False) == snapshot(name="heads")


async def test_a_slice_of_tags_alone_opens_the_reviews_it_counts(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    # Both have tears; neither has a verdict.
    ReviewLog(run_dir, "test", "kim").keep(
        [("1004", Opinion(tags=("알바",))), ("1001", Opinion(note="no tears")), ("1006", Opinion())]
    )
    app = quiet_app(run_dir, "evaluation")
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, PatternsScreen) and bool(app.screen.slices), 30)
        patterned = app.screen
        assert patterned.slices["tears"] == {"judged": 1, "#알바": 1}
        await until(pilot, lambda: isinstance(app.focused, PatternList))
        pane = patterned.query_one("#slices", PatternList)
        pane.focus()
        await until(pilot, lambda: app.focused is pane)
        await pilot.press("home", *["down"] * pane.table.keys.index("tears"), "enter")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.session is not None, 30)
        session = app.screen.session
        assert [session.review_id(row) for row in session.queue.tolist()] == ["1004"]


async def test_without_predictions_or_model_it_says_what_would_fill_it(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "model")
    app = quiet_app(run_dir, "review")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen))
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, PatternsScreen) and isinstance(app.focused, PatternList), 30)
        reason = app.screen._problem
        assert reason is not None
        assert reason.message.split()[0] in screen_text(app)
        await pilot.press("shift+tab")
        await until(pilot, lambda: "0 1 d a s c" in screen_text(app))
    empty = make_run(tmp_path / "nothing", rows=())
    app = quiet_app(empty, "evaluation")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, PatternsScreen) and "4 goes to" in screen_text(app), 30)
