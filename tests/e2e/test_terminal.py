"""The app in a real pseudo-terminal of 80 × 24: first picture, keys, a closed terminal, a restored one."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pyte
import pytest

from core import config_file
from core.launch import launch
from core.runs import load_run
from tests.conftest import SMALL_RUN


class Terminal:
    """`nsmc-tui` in a pseudo-terminal, its output kept by a terminal emulator."""

    def __init__(self, *arguments: str, columns: int = 80, lines: int = 24, **environment: str) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        # Test runners set these; they would stand above the size of the terminal.
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.child = pexpect.spawn(
            sys.executable,
            ["-P", "-m", "tui", *arguments],
            dimensions=(lines, columns),
            env={**inherited, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment},
            timeout=240,
        )

    def read(self, seconds: float = 0.1) -> bool:
        """Take what comes within `seconds`; False when nothing will come any more."""
        try:
            data = self.child.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += data
        self.stream.feed(data)
        return True

    @property
    def text(self) -> str:
        # Not `screen.display`: it cannot take half of a wide letter, which is what a portion of output may end with.
        rows = range(self.screen.lines)
        return "\n".join("".join(self.screen.buffer[y][x].data for x in range(self.screen.columns)) for y in rows)

    def until(self, condition: Callable[[str], object], timeout: float = 240) -> str:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.read()
            if condition(self.text):
                return self.text
        raise AssertionError("never seen:\n" + self.text)

    def press(self, keys: str) -> None:
        self.child.send(keys)

    def end(self) -> int:
        """Read until it has ended and nothing of it is left to read; its exit status, or minus the signal's number."""
        deadline = time.monotonic() + 240
        while self.read() and time.monotonic() < deadline:
            pass
        while self.child.isalive() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.child.close(force=True)
        return self.child.exitstatus if self.child.exitstatus is not None else -(self.child.signalstatus or 0)


@pytest.mark.parametrize(("language", "word"), [("en", "finished"), ("ko", "완료")])
def test_walk_from_runs_to_an_error_and_out(run_copy: Path, language: str, word: str) -> None:
    terminal = Terminal("--runs", str(run_copy.parent), "--lang", language)
    terminal.until(lambda text: word.replace(" ", "") in text.replace(" ", ""))
    terminal.press("\r")
    terminal.until(lambda text: ("Monitor" if language == "en" else "모니터") in text.replace(" ", ""))
    terminal.press("4")
    terminal.until(lambda text: "macro" in text or "매크로" in text.replace(" ", ""))
    terminal.press("5")
    terminal.until(lambda text: "FP" in text or "FN" in text)
    terminal.press("1")
    terminal.until(lambda text: "small-run" in text)
    terminal.press("q")
    assert terminal.end() == 0
    # The screen the user had is back, the mouse is off.
    assert b"\x1b[?1049l" in terminal.raw
    assert b"\x1b[?1000l" in terminal.raw


def test_what_others_write_over_the_screen_goes_with_a_key(run_copy: Path) -> None:
    terminal = Terminal("--runs", str(run_copy.parent), "--lang", "en")
    terminal.until(lambda text: "small-run" in text)
    row, kept = 10, terminal.screen.buffer[10].copy()
    terminal.stream.feed(b"\x1b[11;1HBroadcast message from root")
    terminal.press("\x0c")
    terminal.until(lambda text: "Broadcast" not in text)
    assert terminal.screen.buffer[row] == kept
    terminal.press("q")
    assert terminal.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_restore_the_terminal(run_copy: Path, number: signal.Signals) -> None:
    terminal = Terminal("--runs", str(run_copy.parent))
    terminal.until(lambda text: "small-run" in text)
    os.kill(terminal.child.pid, number)
    assert terminal.end() == 128 + number
    assert b"\x1b[?1049l" in terminal.raw


@pytest.mark.slow
def test_closing_the_terminal_leaves_the_run_and_the_next_start_shows_it_live(tmp_path: Path) -> None:
    run_dir = launch(config_file.validate({**SMALL_RUN, "train": {"num_train_epochs": 60}}), tmp_path)
    terminal = Terminal("--runs", str(tmp_path), "open", "latest")
    terminal.until(lambda text: "training" in text and "/" in text)
    terminal.child.close(force=True)
    before = load_run(run_dir)
    assert before.state == "running"
    again = Terminal("--runs", str(tmp_path), "open", "latest", "--screen", "monitor")
    again.until(lambda text: "running" in text and "training" in text)
    deadline = time.monotonic() + 240
    while load_run(run_dir).step <= before.step and time.monotonic() < deadline:
        again.read(0.2)
    assert load_run(run_dir).step > before.step
    again.press("s")
    again.until(lambda text: "Stop this run?" in text)
    again.press("y")
    again.until(lambda text: "stopped" in text)
    again.press("\x11")
    assert again.end() == 0
    assert load_run(run_dir).state == "stopped"
