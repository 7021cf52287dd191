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
import tty
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.drivers._writer_thread import WriterThread
from textual.geometry import Region
from textual.strip import Strip

from tests.tui.chart_runs import make_run, run_events, write_events
from tui.straight_output import Straight
from tui.strips import changed_regions
from tui.terminal_driver import Output, TerminalDriver
from tui.terminal_memory import TerminalMemory
from tui.terminal_output import Pieces, frugal

WIDTH, HEIGHT = 24, 4
LOOKS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"color": "#ff8800"},
    {"color": "#ff8800", "bgcolor": "#101010"},
    {"bgcolor": "#101010", "bold": True},
    {"color": "red", "italic": True},
    {},
    {"color": "#ff8800", "bgcolor": "#101010", "underline": True},
    {"color": "#ff8800", "bgcolor": "#303030", "reverse": True, "bold": True},
)
Parts = list[tuple[str, int]]
SEGMENTS = st.lists(
    st.tuples(st.text("ab  가나⠿│", min_size=1, max_size=6), st.integers(0, len(LOOKS) - 1)), max_size=8
)


def strip(parts: Parts) -> Strip:
    """A line of the screen's width. Its styles are new ones: rich's remember the first console they were written to."""
    made = []
    for text, number in parts:
        look = LOOKS[number]
        made.append(Segment(text, None if look is None else Style(**look)))
    return Strip(made).adjust_cell_length(WIDTH)


def console(system: str | None = "truecolor") -> Console:
    """A console of that many colours."""
    return Console(file=io.StringIO(), force_terminal=True, color_system=system, width=WIDTH, height=HEIGHT)  # type: ignore[arg-type]


def shown(*writings: str) -> list[list[tuple[object, ...]]]:
    """The cells of a terminal after these."""
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.Stream(screen)
    for writing in writings:
        stream.feed(writing)
    # An empty cell has no letters that a colour could be of, or that could be bold.
    return [
        [
            (c.data, c.bg, c.underscore, c.reverse, *((c.fg, c.bold, c.italics) if c.data.strip() or c.reverse else ()))
            for c in map(row.__getitem__, range(WIDTH))
        ]
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


PICTURES = st.lists(st.lists(SEGMENTS, min_size=HEIGHT, max_size=HEIGHT), min_size=2, max_size=4)
SPANS = st.lists(st.tuples(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH), st.integers(0, WIDTH)), max_size=3)


@given(st.sampled_from(["truecolor", "256", "standard", None]), PICTURES, SPANS)
def test_only_cells_that_differ_are_written(system: str | None, pictures: list[list[Parts]], spans: list[Any]) -> None:
    target, memory = console(system), TerminalMemory()
    lines = [strip(parts) for parts in pictures[0]]
    region = Region(0, 0, WIDTH, HEIGHT)
    written = [frugal(LayoutUpdate([[line] for line in lines], region), memory).render_segments(target)]
    for picture in pictures[1:]:
        lines = [strip(parts) for parts in picture]
        whole = [(y, 0, WIDTH) for y in range(HEIGHT)]
        # First in parts, then all of it: what stands there already is not written a second time.
        for wanted in ([(y, first, last) for y, first, last in spans if first < last], whole, whole):
            update = ChopsUpdate([{0: line} for line in lines], wanted, [[WIDTH]] * HEIGHT)
            written.append(frugal(update, memory).render_segments(target))
        assert written[-1] == ""
        plain = LayoutUpdate([[line] for line in lines], region).render_segments(target)
        if system is None:
            plain = "".join(f"\x1b[{y + 1}H{line.text}" for y, line in enumerate(lines))
        assert shown(*written) == shown(plain)


@given(PICTURES, SPANS)
def test_of_a_whole_picture_lines_that_stand_there_are_left_out(pictures: list[list[Parts]], spans: list[Any]) -> None:
    target, memory, region = console(), TerminalMemory(), Region(0, 0, WIDTH, HEIGHT)
    written: list[str] = []
    for picture in pictures:
        lines = [strip(parts) for parts in picture]
        wanted = [(y, first, last) for y, first, last in spans if first < last]
        part = ChopsUpdate([{0: line} for line in lines], wanted, [[WIDTH]] * HEIGHT)
        both = (part, LayoutUpdate([[line] for line in lines], region))
        written += [frugal(update, memory).render_segments(target) for update in both]
        plain = LayoutUpdate([[line] for line in lines], region).render_segments(target)
        assert shown(*written) == shown(plain)
        # Drawn again, as when a screen comes or goes.
        again = LayoutUpdate([[strip(parts)] for parts in picture], region)
        assert frugal(again, memory).render_segments(target) == ""
    memory.forget()
    assert frugal(again, memory).render_segments(target) != ""


def test_where_widths_are_in_doubt_all_is_written() -> None:
    target, memory = console(), TerminalMemory()

    def write(*texts: str) -> str:
        x, pieces = 0, []
        for text in texts:
            pieces.append((x, x + cell_len(text), [Segment(text)]))
            x += cell_len(text)
        return str(frugal(Pieces({0: pieces}), memory).render_segments(target))

    joined = "👨\u200d👩\u200d👧 abc"
    write(joined, "right")
    # What stands right of it is put in its place each time, wherever the terminal's cursor was left.
    again = write(joined, "right")
    assert joined in again
    assert f"\x1b[1;{cell_len(joined) + 1}H" in again
    assert "right" in again
    assert "right" in write("plain " * 2, "right")
    assert write("plain " * 2, "right") == ""
    memory.forget()
    assert "plain" in write("plain " * 2, "right")


def test_without_colours_there_is_only_text() -> None:
    target = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=WIDTH)
    update = LayoutUpdate([[strip([("a", 4)])]], Region(0, 0, WIDTH, 1))
    assert "\x1b[3" not in frugal(update).render_segments(target)
    assert frugal("anything else") == "anything else"


@pytest.fixture
async def driver() -> AsyncIterator[tuple[TerminalDriver, int]]:
    """A driver on a pseudo-terminal, and the other end of it."""
    master, slave = os.openpty()
    tty.setraw(slave)
    with open(slave, "w", encoding="utf-8") as file:
        made = TerminalDriver(App())
        made._file = Output(file, lambda: None)
        made._straight = Straight(slave)
        made._writer_thread = WriterThread(made._file)
        made._writer_thread.start()
        yield made, master
        made.close()
    os.close(master)


async def test_what_the_terminal_takes_is_written_at_once(driver: tuple[TerminalDriver, int]) -> None:
    made, master = driver
    made.write("가")
    assert os.read(master, 100).decode() == "가"
    for part in (SYNC_START, "나", SYNC_END):
        made.write(part)
    # In one go, and by nobody else.
    assert os.read(master, 100).decode() == f"{SYNC_START}나{SYNC_END}"
    assert not made._file.waiting


async def test_a_terminal_that_takes_nothing_stops_nobody(driver: tuple[TerminalDriver, int]) -> None:
    made, master = driver
    # More than a pseudo-terminal holds, while nobody reads; its end falls into the middle of a character.
    texts = [f"{number}나다" * 4000 for number in range(10)]
    for text in texts:
        made.write(text)
    assert made._file.waiting
    wanted, found = "".join(texts).encode(), b""
    while len(found) < len(wanted):
        found += os.read(master, 1 << 16)
    assert found == wanted
    made.write("끝")
    assert os.read(master, 100).decode() == "끝"


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
        deadline = time.monotonic() + 240
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
