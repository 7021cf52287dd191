"""Colours: quiet grounds, one accent, a colour-blind-safe pair for 부정 and 긍정, one hue for attention."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color as RichColor
from rich.color import ColorSystem
from textual.color import Color
from textual.theme import Theme

# Orange and blue keep apart under every common colour blindness (Okabe & Ito 2008).
DARK = Theme(
    name="nsmc-dark",
    primary="#4fb8c4",
    secondary="#8fa3ad",
    accent="#4fb8c4",
    warning="#d9a441",
    error="#e5645a",
    success="#7fa98f",
    foreground="#d5dadd",
    background="#14181b",
    surface="#14181b",
    panel="#1d2327",
    dark=True,
    variables={
        "negative": "#e69f00",
        "positive": "#56b4e9",
        "heat": "#2fa7b5",
        "rule": "#2c353b",
        "faint": "#4b585f",
        "footer-background": "#1d2327",
        "footer-key-foreground": "#4fb8c4",
        "footer-key-background": "#1d2327",
        "footer-item-background": "#1d2327",
        "footer-description-background": "#1d2327",
        "footer-description-foreground": "#9aa6ad",
        "block-cursor-background": "#29424a",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#232b30",
        "block-cursor-blurred-foreground": "#d5dadd",
        "block-hover-background": "#1d2327",
        "input-cursor-background": "#4fb8c4",
        "scrollbar": "#2c353b",
        "scrollbar-background": "#14181b",
        "scrollbar-corner-color": "#14181b",
    },
)
LIGHT = Theme(
    name="nsmc-light",
    primary="#0d7481",
    secondary="#56666e",
    accent="#0d7481",
    warning="#9a6a00",
    error="#b3261e",
    success="#3d6b4f",
    foreground="#20282c",
    background="#fbfbf9",
    surface="#fbfbf9",
    panel="#eeeeea",
    dark=False,
    variables={
        "negative": "#b35c00",
        "positive": "#0072b2",
        "heat": "#0d8a99",
        "rule": "#d6d8d4",
        "faint": "#b4bab8",
        "footer-background": "#eeeeea",
        "footer-key-foreground": "#0d7481",
        "footer-key-background": "#eeeeea",
        "footer-item-background": "#eeeeea",
        "footer-description-background": "#eeeeea",
        "footer-description-foreground": "#56666e",
        "block-cursor-background": "#cfe5e8",
        "block-cursor-foreground": "#14181b",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#e4e6e2",
        "block-cursor-blurred-foreground": "#20282c",
        "block-hover-background": "#eeeeea",
        "input-cursor-background": "#0d7481",
        "scrollbar": "#d6d8d4",
        "scrollbar-background": "#fbfbf9",
        "scrollbar-corner-color": "#fbfbf9",
    },
)
THEMES = (DARK, LIGHT)


def contrast(one: Color, other: Color) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio" and "relative luminance")."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@lru_cache(maxsize=32)
def heat_ramp(background: str, hue: str, steps: int = 32, depth: str = "truecolor") -> list[tuple[str, str]]:
    """At most `steps` pairs (ground, letter) from `background` to `hue`, the letter black or white, for contrast.

    One hue from the ground upwards: more is always further from the ground, in dark and light themes alike. With
    `depth` 256 the grounds are colours of that palette, each once.
    """
    ground, full = Color.parse(background), Color.parse(hue)
    grounds = [ground.blend(full, step / max(1, steps - 1)) for step in range(steps)]
    if depth == "256":
        grounds = _of_palette(grounds)
    return [(colour.hex, _letter_on(colour).hex) for colour in grounds]


def _luminance(colour: Color) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _letter_on(ground: Color) -> Color:
    white, black = Color(255, 255, 255), Color(0, 0, 0)
    return white if contrast(white, ground) >= contrast(black, ground) else black


def _of_palette(colours: list[Color]) -> list[Color]:
    """`colours` as the 256-colour palette has them, without those that do not go on from the first to the last."""
    # The ground itself as rich writes it, so that nothing shows on the background as nothing.
    found = [Color.from_rich_color(colours[0].rich_color.downgrade(ColorSystem.EIGHT_BIT))]
    rising = _luminance(colours[-1]) > _luminance(colours[0])
    for colour in colours[1:]:
        shown = min(_palette(), key=lambda known: _difference(known, colour))
        if shown not in found and (_luminance(shown) > _luminance(found[-1])) == rising:
            found.append(shown)
    return found


@lru_cache(maxsize=1)
def _palette() -> tuple[Color, ...]:
    """The colours of the 256-colour palette that a terminal's theme does not change and that rich writes as they are:
    it finds another place in the palette for a few of the greys."""
    colours = [RichColor.from_ansi(number) for number in range(16, 256)]
    written = {colour.number: Color(*colour.get_truecolor()) for colour in colours}
    return tuple(
        colour
        for number, colour in written.items()
        if colour.rich_color.downgrade(ColorSystem.EIGHT_BIT).number == number
    )


def _difference(one: Color, other: Color) -> float:
    # Eyes tell green best and blue worst.
    red, green, blue = (a - b for a, b in zip(one.rgb, other.rgb, strict=True))
    return 3 * red * red + 4 * green * green + 2 * blue * blue
