"""The colours of charts on the ground of the theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.style import Style
from textual.app import App

from tui.chart_drawing import BEST, LABEL, LINE, MARK, RAW, RUN, RUN_RAW
from tui.colour_depth import ascii_of
from tui.plot import CURSOR

# Okabe & Ito's colours (2008), for the ground of each theme: apart under every common colour blindness.
DARK_RUNS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2", "#999999")
LIGHT_RUNS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b6100", "#000000")


@dataclass(frozen=True)
class Palette:
    """Styles for the tones of a drawing. `base` is the widget's own, `strong` is for figures, `accent` for what has the
    focus; `plain`: drawing is ASCII."""

    base: Style
    strong: Style
    accent: Style
    tones: dict[int, Style]
    plain: bool

    @classmethod
    def of(cls, app: App[Any], base: Style) -> Palette:
        """For the app's theme, on a widget whose own style is `base`."""
        variables = app.theme_variables
        runs = DARK_RUNS if app.current_theme.dark else LIGHT_RUNS
        text, accent = variables.get("foreground"), variables.get("accent", "#ffffff")
        styles = {
            LABEL: Style(color=variables.get("secondary")),
            RAW: Style(color=variables.get("faint", "#777777")),
            LINE: Style(color=accent),
            MARK: Style(color=text),
            BEST: Style(color=variables.get("warning"), bold=True),
            CURSOR: Style(color=text, bgcolor=variables.get("block-cursor-blurred-background")),
        }
        ground = variables.get("background", "#000000")
        for number, colour in enumerate(runs):
            styles[RUN + number] = Style(color=colour)
            styles[RUN_RAW + number] = Style(color=_between(colour, ground))
        return cls(
            base,
            base + Style(color=text, bold=True),
            base + Style(color=accent, bold=True),
            {tone: base + style for tone, style in styles.items()},
            ascii_of(app),
        )

    @property
    def quiet(self) -> Style:
        """For labels and notes."""
        return self.tones[LABEL]

    def style(self, tone: int) -> Style:
        """The style of a tone; runs beyond the palette begin again with its first colour."""
        for first in (RUN_RAW, RUN):
            if tone >= first:
                return self.tones[first + (tone - first) % len(DARK_RUNS)]
        return self.tones.get(tone, self.quiet)


def _between(colour: str, ground: str) -> str:
    from textual.color import Color

    return Color.parse(ground).blend(Color.parse(colour), 0.4).hex[:7]
