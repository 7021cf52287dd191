"""The words under the most heat, as numbers: what the colours over the text say, for reading off."""

from __future__ import annotations

import numpy as np
from rich.cells import cell_len
from rich.text import Text
from textual.widget import Widget

from tui.colour_depth import ascii_of
from tui.heat_scale import colour, scale_for
from tui.heat_view import Heat
from tui.widgets.top_bar import fit

LABEL = 14


class WordBars(Widget):
    """As many of the units with the highest weights as there are lines: name, weight with its sign, bar."""

    DEFAULT_CSS = """
    WordBars { height: 1fr; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._heat: Heat | None = None

    def show(self, heat: Heat | None) -> None:
        """Show the units of `heat`; None: nothing."""
        self._heat = heat
        self.refresh()

    def render(self) -> Text:
        """One line a unit, the hottest first, whatever the sign."""
        text = Text(no_wrap=True)
        heat = self._heat
        if heat is None or heat.pending or not len(heat.units):
            return text
        order = np.argsort(-np.abs(heat.row), kind="stable")[: self.size.height]
        top = float(np.abs(heat.row).max()) or 1.0
        scale, quiet = scale_for(self.app, heat), colour(self.app, "secondary")
        signed = heat.choice.signed
        block = "#" if ascii_of(self.app) else "█"
        room = max(1, self.size.width - LABEL - (9 if signed else 8))
        for index in order:
            unit, weight = heat.units[int(index)], float(heat.row[index])
            label = fit(unit.label, LABEL)
            text.append(label + " " * (LABEL - cell_len(label)), "italic" if unit.special else "")
            text.append(f" {weight_text(weight, signed)} ", quiet)
            last = len(scale.styles) - 1 if weight >= 0 else 0
            text.append(block * round(room * abs(weight) / top) + "\n", scale.tone(last))
        text.rstrip()
        return text


def weight_text(weight: float, signed: bool) -> str:
    """A weight with three decimals, with its sign where it may have one."""
    return f"{weight:+.3f}".replace("-", "−") if signed else f"{weight:.3f}"
