"""Pictures for the terminal in few bytes, for slow lines.

Textual writes a changed span from its widget's left edge, and sets and resets all colours for every piece of text.
Here a span begins where the change does, and only what differs from the piece before is set. These are Textual's own
classes with another way of writing them down; they are private, Textual is pinned, and whatever is not known here is
written as Textual does.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from rich.color import Color, ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

RESET = "\x1b[0m"


def frugal(update: Any) -> Any:
    """The same update, written in fewer bytes."""
    if type(update) is ChopsUpdate:
        return FrugalChops(update.chops, update.spans, update.chop_ends)
    if type(update) is LayoutUpdate:
        return FrugalLayout(update.strips, update.region)
    return update


class FrugalChops(ChopsUpdate):
    """Spans of lines."""

    def render_segments(self, console: Console) -> str:
        """What the terminal gets."""
        writer = Writer(console)
        for y, first, last in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= last or end <= first:
                    continue
                start, stop = max(first, x), min(last, end)
                writer.move(start, y)
                whole = start == x and stop >= end
                writer.write(strip if whole else strip.crop(start - x, stop - x))
        return writer.text()


class FrugalLayout(LayoutUpdate):
    """A whole region, line by line."""

    def render_segments(self, console: Console) -> str:
        """What the terminal gets."""
        writer = Writer(console)
        for y, line in enumerate(self.strips, self.region.y):
            writer.move(self.region.x, y)
            for strip in line:
                writer.write(strip)
        return writer.text()


class Writer:
    """Text with as few control sequences as its styles need."""

    def __init__(self, console: Console) -> None:
        system = console.color_system
        self._system = None if system is None else SYSTEMS.get(system, ColorSystem.TRUECOLOR)
        self._parts: list[str] = []
        # What the terminal is set to; None: not known.
        self._state: tuple[str, str, str] | None = None

    def move(self, x: int, y: int) -> None:
        """Go on at another place."""
        self._parts.append(f"\x1b[{y + 1};{x + 1}H")

    def write(self, segments: Iterable[Segment] | Strip) -> None:
        """Write segments one after the other."""
        for text, style, control in segments:
            if control or not text or self._system is None:
                self._parts.append(text)
            elif style is not None and style.link:
                self._set_free()
                self._parts.append(style.render(text, color_system=self._system))
            else:
                self._set(codes(style, self._system) if style is not None else PLAIN)
                self._parts.append(text)

    def _set(self, wanted: tuple[str, str, str]) -> None:
        state = self._state
        if wanted == state:
            return
        if state is None or wanted[0] != state[0]:
            self._parts.append(f"\x1b[{';'.join(['0', *(code for code in wanted if code)])}m")
        else:
            changed = [
                now or default
                for now, before, default in zip(wanted[1:], state[1:], ("39", "49"), strict=True)
                if now != before
            ]
            self._parts.append(f"\x1b[{';'.join(changed)}m")
        self._state = wanted

    def _set_free(self) -> None:
        if self._state is not None:
            self._parts.append(RESET)
            self._state = None

    def text(self) -> str:
        """All of it; the terminal is left without any style."""
        self._set_free()
        return "".join(self._parts)


PLAIN = ("", "", "")
SYSTEMS = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
    "windows": ColorSystem.WINDOWS,
}


@lru_cache(maxsize=4096)
def codes(style: Style, system: ColorSystem) -> tuple[str, str, str]:
    """The parameters of a style's attributes, its colour and its ground."""
    shown = style.without_color.render("x", color_system=system)
    attributes = shown[2 : shown.index("m")] if shown.startswith("\x1b[") else ""
    return attributes, _colour(style.color, system, True), _colour(style.bgcolor, system, False)


def _colour(colour: Color | None, system: ColorSystem, foreground: bool) -> str:
    return "" if colour is None else ";".join(colour.downgrade(system).get_ansi_codes(foreground=foreground))
