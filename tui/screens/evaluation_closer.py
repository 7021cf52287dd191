"""Evaluation's closer look: slices against the rest, probabilities against labels; a pane each where it is narrow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from core import formats
from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.keymap import key
from tui.pattern_tables import Table, signed
from tui.widgets.pattern_list import PatternList
from tui.widgets.prompt_line import PromptLine
from tui.widgets.reliability_table import ReliabilityTable
from tui.widgets.spread_line import SpreadLine

if TYPE_CHECKING:
    from pathlib import Path

    from core.predictions import Predictions
    from core.reliability import Bin
    from core.slice_scores import SliceScore, SliceScores
    from tui.scored import Scored
    from tui.screens.base import RunScreen as Base
else:
    Base = object

PANES = {"scores": "#confusion", "slices": "#slices", "probabilities": "#reliability"}
"""The panes with what takes the focus in each."""


@dataclass(frozen=True, eq=False)
class Closer:
    """What a closer look at a split found; good for every threshold."""

    slices: SliceScores
    bins: tuple[Bin, ...]


def look_closer(predictions: Predictions) -> Closer:
    """Sort a split's reviews into slices and bins: tenths of a second for 50,000 reviews, so for a thread."""
    from core.reliability import reliability
    from core.slice_scores import SliceScores

    label, pred, prob_1 = (predictions.column(name) for name in ("label", "pred", "prob_1"))
    documents = predictions.table.column("document").to_pylist()
    return Closer(SliceScores(documents, label, pred, prob_1), reliability(label, prob_1))


class LookedCloser(Message):
    """The closer look at what was read as number `reading`."""

    def __init__(self, reading: int, closer: Closer) -> None:
        super().__init__()
        self.reading = reading
        self.closer = closer


class SliceList(PatternList):
    """The slices; posts `Moved` when another one is chosen."""

    class Moved(Message):
        """Another slice is chosen."""

    def _choose(self, place: int) -> None:
        super()._choose(place)
        self.post_message(self.Moved())


def slice_table(scores: list[SliceScore]) -> Table:
    """Slices as lines: accuracy, how far from the rest in percentage points with its stars, reviews, errors."""
    return Table(
        (_("slice"), _("accuracy"), _("Δ rest"), _("reviews"), _("errors")),
        tuple(
            (
                score.part.shown,
                formats.number(score.accuracy),
                f"{signed(100 * score.difference, 1)} {score.stars:<3}",
                formats.count(score.n),
                formats.count(score.errors),
            )
            for score in scores
        ),
        tuple(score.part for score in scores),
    )


class CloserActions(Base):
    """The part of Evaluation below the scores. Calls on `_scored` for what is in view."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("tab", "pane(1)", N_("Pane"), N_("Scores, slices, probabilities"), show=True),
        key("shift+tab", "pane(-1)", N_("Pane back"), N_("The pane before")),
        key("enter", "open_slice", N_("These reviews"), N_("The errors of the chosen slice"), show=True),
    ]

    run_dir: Path
    _scored: Scored | None
    _closer: Closer | None = None
    _pane: str = "scores"
    _reading: int = 0

    def compose_closer(self) -> Iterable[Widget]:
        """Slices at the left, probabilities at the right."""
        with Horizontal(id="closer"):
            with Vertical(id="slices-pane"):
                yield SpreadLine(id="slices-title", classes="pane-title")
                yield SliceList(id="slices")
                yield Static("", id="slice-about", markup=False)
            with Vertical(id="reliability-pane"):
                yield ReliabilityTable(id="reliability")

    def check_closer(self, action: str) -> bool | None:
        """Whether one of these keys is of use now; None for others."""
        if action == "pane":
            return self._scored is not None
        if action == "open_slice":
            # Keys are asked for also before the screen is made and while it is taken away.
            slices = self.query_one_optional(SliceList)
            return self._scored is not None and slices is not None and slices.has_focus and slices.chosen is not None
        return None

    # -- what is shown -----------------------------------------------------------------------------------------

    def on_looked_closer(self, event: LookedCloser) -> None:
        """Show it, unless something else is being read by now."""
        if event.reading == self._reading:
            self._closer = event.closer
            self.show_closer()

    def forget_closer(self) -> None:
        """What was found is of other reviews."""
        self._closer = None
        self.query_one(SliceList).show(Table((), (), ()), _("looking at slices and probabilities …"))
        self.query_one(ReliabilityTable).show(())
        self.query_one("#slices-title", SpreadLine).show()
        self.query_one("#slice-about", Static).update("")

    def show_closer(self) -> None:
        """Show what is known at the threshold in view."""
        if self._closer is None or self._scored is None:
            return
        scores = self._closer.slices.at(self._scored.decision.threshold)
        self.query_one("#slices-title", SpreadLine).show(
            _("slices, worst first"), _("chance below 5%, 1%, 0.1%: * ** ***")
        )
        self.query_one(SliceList).show(slice_table(scores), _("No review is in any slice."))
        self.query_one(ReliabilityTable).show(self._closer.bins)
        self._show_slice()
        self.refresh_bindings()

    def on_slice_list_moved(self) -> None:
        """Tell what is in the slice."""
        self._show_slice()

    def _show_slice(self) -> None:
        part = self.query_one(SliceList).chosen
        about = "" if part is None else visible(f"{part.shown}: {part.explained}")
        self.query_one("#slice-about", Static).update(about)

    # -- keys --------------------------------------------------------------------------------------------------

    @property
    def paged(self) -> bool:
        """Whether there is room for one pane at a time only."""
        return self.has_class("-narrow") or self.has_class("-short")

    def show_pane(self) -> None:
        """Show the pane one is in, where there is room for one, and give it the focus."""
        for name in PANES:
            self.set_class(name == self._pane, f"-{name}")
        self.focus_pane()

    def focus_pane(self) -> None:
        """The keys go to the pane one is in: from now on, those that were typed ahead of its picture too."""
        pane = self.query_one_optional(PANES[self._pane])
        if pane is not None:
            self.set_focus(pane)

    def action_pane(self, step: int) -> None:
        """Another pane; probabilities are one where they stand alone, else there is nothing to do in them."""
        panes = list(PANES) if self.paged else list(PANES)[:2]
        place = panes.index(self._pane) if self._pane in panes else 0
        self._pane = panes[(place + step) % len(panes)]
        self.show_pane()

    def on_descendant_focus(self) -> None:
        """The title of the pane that has the focus carries the accent."""
        self.query_one("#slices-title").set_class(self.query_one(SliceList).has_focus, "-here")
        self.query_one(ReliabilityTable).refresh()

    def _stop_typing(self) -> None:
        self.query_one(PromptLine).close()
        self.focus_pane()

    def on_pattern_list_opened(self) -> None:
        """A slice was opened with the mouse."""
        self.action_open_slice()

    def action_open_slice(self) -> None:
        """The errors of the chosen slice."""
        from tui.screens.review_at import ReviewAt

        part = self.query_one(SliceList).chosen
        if part is not None and self._scored is not None:
            self.app.push_screen(ReviewAt(self.run_dir, self._scored.split, "all", f"slice:{part.name}"))
