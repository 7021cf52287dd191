"""The words under the most heat, as numbers: what the colours over the text say, for reading off."""

from __future__ import annotations

import numpy as np
from rich.cells import cell_len
from rich.text import Text
from textual.widget import Widget

from tui.heat_scale import colour
from tui.heat_view import Heat
from tui.widgets.top_bar import fit

LABEL = 14


class WordBars(Widget):
    """As many of the units with the highest weights as there are lines: name, weight, bar."""

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
        """One line a unit, the hottest first."""
        text = Text(no_wrap=True)
        heat = self._heat
        if heat is None or not len(heat.units):
            return text
        order = np.argsort(-heat.row, kind="stable")[: self.size.height]
        top = float(heat.row.max()) or 1.0
        tone, quiet = colour(self.app, "heat"), colour(self.app, "secondary")
        room = max(1, self.size.width - LABEL - 8)
        for index in order:
            unit, weight = heat.units[int(index)], float(heat.row[index])
            label = fit(unit.label, LABEL)
            text.append(label + " " * (LABEL - cell_len(label)), "italic" if unit.special else "")
            text.append(f" {weight:.3f} ", quiet)
            text.append("█" * round(room * weight / top) + "\n", tone)
        text.rstrip()
        return text
