"""Pictures for the terminal in few bytes, for slow lines.

Textual writes a changed span from its widget's left edge, and sets and resets all colours for every piece of text.
Here only cells that differ from what the terminal shows (`terminal_memory`) are written, and only what differs from the
look before is set. These are Textual's own classes with another way of writing them down; they are private, Textual is
pinned, and whatever is not known here is written as Textual does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from tui.terminal_codes import RESET, Look, look_of, system_of
from tui.terminal_memory import Run, TerminalMemory, cells_of

Piece = tuple[int, int, Iterable[Segment]]
"""A part of a line: its first and its end column, and what stands there."""


def frugal(update: Any, memory: TerminalMemory | None = None) -> Any:
    """The same update, written in fewer bytes; `memory` knows what the terminal shows, and learns of the update."""
    if isinstance(update, Pieces):
        return Pieces(update.pieces, memory)
    if type(update) is ChopsUpdate:
        return Pieces(_pieces_of(update), memory)
    if type(update) is LayoutUpdate:
        return FrugalLayout(update.strips, update.region, memory)
    if memory is not None and update is not None:
        memory.forget()
    return update


class Pieces(CompositorUpdate):
    """Parts of lines, by the number of the line."""

    def __init__(self, pieces: dict[int, list[Piece]], memory: TerminalMemory | None = None) -> None:
        self.pieces = pieces
        self._memory = memory

    def render_segments(self, console: Console) -> str:
        """What the terminal gets."""
        writer = Writer(console)
        memory = TerminalMemory() if self._memory is None else self._memory
        memory.begin(console)
        runs: list[tuple[Look, Run]] = []
        for y in sorted(self.pieces):
            for first, _end, segments in sorted(self.pieces[y], key=lambda piece: piece[0]):
                found = memory.replace(first, y, segments)
                if found is None:
                    writer.move(first, y)
                    writer.write(segments)
                else:
                    runs += found
        writer.write_runs(runs)
        return writer.text()


class FrugalLayout(LayoutUpdate):
    """A whole region, line by line; lines that stand there already are left out.

    When a screen comes or goes Textual draws all of it two or three times.
    """

    def __init__(self, strips: list[Iterable[Strip]], region: Region, memory: TerminalMemory | None = None) -> None:
        super().__init__(strips, region)
        self._memory = memory

    def render_segments(self, console: Console) -> str:
        """What the terminal gets."""
        writer = Writer(console)
        memory = self._memory
        if memory is not None:
            memory.begin(console)
        for y, line in enumerate(self.strips, self.region.y):
            x, strips = self.region.x, list(line)
            if memory is not None and memory.noted(x, y, strips):
                continue
            writer.move(x, y)
            for strip in strips:
                writer.write(strip)
                x += strip.cell_length
                if any(cells_of(segment.text) is None for segment in strip):
                    # A terminal that takes it for wider or narrower shows what follows in its place all the same.
                    writer.move(x, y)
        return writer.text()


def _pieces_of(update: ChopsUpdate) -> dict[int, list[Piece]]:
    """The spans of an update, cut at the edges of widgets."""
    pieces: dict[int, list[Piece]] = {}
    for y, first, last in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is None or x >= last or end <= first:
                continue
            start, stop = max(first, x), min(last, end)
            part = strip if start == x and stop >= end else strip.crop(start - x, stop - x)
            pieces.setdefault(y, []).append((start, stop, part))
    return pieces


class Writer:
    """Text with as few control sequences as its styles need."""

    def __init__(self, console: Console) -> None:
        self._system = system_of(console)
        self._parts: list[str] = []
        # What the terminal is set to (attributes, colour, ground); None: not known.
        self._state: tuple[str, str, str] | None = None

    def move(self, x: int, y: int) -> None:
        """Go on at another place."""
        self._parts.append(f"\x1b[{y + 1};{x + 1}H")

    def write(self, segments: Iterable[Segment]) -> None:
        """Write segments one after the other."""
        for text, style, control in segments:
            if control or not text or self._system is None:
                self._parts.append(text)
                continue
            look = look_of(style, self._system)
            if look is not None:
                self._set(look)
                self._parts.append(text)
            elif style is not None:
                self._set_free()
                self._parts.append(style.render(text, color_system=self._system))

    def write_runs(self, runs: Iterable[tuple[Look, Run]]) -> None:
        """Write runs, those of one look after the other."""
        groups: dict[Look, list[Run]] = {}
        for look, run in runs:
            groups.setdefault(look, []).append(run)
        append = self._parts.append
        line, column = -1, -1
        for look in sorted(groups, key=lambda look: look.order):
            if self._system is not None:
                self._set(look)
            for y, first, end, text in groups[look]:
                if line != y or first < column:
                    append(f"\x1b[{y + 1};{first + 1}H")
                elif first > column:
                    append(f"\x1b[{first - column}C")
                append(text)
                line, column = y, end

    def _set(self, wanted: Look) -> None:
        state, colour, ground = self._state, wanted.colour, wanted.ground
        if state is None or wanted.attributes != state[0]:
            codes = [code for code in ("0", wanted.attributes, colour, ground) if code]
        else:
            codes = []
            if colour is None:
                # Any will do: the one that is set stays.
                colour = state[1]
            elif colour != state[1]:
                codes.append(colour or "39")
            if ground != state[2]:
                codes.append(ground or "49")
        if codes:
            self._parts.append(f"\x1b[{';'.join(codes)}m")
        self._state = wanted.attributes, colour or "", ground

    def _set_free(self) -> None:
        if self._state is not None:
            self._parts.append(RESET)
            self._state = None

    def text(self) -> str:
        """All of it; the terminal is left without any style."""
        self._set_free()
        return "".join(self._parts)
