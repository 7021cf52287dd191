"""How a weight looks: a one-hue ramp of grounds, or shades where the terminal has no colours to spare."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.style import Style
from rich.text import Text

from tui.themes import heat_ramp

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from textual.app import App

SHADES = "·░▒▓█"
"""Near nothing is a dot, so that a map's cells stay countable."""

STEPS = 32


class HeatScale:
    """Steps from nothing to the highest weight.

    styles: what is drawn behind (and for) text, one a step; without colours all of them are empty and `shade` tells
    the steps apart.
    """

    def __init__(self, background: str, hue: str, shaded: bool) -> None:
        self.shaded = shaded
        if shaded:
            self.styles = [Style()] * len(SHADES)
        else:
            self.styles = [Style(color=letter, bgcolor=ground) for ground, letter in heat_ramp(background, hue, STEPS)]

    def steps(self, values: Any, top: float) -> NDArray[np.int64]:
        """The step of each value for a scale that ends at `top` (same shape)."""
        values = np.nan_to_num(np.asarray(values, dtype=np.float64))
        if top <= 0:
            return np.zeros(values.shape, dtype=np.int64)
        last = len(self.styles) - 1
        return np.clip(np.rint(values / top * last), 0, last).astype(np.int64)

    def shade(self, step: int) -> str:
        """The character of a step, one cell."""
        return SHADES[step] if self.shaded else " "

    def legend(self, top: float) -> Text:
        """The scale: `0.00 ░▒▓█ 0.31`."""
        text = Text(f"{0:.2f} ", no_wrap=True)
        if self.shaded:
            text.append(SHADES)
        else:
            for step in range(0, STEPS, 4):
                text.append(" ", self.styles[step])
            text.append(" ", self.styles[-1])
        text.append(f" {top:.2f}" if top >= 0.01 or top == 0 else f" {top:.0e}")
        return text


@lru_cache(maxsize=8)
def _scale(background: str, hue: str, shaded: bool) -> HeatScale:
    return HeatScale(background, hue, shaded)


def colour(app: App[Any], name: str) -> str:
    """A colour of the theme by its variable's name; the accent for one that a foreign theme does not have."""
    variables = app.theme_variables
    found = variables.get(name) or variables.get("accent") or "#888888"
    # Some of Textual's variables carry an opacity ("#fff 60%"), which is nothing to rich.
    return found.split()[0]


def scale_of(app: App[Any]) -> HeatScale:
    """The scale for the app's theme and terminal."""
    shaded = app.no_color or app.console.color_system in (None, "standard")
    return _scale(colour(app, "background"), colour(app, "heat"), shaded)
