"""Alerts in the app: toasts, the list, what is seen and stays so, bell and notification."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from core.i18n import set_language
from core.runs import read_status, write_status
from tests.tui.machine_helpers import MOMENT, emit, letters, live_run
from tests.tui.test_screens import control_bytes, screen_text, until
from tui.app import NsmcTuiApp
from tui.screens.alerts import AlertsScreen
from tui.screens.monitor import MonitorScreen
from tui.terminal_note import osc9

NASTY = "[bold]x[/x] \x1b]0;pwned\x07"


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Settings, and what was seen, of this test alone."""
    path = tmp_path / "home" / "settings.toml"
    path.parent.mkdir()
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(path))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield path
    monkeypatch.undo()
    time.tzset()


def two_runs(runs: Path) -> tuple[Path, Path]:
    first, second = live_run(runs, "first"), live_run(runs, "second 둘째")
    emit(first, "alert", MOMENT, level="warning", code="plateau", message="accuracy has not got better", hint="stop it")
    emit(second, "alert", MOMENT + 60, level="error", code="nan_loss", message=NASTY, hint=NASTY)
    return first, second


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_the_list_of_alerts(
    tmp_path: Path, own_settings: Path, snapshot: SnapshotAssertion, size: tuple[int, int], language: str
) -> None:
    set_language(language)
    two_runs(tmp_path / "runs")
    app = NsmcTuiApp(tmp_path / "runs")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: len(app.alerts) == 2)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen) and "accuracy has not" in screen_text(app))
        await pilot.press("down")
        await until(pilot, lambda: "stop it" in screen_text(app))
        text = letters(app, "Vertical")
        assert not control_bytes(text)
        # The run's directory and how long ago it was vary.
        assert "\n".join(line for line in text.split("\n") if "-first" not in line) == snapshot


async def test_what_was_seen_stays_so_and_enter_leads_to_the_run(tmp_path: Path, own_settings: Path) -> None:
    _first, second = two_runs(tmp_path / "runs")
    app = NsmcTuiApp(tmp_path / "runs")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(app.alerts) == 2)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "2 not seen" in screen_text(app))
        await pilot.press("down", "space")
        await until(pilot, lambda: "1 not seen" in screen_text(app))
        await pilot.press("up", "enter")
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        assert app.screen.run_dir == second
    again = NsmcTuiApp(tmp_path / "runs")
    async with again.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(again.alerts) == 2)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "0 not seen" in screen_text(again))


async def test_no_alerts_says_what_would_be_here(tmp_path: Path, own_settings: Path) -> None:
    app = NsmcTuiApp(tmp_path / "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "No alerts." in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, AlertsScreen))


async def test_new_alerts_are_toasts_and_old_ones_are_not(tmp_path: Path, own_settings: Path) -> None:
    first, _second = two_runs(tmp_path / "runs")
    app = NsmcTuiApp(tmp_path / "runs")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(app.alerts) == 2)
        assert not list(app._notifications)
        emit(first, "alert", time.time(), level="warning", code="disk", message=NASTY, hint="delete")
        emit(first, "alert", time.time(), level="info", code="x", message="only in the log", hint="")
        emit(first, "run_finished", time.time(), state="stopped", metrics={})
        await until(pilot, lambda: [one.alert.code for one in app.alerts[2:]] == ["disk", "stopped"])
        await until(pilot, lambda: len(app._notifications) == 2)
        toast, end = app._notifications
        assert end.message == "first · the run has ended: stopped"
        assert toast.message == "first · [bold]x[/x] ␛]0;pwned␇\ndelete"
        assert toast.markup is False


async def test_a_crash_is_told_and_sent_by_the_app_once(tmp_path: Path, own_settings: Path) -> None:
    sent = tmp_path / "sent.jsonl"
    own_settings.write_text(f"[alerts]\ncommand = \"sh -c 'cat >> {sent}; echo >> {sent}'\"\n")
    run = live_run(tmp_path / "runs", "dying")
    apps = [NsmcTuiApp(tmp_path / "runs") for _ in range(2)]
    async with apps[0].run_test(size=(100, 30)) as pilot:
        write_status(run, {**read_status(run), "pid": 2**22 + 1})
        await until(pilot, lambda: [one.alert.code for one in apps[0].alerts] == ["crashed"])
        await until(pilot, lambda: sent.exists() and sent.read_text().strip())
    async with apps[1].run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: [one.alert.code for one in apps[1].alerts] == ["crashed"])
    assert sent.read_text().count('"code": "crashed"') == 1


async def test_settings_that_cannot_be_used_are_told(tmp_path: Path, own_settings: Path) -> None:
    own_settings.write_text('[alerts]\nplateau = "soon"\n')
    app = NsmcTuiApp(tmp_path / "runs")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: any("alerts.plateau" in note.message for note in app._notifications))


def test_a_notification_cannot_be_broken_out_of() -> None:
    plain = osc9("loss\x07\x1b]0;x", {})
    assert plain == "\x1b]9;loss␇␛]0;x\x07"
    wrapped = osc9("done", {"TMUX": "/tmp/x"})
    assert wrapped == "\x1bPtmux;\x1b\x1b]9;done\x07\x1b\\"
    assert os.environ.get("TMUX") is None or wrapped
