"""What lies over a screen: questions, choices, alerts, all keys; and the way a run goes on from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from core.i18n import set_language
from tests.core.fake_nvml import FakeGpu, NoPermissionError, installed
from tests.tui import review_helpers
from tests.tui.chart_runs import make_run
from tests.tui.gallery import SIZES, QuietApp, hang
from tests.tui.machine_helpers import letters
from tests.tui.test_screens import screen_text, until
from tui.screens.gpu_picker import GpuPicker
from tui.screens.help import HelpScreen
from tui.screens.monitor import MonitorScreen
from tui.screens.resume import ResumeScreen
from tui.screens.review import ReviewScreen

GIB = 1 << 30


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "home" / "settings.toml"))
    monkeypatch.setattr("core.formats.ago", lambda moment, now=None: "5 h")
    # Whatever the length of its path is.
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_over_the_list_of_runs(snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    runs = Path("runs")
    make_run(runs, "watched", steps=200, metrics={"test_accuracy": 0.8912, "test_f1": 0.8899})
    app = QuietApp(runs)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "0.8912" in screen_text(app))
        below = app.screen
        for name, key in (("question", "X"), ("order", "S"), ("columns", "C"), ("help", "?"), ("no alerts", "!")):
            await pilot.press({"?": "question_mark", "!": "exclamation_mark"}.get(key, key))
            await until(pilot, lambda: app.screen is not below)
            await hang(pilot, name, snapshot, str.strip)
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is below)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_over_monitor_and_review(tmp_path: Path, snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    runs = tmp_path / "runs"
    run = make_run(runs, "watched", state="queued")
    app = QuietApp(runs, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and app.screen._feed.run is not None)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await hang(pilot, "help of monitor", snapshot, str.strip)
        await pilot.press("escape", "A")
        await hang(pilot, "question", snapshot, lambda text: "y" in text)
        await pilot.press("n")
        busy = FakeGpu(name="NVIDIA A100 80GB PCIe", used=70 * GIB, util=99)
        for name, gpus in (("gpus", (busy, FakeGpu(used=GIB), FakeGpu(processes=NoPermissionError()))), ("no gpu", ())):
            with installed(*gpus):
                app.push_screen(GpuPicker())
                await until(pilot, lambda: "CPU" in screen_text(app))
                await hang(pilot, name, snapshot, str.strip)
                await pilot.press("escape")
                await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        app.show_run(review_helpers.make_run(tmp_path), "review")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.session is not None)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert "0 1" not in letters(app, "VerticalScroll")
        await hang(pilot, "help of review", snapshot, str.strip)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_the_way_a_run_goes_on(run_copy: Path, snapshot: SnapshotAssertion, language: str) -> None:
    set_language(language)
    app = QuietApp(run_copy.parent, run=run_copy)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        for state in ("usual", "empty"):
            app.push_screen(ResumeScreen(run_copy))
            for size, (width, height) in SIZES.items():
                await pilot.resize_terminal(width, height)
                await until(pilot, lambda: app.screen.query_one("#choices").option_count)  # type: ignore[attr-defined]
                await pilot.pause(0.1)
                seen = re.sub(r"(step|스텝) (\d+) .*", r"\1 \2 WHEN", letters(app, "Vertical"))
                assert seen == snapshot(name=f"{state} {size}")
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
            for checkpoint in (run_copy / "checkpoints").iterdir():
                for file in checkpoint.iterdir():
                    file.unlink()
                checkpoint.rmdir()
