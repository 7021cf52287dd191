"""What goes to the terminal: the same screen as Textual's own way of writing, in fewer bytes, and nothing at rest."""

from __future__ import annotations

import fcntl
import io
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from tests.tui.chart_runs import make_run, run_events, write_events
from tui.strips import changed_regions
from tui.terminal_output import frugal

WIDTH, HEIGHT = 24, 4
LOOKS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"color": "#ff8800"},
    {"color": "#ff8800", "bgcolor": "#101010"},
    {"bgcolor": "#101010", "bold": True},
    {"color": "red", "italic": True},
    {},
)
Parts = list[tuple[str, int]]
SEGMENTS = st.lists(st.tuples(st.text("ab 가나⠿│", min_size=1, max_size=6), st.integers(0, len(LOOKS) - 1)), max_size=8)


def strip(parts: Parts) -> Strip:
    """A line of the screen's width. Its styles are new ones: rich's remember the first console they were written to."""
    made = []
    for text, number in parts:
        look = LOOKS[number]
        made.append(Segment(text, None if look is None else Style(**look)))
    return Strip(made).adjust_cell_length(WIDTH)


def console(system: str = "truecolor") -> Console:
    """A console of that many colours."""
    return Console(file=io.StringIO(), force_terminal=True, color_system=system, width=WIDTH, height=HEIGHT)  # type: ignore[arg-type]


def shown(*writings: str) -> list[list[tuple[object, ...]]]:
    """The cells of a terminal after these."""
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.Stream(screen)
    for writing in writings:
        stream.feed(writing)
    # An empty cell has no letters that a colour could be of.
    return [
        [(c.data, c.fg if c.data.strip() else "", c.bg, c.bold, c.italics) for c in map(row.__getitem__, range(WIDTH))]
        for row in (screen.buffer[number] for number in range(HEIGHT))
    ]


@given(st.lists(SEGMENTS, min_size=HEIGHT, max_size=HEIGHT), st.lists(SEGMENTS, min_size=HEIGHT, max_size=HEIGHT))
@pytest.mark.parametrize("system", ["truecolor", "256", "standard"])
def test_the_screen_is_the_same(system: str, before: list[Parts], after: list[Parts]) -> None:
    target = console(system)
    first, second = [strip(parts) for parts in before], [strip(parts) for parts in after]
    whole = LayoutUpdate([[line] for line in second], Region(0, 0, WIDTH, HEIGHT))
    plain, short = whole.render_segments(target), frugal(whole).render_segments(target)
    assert shown(plain) == shown(short)
    assert len(short.encode()) <= len(plain.encode()) + 8 * HEIGHT
    # Only what changed, on top of what was there.
    start = LayoutUpdate([[line] for line in first], Region(0, 0, WIDTH, HEIGHT)).render_segments(target)
    regions = changed_regions(first, second)
    if regions:
        spans = [(region.y, region.x, region.right) for region in regions]
        update = ChopsUpdate([{0: line} for line in second], spans, [[WIDTH]] * HEIGHT)
        assert shown(start, frugal(update).render_segments(target)) == shown(plain)
    else:
        assert shown(start) == shown(plain)


def test_without_colours_there_is_only_text() -> None:
    target = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=WIDTH)
    update = LayoutUpdate([[strip([("a", 4)])]], Region(0, 0, WIDTH, 1))
    assert "\x1b[3" not in frugal(update).render_segments(target)
    assert frugal("anything else") == "anything else"


def test_a_run_at_rest_sends_nothing_to_the_terminal(tmp_path: Path, home: Path) -> None:
    runs = tmp_path / "runs"
    run = make_run(runs, "rest", steps=100)
    make_run(runs, "beside", state="running")
    write_events(run, run_events(100))
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = [sys.executable, "-P", "-m", "tui", "--runs", str(runs), "open", str(run), "--screen", "monitor"]
    environment = {**os.environ, "TERM": "xterm-256color", "NSMC_TUI_SETTINGS": str(tmp_path / "settings.toml")}
    app = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True)
    os.close(slave)
    try:

        def read(seconds: float) -> bytes:
            ready, _write, _error = select.select([master], [], [], seconds)
            return os.read(master, 1 << 16) if ready else b""

        seen = b""
        deadline = time.monotonic() + 60
        while "⠤".encode() not in seen and time.monotonic() < deadline:
            seen += read(1)
        assert "⠤".encode() in seen
        # The machine's figures have changed several times within so long, and the run beside was looked at.
        silence = 0.0
        while silence < 5 and time.monotonic() < deadline:
            silence = 0.0 if read(5) else 5.0
        assert silence == 5
    finally:
        app.send_signal(signal.SIGTERM)
        app.wait(20)
        os.close(master)
