"""A line chart with its caption: title at the left, the newest value at the right, plotext below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult, RenderResult
from textual.color import Color
from textual.containers import Vertical
from textual.widgets import Static
from textual_plotext import PlotextPlot

from tui.series import thin
from tui.widgets.top_bar import fit


@dataclass(frozen=True)
class Line:
    """One line: x and y of equal length; `tone` names a theme variable; `points` marks the values instead.

    Holds copies: what it is made of goes on growing while the line waits to be drawn. Of unequal lengths the
    common part is taken.
    """

    x: Any
    y: Any
    tone: str = "accent"
    points: bool = False

    def __post_init__(self) -> None:
        length = min(len(self.x), len(self.y))
        object.__setattr__(self, "x", np.array(self.x[:length], dtype=float))
        object.__setattr__(self, "y", np.array(self.y[:length], dtype=float))


class Plot(PlotextPlot):
    """The plot alone. All text in it is ASCII: plotext counts wide characters as one cell."""

    DEFAULT_CSS = "Plot { height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.tick_format: Callable[[float], str] = "{:.3f}".format
        self.x_format: Callable[[float], str] = "{:,.0f}".format

    def render(self) -> RenderResult:
        """Draw the lines into the widget's size; nothing where there is nothing or no room."""
        width, height = self.size
        plt = self.plt
        plt.clear_data()
        drawn = False
        low, high, left, right = np.inf, -np.inf, np.inf, -np.inf
        if width < 12 or height < 3:
            return Text()
        variables = self.app.theme_variables
        for line in self.lines:
            whole = line.x
            x, y = thin(whole, line.y, max(8, width - 8))
            if len(x) == 0:
                continue
            whole = whole[np.isfinite(whole)]
            drawn = True
            low, high = min(low, float(y.min())), max(high, float(y.max()))
            left, right = min(left, float(whole.min())), max(right, float(whole.max()))
            colour = Color.parse(variables.get(line.tone, variables["foreground"])).rgb
            if line.points or len(x) == 1:
                plt.scatter(x.tolist(), y.tolist(), color=colour, marker="hd" if len(x) == 1 else "dot")
            if not line.points and len(x) > 1:
                plt.plot(x.tolist(), y.tolist(), color=colour, marker="braille")
        if not drawn:
            return Text()
        if high - low < 1e-12:
            pad = abs(high) * 0.05 or 0.05
            low, high = low - pad, high + pad
        if right - left < 1e-12:
            left, right = left - 1, right + 1
        plt.frame(False)
        plt.grid(False, False)
        plt.ylim(low, high)
        plt.xlim(left, right)
        count = 3 if height >= 7 else 2
        ticks = np.linspace(low, high, count).tolist()
        plt.yticks(ticks, [f"{self.tick_format(tick)} " for tick in ticks])
        plt.xticks([left, right], [self.x_format(left), self.x_format(right)])
        return super().render()


class Chart(Vertical, can_focus=True):
    """A focusable chart. `show` takes what to draw; it is drawn only when it changed and is visible."""

    DEFAULT_CSS = """
    Chart { height: 1fr; padding: 0 1 0 0; }
    Chart > .chart-caption { height: 1; color: $secondary; }
    Chart:focus > .chart-caption { color: $accent; text-style: bold; }
    """

    def __init__(self, title: str, id: str) -> None:
        super().__init__(id=id)
        self._title = title
        self._value = ""
        self._seen: Any = None

    def compose(self) -> ComposeResult:
        """Caption and plot."""
        yield Static(self._title, classes="chart-caption", markup=False)
        yield Plot()

    def show(
        self,
        version: Any,
        value: str,
        lines: Callable[[], list[Line]],
        *,
        title: str | None = None,
        ticks: Callable[[float], str] | None = None,
        x_ticks: Callable[[float], str] | None = None,
    ) -> None:
        """Draw `lines()` unless `version` is what is drawn already; `value` stands at the caption's right."""
        if title is not None:
            self._title = title
        if version == self._seen or not self.display:
            return
        self._seen, self._value = version, value
        plot = self.query_one(Plot)
        plot.lines = lines()
        if ticks is not None:
            plot.tick_format = ticks
        if x_ticks is not None:
            plot.x_format = x_ticks
        self._draw_caption()
        plot.refresh()

    def _draw_caption(self) -> None:
        width = max(1, self.size.width - 1)
        title = fit(self._title, max(4, width - cell_len(self._value) - 2))
        gap = max(1, width - cell_len(title) - cell_len(self._value))
        self.query_one(".chart-caption", Static).update(
            Text.assemble(title, " " * gap, (self._value, "bold"), no_wrap=True)
        )

    def on_resize(self) -> None:
        """Set the caption's value at the right edge again."""
        self._draw_caption()
