"""Verdicts typed into the real app in a real pseudo-terminal, and a kill."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from pathlib import Path

import pexpect
import pytest

from tests.e2e.test_terminal import Terminal
from tests.tui.review_helpers import make_run

VERDICTS = 500
PAUSE = 1 / 20
KEYS = "dasc"
NAMES = {"d": "model_wrong", "a": "ambiguous", "s": "sarcasm", "c": "needs_context"}


@pytest.mark.timeout(600)
def test_500_verdicts_at_20_keys_a_second_and_a_kill_lose_none_that_was_shown(tmp_path: Path) -> None:
    rows = [(f"리뷰 {n} 별로예요", n % 2, 1.0 if n % 2 == 0 else -1.0) for n in range(VERDICTS + 50)]
    run_dir = make_run(tmp_path, rows)
    terminal = Terminal(
        "--runs", str(tmp_path), "open", run_dir.name, "--screen", "review", NSMC_TUI_STATE=str(tmp_path / "state")
    )
    terminal.until(lambda text: "1 of 550" in text)
    terminal.child.delaybeforesend = None
    begun = time.monotonic()
    written = b""
    for number in range(VERDICTS):
        terminal.press(KEYS[number % 4])
        # At the given rate whatever the app does. What it writes is taken from it meanwhile, and looked at afterwards:
        # the emulator is slower than the app.
        while (left := begun + (number + 1) * PAUSE - time.monotonic()) > 0:
            with contextlib.suppress(pexpect.TIMEOUT):
                written += terminal.child.read_nonblocking(1 << 16, timeout=left)
    os.kill(terminal.child.pid, signal.SIGKILL)
    terminal.child.close(force=True)
    terminal.stream.feed(written)
    shown = terminal.text
    count = re.search(r"([\d,]+) judged", shown)
    assert count is not None, shown
    records = [json.loads(line) for line in (run_dir / "review.jsonl").read_text().splitlines()]
    kept = {record["id"]: record["verdict"] for record in records}
    assert len(kept) == len(records) >= int(count[1].replace(",", ""))
    # In the order of the keys, one review after the other.
    assert [record["verdict"] for record in records] == [NAMES[KEYS[n % 4]] for n in range(len(records))]
    said = re.search(r"✓ (.+?) · #(\d+)", shown)
    assert said is not None, shown
    assert kept[said[2]].replace("_", " ") == said[1]
    # Nothing has piled up behind the keys.
    assert len(records) > VERDICTS * 0.9
    again = Terminal(
        "--runs", str(tmp_path), "open", run_dir.name, "--screen", "review", NSMC_TUI_STATE=str(tmp_path / "state")
    )
    again.until(lambda text: f"{len(records)} judged" in text)
    again.press("u")
    again.until(lambda text: f"{len(records) - 1} judged" in text and "undone" in text)
    again.press("\x11")
    assert again.end() == 0


@pytest.mark.timeout(600)
def test_two_reviewers_at_ten_keys_a_second_lose_nothing_and_see_each_other(tmp_path: Path) -> None:
    rows = [(f"리뷰 {n} 별로예요", n % 2, 1.0 if n % 2 == 0 else -1.0) for n in range(120)]
    run_dir = make_run(tmp_path, rows)
    # Someone died in the middle of a line before.
    (run_dir / "review.jsonl").write_text('{"id": "1000", "verd')
    terminals = {
        name: Terminal(
            "--runs", str(tmp_path), "open", run_dir.name, "--screen", "review", NSMC_TUI_REVIEWER=name, USER=name
        )
        for name in ("kim", "lee")
    }
    for terminal in terminals.values():
        terminal.until(lambda text: "1 of 120" in text)
        terminal.child.delaybeforesend = None
    # lee begins at the other end: each has reviews of their own, and some of the other's.
    terminals["lee"].press("G")
    terminals["lee"].until(lambda text: "120 of 120" in text)
    for _step in range(69):
        terminals["lee"].press("p")
    terminals["lee"].until(lambda text: "51 of 120" in text)
    for _press in range(60):
        begun = time.monotonic()
        terminals["kim"].press("s")
        terminals["lee"].press("a")
        for terminal in terminals.values():
            with contextlib.suppress(pexpect.TIMEOUT):
                terminal.stream.feed(terminal.child.read_nonblocking(1 << 16, timeout=0.01))
        time.sleep(max(0.0, 0.1 - (time.monotonic() - begun)))
    for terminal in terminals.values():
        terminal.until(lambda text: "110 judged" in text)
        terminal.press("\x11")
        assert terminal.end() == 0
    lines = (run_dir / "review.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines[1:]]
    counts = {name: sum(record["by"] == name for record in records) for name in terminals}
    assert counts == {"kim": 60, "lee": 60}
    assert len({record["id"] for record in records}) == 110
