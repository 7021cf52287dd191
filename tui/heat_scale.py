"""How a weight looks: a ramp of grounds from the background, or shades where the terminal has no colours to spare.

Weights without a sign have one hue. Weights with a sign (for and against a class) have the pair that stands for the
classes everywhere, orange for 부정 and blue for 긍정, with the background between them. With 16 colours or none each
step has a character of its own, and those for and against have different ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.style import Style
from rich.text import Text

from core.i18n import gettext as _
from tui.colour_depth import ascii_of, depth_of
from tui.themes import heat_ramp

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from textual.app import App

    from tui.heat_view import Heat

SHADES = "·░▒▓█"
"""Near nothing is a dot, so that a map's cells stay countable."""

ASCII_SHADES = " .:-=+*#%@"

AGAINST, FOR, ASCII_FOR = ".-~=%", "·░▒▓█", ".:+*#"
"""Characters for weights with a sign; no character is in both halves, so that the sign needs no colour."""

STEPS = 32

SIXTEEN = {"heat": "#00aaaa", "negative": "#aa5500", "positive-dark": "#5555ff", "positive-light": "#0000aa"}
"""The hues in a terminal with 16 colours: those of its palette, which a richer colour would be matched to anyhow."""


@dataclass(frozen=True)
class Hues:
    """The colours (`#rrggbb`) a scale goes between: the ground, the hue for positive weights and that for negative
    ones (None: there are none)."""

    background: str
    positive: str
    negative: str | None = None


class HeatScale:
    """Steps of weight: from nothing to the highest, or with a negative hue from the lowest over nothing to the highest.

    styles: what is drawn behind (and for) text, one a step; where `shaded` it is only the colour of a shade, and
    `shade` tells the steps apart. zero: the step of weight 0.
    """

    def __init__(self, hues: Hues, depth: str = "truecolor", ascii_only: bool = False) -> None:
        self.shaded = depth in ("16", "none")
        self.signed = hues.negative is not None
        self._shades = ""
        if self.shaded:
            upper = (ASCII_FOR if ascii_only else FOR) if self.signed else (ASCII_SHADES if ascii_only else SHADES)
            self._shades = AGAINST[:0:-1] + upper if self.signed else upper
            self.zero = len(AGAINST) - 1 if self.signed else 0
            tones = [hues.positive] * len(self._shades)
            tones[: self.zero] = [hues.negative or ""] * self.zero
            self.styles = [Style(color=tone) if depth == "16" else Style() for tone in tones]
        else:
            pairs = heat_ramp(hues.background, hues.positive, STEPS, depth)
            self.zero = 0
            if hues.negative is not None:
                below = heat_ramp(hues.background, hues.negative, STEPS, depth)[:0:-1]
                self.zero = len(below)
                pairs = [*below, *pairs]
            self.styles = [Style(color=letter, bgcolor=ground) for ground, letter in pairs]

    def steps(self, values: Any, top: float) -> NDArray[np.int64]:
        """The step of each value for a scale that ends at `top` (and at `-top` where it has a sign); same shape."""
        values = np.nan_to_num(np.asarray(values, dtype=np.float64))
        if top <= 0:
            return np.full(values.shape, self.zero, dtype=np.int64)
        last = len(self.styles) - 1
        above, below = last - self.zero, self.zero
        places = np.where(values >= 0, values / top * above, values / top * below) + self.zero
        return np.clip(np.rint(places), 0, last).astype(np.int64)

    def step(self, value: float, top: float) -> int:
        """The step of one value, quicker than an array of one."""
        if top <= 0 or value != value:
            return self.zero
        last = len(self.styles) - 1
        room = last - self.zero if value >= 0 else self.zero
        return max(0, min(last, round(max(-1.0, min(1.0, value / top)) * room) + self.zero))

    def shade(self, step: int) -> str:
        """The character of a step, one cell."""
        return self._shades[step] if self.shaded else " "

    def tone(self, step: int) -> Style:
        """The colour of a step for a character that is drawn in it (a bar), without a ground."""
        style = self.styles[step]
        return style if self.shaded else Style(color=style.bgcolor)

    def legend(self, top: float, pinned: bool = False) -> Text:
        """The scale: `0.00 ░▒▓█ 0.31`; `pinned` says that it does not follow what is in view."""
        text = Text(_bound(-top) if self.signed and top else "0.00" if not self.signed else "0", no_wrap=True)
        text.append(" ")
        if self.shaded:
            for shade, style in zip(self._shades, self.styles, strict=True):
                text.append(shade, style)
        else:
            stride = 8 if self.signed else 4
            for step in [*range(0, len(self.styles) - 1, stride), len(self.styles) - 1]:
                text.append(" ", self.styles[step])
        text.append(f" {'+' if self.signed and top else ''}{_bound(top)}")
        if pinned:
            text.append(" " + _("fixed"))
        return text


def per_cent(value: float) -> str:
    """`value` (0 to 1) as a cell of two digits: `7` is 7 per cent, nothing is less than a half, `1.` is all."""
    number = round(100 * value) if np.isfinite(value) else 0
    return "  " if number <= 0 else f"{number:2d}" if number < 100 else "1."


def _bound(value: float) -> str:
    shown = f"{value:.2f}" if abs(value) >= 0.01 or value == 0 else f"{value:.0e}"
    return shown.replace("-", "−", 1) if value < 0 else shown


@lru_cache(maxsize=16)
def _scale(hues: Hues, depth: str, ascii_only: bool) -> HeatScale:
    return HeatScale(hues, depth, ascii_only)


def colour(app: App[Any], name: str) -> str:
    """A colour of the theme by its variable's name; the accent for one that a foreign theme does not have."""
    variables = app.theme_variables
    found = variables.get(name) or variables.get("accent") or "#888888"
    # Some of Textual's variables carry an opacity ("#fff 60%"), which is nothing to rich.
    return found.split()[0]


def scale_of(app: App[Any], *, signed: bool = False, flipped: bool = False) -> HeatScale:
    """The scale for the app's theme and terminal.

    signed: with both hues. Positive weights then have the hue of class 1, with `flipped` that of class 0: a weight
    for a class has the class's colour.
    """
    depth = depth_of(app)
    if depth == "16":
        bright = "dark" if app.current_theme.dark else "light"
        heat, zero, one = SIXTEEN["heat"], SIXTEEN["negative"], SIXTEEN[f"positive-{bright}"]
    else:
        heat, zero, one = (colour(app, name) for name in ("heat", "negative", "positive"))
    if flipped:
        zero, one = one, zero
    hues = Hues(colour(app, "background"), one, zero) if signed else Hues(colour(app, "background"), heat)
    return _scale(hues, depth, ascii_of(app))


def scale_for(app: App[Any], heat: Heat) -> HeatScale:
    """The scale for the weights on the text of `heat`."""
    return scale_of(app, signed=heat.choice.signed, flipped=heat.choice.signed and heat.target == 0)
