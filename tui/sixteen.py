"""Our themes in the sixteen colours of a terminal's palette.

Taken one by one, the nearest of the sixteen would make a warning as red as a failure, and in the light theme the chosen
line as white as the others. So the colours that mean something are chosen here, each exactly one of the palette.
"""

from __future__ import annotations

BLACK, RED, GREEN, BROWN, BLUE, CYAN = "#000000", "#aa0000", "#00aa00", "#aa5500", "#0000aa", "#00aaaa"
SILVER, GREY, PINK, YELLOW, LIGHT_BLUE, WHITE = "#aaaaaa", "#555555", "#ff5555", "#ffff55", "#5555ff", "#ffffff"

DARK = {
    "background": BLACK,
    "surface": BLACK,
    "panel": BLACK,
    "foreground": SILVER,
    "primary": CYAN,
    "accent": CYAN,
    "secondary": SILVER,
    "warning": YELLOW,
    "error": PINK,
    "success": GREEN,
    "negative": BROWN,
    "positive": LIGHT_BLUE,
    "rule": GREY,
    "faint": GREY,
    "block-cursor-background": BLUE,
    "block-cursor-foreground": WHITE,
    "block-cursor-blurred-background": GREY,
    "block-cursor-blurred-foreground": WHITE,
}
LIGHT = {
    "background": WHITE,
    "surface": WHITE,
    "panel": WHITE,
    "foreground": BLACK,
    "primary": BLUE,
    "accent": BLUE,
    "secondary": GREY,
    "warning": BROWN,
    "error": RED,
    "success": GREEN,
    "negative": BROWN,
    "positive": BLUE,
    "rule": SILVER,
    "faint": SILVER,
    "footer-key-foreground": BLUE,
    "footer-description-foreground": GREY,
    "block-cursor-background": SILVER,
    "block-cursor-foreground": BLACK,
    "block-cursor-blurred-background": SILVER,
    "block-cursor-blurred-foreground": BLACK,
    "input-cursor-background": BLUE,
    "scrollbar": SILVER,
}


def of_sixteen(variables: dict[str, str], *, dark: bool) -> dict[str, str]:
    """A theme's variables with the colours that mean something taken from the sixteen."""
    return {**variables, **(DARK if dark else LIGHT)}
