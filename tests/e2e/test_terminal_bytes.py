"""Beyond the picture: what alerts send to a real terminal, and what the app does when its terminal vanishes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.test_terminal import Terminal
from tests.tui.chart_runs import make_run, run_events, step_event, write_events
from tests.tui.machine_helpers import emit, live_run

# An end of the sequence, one of another, markup, and a control character of the other range.
NASTY = "loss \x07\x1b]0;taken\x07 [bold]x[/] \x9b2J 손실"


@pytest.mark.parametrize("tmux", ["", "/tmp/tmux-1000/default,1,0"], ids=["plain", "tmux"])
def test_an_alert_rings_and_notifies_once_and_cannot_break_out(tmp_path: Path, tmux: str) -> None:
    settings = tmp_path / "home" / "settings.toml"
    settings.parent.mkdir()
    settings.write_text('[alerts]\nterminal = "both"\n')
    run = live_run(tmp_path / "runs", "watched")
    terminal = Terminal("--runs", str(tmp_path / "runs"), NSMC_TUI_SETTINGS=str(settings), TMUX=tmux)
    terminal.until(lambda text: "watched" in text)
    emit(run, "alert", time.time(), level="info", code="x", message="not worth a bell", hint="")
    emit(run, "alert", time.time(), level="error", code="nan_loss", message=NASTY, hint=NASTY)
    terminal.until(lambda text: "loss ␇␛]0;taken" in text)
    # What comes with the next look would be told a second time.
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        terminal.read()
    terminal.press("q")
    assert terminal.end() == 0

    shown = "watched · loss ␇␛]0;taken␇ [bold]x[/] \ufffd2J 손실"
    note = f"\x1b]9;{shown}\x07"
    if tmux:
        note = "\x1bPtmux;" + note.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    sent = terminal.raw
    assert sent.count(note.encode()) == 1
    assert sent.count(b"]9;") == 1
    # Textual sets the shape of the mouse pointer by 22; no title is taken. Beside the ends of these, one bell.
    assert set(re.findall(rb"\x1b\](\d+);", sent)) <= {b"9", b"22"}
    assert re.sub(rb"\x1b\]\d+;[^\x07]*\x07", b"", sent).count(b"\x07") == 1
    assert "\x9b".encode() not in sent


def opened(*arguments: str, **environment: str) -> tuple[subprocess.Popen[bytes], int]:
    """The app in a pseudo-terminal of its own, which no signal tells of its end; and the terminal's other side."""
    master, slave = os.openpty()
    app = subprocess.Popen(
        [sys.executable, "-P", "-m", "tui", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30", **environment},
        start_new_session=True,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP}),
    )
    os.close(slave)
    return app, master


@pytest.mark.parametrize("state", ["finished", "running"])
def test_the_app_leaves_when_its_terminal_vanishes(tmp_path: Path, state: str) -> None:
    run = make_run(tmp_path / "runs", "watched", steps=100, state=state)
    write_events(run, run_events(100))
    settings = str(tmp_path / "settings.toml")
    app, master = opened("--runs", str(tmp_path / "runs"), "open", str(run), NSMC_TUI_SETTINGS=settings)
    try:
        seen = b""
        while "⠤".encode() not in seen:
            seen += os.read(master, 1 << 16)
        os.close(master)
        if state == "running":
            # Something to draw on what is no longer there.
            write_events(run, [step_event(step, 200) for step in range(101, 121)])
        assert app.wait(20) == 128 + signal.SIGHUP
    finally:
        app.kill()
        app.wait()
