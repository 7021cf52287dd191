"""Probabilities of the two classes as bars with their numbers and the threshold."""

from __future__ import annotations

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.reactive import reactive

from core import formats
from core.i18n import gettext as _
from core.predictions import THRESHOLD
from tui.colour_depth import ascii_of
from tui.heat_scale import colour
from tui.widgets.line_view import TextLines

EIGHTHS = " ▏▎▍▌▋▊▉█"

ENOUGH = 24
"""Cells of a bar that is long enough."""


def class_names() -> tuple[str, str]:
    """What the classes are called: label 0, label 1."""
    return _("negative"), _("positive")


class ProbBar(TextLines):
    """Two lines: class, bar from 0 to 1 with a mark at the threshold, number, and which one is true and predicted."""

    DEFAULT_CSS = """
    ProbBar { height: 2; }
    """
    probabilities: reactive[tuple[float, float] | None] = reactive(None)
    label: reactive[int] = reactive(0)
    pred: reactive[int] = reactive(0)
    threshold: reactive[float] = reactive(THRESHOLD)

    def show(self, probabilities: tuple[float, float] | None, label: int = 0, pred: int = 0) -> None:
        """Show p(negative), p(positive) of one review; None: nothing."""
        self.probabilities, self.label, self.pred = probabilities, label, pred

    def render(self) -> Text:
        """The two lines."""
        if self.probabilities is None:
            return Text()
        names = class_names()
        words = _("labelled"), _("predicted")
        marks = [
            " ".join(word for word, here in zip(words, (self.label == n, self.pred == n), strict=True) if here)
            for n in (0, 1)
        ]
        name_width = max(cell_len(name) for name in names)
        room = self.size.width - name_width - 9
        # Room for both words on a line where there is some: bars of two models can be compared, and do not jump.
        width = room - cell_len(" ".join(words))
        if width < ENOUGH:
            width = room - max(cell_len(mark) for mark in marks)
        if width < 10:
            marks, width = ["", ""], self.size.width - name_width - 7
        secondary = colour(self.app, "secondary")
        text = Text(no_wrap=True)
        for number, name in enumerate(names):
            tone = colour(self.app, ("negative", "positive")[number])
            if number:
                text.append("\n")
            text.append(name + " " * (name_width - cell_len(name) + 1), tone)
            text.append_text(self._bar(self.probabilities[number], max(1, width), tone))
            text.append(f" {self.probabilities[number]:.3f}", "bold" if self.pred == number else "")
            text.append(f"  {marks[number]}".rstrip(), secondary)
        return text

    def _bar(self, value: float, width: int, tone: str) -> Text:
        """`width` cells; the threshold is a thin line across, named where there is room beside it."""
        value = min(1.0, max(0.0, value)) if value == value else 0.0
        plain = ascii_of(self.app)
        if plain:
            cells, line = "#" * round(value * width), "|"
        else:
            eighths = round(value * width * 8)
            cells, line = "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else ""), "┊"
        cells = cells.ljust(width)[:width]
        bar = Text(cells, tone)
        place = min(width - 1, int(self.threshold * width))
        rule = colour(self.app, "secondary")
        if cells[place] == " ":
            label = f"{line} {formats.threshold(self.threshold)}"
            rest = cells[place + 1 :]
            shown = label if len(rest) >= len(label) else line
            bar = Text(cells[:place], tone) + Text(shown, rule) + Text(" " * (width - place - len(shown)))
        else:
            bar.stylize(Style(bgcolor=tone, color=colour(self.app, "background")), place, place + 1)
            bar = bar[:place] + Text(line, Style(bgcolor=tone, color=colour(self.app, "background"))) + bar[place + 1 :]
        return bar
