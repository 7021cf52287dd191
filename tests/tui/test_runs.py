"""The list of runs: what it shows in every state and size, and what its keys do, on real run directories."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot

from core import formats
from core.i18n import gettext as _
from core.i18n import set_language
from core.run_index import RunIndex
from core.run_labels import Labels, read_labels, write_labels
from core.runs import process_start, write_status
from core.settings import load_settings, save_setting
from tests.tui.picture import picture
from tests.tui.test_screens import NASTY, control_bytes, screen_text, until
from tui.app import NsmcTuiApp
from tui.machine import MachineReader
from tui.run_reader import View, answer
from tui.screens.confirm import ConfirmScreen
from tui.screens.monitor import MonitorScreen
from tui.screens.pick import PickScreen
from tui.screens.runs import RunsScreen
from tui.widgets.ask_line import AskLine
from tui.widgets.run_list import RunList

SIZES = [(80, 24), (160, 48)]


def make(runs: Path, number: int, slug: str, **status: Any) -> Path:
    path = runs / f"20260101-{number // 60:02d}{number % 60:02d}00-{slug}"
    path.mkdir(parents=True)
    values = {"state": "finished", "name": slug, "step": 4688, "max_steps": 4688, "model": "klue/bert-base",
              "data": "nsmc", "updated": time.time()}  # fmt: skip
    write_status(path, {**values, **status})
    return path


def scores(accuracy: float, split: str = "test") -> dict[str, float]:
    return {f"{split}_accuracy": accuracy, f"{split}_f1": accuracy + 0.001}


def alive() -> dict[str, Any]:
    me = os.getpid()
    return {"state": "running", "pid": me, "pid_start": process_start(me), "phase": "training", "eta": 360.0}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """One run of each kind, the newest first in this order."""
    directory = tmp_path / "runs"
    live = make(directory, 90, "xlmr-lr2e-5", **alive(), metrics=scores(0.8861, "eval"), step=3120)
    (live / "events.jsonl").write_text(
        "".join(
            json.dumps({"v": 1, "ts": 1.0, "type": "step", "step": step, "loss": 1 / (1 + step / 100),
                        "learning_rate": 7.1e-6, "samples_per_second": 412, "gpu_peak": 13.1 * 2**30}) + "\n"
            for step in range(0, 3120, 40)
        )
    )  # fmt: skip
    best = make(directory, 80, "kcelectra", metrics=scores(0.9183), model="beomi/KcELECTRA-base-v2022")
    write_labels(best, Labels(tags=("best", "한글"), note="the one for the paper"))
    make(directory, 70, "xlmr-bs128", state="failed", step=212, error="out of memory", hint="lower the batch")
    make(directory, 60, "killed", state="running", pid=1 << 22, pid_start=1.0, step=40)
    make(directory, 50, "far", state="running", host="node7", pid=5, updated=time.time() - 300, step=900)
    make(directory, 40, "far-done", host="node7", metrics=scores(0.87))
    hung = make(directory, 30, "hung", **{**alive(), "updated": time.time() - 400, "eta": None}, step=10)
    write_labels(hung, Labels(name="이름을 바꾼 실행"))
    make(directory, 20, "early", state="stopped", step=100, metrics=scores(0.81, "eval"))
    write_labels(make(directory, 10, "put-away", metrics=scores(0.8)), Labels(archived=True))
    foreign = directory / "other-trainer"
    foreign.mkdir()
    history = [{"step": 10, "loss": 0.6}, {"step": 10, "eval_accuracy": 0.79}]
    state = {"global_step": 10, "max_steps": 20, "log_history": history}
    (foreign / "trainer_state.json").write_text(json.dumps(state))
    os.utime(foreign / "trainer_state.json", (1735689600.0, 1735689600.0))
    return directory


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What varies from run to run stands still: ages, the machine, where the directory lies."""
    monkeypatch.setattr(formats, "ago", lambda moment, now=None: "5 h")
    monkeypatch.setattr(MachineReader, "line", lambda self: "CPU 7% 3.1/24 GB")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def usual_columns() -> Iterator[None]:
    """No test sees the columns that another one chose."""
    yield
    save_setting("runs_columns", None)


async def shown(pilot: Pilot, *texts: str) -> str:
    """The screen, once all of `texts` stand on it."""
    await until(pilot, lambda: all(text in screen_text(pilot.app) for text in texts))
    return screen_text(pilot.app)


async def said(pilot: Pilot, text: str) -> None:
    """Wait for a toast with this text."""
    await until(pilot, lambda: any(text in note.message for note in pilot.app._notifications))


def listed(app: NsmcTuiApp) -> list[str]:
    return [run.id[16:] if run.id.startswith("2026") else run.id for run in app.screen_stack[1].query_one(RunList).runs]


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", SIZES)
async def test_the_list(
    runs: Path, still: None, size: tuple[int, int], language: str, snapshot: SnapshotAssertion
) -> None:
    set_language(language)
    app = NsmcTuiApp(Path("runs"))
    async with app.run_test(size=size) as pilot:
        await shown(pilot, "7.1e-06", "CPU 7%", _("Quit"))
        assert picture(app, colours=False) == snapshot
        assert not control_bytes(screen_text(app))


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", SIZES)
async def test_compared_marked_filtered_and_sorted(
    runs: Path, still: None, size: tuple[int, int], language: str, snapshot: SnapshotAssertion
) -> None:
    set_language(language)
    app = NsmcTuiApp(Path("runs"))
    async with app.run_test(size=size) as pilot:
        await shown(pilot, "7.1e-06", "CPU 7%", _("Quit"))
        await pilot.press("j", "p", "space", "slash", *"acc>0.8", "enter", "S", *"accuracy", "enter")
        await until(pilot, lambda: listed(app) == ["kcelectra", "xlmr-lr2e-5", "far-done", "early"])
        await shown(pilot, "-0.0322")
        assert picture(app, colours=False) == snapshot


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", SIZES)
async def test_very_long_names_and_notes(
    tmp_path: Path, still: None, size: tuple[int, int], language: str, snapshot: SnapshotAssertion
) -> None:
    set_language(language)
    path = make(tmp_path / "runs", 1, "x" * 100, model="m" * 300, data="가" * 200, **{"state": "failed"},
                error=NASTY * 20, hint="길" * 500)  # fmt: skip
    other = make(tmp_path / "runs", 2, "y", metrics={"test_accuracy": 1e300}, step=10**9, max_steps=10**9)
    write_labels(path, Labels(name=NASTY + "이름" * 50, tags=("t" * 40, "[/x]"), note="메모 " * 200))
    write_labels(other, Labels(tags=tuple(f"tag{n}" for n in range(30)), note=NASTY * 30))
    app = NsmcTuiApp(Path("runs"))
    async with app.run_test(size=size) as pilot:
        await shown(pilot, "CPU 7%", "1,000,000,000", _("Quit"))
        await pilot.press("j")
        await until(pilot, lambda: app.screen.chosen is not None and app.screen.chosen.path.name == path.name)
        await pilot.pause(0.1)
        text = screen_text(app)
        assert not control_bytes(text)
        assert picture(app, colours=False) == snapshot


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", SIZES)
async def test_nothing_to_show(
    tmp_path: Path, still: None, size: tuple[int, int], language: str, snapshot: SnapshotAssertion
) -> None:
    set_language(language)
    app = NsmcTuiApp(Path("runs"))
    async with app.run_test(size=size) as pilot:
        await shown(pilot, "nsmc-tui demo", "CPU 7%", _("Quit"))
        assert picture(app, colours=False) == snapshot(name="empty")
        (tmp_path / "runs").write_text("a file")
        await shown(pilot, "--runs")
        assert picture(app, colours=False) == snapshot(name="unreadable")
        (tmp_path / "runs").unlink()
        write_labels(make(tmp_path / "runs", 1, "x"), Labels(archived=True))
        await shown(pilot, "is:archived")
        await pilot.press("slash", *"zzz", "enter")
        await shown(pilot, "esc")
        await until(pilot, lambda: "zzz" in screen_text(app) and "is:archived" not in screen_text(app))
        assert picture(app, colours=False) == snapshot(name="no match")


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_a_list_that_is_still_being_read(
    tmp_path: Path, still: None, language: str, snapshot: SnapshotAssertion
) -> None:
    set_language(language)
    for number in range(12):
        make(tmp_path / "runs", number, f"run-{number:02d}")
    index = RunIndex(Path("runs"))
    for _run in range(5):
        index.refresh(max_seconds=0.0)
    app = NsmcTuiApp(Path("runs"), index=index)
    # The thread that reads waits as for a slow disk: what is known is shown meanwhile.
    with index._lock:
        async with app.run_test(size=(80, 24)) as pilot:
            await shown(pilot, "CPU 7%", "run-11", "run-07", _("Quit"))
            assert picture(app, colours=False) == snapshot
            await pilot.press("j", "j")
            await until(pilot, lambda: app.screen.chosen.name == "run-09")
            index._lock.release()
            await shown(pilot, "run-00")
            index._lock.acquire()


async def test_the_cursor_stays_on_top_while_runs_are_still_being_read(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for number in range(3):
        make(runs, number, f"run-{number}")
    # Read after those whose names tell when they were made, and yet the newest.
    (runs / "another").mkdir()
    (runs / "another" / "trainer_state.json").write_text('{"log_history": [{"step": 1, "loss": 0.5}]}')
    index = RunIndex(runs)
    index.refresh(max_seconds=0.0)
    app = NsmcTuiApp(runs, index=index)
    with index._lock:
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: listed(app) == ["run-2"] and app.screen.chosen is not None)
            index._lock.release()
            await until(pilot, lambda: listed(app) == ["another", "run-2", "run-1", "run-0"])
            assert app.screen.chosen.id == "another"
            index._lock.acquire()


async def test_a_thousand_runs(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for number in range(1000):
        make(runs, number, f"run-{number:04d}", metrics=scores(0.5 + number / 3000))
    app = NsmcTuiApp(runs)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 1000)
        await shown(pilot, "run-0999")
        await pilot.press("G")
        await shown(pilot, "run-0000")
        assert app.screen.chosen.name == "run-0000"
        await pilot.press("g", *["pagedown"] * 5)
        place = app.screen.query_one(RunList).cursor
        assert 90 < place < 130
        assert app.screen.chosen.name == f"run-{999 - place:04d}"
        assert f"run-{999 - place:04d}" in screen_text(app)
        # A run that changes while others are looked at is told, and the cursor stays with its run.
        make(runs, 1200, "newest")
        await until(pilot, lambda: len(listed(app)) == 1001)
        assert app.screen.chosen.name == f"run-{999 - place:04d}"
        await pilot.press("slash", *"acc<0.501", "enter")
        await until(pilot, lambda: listed(app) == ["run-0002", "run-0001", "run-0000"])
        await pilot.press("escape")
        await until(pilot, lambda: len(listed(app)) == 1001)


async def test_a_query_that_cannot_be_read_leaves_the_list_as_it_was(runs: Path) -> None:
    app = NsmcTuiApp(runs)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 9)
        await pilot.press("slash", *"state:failed")
        await until(pilot, lambda: listed(app) == ["xlmr-bs128"])
        await pilot.press(*" (")
        text = await shown(pilot, "here something is missing (character 15)")
        assert "xlmr-bs128" in text
        await pilot.press("backspace", *"acuracy>1")
        await shown(pilot, "did you mean accuracy? (character 14)")
        await pilot.press("escape")
        await until(pilot, lambda: len(listed(app)) == 9)
        assert "did you mean" not in screen_text(app)
        # A slash within a query is a letter of it.
        await pilot.press("slash", *"model:beomi/Kc", "enter")
        await until(pilot, lambda: listed(app) == ["kcelectra"])


async def test_esc_on_the_first_screen_leaves_no_app(runs: Path) -> None:
    app = NsmcTuiApp(runs)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 9)
        await pilot.press("slash", *"state:failed", "enter")
        await until(pilot, lambda: len(listed(app)) == 1)
        # One esc ends the filter; as many as one likes say once how to leave.
        await pilot.press("escape", "escape", "escape")
        told = lambda: [note for note in app._notifications if "q leaves the app" in note.message]  # noqa: E731
        await until(pilot, told)
        assert len(listed(app)) == 9
        assert len(told()) == 1
        await pilot.press("q")
        await until(pilot, lambda: app._exit)


async def test_orders_and_columns(runs: Path) -> None:
    (runs / "20260101-013000-xlmr-lr2e-5" / "config.toml").write_text("[train]\nlearning_rate = 2e-5\n")
    app = NsmcTuiApp(runs)
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 9)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        await pilot.press(*"eval_acc", "enter")
        await until(pilot, lambda: listed(app)[:3] == ["xlmr-lr2e-5", "early", "other-trainer"])
        assert "sorted by eval_accuracy ↓" in screen_text(app)
        await pilot.press("I")
        await until(pilot, lambda: listed(app)[:3] == ["other-trainer", "early", "xlmr-lr2e-5"])
        await pilot.press("C")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        await pilot.press(*"learning", "enter")
        await pilot.press("escape")
        await shown(pilot, "learning_rate", "2e-05")
        assert load_settings()["runs_columns"][-1] == "cfg.train.learning_rate"
    app = NsmcTuiApp(runs)
    async with app.run_test(size=(160, 48)) as pilot:
        await shown(pilot, "2e-05")
        await pilot.press("C")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and "learning_rate" not in screen_text(app))
        assert load_settings()["runs_columns"] is None


async def test_labels_and_undo(runs: Path) -> None:
    path = runs / "20260101-012000-kcelectra"
    app = NsmcTuiApp(runs)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 9)
        await pilot.press("j", "R")
        await until(pilot, lambda: app.screen.query_one(AskLine).display)
        await pilot.press(*["backspace"] * 20, *"[b]새", "enter")
        await until(pilot, lambda: read_labels(path).name == "[b]새")
        await shown(pilot, "[b]새")
        await pilot.press("N")
        await until(pilot, lambda: app.screen.query_one(AskLine).display)
        await pilot.press("home", *"#x ", "enter")
        await until(pilot, lambda: read_labels(path).tags == ("x", "best", "한글"))
        assert read_labels(path).note == "the one for the paper"
        await pilot.press("u")
        await until(pilot, lambda: read_labels(path).tags == ("best", "한글"))
        await pilot.press("u")
        await until(pilot, lambda: read_labels(path).name == "")
        await until(pilot, lambda: "[b]새" not in "\n".join(screen_text(app).split("\n")[:12]))
        # What another program wrote is not written to.
        await pilot.press("G", "N")
        await until(pilot, lambda: app.screen.query_one(AskLine).display)
        await pilot.press(*"#x", "enter")
        await said(pilot, "written by another program")


async def test_archiving_asks_and_can_be_undone(runs: Path) -> None:
    app = NsmcTuiApp(runs)
    paths = [runs / "20260101-012000-kcelectra", runs / "20260101-011000-xlmr-bs128"]
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 9)
        await pilot.press("X")
        await said(pilot, "is not over: running")
        await pilot.press("j", "space", "space", "X")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await shown(pilot, "Archive 2 runs?", "kcelectra")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert not read_labels(paths[0]).archived
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: len(listed(app)) == 7)
        assert [read_labels(path).archived for path in paths] == [True, True]
        await pilot.press("u")
        await until(pilot, lambda: len(listed(app)) == 9)
        assert read_labels(paths[0]) == Labels(tags=("best", "한글"), note="the one for the paper")


async def test_deleting_counts_asks_and_spares_the_living(runs: Path) -> None:
    app = NsmcTuiApp(runs)
    gone = runs / "20260101-011000-xlmr-bs128"
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 9)
        await pilot.press("D")
        await said(pilot, "is not over: running")
        await pilot.press("asterisk", "D")
        await pilot.pause(0.2)
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("asterisk", "j", "j", "space")
        await until(pilot, lambda: app.marked == [gone])
        await pilot.press("k", "p", "D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await shown(pilot, "Delete 1 run with 1 file,", "xlmr-bs128")
        await pilot.press("y")
        await until(pilot, lambda: len(listed(app)) == 8)
        assert not gone.exists()
        await until(pilot, lambda: app.marked == [])
        assert len([path for path in runs.iterdir() if path.is_dir()]) == 9


async def test_marks_and_baseline_are_there_at_the_next_start_and_lead_to_an_overlay(runs: Path) -> None:
    app = NsmcTuiApp(runs)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 9)
        await pilot.press("c")
        await said(pilot, "Mark other runs with space first")
        await pilot.press("j", "p", "space", "space")
        kept = runs / ".nsmc-tui.json"
        await until(pilot, lambda: kept.is_file() and len(json.loads(kept.read_text())["marked"]) == 2)
    app = NsmcTuiApp(runs)
    assert [path.name[-9:] for path in app.marked] == ["kcelectra", "lmr-bs128"]
    assert app.baseline == app.marked[0]
    async with app.run_test(size=(120, 30)) as pilot:
        await shown(pilot, "★ 20260101-012000")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        assert app.screen._overlay == app.marked


async def test_a_worker_that_is_killed_is_told_while_the_list_is_open(tmp_path: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        status = {"state": "running", "pid": worker.pid, "pid_start": process_start(worker.pid)}
        make(tmp_path, 2, "here", **status)
        make(tmp_path, 1, "there", **{**status, "host": "node7", "updated": time.time() - 90})
        app = NsmcTuiApp(tmp_path)
        async with app.run_test(size=(100, 24)) as pilot:
            await shown(pilot, "● running", "? silent@")
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait()
            # Told within ten seconds is what is promised.
            await until(pilot, lambda: "† crashed" in screen_text(app))
            assert "? silent@" in screen_text(app)
    finally:
        worker.kill()
        worker.wait()


async def test_a_file_system_that_hangs_keeps_nobody_waiting(runs: Path) -> None:
    index = RunIndex(runs)
    index.refresh()
    app = NsmcTuiApp(runs, index=index)
    with index._lock:
        async with app.run_test(size=(100, 24)) as pilot:
            await shown(pilot, "kcelectra")
            await pilot.press("j", "j")
            await until(pilot, lambda: app.screen.chosen.id.endswith("xlmr-bs128"))
            await pilot.press("q")
            await until(pilot, lambda: not app.is_running)
    assert any(thread.name == "runs" and thread.daemon for thread in threading.enumerate())


def test_a_view_of_runs_that_do_not_change_is_the_same(runs: Path) -> None:
    index = RunIndex(runs)
    view = View("acc>0.8", "accuracy", settings=("cfg.train.learning_rate",))
    first = answer(index.refresh(), view, index)
    assert [run.id[16:] for run in first.runs] == ["kcelectra", "xlmr-lr2e-5", "far-done", "early"]
    assert (first.total, first.live, first.archived) == (10, 3, 1)
    assert answer(index.refresh(), view, index) == first


async def test_foreign_runs_open_in_the_monitor_and_take_no_orders(runs: Path) -> None:
    app = NsmcTuiApp(runs, run=runs / "other-trainer")
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        await shown(pilot, "read-only", "0.6000")
        await pilot.press("s")
        await pilot.pause(0.2)
        assert isinstance(app.screen, MonitorScreen)
        assert sorted(path.name for path in (runs / "other-trainer").iterdir()) == ["trainer_state.json"]
