"""Control sequences for looks, as few of them as there can be: only what differs from the look before is set."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color, ColorSystem
from rich.console import Console
from rich.style import Style

RESET = "\x1b[0m"

SYSTEMS = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
    "windows": ColorSystem.WINDOWS,
}

SEEN_ON_BLANKS = frozenset(("4", "7", "9", "21", "51", "52", "53"))
"""Attributes (SGR parameters) that show where there is no letter: lines, frames, and reverse colours."""


class Look:
    """How a cell looks. attributes, colour, ground: SGR parameters, nothing for the terminal's own; colour None: any.

    There is one object of each look. blank: the look of a space with it.
    """

    __slots__ = ("attributes", "blank", "colour", "ground", "order")

    def __init__(self, attributes: str, colour: str | None, ground: str) -> None:
        self.attributes, self.colour, self.ground = attributes, colour, ground
        self.blank = self
        # Blanks first, so that they need no attributes reset between them.
        self.order = (colour is not None, attributes, colour or "", ground)

    def join(self, other: Look) -> Look | None:
        """The look in which cells of both can be written; None where there is none."""
        if other is self or self.blank is other:
            return self
        return other if other.blank is self else None


@lru_cache(maxsize=8192)
def look(attributes: str, colour: str | None, ground: str) -> Look:
    """The look of these SGR parameters."""
    found = Look(attributes, colour, ground)
    if colour is not None and SEEN_ON_BLANKS.isdisjoint(attributes.split(";")):
        found.blank = look("", None, ground)
    return found


BARE = look("", "", "")
"""A terminal's own."""


def system_of(console: Console) -> ColorSystem | None:
    """The colours of `console`."""
    system = console.color_system
    return None if system is None else SYSTEMS.get(system, ColorSystem.TRUECOLOR)


@lru_cache(maxsize=4096)
def look_of(style: Style | None, system: ColorSystem | None) -> Look | None:
    """The look of a style; None of one that is a link."""
    if style is None or system is None:
        return BARE
    return None if style.link else look(*codes(style, system))


def codes(style: Style, system: ColorSystem) -> tuple[str, str, str]:
    """The parameters of a style's attributes, its colour and its ground."""
    shown = style.without_color.render("x", color_system=system)
    attributes = shown[2 : shown.index("m")] if shown.startswith("\x1b[") else ""
    return attributes, _colour(style.color, system, True), _colour(style.bgcolor, system, False)


def _colour(colour: Color | None, system: ColorSystem, foreground: bool) -> str:
    return "" if colour is None else ";".join(colour.downgrade(system).get_ansi_codes(foreground=foreground))
