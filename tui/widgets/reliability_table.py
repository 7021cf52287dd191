"""p(positive) over a split: how many reviews of each label got which, and whether the probabilities keep their word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.binding import BindingType

from core import formats
from core.i18n import gettext as _
from core.reliability import Bin, calibration_error
from tui.colour_depth import ascii_of
from tui.heat_scale import colour
from tui.widgets.line_view import TextLines
from tui.widgets.prob_bar import EIGHTHS, class_names

RANGE, COUNT, FIGURE, GAP = 7, 7, 6, 2
LEAST_BAR = 4


class ReliabilityTable(TextLines, can_focus=True):
    """A line a bin: its range, a bar and a number for each label, mean p(positive), share of positive, the gap."""

    DEFAULT_CSS = """
    ReliabilityTable { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._bins: tuple[Bin, ...] = ()

    def show(self, bins: Sequence[Bin]) -> None:
        """Show these bins, lowest first; none: nothing."""
        if tuple(bins) != self._bins:
            changed = len(bins) != len(self._bins)
            self._bins = tuple(bins)
            self.refresh(layout=changed)

    def get_content_height(self, *_sizes: object) -> int:
        """Two lines over the bins, one under them."""
        return len(self._bins) + 4 if self._bins else 0

    def render(self) -> Text:
        """The table, highest probabilities last as on an axis."""
        text = Text(no_wrap=True, overflow="ellipsis")
        if not self._bins:
            return text
        quiet = colour(self.app, "secondary")
        accent = colour(self.app, "accent") if self.has_focus else quiet
        title = _("probability of {label}").format(label=class_names()[1])
        text.append(title, f"bold {accent}" if self.has_focus else accent)
        text.append("   " + _("by label; mean p against the share of it") + "\n", quiet)
        bar = self._bar_width()
        colours = (colour(self.app, "negative"), colour(self.app, "positive"))
        text.append(" " * RANGE)
        for name, tone in zip(class_names(), colours, strict=True):
            text.append(" " * GAP + " " * (bar + COUNT - cell_len(name)) + name, tone)
        for title in (_("mean p"), _("share"), _("gap")):
            text.append(" " * GAP + " " * max(0, FIGURE - cell_len(title)) + title, quiet)
        most = max((max(part.negatives, part.positives) for part in self._bins), default=0) or 1
        for part in self._bins:
            text.append("\n" + f"{part.low:.1f}–{part.high:.1f}".ljust(RANGE), quiet)
            for count, tone in zip((part.negatives, part.positives), colours, strict=True):
                text.append(" " * GAP)
                text.append(self._bar(count / most, bar), tone)
                text.append(formats.count(count).rjust(COUNT), "" if count else quiet)
            gap = f"{part.gap:+.3f}".replace("-", "−")
            for figure in (f"{part.mean:.3f}", f"{part.share:.3f}", gap) if part.n else ("–", "–", "–"):
                text.append(" " * GAP + figure.rjust(FIGURE), "" if part.n else quiet)
        ece = _("calibration error (ECE) {value}").format(value=formats.number(calibration_error(self._bins)))
        text.append("\n\n" + ece, quiet)
        return text

    def _bar_width(self) -> int:
        rest = self.size.width - RANGE - 3 * (FIGURE + GAP) - 2 * (COUNT + GAP)
        return max(LEAST_BAR, rest // 2)

    def _bar(self, share: float, width: int) -> str:
        """A bar that grows from the left, in eighths of a cell; whatever is there has at least the thinnest."""
        if ascii_of(self.app):
            return ("#" * (round(share * width) or (1 if share else 0))).ljust(width)
        eighths = round(share * width * 8) or (1 if share else 0)
        return ("█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()).ljust(width)
