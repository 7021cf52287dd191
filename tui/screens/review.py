"""Review: mispredicted reviews one by one, and where the model looked in each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from core.i18n import N_
from core.i18n import gettext as _
from core.predictions import splits
from core.runs import find_run
from core.text import visible
from tui.keymap import key
from tui.review_session import Opened, ReviewSession, open_run
from tui.screens import review_verdicts
from tui.screens.base import RunScreen
from tui.screens.patterns_door import PatternActions
from tui.screens.review_attention import AttentionActions
from tui.screens.review_beyond import BeyondActions
from tui.screens.review_finding import FindingActions
from tui.screens.review_in_view import ViewActions
from tui.screens.review_placing import PlaceKeeping
from tui.screens.review_queue_line import QueueLine
from tui.screens.review_verdicts import VerdictActions
from tui.widgets.prompt_line import PromptLine
from tui.widgets.review_detail import ReviewDetail
from tui.widgets.review_list import ReviewList, heading
from tui.widgets.spread_line import SpreadLine
from tui.widgets.token_strip import TokenStrip

RETRY = 2.0


class ReviewScreen(
    QueueLine,
    PlaceKeeping,
    FindingActions,
    VerdictActions,
    AttentionActions,
    BeyondActions,
    ViewActions,
    PatternActions,
    RunScreen,
):
    """The queue of a run's reviews of one `kind` (see `core.review_queue`), their text, attention and verdicts.

    `kind` None goes on where one left off, else with the errors. `split` None is test, or what has predictions.
    Attention comes from the inspector process; without a model, or while it loads, text and probabilities are shown
    all the same.
    """

    NAME = "review"
    CSS_PATH = "review.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("n", "step(1)", N_("Next"), N_("Next review"), show=True),
        key("p", "step(-1)", N_("Previous"), N_("Previous review")),
        *VerdictActions.BINDINGS,
        *FindingActions.BINDINGS,
        *AttentionActions.BINDINGS,
        key("enter", "details", N_("Details"), N_("What is known around the review, in the place of the attention")),
        *BeyondActions.BINDINGS,
        *PatternActions.BINDINGS,
        key("y", "copy", N_("Copy"), N_("Copy the review's text")),
        # Six keys at most at the bottom; the way to Evaluation stays a key.
        key("4", "run_screen('evaluation')", N_("Evaluation"), N_("Scores and confusion matrix")),
    ]

    class Loaded(Message):
        """The run has been read."""

        def __init__(self, opened: Opened) -> None:
            super().__init__()
            self.opened = opened

    def __init__(self, run_dir: Path, kind: str | None = None, split: str | None = None, reading: bool = False) -> None:
        super().__init__(run_dir)
        self.session: ReviewSession | None = None
        self._kind, self._split = kind, split
        self._begin_reading = reading
        self._opened: Opened | None = None

    def compose_body(self) -> Iterable[Widget]:
        """The queue's line; list, text and map; what is said when there is nothing; the search."""
        yield SpreadLine(id="queue")
        yield Static(_("reading the predictions…"), id="empty", classes="empty", markup=False)
        with Horizontal(id="panes"):
            with Vertical(id="list-pane"):
                yield SpreadLine(id="list-title")
                yield ReviewList(id="list")
            yield ReviewDetail(id="detail")
        yield PromptLine(id="prompt-line")

    def on_mount(self) -> None:
        """Begin to read the run."""
        super().on_mount()
        self.set_top(self.run_title, _("Review"))
        self.add_class("-empty")
        self.watch(self.app, "theme", self._recolour, init=False)
        self.start_verdicts()
        self._load()

    def on_unmount(self) -> None:
        """Keep the place."""
        self.keep_last_place()

    def _recolour(self) -> None:
        # Widgets are drawn anew by the change itself; texts that were given their colours are not.
        if self.session is not None and not self.has_class("-empty"):
            self.show_queue_line()
            self.call_after_refresh(self.detail.redraw)

    def on_descendant_focus(self) -> None:
        """The title of the pane that has the focus carries the accent; the attention pane sees to its own."""
        for title, pane in (("#list-title", ReviewList), ("#facts", TokenStrip)):
            self.query_one(title).set_class(self.query_one(pane).has_focus, "-here")

    # -- reading the run ---------------------------------------------------------------------------------------

    @work(exclusive=True, group="load")
    async def _load(self) -> None:
        self.post_message(self.Loaded(await asyncio.to_thread(open_run, self.run_dir, self._split)))

    @on(Loaded)
    def _show_run(self, message: Loaded) -> None:
        self._opened = opened = message.opened
        self.set_top(self.run_title, _("Review"), state=opened.state)
        if opened.predictions is None:
            self._show_no_predictions(opened)
            # The run may end, or be evaluated, while one waits here.
            self.set_timer(RETRY, self._look_again)
            return
        place = opened.place
        kind = self._kind or (place.kind if place is not None else "all")
        runs = self.nsmc.runs_dir
        threshold = self.nsmc.decisions.of(self.run_dir).threshold
        self.session = ReviewSession(
            opened.predictions, kind, opened.log, lambda name: find_run(runs, name), place, threshold
        )
        self._place = self.session.place
        self.open_context(opened)
        self._warm()
        if self.session.stale:
            # A filter that takes a while: the queue without it would only be taken for the one with it.
            self.queue_changed()
        else:
            self.show_queue()
        if self.has_class("-empty"):
            return
        if self._begin_reading:
            self._begin_reading = False
            self._opened_in_list()
        else:
            self.query_one(ReviewList).focus()

    @work(thread=True, exclusive=True, group="warm")
    def _warm(self) -> None:
        """Have what the first search, filter and verdict need before they are asked for."""
        if self.session is not None:
            table = self.session.table
            table.texts.starts.tobytes()
            table.texts.initials.isascii()
            table.rows_of_id.keys()

    def _look_again(self) -> None:
        # Only the names of files: reading everything again is for when there is something.
        if splits(self.run_dir):
            self._load()
        else:
            self.set_timer(RETRY, self._look_again)

    def _show_no_predictions(self, opened: Opened) -> None:
        if opened.live:
            lines = [
                _("The run is still at work: there are no predictions to review yet."),
                _("They are written when it ends, and appear here by themselves."),
                _("3 shows how far it is."),
            ]
        elif opened.error is not None and splits(self.run_dir):
            lines = [opened.error.message, opened.error.hint]
        else:
            lines = [
                _("This run has no predictions to review."),
                _("They are made by an evaluation: 4 goes to Evaluation, v there evaluates now."),
            ]
            if opened.model_error is not None:
                lines = [lines[0], opened.model_error.message, opened.model_error.hint]
        self._show_empty(*lines)

    def _show_empty(self, *lines: str) -> None:
        self.query_one("#empty", Static).update(Text("\n".join(visible(line) for line in lines if line)))
        self.add_class("-empty")
        self.remove_class("-reading")
        self.refresh_bindings()

    # -- the queue ---------------------------------------------------------------------------------------------

    def show_queue(self) -> None:
        """Show the queue after it changed, then the review in view."""
        session = self.session
        assert session is not None
        self.show_queue_line()
        self.place_moved()
        if not len(session):
            self.cancel_question()
            self._show_empty(*self.why_empty(session))
            return
        self.remove_class("-empty")
        self.query_one("#list-title", SpreadLine).show(heading(session.kind))
        self.query_one(ReviewList).show(session)
        self.show_current()
        self.refresh_bindings()

    def verdicts_changed(self, reviews: Sequence[str] | set[str]) -> None:
        """Draw the list and, where it is among them, the review in view."""
        session = self.session
        if session is None or not len(session):
            return
        self.query_one(ReviewList).refresh_reviews(reviews)
        self.show_queue_line()
        if session.row is not None and session.review_id(session.row) in reviews:
            self.show_opinion()

    @on(ReviewList.Moved)
    def _moved_in_list(self, message: ReviewList.Moved) -> None:
        self.go_to_position(message.position)

    @on(ReviewList.Opened)
    def _opened_in_list(self) -> None:
        if self.has_class("-narrow"):
            self.add_class("-reading")
        self.focus_attention()
        self.refresh_bindings()

    def go_to_position(self, position: int) -> None:
        """Show the review at `position` of the queue, or the nearest there is."""
        if self.session is not None and self.session.move_to(position):
            self.query_one(ReviewList).cursor = self.session.position
            self.show_queue_line()
            self.place_moved()
            self.show_current()
            self.paint()

    def action_step(self, step: int) -> None:
        """Go on, or back, by `step` reviews."""
        if self.session is not None:
            self.go_to_position(self.session.position + step)

    # -- typing ------------------------------------------------------------------------------------------------

    def resting_place(self) -> Widget:
        """Where the focus goes when nothing is typed: the text in view, or the list."""
        if self.has_class("-reading"):
            self.focus_attention()
            return self.focused or self.query_one(ReviewList)
        return self.query_one(ReviewList)

    async def on_prompt_line_given(self, message: PromptLine.Given) -> None:
        """Do what was asked for; the line stays open where that failed."""
        purpose, text = message.purpose, message.text
        if purpose == "go_to":
            self.go_to_typed(text)
        elif purpose == "threshold":
            self.threshold_typed(text)
        elif purpose == "search":
            self.close_prompt()
        else:
            kept_by = {
                "tags": self.keep_tags,
                "note": self.keep_note,
                "relabel": self.write_relabelled,
            }
            keep = kept_by[purpose]
            if await keep(text):
                self.close_prompt()

    def on_prompt_line_cancelled(self, message: PromptLine.Cancelled) -> None:
        """Leave it; a search is taken back."""
        self.close_prompt()
        if message.purpose == "search":
            self.clear_search()

    def action_back(self) -> None:
        """Out of the text (one pane at a time), out of the search, out of the screen: one at a time."""
        if self.has_class("-narrow") and self.has_class("-reading"):
            self.remove_class("-reading")
            self.query_one(ReviewList).focus()
            self.refresh_bindings()
        elif self.session is not None and self.session.search:
            self.clear_search()
        else:
            super().action_back()

    def action_details(self) -> None:
        """What is known around the review, in the place of the attention; again: back."""
        self.toggle_class("-details")

    def action_copy(self) -> None:
        """The review's text to the clipboard of the terminal (OSC 52), as it is in the data."""
        review = self.session.current if self.session is not None else None
        if review is not None:
            self.app.copy_to_clipboard(review.document)
            self.nsmc.say(_("The review's text is copied."))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing here and now are not offered."""
        nothing = self.has_class("-empty")
        offered = self.offers_attention(action)
        if offered is not None:
            return offered
        if action == "details":
            # Where there is room it is in view already.
            context = self.query_one_optional("#context")
            around = context is not None and bool(context.children)
            beside = self.has_class("-medium") or self.has_class("-reading")
            return around and not nothing and beside
        if action in ("step", "copy", *review_verdicts.ACTIONS):
            return not nothing or (action in ("undo", "redo") and self.session is not None)
        beyond = self.offers_beyond(action)
        if beyond is not None:
            return beyond
        finding = self.offers_finding(action)
        if finding is not None:
            return finding
        return super().check_action(action, parameters)
