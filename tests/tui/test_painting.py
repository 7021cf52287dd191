"""Pictures of what changed: what the terminal holds after keys is what a whole picture would give, in one writing."""

from __future__ import annotations

import gc
import io
from pathlib import Path
from typing import Any

import pyte
import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import CompositorUpdate
from textual.geometry import Region
from textual.strip import Strip

from tests.tui.review_helpers import NASTY, REVIEWS, QuickInspector, app_on, make_run, until
from tui import collecting
from tui.painting import QuickCompositor, cut
from tui.screens.review import ReviewScreen
from tui.terminal_output import frugal


def cells(screen: pyte.Screen) -> list[list[tuple[object, ...]]]:
    """Letter, colours and attributes of each cell, as far as they are seen."""
    return [
        [
            (c.data, c.bg, c.underscore, c.reverse, *((c.fg, c.bold, c.italics) if c.data.strip() or c.reverse else ()))
            for c in map(row.__getitem__, range(screen.columns))
        ]
        for row in (screen.buffer[number] for number in range(screen.lines))
    ]


@pytest.mark.parametrize("size", [(160, 48), (80, 24)])
async def test_after_each_key_the_terminal_holds_the_whole_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    # Emulators count joined emoji in their own ways.
    app = app_on(make_run(tmp_path, [row for row in REVIEWS if row[0] != NASTY]), QuickInspector())
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=size[0], height=size[1])
    terminal = pyte.Screen(*size)
    stream = pyte.Stream(terminal)
    writings: list[Any] = []
    written: list[str] = []
    display = app._display

    def write(screen: Any, update: Any) -> None:
        if isinstance(update, CompositorUpdate):
            writings.append(update)
            written.append(frugal(update, app._terminal).render_segments(console))
            stream.feed(written[-1])
        display(screen, update)

    app._display = write  # type: ignore[method-assign]
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None)
        assert isinstance(app.screen._compositor, QuickCompositor)
        app.refresh()
        await pilot.pause()
        for key in ("enter", "l", "h", "w", "down", "right", "space", "D", "D", "n", "s", "p", "m", "v", "Z", "n"):
            writings.clear()
            await pilot.press(key)
            await until(pilot, lambda: not app.screen._dirty_widgets)
            whole = pyte.Screen(*size)
            picture = app.screen._compositor.render_full_update().render_segments(console)
            pyte.Stream(whole).feed(picture.replace("\n", "\r\n"))
            assert cells(terminal) == cells(whole), key
            if key == "l":
                # A fifth of what all lines with a change would take, most of which stand there already.
                assert len(written[-1]) < len(picture) / 5
            if key in ("l", "h"):
                # The machine's figures in the top line come when they come.
                assert sum(set(update.pieces) != {0} for update in writings) == 1


def test_a_part_of_a_line_is_as_wide_as_it_has_to_be() -> None:
    bold = Style(bold=True)
    line = Strip([Segment("가나", bold), Segment("abc")], 7)
    assert [(s.text, s.style) for s in cut(line, 0, 3)] == [("가 ", bold)]
    assert [(s.text, s.style) for s in cut(line, 0, 5)] == [("가나", bold), ("a", None)]
    assert "".join(s.text for s in cut(line, 2, 6)) == "나ab"


def test_full_collections_wait_for_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    full: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            full.append(1)

    gc.callbacks.append(note)
    collecting.leave_full_ones_to_rest()
    try:
        gc.collect(1)
        for _turn in range(collecting.DUE):
            gc.collect(1)
        collecting.key_pressed()
        collecting.rest()
        assert not full
        monkeypatch.setattr(collecting, "_last_key", collecting._last_key - collecting.REST)
        collecting.rest()
        assert len(full) == 1
        collecting.rest()
        assert len(full) == 1
    finally:
        gc.callbacks.remove(note)
        collecting.as_usual()
    assert gc.get_threshold() == collecting.USUAL


def test_what_is_behind_is_not_asked() -> None:
    from tui.painting import _within

    found, rest = _within({3: [(0, 10)], 4: [(2, 6)], 9: [(0, 5)]}, Region(4, 2, 20, 3))
    assert found == {3: [(4, 10)], 4: [(4, 6)]}
    assert rest == {3: [(0, 4)], 4: [(2, 4)], 9: [(0, 5)]}
