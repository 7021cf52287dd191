"""The words under the most heat, as numbers: what the colours over the text say, for reading off."""

from __future__ import annotations

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from tui.heat_scale import colour, scale_for
from tui.heat_view import Heat
from tui.plain_signs import TextOfOthers
from tui.signs import sign_for
from tui.widgets.line_view import TextLines
from tui.widgets.top_bar import fit

LABEL = 14
ITALIC = Style(italic=True)


class WordBars(TextOfOthers, TextLines):
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

    def segments(self, width: int, height: int) -> list[list[Segment]]:
        """One line a unit, the hottest first, whatever the sign."""
        heat = self._heat
        if heat is None or heat.pending or not len(heat.units):
            return []
        weights = np.abs(heat.row)
        order = np.argsort(-weights, kind="stable")[:height].tolist()
        top = float(weights.max()) or 1.0
        scale, quiet = scale_for(self.app, heat), Style(color=colour(self.app, "secondary"))
        signed = heat.choice.signed
        block = sign_for(self.app, "█")
        room = max(1, width - LABEL - (9 if signed else 8))
        last = len(scale.styles) - 1
        lines = []
        for index in order:
            unit, weight = heat.units[index], float(heat.row[index])
            label = fit(unit.label, LABEL, sign_for(self.app, "…"))
            lines.append(
                [
                    Segment(label + " " * (LABEL - cell_len(label)), ITALIC if unit.special else None),
                    Segment(f" {sign_for(self.app, weight_text(weight, signed))} ", quiet),
                    Segment(block * round(room * abs(weight) / top), scale.tone(last if weight >= 0 else 0)),
                ]
            )
        return lines


def weight_text(weight: float, signed: bool) -> str:
    """A weight with three decimals, with its sign where it may have one."""
    return f"{weight:+.3f}".replace("-", "−") if signed else f"{weight:.3f}"
