"""Orders, the stop-at prompt, resuming, the log pane and the failure card on screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.widgets import OptionList, Static

from core.i18n import set_language
from core.runs import create_run_dir, read_status, write_status
from tests.tui.machine_helpers import emit, emit_steps, failed_run, letters, live_run
from tests.tui.test_screens import control_bytes, screen_text, until
from tui.app import NsmcTuiApp
from tui.screens.log import LogScreen
from tui.screens.monitor import MonitorScreen
from tui.screens.resume import ResumeScreen, ResumeWish, read_length
from tui.screens.stop_at import StopAtScreen, StopPlan, read_stop
from tui.widgets.chart_grid import ChartGrid
from tui.widgets.failure_card import FailureCard
from tui.widgets.log_view import LogView
from tui.widgets.order_line import OrderLine
from tui.widgets.run_progress import RunProgress

SIZES = [(80, 24), (160, 48)]


def orders(run: Path) -> list[dict[str, Any]]:
    path = run / "control.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def opened(pilot: Any, app: NsmcTuiApp) -> None:
    await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and app.screen._feed.run is not None)


async def test_an_order_is_shown_as_sent_taken_and_done(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    emit_steps(run, 3)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        height = app.screen.query_one(OrderLine).region
        await pilot.press("b")
        await until(pilot, lambda: "save · sent" in letters(app, OrderLine))
        (order,) = orders(run)
        emit(run, "order", action="save", taken_at_step=61, id=order["id"])
        await until(pilot, lambda: "save · taken at step 61" in letters(app, OrderLine))
        emit(run, "checkpoint", step=61, path="x", metric=None, best=False)
        await until(pilot, lambda: "✓ save · checkpoint-61 saved" in letters(app, OrderLine))
        with (run / "control.jsonl").open("a") as file:
            file.write('{"v":1,"ts":1.0,"id":"of kim","action":"evaluate","by":"kim [/]"}\n')
        await until(pilot, lambda: "evaluate · sent (kim [/])" in letters(app, OrderLine))
        emit(run, "order", action="evaluate", taken_at_step=62, id="of kim", refused="there is no dev split to score")
        await until(pilot, lambda: "refused: there is no dev split" in letters(app, OrderLine))
        assert app.screen.query_one(OrderLine).region == height


async def test_the_key_for_a_pause_is_called_what_it_does_next(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "z Pause" in screen_text(app))
        await pilot.press("z")
        await until(pilot, lambda: "z Continue" in screen_text(app) and "z Pause" not in screen_text(app))
        write_status(run, {**read_status(run), "state": "paused"})
        await until(pilot, lambda: "‖ paused" in screen_text(app))
        assert "z Continue" in screen_text(app)
        # Somebody else lets it go on.
        write_status(run, {**read_status(run), "state": "running"})
        await until(pilot, lambda: "z Pause" in screen_text(app))
        await pilot.press("z", "z")
        await until(pilot, lambda: len(orders(run)) == 3)
        assert [order["action"] for order in orders(run)] == ["pause", "pause", "continue"]


async def test_the_loss_is_in_view_whatever_was_told_first(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    emit(run, "host", cpu=50.0, memory_used=1 << 30)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        grid = app.screen.query_one(ChartGrid)
        await until(pilot, lambda: grid.selected is not None and grid.selected.key.startswith("host"))
        emit_steps(run, 3)
        await until(pilot, lambda: grid.selected.key == "loss")
        await pilot.press("right")
        chosen = grid.selected.key
        assert chosen != "loss"
        # What was chosen stays chosen.
        emit(run, "eval", step=60, split="dev", metrics={"eval_accuracy": 0.8})
        emit(run, "eval", step=80, split="dev", metrics={"eval_accuracy": 0.9})
        await until(pilot, lambda: any(metric.key == "eval_accuracy" for metric in grid.metrics))
        assert grid.selected.key == chosen


async def test_an_order_is_told_whole_or_not_at_all(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        await pilot.press("b", "v", "b", "v")
        await until(pilot, lambda: len(orders(run)) == 4)
        await until(pilot, lambda: letters(app, OrderLine).count("·") >= 2)
        told = letters(app, OrderLine).strip().split("    ")
        assert {order.split(" · ")[1] for order in told} == {"sent"}
        await pilot.resize_terminal(20, 24)
        await until(pilot, lambda: letters(app, OrderLine).count("·") == 1)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_what_is_taken_waits_while_paused(tmp_path: Path, language: str) -> None:
    set_language(language)
    run = live_run(tmp_path)
    emit_steps(run, 3)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot, app)
        await pilot.press("z", "v")
        await until(pilot, lambda: len(orders(run)) == 2)
        for order in orders(run):
            emit(run, "order", action=order["action"], taken_at_step=61, id=order["id"])
        emit(run, "phase", name="evaluating", split="dev", done=0, total=4)
        write_status(run, {**read_status(run), "state": "paused"})
        waits = {"en": "evaluate · waits for the end", "ko": "평가 · 일시정지가 끝나기를"}[language]
        await until(pilot, lambda: waits in letters(app, OrderLine))
        # In Korean a pause and being paused are one word.
        assert {"en": "✓ pause · paused", "ko": "✓ 일시정지\n"}[language] in letters(app, OrderLine)
        # How far the training is, not the evaluation that the pause came into.
        assert "1,200 / 4,688" in letters(app, RunProgress)


@pytest.mark.parametrize(
    ("step", "epoch", "fields", "wrong"),
    [
        ("3000", "", {"step": 3000}, ""),
        ("3,000", "", {"step": 3000}, ""),
        ("", "1.5", {"epoch": 1.5}, ""),
        ("", " ", {}, ""),
        ("1200", "", {}, "past"),
        ("4688", "", {}, "anyway"),
        ("12.5", "", {}, "whole"),
        ("٣", "", {}, "past"),
        ("", "0.2", {}, "past"),
        ("", "inf", {}, "above 0"),
        ("", "two", {}, "above 0"),
        ("", "2", {}, "anyway"),
        ("2000", "1", {}, "not both"),
    ],
)
def test_what_is_typed_for_stop_at(step: str, epoch: str, fields: dict[str, float], wrong: str) -> None:
    plan = StopPlan(step=1200, max_steps=4688, epoch=0.5)
    found, told = read_stop(step, epoch, plan)
    assert found == fields
    assert wrong in told
    assert bool(told) == bool(wrong)


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", SIZES)
async def test_stop_at_prompt(
    tmp_path: Path, snapshot: SnapshotAssertion, size: tuple[int, int], language: str
) -> None:
    set_language(language)
    run = live_run(tmp_path, stop_at_step=3000)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=size) as pilot:
        await opened(pilot, app)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, StopAtScreen) and app.screen.query("#step"))
        await until(pilot, lambda: "3000" in screen_text(app))
        assert letters(app, "Vertical") == snapshot
        await pilot.press("end", *["backspace"] * 4, "1", "enter")
        await pilot.pause()
        assert isinstance(app.screen, StopAtScreen)
        assert not orders(run)
        await pilot.press("backspace", "enter")
        await until(pilot, lambda: len(orders(run)) == 1)
        # Both lines empty: the plan is taken back.
        assert orders(run)[0]["action"] == "stop_at"
        assert "step" not in orders(run)[0]


async def test_stop_at_an_epoch_is_sent_and_shown(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, StopAtScreen))
        await pilot.press("tab", "0", "full_stop", "7", "enter")
        await until(pilot, lambda: orders(run) and orders(run)[0].get("epoch") == 0.7)
        await until(pilot, lambda: "stop at · epoch 0.7 · sent" in letters(app, OrderLine))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, StopAtScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        assert len(orders(run)) == 1


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", SIZES)
async def test_failure_card(tmp_path: Path, snapshot: SnapshotAssertion, size: tuple[int, int], language: str) -> None:
    set_language(language)
    run = failed_run(tmp_path)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=size) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "OutOfMemoryError" in letters(app, FailureCard))
        assert letters(app, FailureCard) == snapshot


async def test_the_cards_keys_lead_on(tmp_path: Path) -> None:
    run = failed_run(tmp_path)
    (run / "config.toml").write_text('[data]\nsource = "sample"\n[model]\npreset = "tiny"\n[train]\nseed = 7\n')
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot, app)
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, LogScreen) and "OutOfMemoryError" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.screen, ResumeScreen) and "no whole checkpoint" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "Start again?" in screen_text(app))
        await pilot.press("n")
        await pilot.press("T")
        await until(pilot, lambda: type(app.screen).__name__ == "NewRunScreen")
        assert app.screen.model.text("train.seed") == "7"  # type: ignore[attr-defined]


def test_how_long_to_go_on() -> None:
    assert read_length("3", "num_train_epochs", 2.0) == (3.0, "")
    assert read_length("2.5", "num_train_epochs", 2.0) == (2.5, "")
    for bad in ("", "-1", "nan", "x"):
        assert read_length(bad, "num_train_epochs", 2.0)[1]
    assert read_length("2.5", "max_steps", 100.0)[1]


async def test_resuming_offers_the_last_whole_checkpoint_first(run_copy: Path) -> None:
    found = sorted((run_copy / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    (found[-1] / "optimizer.pt").write_bytes(b"cut off")
    app = NsmcTuiApp(run_copy.parent, run=run_copy)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        wishes: list[ResumeWish | None] = []
        app.push_screen(ResumeScreen(run_copy), wishes.append)
        await until(pilot, lambda: "the last whole one" in screen_text(app))
        assert "not whole" in screen_text(app)
        choices = app.screen.query_one(OptionList)
        assert [option.disabled for option in choices.options] == [True, *[False] * (len(found) - 1)]
        await pilot.press("tab", "end", "backspace", "5", "enter")
        await until(pilot, lambda: len(wishes) == 1)
        assert wishes[0] == ResumeWish(None, ((("train", "num_train_epochs"), 5.0),))


@pytest.fixture
def long_log(tmp_path: Path) -> Path:
    run = failed_run(tmp_path)
    lines = [f"line {number:06d}" for number in range(60_000)]
    lines[10] = "ValueError: the first one \x1b]0;x\x07"
    lines[30_000] = "UserWarning: in the middle 한글"
    lines[59_000] = "RuntimeError: near the end"
    (run / "worker.log").write_text("\n".join(lines) + "\n 0%|  | 0/9\r100%|██| 9/9\n")
    return run


async def test_a_long_log_is_followed_searched_and_filtered(long_log: Path) -> None:
    app = NsmcTuiApp(long_log.parent, run=long_log)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        await pilot.press("L")
        await until(pilot, lambda: "100%|██| 9/9" in screen_text(app))
        view = app.screen.query_one(LogView)
        assert view._rows.count < 60_000
        with (long_log / "worker.log").open("a") as file:
            file.write("one more\n")
        await until(pilot, lambda: "one more" in screen_text(app))
        await pilot.press("slash", *"near the", "enter")
        await until(pilot, lambda: "RuntimeError: near the end" in screen_text(app) and not view.following)
        await pilot.press("slash", *["backspace"] * 8, *"/middle.", "slash", "enter")
        await until(pilot, lambda: "in the middle 한글" in screen_text(app))
        await pilot.press("N")
        await until(pilot, lambda: "nothing more that way" in screen_text(app))
        await pilot.press("E")
        await until(
            pilot, lambda: "ValueError: the first one ␛]0;x␇" in screen_text(app) or "the first one" in screen_text(app)
        )
        assert not control_bytes(screen_text(app))
        await pilot.press("f")
        await until(pilot, lambda: "one more" in screen_text(app))
        await pilot.press("F")
        await until(pilot, lambda: "in the middle" in screen_text(app) and "line 0" not in screen_text(app))
        await pilot.press("F")
        await until(pilot, lambda: "in the middle" not in screen_text(app) and "near the end" in screen_text(app))
        await pilot.press("F", "g")
        await until(pilot, lambda: "line 000000" in screen_text(app))
        await pilot.press("G")
        await until(pilot, lambda: "one more" in screen_text(app))


async def test_moving_up_loads_earlier_lines_and_keeps_the_place(long_log: Path) -> None:
    app = NsmcTuiApp(long_log.parent, run=long_log)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        await pilot.press("L")
        await until(pilot, lambda: "100%|██| 9/9" in screen_text(app))
        view = app.screen.query_one(LogView)
        known = view._rows.count
        view._go(0)
        await pilot.pause()
        first = view._rows.rows(0, 1)[0].text
        await pilot.press("k")
        await until(pilot, lambda: view._rows.count > known)
        await until(pilot, lambda: first in screen_text(app))
        assert screen_text(app).split("\n")[3].strip() == first


async def test_the_sign_of_a_longer_line_stands_beside_the_scrollbar(tmp_path: Path) -> None:
    run = failed_run(tmp_path)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        await pilot.press("L")
        with (run / "worker.log").open("a") as file:
            file.write("short\n" * 60 + "z" * 200 + "\n")
        await until(pilot, lambda: "zzz" in screen_text(app) and app.screen.query_one(LogView).show_vertical_scrollbar)
        await until(pilot, lambda: "…" in next(line for line in screen_text(app).split("\n") if "zzz" in line))


async def test_a_line_longer_than_the_screen_says_so_and_is_read_sideways(tmp_path: Path) -> None:
    run = failed_run(tmp_path)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        await pilot.press("L")
        await until(pilot, lambda: "OutOfMemoryError" in screen_text(app) and "E First error" in screen_text(app))
        # Nothing is cut, so there is no key for it.
        assert "Sideways" not in screen_text(app)
        assert "…" not in letters(app, LogView)
        long = f"TypeError: begins {'가' * 100}{'b' * 60} ends"
        with (run / "worker.log").open("a") as file:
            file.write(f"{long}\nshort\n{'z' * 20_000}\n")
        await until(pilot, lambda: "zzz" in letters(app, LogView) and "Sideways" in screen_text(app))

        def line(sign: str) -> str:
            return next(text for text in letters(app, LogView).split("\n") if sign in text).strip()

        assert (line("begins")[-1], line("short"), line("zzz")[0]) == ("…", "short", "…")
        seen = line("begins").strip("…")
        while "ends" not in seen:
            before = line("가가") if "가가" in letters(app, LogView) else line("bbb")
            await pilot.press("right")
            await until(pilot, lambda: before not in letters(app, LogView))  # noqa: B023
            seen = line("가가") if "가가" in letters(app, LogView) else line("bbb")
            assert seen[0] == "…"
            assert (seen[-1] == "…") == ("ends" not in seen)
        # What is searched for is seen, however far to the side it is, and no more is moved than has to be.
        await pilot.press("slash", *"begins", "enter")
        await until(pilot, lambda: "TypeError: begins" in letters(app, LogView))
        await pilot.press("slash", *["backspace"] * 6, *"bbb ends", "enter")
        await until(pilot, lambda: "bbb ends" in letters(app, LogView))


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", SIZES)
async def test_log_pane(tmp_path: Path, snapshot: SnapshotAssertion, size: tuple[int, int], language: str) -> None:
    set_language(language)
    run = failed_run(tmp_path)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=size) as pilot:
        await opened(pilot, app)
        await pilot.press("L")
        await until(pilot, lambda: "OutOfMemoryError" in screen_text(app))
        await pilot.press("slash", *"memory", "enter")
        await until(pilot, lambda: not app.screen.query_one(LogView).following)
        lines = screen_text(app).split("\n")
        # Without the top line, which tells of this machine.
        assert "\n".join(line.rstrip() for line in lines[1:]) + "\n" == snapshot


async def test_the_monitors_log_has_two_sources(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    (run / "worker.log").write_text("from the worker\n")
    emit(run, "alert", level="warning", code="x", message="from the run", hint="")
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "from the run" in screen_text(app))
        app.screen.query_one(LogView).focus()
        await pilot.press("W")
        await until(pilot, lambda: "from the worker" in screen_text(app) and "from the run" not in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LogScreen))


async def test_a_run_without_a_worker_log_and_a_vanished_one(tmp_path: Path) -> None:
    run = create_run_dir(tmp_path, "bare")
    write_status(run, {"state": "failed", "error": "x", "hint": "", "updated": 1.0})
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "✗ x" in screen_text(app))
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, LogScreen))
        (run / "worker.log").write_text("now it is there\n")
        await until(pilot, lambda: "now it is there" in screen_text(app))
        (run / "worker.log").unlink()
        await until(pilot, lambda: "now it is there" not in screen_text(app))
        assert app.screen.query_one("#log-title", Static)
