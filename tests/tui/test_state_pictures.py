"""What stands on the screen in states that are rarely seen: while it is waited for, with far too much, with nothing.

What is waited for is a real file that nobody writes to (a FIFO), or a lock that is held. Which picture covers which
state of which screen is the table in `tests/tui/test_every_screen.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot

from core.device import Nvml
from core.i18n import set_language
from core.run_index import RunIndex
from core.run_labels import LABELS_FILE, Labels, write_labels
from tests.core.fake_nvml import FakeGpu, installed, process
from tests.tui.chart_runs import make_run, run_events, step_event, write_events
from tests.tui.gallery import QuietApp, hang
from tests.tui.machine_helpers import emit, gpu_fields
from tests.tui.test_screens import NASTY, screen_text, until
from tui.screens.alerts import AlertsScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.evaluation import EvaluationScreen
from tui.screens.gpu_picker import GpuPicker
from tui.screens.help import HelpScreen
from tui.screens.log import LogScreen
from tui.screens.monitor import MonitorScreen
from tui.screens.new_run import NewRunScreen
from tui.screens.pick import PickScreen
from tui.screens.resume import ResumeScreen
from tui.screens.stop_at import StopAtScreen
from tui.widgets.ask_line import AskLine
from tui.widgets.chart_grid import ChartGrid

GIB = 1 << 30
LONG = "아주-긴-이름의-실험-xlm-roberta-base-lr2e-5-bs128-warmup500-epoch3-seed42-다시-한-번-처음부터"
CONFIG = '[data]\nsource = "sample"\n[model]\npreset = "tiny"\n'


@pytest.fixture(autouse=True)
def same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "home" / "settings.toml"))
    monkeypatch.setenv("TZ", "UTC")
    # Nor does it matter when the pictures are taken.
    monkeypatch.setattr("core.formats.ago", lambda moment, now=None: "5 h")
    monkeypatch.setattr("core.formats.duration", lambda seconds: "3 min")
    # Paths on the screen are the same everywhere.
    monkeypatch.chdir(tmp_path)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@contextmanager
def nobody_writes(path: Path) -> Iterator[None]:
    """Whoever reads `path` waits, until the end; what was there is there again then."""
    kept = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    try:
        yield
    finally:
        # To read and to write: this side waits for nobody. Whoever waits gets nothing.
        pipe = os.open(path, os.O_RDWR)
        path.unlink()
        path.write_bytes(kept)
        os.close(pipe)


@contextmanager
def held_driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A GPU driver that does not answer until the end."""
    sample, waiting = Nvml.sample, Path("waiting").absolute()
    with monkeypatch.context() as patched, nobody_writes(waiting):
        patched.setattr(Nvml, "sample", lambda self: (waiting.read_bytes(), sample(self))[1])
        yield


async def leave(pilot: Pilot[None]) -> None:
    """Close what lies over the screen."""
    await pilot.press("escape")
    await until(pilot, lambda: len(pilot.app.screen_stack) == 2)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_runs(snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    runs = Path("runs")
    for number in range(30):
        path = make_run(runs, f"{LONG}-{number:02d}", steps=200, error="x")
        write_labels(path, Labels(name=f"{number:02d} {NASTY} {LONG}", tags=("best",), note="메모 " * 40))
    index = RunIndex(runs)
    app = QuietApp(runs, index=index)
    # The thread that reads waits as for a slow disk.
    with index._lock:
        async with app.run_test(size=(80, 24)) as pilot:
            await hang(pilot, "loading", snapshot, lambda text: "…" in text)
            index._lock.release()
            below = app.screen
            await until(pilot, lambda: below.chosen is not None and below._answer.total == 30)  # type: ignore[attr-defined]
            for name, key in (("rename", "R"), ("tags", "N")):
                await pilot.press(key)
                await until(pilot, lambda: below.query_one(AskLine).display)
                await hang(pilot, name, snapshot, lambda text: "00" in text)
                await pilot.press("escape")
                await until(pilot, lambda: not below.query_one(AskLine).display)
            await pilot.press("D")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await hang(pilot, "delete one", snapshot, lambda text: "y" in text)
            await leave(pilot)
            await pilot.press("asterisk", "D")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await hang(pilot, "delete very many", snapshot, lambda text: "y" in text)
            await leave(pilot)
            await pilot.press("C")
            await until(pilot, lambda: isinstance(app.screen, PickScreen))
            await pilot.press(*"zzz")
            await hang(pilot, "columns empty", snapshot, lambda text: "zzz" in text)
            index._lock.acquire()


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_monitor(snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    runs = Path("runs")
    run = make_run(runs, "watched", steps=200)
    write_events(run, run_events(200))
    app = QuietApp(runs, run=run)
    with ExitStack() as held:
        held.enter_context(nobody_writes(run / LABELS_FILE))
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
            await hang(pilot, "loading", snapshot, lambda text: "…" in text)
            held.close()
            await until(pilot, lambda: app.screen._feed.run is not None)  # type: ignore[attr-defined]
            grid = app.screen.query_one(ChartGrid)
            await until(pilot, lambda: grid.metrics and "0.2435" in screen_text(app))
            await pilot.press("enter", "c", "left", "left")
            await hang(pilot, "enlarged", snapshot, lambda text: "200" in text)
            await pilot.press("escape", "escape", "slash", *"rate|norm")
            await hang(pilot, "metric filter", snapshot, lambda text: "rate|norm" in text)
            await pilot.press("ctrl+u", *"zzz")
            await hang(pilot, "metric filter empty", snapshot, lambda text: "zzz" in text)
            await pilot.press("escape", "L")
            await until(pilot, lambda: isinstance(app.screen, LogScreen))
            await hang(pilot, "log empty", snapshot, lambda text: "worker.log" in text)
            lines = [f"{number:05d} {NASTY} {LONG} " * 3 for number in range(5000)]
            Path("written").write_text("\n".join([*lines, "RuntimeError: the last"]) + "\n")
            os.replace("written", run / "worker.log")
            await hang(pilot, "log very long", snapshot, lambda text: "the last" in text)
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen))
            await hang(pilot, "help of log", snapshot, str.strip)
            await pilot.press("escape", "escape")
            await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
            app.show_run(run, "evaluation")
            await until(pilot, lambda: isinstance(app.screen, EvaluationScreen) and app.screen.focused is not None)
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen))
            await hang(pilot, "help of evaluation", snapshot, str.strip)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_too_much_for_monitor(snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    runs = Path("runs")
    message, hint = f"GPU memory ran out {LONG} " * 12, f"Lower the batch {LONG} " * 6
    failed = make_run(runs, LONG, state="failed", steps=60, error=message, hint=hint)
    more = {f"a_metric_with_a_very_long_name_{number}": 10.0**number for number in range(12)}
    write_events(failed, [step_event(step, 200, loss=10.0**30 / step, **more) for step in range(1, 61)])
    (failed / "worker.log").write_text(f"{NASTY} {LONG} " * 20 + "\n")
    live = make_run(runs, "live", state="running", steps=1200, max_steps=10**12)
    for index in range(8):
        others = [{"pid": 5000 + pid, "user": f"사용자-{pid}", "memory": GIB, "ours": pid == 3} for pid in range(12)]
        emit(live, "device", **gpu_fields(index, 50 + index, 70.0, *others))
    emit(live, "host", cpu=50.0, cpus=128, memory_used=GIB, memory_total=2 * GIB, worker_cpu=9999.0, worker_rss=GIB)
    for number, action in enumerate(("save", "evaluate", "pause", "stop_at", "stop")):
        emit(live, "order", action=action, taken_at_step=10**9 + number, id=f"{number}", refused=f"{NASTY} {LONG}")
    app = QuietApp(runs, run=failed)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and app.screen._feed.run is not None)
        await hang(pilot, "failed very long", snapshot, lambda text: "GPU memory" in text)
        app.show_run(live, "monitor")
        await until(pilot, lambda: app.screen.run_dir == live and len(app.screen._feed.telemetry.devices) == 8)  # type: ignore[attr-defined]
        # Where there is room the pane is there without being asked for.
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: app.screen.has_class("-narrow"))
        await pilot.press("d")
        await until(pilot, lambda: app.screen.has_class("-device"))
        await hang(pilot, "device very long", snapshot, lambda text: "gpu0" in text)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, StopAtScreen))
        await pilot.press(*"999999999999999999")
        await hang(pilot, "stop at wrong", snapshot, lambda text: "999" in text)
        await leave(pilot)
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await hang(pilot, "stop", snapshot, lambda text: "y" in text)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_dialogs(monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    runs = Path("runs")
    run = make_run(runs, "watched", state="stopped", steps=200)
    (run / "config.toml").write_text(CONFIG)
    for number in range(20):
        checkpoint = run / "checkpoints" / f"checkpoint-{number * 1000}"
        checkpoint.mkdir(parents=True)
        os.utime(checkpoint, (1.0, 1.0))
    app = QuietApp(runs, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and app.screen._feed.run is not None)
        with nobody_writes(run / "config.toml"):
            app.push_screen(ResumeScreen(run))
            await hang(pilot, "resume loading", snapshot, lambda text: "…" in text)
        await until(pilot, lambda: app.screen.query_one("#choices").option_count)  # type: ignore[attr-defined]
        app.screen.dismiss()
        app.push_screen(ResumeScreen(run))
        await until(pilot, lambda: app.screen.query_one("#choices").option_count)  # type: ignore[attr-defined]
        await hang(pilot, "resume very long", snapshot, lambda text: "19,000" in text)
        await leave(pilot)

        crowd = tuple(process(pid) for pid in (1, os.getpid()))
        gpus = [FakeGpu(name="NVIDIA H100 80GB HBM3 " * 2, used=number * GIB, processes=crowd) for number in range(16)]
        with installed(*gpus):
            monkeypatch.setattr("tui.screens.gpu_picker.users_of", lambda gpu: f"{LONG} 1.0 GB, lee 11 GB")
            with held_driver(monkeypatch):
                app.push_screen(GpuPicker())
                await until(pilot, lambda: isinstance(app.screen, GpuPicker))
                await hang(pilot, "gpus loading", snapshot, lambda text: "…" in text)
            await until(pilot, lambda: "CPU" in screen_text(app) or "gpu" in screen_text(app))
            await hang(pilot, "gpus very long", snapshot, lambda text: "gpu" in text)
            await leave(pilot)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_alerts_and_form(monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    runs = Path("runs")
    for number in range(40):
        run = make_run(runs, f"{LONG}-{number:02d}", state="stopped", steps=200)
        told = {"level": ("warning", "error")[number % 2], "code": f"plateau{number}"}
        emit(run, "alert", 1.75e9 + number, message=f"{number} {NASTY} {LONG}", hint=f"{LONG} " * 9, **told)
    app = QuietApp(runs)
    async with app.run_test(size=(80, 24)) as pilot:
        with app._looking:
            await pilot.press("exclamation_mark")
            await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
            await hang(pilot, "alerts loading", snapshot, lambda text: "…" in text)
        await until(pilot, lambda: len(app.alerts) == 40)
        await hang(pilot, "alerts very long", snapshot, lambda text: "39" in text)
        await pilot.press("escape")

        slow = make_run(runs, "slow", state="stopped")
        (slow / "config.toml").write_text(CONFIG)
        with installed(), held_driver(monkeypatch):
            app.action_new_run(slow)
            await until(pilot, lambda: isinstance(app.screen, NewRunScreen))
            await hang(pilot, "form loading", snapshot, lambda text: "…" in text)
