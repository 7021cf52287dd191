"""Runs, Monitor and Evaluation in the two sizes and the two languages, on a real finished run."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from core.i18n import set_language
from core.predictions import Predictions
from core.runs import create_run_dir, process_start, read_status, write_status
from tests.tui.chart_runs import make_run, run_events, write_events
from tui.app import NsmcTuiApp
from tui.feed import RunFeed
from tui.screens.evaluation import EvaluationScreen
from tui.screens.help import HelpScreen
from tui.screens.monitor import MonitorScreen
from tui.screens.new_run import NewRunScreen
from tui.screens.runs import RunsScreen
from tui.widgets.chart_grid import ChartGrid
from tui.widgets.confusion import Confusion
from tui.widgets.run_list import RunList
from tui.widgets.top_bar import TopBar

SIZES = [(80, 24), (160, 48)]
NASTY = "[bold]x[/x] \x1b]0;pwned\x07\ttab 👨‍👩‍👧 재밌다"


async def until(pilot: Pilot, condition: Callable[[], object], timeout: float = 120) -> None:
    """Wait for a condition, however slow the machine; the limit is for what never comes."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        await pilot.pause(0.02)
        if condition():
            return
    raise AssertionError("condition not reached:\n" + screen_text(pilot.app))


def screen_text(app: NsmcTuiApp) -> str:
    """What stands on the screen, line by line."""
    width, height = app.size
    strips = app.screen._compositor.render_strips(app.size) if hasattr(app.screen, "_compositor") else []
    return "\n".join("".join(segment.text for segment in strip) for strip in strips[:height])[: width * height * 2]


def control_bytes(text: str) -> list[str]:
    """Control characters in what would go to the terminal as text."""
    return [char for char in text if (ord(char) < 32 and char != "\n") or 0x7F <= ord(char) < 0xA0]


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", SIZES)
async def test_runs_screen(run_copy: Path, size: tuple[int, int], language: str) -> None:
    set_language(language)
    app = NsmcTuiApp(run_copy.parent)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: len(app.screen.query_one(RunList).runs) == 1)
        text = screen_text(app)
        assert ("finished" if language == "en" else "완료") in text
        assert "small-run" in text
        accuracy = json.loads((run_copy / "test_results.json").read_text())["test_accuracy"]
        assert f"{accuracy:.4f}" in text
        assert not control_bytes(text)


async def test_no_runs_says_what_to_do(tmp_path: Path) -> None:
    app = NsmcTuiApp(tmp_path / "none")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "nsmc-tui demo" in screen_text(app))
        assert not app.screen.query_one(RunList).display


async def test_runs_come_and_change_while_the_screen_is_open(tmp_path: Path) -> None:
    app = NsmcTuiApp(tmp_path)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "No runs yet" in screen_text(app))
        path = create_run_dir(tmp_path, "first")
        me = os.getpid()
        status = {"state": "running", "pid": me, "pid_start": process_start(me), "host": os.uname().nodename}
        write_status(path, {**status, "step": 10, "max_steps": 4000, "name": "first", "updated": time.time()})
        await until(pilot, lambda: "10/4,000" in screen_text(app))
        write_status(path, {**status, "step": 20, "max_steps": 4000, "name": "first", "updated": time.time()})
        await until(pilot, lambda: "20/4,000" in screen_text(app))
        second = create_run_dir(tmp_path, "second")
        write_status(second, {"state": "failed", "error": "no room [/x]", "hint": "buy a disk", "updated": 1.0})
        await until(pilot, lambda: "second" in screen_text(app))
        assert app.screen.chosen is not None
        assert app.screen.chosen.name == "first"
        await pilot.press("g")
        await until(pilot, lambda: "no room [/x]" in screen_text(app) and app.screen.chosen.name == "second")
        await pilot.press("G")
        await until(pilot, lambda: app.screen.chosen.name == "first")
        await pilot.press("k")
        await until(pilot, lambda: app.screen.chosen.name == "second")


async def test_nasty_names_are_harmless(tmp_path: Path) -> None:
    path = create_run_dir(tmp_path, "x")
    write_status(path, {"state": "failed", "name": NASTY, "model": NASTY, "data": NASTY, "error": NASTY, "hint": NASTY})
    (path / "events.jsonl").write_text(
        "".join(
            json.dumps({"v": 1, "ts": 1.0, "type": kind, "message": NASTY, "hint": NASTY, "level": NASTY, "name": NASTY,
                        "split": NASTY, "action": NASTY}) + "\n"
            for kind in ("alert", "phase", "order", "run_failed", "step", "eval", "unknown")
        )
    )  # fmt: skip
    app = NsmcTuiApp(tmp_path)
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: len(app.screen.query_one(RunList).runs) == 1)
        await pilot.pause(0.2)
        text = screen_text(app)
        assert "[bold]x[/x] ␛]0;pwned␇␉tab" in text
        assert not control_bytes(text)
        for screen in ("monitor", "evaluation", "review"):
            app.show_run(path, screen)
            await pilot.pause(0.6)
            assert not control_bytes(screen_text(app))
        app.show_run(path, "monitor")
        await until(pilot, lambda: "␛]0;pwned␇" in screen_text(app))


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", SIZES)
async def test_monitor_of_a_finished_run(run_copy: Path, size: tuple[int, int], language: str) -> None:
    set_language(language)
    app = NsmcTuiApp(run_copy.parent, run=run_copy)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and len(app.screen._feed.telemetry.steps))
        await until(pilot, lambda: "⣀" in screen_text(app) or "⠤" in screen_text(app))
        text = screen_text(app)
        assert ("finished" if language == "en" else "완료") in text
        assert "checkpoint-" in text or size == (80, 24)
        assert not control_bytes(text)
        assert all(len(line) <= size[0] for line in text.split("\n"))
        await pilot.press("w", "x", "enter")
        grid = app.screen.query_one(ChartGrid)
        await until(pilot, lambda: grid.enlarged)
        assert [metric.key for metric in grid.shown] == ["loss"]
        await pilot.press("escape")
        await until(pilot, lambda: not grid.enlarged and len(grid.shown) > 1)


async def test_monitor_follows_a_log_that_is_being_written(tmp_path: Path) -> None:
    path = create_run_dir(tmp_path, "live")
    me = os.getpid()
    status = {"state": "running", "pid": me, "pid_start": process_start(me), "host": os.uname().nodename,
              "updated": time.time(), "max_steps": 100}  # fmt: skip
    write_status(path, status)
    app = NsmcTuiApp(tmp_path, run=path)

    def step(number: int, loss: float | None) -> None:
        with (path / "events.jsonl").open("a") as file:
            event = {"v": 1, "ts": float(number), "type": "step", "step": number, "max_steps": 100, "loss": loss}
            file.write(json.dumps({**event, "epoch": number / 100, "samples_per_second": 10, "eta": 5.0}) + "\n")

    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        step(1, 0.5)
        await until(pilot, lambda: "1 / 100" in screen_text(app))
        step(2, None)
        step(3, 0.25)
        await until(pilot, lambda: "3 / 100" in screen_text(app))
        telemetry = app.screen._feed.telemetry
        assert list(telemetry.steps) == [1, 2, 3]
        assert list(telemetry.values("loss")) == [0.5, float("inf"), 0.25]
        await until(pilot, lambda: "1 NaN" in screen_text(app))
        await pilot.press("s")
        await until(pilot, lambda: "Stop this run?" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: (path / "control.jsonl").is_file())
        assert json.loads((path / "control.jsonl").read_text())["action"] == "stop"
        await until(pilot, lambda: "stop · sent" in screen_text(app))
        # Charts that were hidden while the log grew are drawn when there is room for them.
        for columns, lines in ((80, 24), (160, 48), (60, 20), (200, 50), (120, 30)):
            newest = int(telemetry.steps[-1]) + 1
            step(newest, 0.2)
            await pilot.resize_terminal(columns, lines)
            await until(pilot, lambda newest=newest: telemetry.steps[-1] == newest)
            await until(pilot, lambda newest=newest: f"{newest:,} / 100" in screen_text(app))
            text = screen_text(app)
            assert all(len(line) <= columns for line in text.split("\n"))
            assert "loss" in text
        write_status(path, {**status, "state": "failed", "error": "loss is nan", "hint": "lower it"})
        with (path / "events.jsonl").open("a") as file:
            failed = {"v": 1, "ts": 9.0, "type": "run_failed", "error": "nan_loss", "message": "loss is nan"}
            file.write(json.dumps({**failed, "hint": "lower it"}) + "\n")
        await until(pilot, lambda: "→ lower it" in screen_text(app))
        assert app.screen.query_one(TopBar).state == "failed"


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", SIZES)
async def test_evaluation_shows_the_scores_of_the_predictions(
    run_copy: Path, size: tuple[int, int], language: str
) -> None:
    set_language(language)
    app = NsmcTuiApp(run_copy.parent, run=run_copy, screen="evaluation")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.screen.query_one(Confusion).matrix is not None)
        matrix = Predictions(run_copy, "test").confusion()
        assert [list(row) for row in app.screen.query_one(Confusion).matrix] == matrix
        results = json.loads((run_copy / "test_results.json").read_text())
        # What was given to the widgets is painted at the next turn.
        await until(pilot, lambda: f"{results['test_loss']:.4f}" in screen_text(app))
        text = screen_text(app)
        for name in ("accuracy", "f1", "precision", "recall", "macro_f1", "loss"):
            assert f"{results[f'test_{name}']:.4f}" in text, name
        for row in matrix:
            for count in row:
                assert f"{count:,}" in text
        assert not control_bytes(text)
        await pilot.press("d")
        await until(pilot, lambda: app.screen._scored is not None and app.screen._scored.split == "dev")


async def test_a_cell_leads_to_its_reviews_and_back(run_copy: Path) -> None:
    from tui.screens.review import ReviewScreen

    app = NsmcTuiApp(run_copy.parent, run=run_copy, screen="evaluation")
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: app.screen.query_one(Confusion).matrix is not None)
        await pilot.press("down", "left", "enter")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen))
        await until(pilot, lambda: "FN" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        # So does a slice.
        evaluation = app.screen
        await until(pilot, lambda: evaluation._closer is not None)
        await pilot.press("tab")
        await until(pilot, lambda: evaluation.query_one("#slices").has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen))
        part = evaluation.query_one("#slices").chosen
        await until(pilot, lambda: f"slice:{part.name}" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


@pytest.mark.parametrize("size", SIZES)
async def test_keys_go_to_the_pane_that_was_gone_to_before_it_is_drawn(run_copy: Path, size: tuple[int, int]) -> None:
    from tui.screens.review import ReviewScreen

    app = NsmcTuiApp(run_copy.parent, run=run_copy, screen="evaluation")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        evaluation = app.screen
        # Before the scores are read: keys typed ahead of them choose among the cells that come.
        assert evaluation.focused is evaluation.query_one(Confusion)
        await until(pilot, lambda: evaluation._closer is not None)
        with app.batch_update():
            evaluation.action_pane(1)
            assert evaluation.focused is evaluation.query_one("#slices")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen))


@pytest.mark.parametrize("name", ["runs", "evaluation", "review"])
async def test_keys_are_asked_for_while_a_screen_is_taken_away(run_copy: Path, name: str) -> None:
    app = NsmcTuiApp(run_copy.parent, run=None if name == "runs" else run_copy, screen=name)
    async with app.run_test(size=(160, 48)) as pilot:
        kind = {"runs": "RunsScreen", "evaluation": "EvaluationScreen", "review": "ReviewScreen"}[name]
        await until(pilot, lambda: type(app.screen).__name__ == kind and "small-run" in screen_text(app))
        screen = app.screen
        assert "open_slice" not in {found.binding.action for found in screen.active_bindings.values()}
        await screen.query("#closer, #context, AskLine").remove()
        # The app asks for them whenever the footer is drawn.
        assert screen.active_bindings


async def test_evaluation_without_predictions_offers_a_way(run_copy: Path) -> None:
    for path in run_copy.glob("predictions-*"):
        path.unlink()
    app = NsmcTuiApp(run_copy.parent, run=run_copy, screen="evaluation")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "This run has no predictions" in screen_text(app))
        evaluation = app.screen
        assert isinstance(evaluation, EvaluationScreen)
        told: list[str] = []
        say = evaluation._say_busy

        def noted(text: str) -> None:
            told.append(text)
            say(text)

        evaluation._say_busy = noted  # type: ignore[method-assign]
        await pilot.press("v")
        await until(pilot, lambda: evaluation._busy)
        # Another process imports torch and scores: that takes as long as the machine takes, and ends for sure.
        while evaluation._busy:
            await pilot.pause(0.05)
        # How far it is, is told in figures.
        assert re.fullmatch(r"evaluating test …  \d+ / \d+", told[-1])
        await until(pilot, lambda: evaluation.query_one(Confusion).matrix is not None)
        assert len(Predictions(run_copy, "test")) == 1000


@pytest.mark.parametrize("checkpoint", [False, True])
async def test_what_a_crashed_run_offers_is_what_there_is(tmp_path: Path, checkpoint: bool) -> None:
    run = make_run(tmp_path, "crashed", state="crashed", steps=60, metrics={"eval_accuracy": 0.88})
    write_events(run, run_events(60))
    if checkpoint:
        saved = run / "checkpoints" / "checkpoint-50"
        saved.mkdir(parents=True)
        (saved / "config.json").write_text("{}")
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and "Resume" in screen_text(app))
        # Scores of dev are no reviews to go through.
        assert "Review errors" not in screen_text(app)
        await pilot.press("4")
        found = "last checkpoint is" if checkpoint else "T in the list of runs"
        await until(pilot, lambda: "This run has no predictions." in screen_text(app) and found in screen_text(app))
        # No model, nothing to evaluate.
        assert "v Evaluate" not in screen_text(app)
        await pilot.press("5")
        await until(pilot, lambda: "no predictions to review" in screen_text(app) and found in screen_text(app))


async def test_number_keys_help_palette_and_hangul_letters(run_copy: Path) -> None:
    app = NsmcTuiApp(run_copy.parent, run=run_copy)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen) and "Confusion" not in screen_text(app))
        assert "Copy the table as Markdown" in screen_text(app)
        await pilot.press("escape")
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        names = [command.title for command in app.get_system_commands(app.screen)]
        assert {"New run", "Review", "Evaluation"} <= set(names)
        await pilot.press("ㅅ")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))


async def test_an_app_opened_on_a_run_has_the_list_behind_it_and_leaves_from_there(run_copy: Path) -> None:
    app = NsmcTuiApp(run_copy.parent, run=run_copy)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and run_copy.name[16:] in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert len(app.screen_stack) == 2
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)


async def test_the_first_picture_of_a_run_has_its_charts(run_copy: Path) -> None:
    feed = RunFeed(run_copy)
    feed.begin()
    app = NsmcTuiApp(run_copy.parent, run=run_copy, feed=feed)
    painted: list[str] = []
    display = app._display

    def noted(screen: Screen[Any], renderable: Any) -> None:
        if renderable is not None and not app._batch_count and isinstance(screen, MonitorScreen):
            painted.append("\n".join(line.text for line in screen.query_one(ChartGrid)._strips))
        display(screen, renderable)

    app._display = noted  # type: ignore[method-assign]
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: painted)
        assert app.screen._feed is feed
        assert sum(1 for sign in painted[0] if "\u2800" < sign <= "\u28ff") > 50


async def test_the_footer_stays_until_other_keys_are_to_be_shown(run_copy: Path) -> None:
    app = NsmcTuiApp(run_copy.parent, run=run_copy)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "Enlarge" in screen_text(app).splitlines()[-1])
        before = list(app.screen.query("FooterKey"))
        app.screen.refresh_bindings()
        await pilot.pause()
        await pilot.pause()
        assert list(app.screen.query("FooterKey")) == before
        await pilot.press("tab")
        await until(pilot, lambda: "Other log" in screen_text(app).splitlines()[-1])
        assert not set(before) & set(app.screen.query("FooterKey"))


async def test_a_silent_run_elsewhere_is_not_called_crashed(tmp_path: Path) -> None:
    path = create_run_dir(tmp_path, "far")
    write_status(path, {"state": "running", "host": "elsewhere", "pid": 1, "updated": time.time() - 500})
    app = NsmcTuiApp(tmp_path, run=path)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "silent for" in screen_text(app))
        assert app.screen.query_one(TopBar).state == "running"
    assert read_status(path)["state"] == "running"


async def test_a_run_deleted_while_it_is_watched_is_told(run_copy: Path) -> None:
    app = NsmcTuiApp(run_copy.parent, run=run_copy, screen="evaluation")
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: app.screen.query_one(Confusion).matrix is not None)
        shutil.rmtree(run_copy)
        # The path may be long enough to be wrapped.
        await until(pilot, lambda: "is not a run directory" in " ".join(screen_text(app).split()))
        app.show_run(run_copy, "monitor")
        await pilot.pause(0.5)
        app.show_run(run_copy, "review")
        await pilot.pause(0.5)
        assert not control_bytes(screen_text(app))


async def test_orders_are_followed_by_their_id(tmp_path: Path) -> None:
    path = create_run_dir(tmp_path, "live")
    me = os.getpid()
    status = {"state": "running", "pid": me, "pid_start": process_start(me), "host": os.uname().nodename,
              "updated": time.time(), "max_steps": 100}  # fmt: skip
    write_status(path, status)
    (path / "events.jsonl").write_text(
        '{"v":1,"ts":1.0,"type":"order","action":"pause","taken_at_step":1,"id":"old"}\n'
    )
    app = NsmcTuiApp(tmp_path, run=path)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "pause @ 1" in screen_text(app))
        await pilot.press("z")
        await until(pilot, lambda: "pause · sent" in screen_text(app))
        await pilot.press("z")
        await until(pilot, lambda: (path / "control.jsonl").read_text().count("\n") == 2)
        orders = [json.loads(line) for line in (path / "control.jsonl").read_text().splitlines()]
        assert [order["action"] for order in orders] == ["pause", "continue"]
        with (path / "events.jsonl").open("a") as file:
            for order in orders:
                taken = {"v": 1, "ts": 2.0, "type": "order", "action": order["action"], "taken_at_step": 2}
                file.write(json.dumps({**taken, "id": order["id"]}) + "\n")
        await until(pilot, lambda: "sent" not in screen_text(app))


async def test_light_theme_draws_everything(run_copy: Path) -> None:
    app = NsmcTuiApp(run_copy.parent, run=run_copy, screen="evaluation")
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: app.screen.query_one(Confusion).matrix is not None)
        app.theme = "nsmc-light"
        await pilot.pause(0.3)
        assert app.screen.styles.background.rgb[0] > 200
        assert app.screen.query_one("#line", Static).size.height == 1
