"""Colours: quiet grounds, one accent, a colour-blind-safe pair for 부정 and 긍정, one hue for attention."""

from __future__ import annotations

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


def heat_ramp(background: str, hue: str, steps: int = 32) -> list[tuple[str, str]]:
    """`steps` pairs (ground, letter) from `background` to `hue`, the letter chosen for contrast.

    One hue from the ground upwards: more is always further from the ground, in dark and light themes alike.
    """
    ground, full = Color.parse(background), Color.parse(hue)
    pairs = []
    for step in range(steps):
        colour = ground.blend(full, step / max(1, steps - 1))
        pairs.append((colour.hex, colour.get_contrast_text(1.0).hex[:7]))
    return pairs
