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
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from core import formats
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.inspector_protocol import Inspection
from core.predictions import splits
from core.review_place import Place, save_place
from core.review_queue import THRESHOLD
from core.runs import find_run
from core.text import visible
from tui import collecting
from tui.heat_scale import colour
from tui.keymap import key
from tui.review_session import Opened, ReviewSession, kind_name, open_run, sort_name
from tui.screens import review_verdicts
from tui.screens.base import RunScreen
from tui.screens.patterns_door import PatternActions
from tui.screens.review_attention import AttentionActions
from tui.screens.review_beyond import BeyondActions
from tui.screens.review_finding import FindingActions
from tui.screens.review_verdicts import VerdictActions
from tui.widgets.prompt_line import PromptLine
from tui.widgets.review_detail import ReviewDetail
from tui.widgets.review_list import ReviewList, heading
from tui.widgets.spread_line import SpreadLine
from tui.widgets.token_strip import TokenStrip

DEBOUNCE = 0.06
PATIENCE = 0.4
"""Seconds without an answer after which the screen says that it waits; sooner would flicker."""

RETRY = 2.0
KEPT_SECONDS = 4.0
"""How long the line of the queue says what was kept."""

PLACE_DELAY = 0.7
"""Seconds at one place after which it is kept."""


class ReviewScreen(FindingActions, VerdictActions, AttentionActions, BeyondActions, PatternActions, RunScreen):
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

    class Answered(Message):
        """The inspector has answered about row `row` of the split: with an inspection, or an error."""

        def __init__(self, row: int, answer: Inspection | NsmcTuiError) -> None:
            super().__init__()
            self.row = row
            self.answer = answer

    def __init__(self, run_dir: Path, kind: str | None = None, split: str | None = None, reading: bool = False) -> None:
        super().__init__(run_dir)
        self.session: ReviewSession | None = None
        self._place: Place | None = None
        self._kept = ""
        self._kept_timer: Timer | None = None
        self._place_timer: Timer | None = None
        self._kind, self._split = kind, split
        self._begin_reading = reading
        self._opened: Opened | None = None
        self._waiting_for: int | None = None
        self._answered = False

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
        if self.session is not None and self.session.place != self._place:
            self._save_place(self.session.place)

    @property
    def detail(self) -> ReviewDetail:
        """The pane of the review in view."""
        return self.query_one(ReviewDetail)

    def _recolour(self) -> None:
        # Widgets are drawn anew by the change itself; texts that were given their colours are not.
        if self.session is not None and not self.has_class("-empty"):
            self._show_queue_line()
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
        self.session = ReviewSession(opened.predictions, kind, opened.log, lambda name: find_run(runs, name), place)
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
                _("3 shows how far it is; v on 4 Evaluation scores the model as it is now."),
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
        self._show_queue_line()
        self._place_moved()
        if not len(session):
            self._cancel_question()
            self._show_empty(*self._why_empty(session))
            return
        self.remove_class("-empty")
        self.query_one("#list-title", SpreadLine).show(heading(session.kind))
        self.query_one(ReviewList).show(session)
        self._show_current()
        self.refresh_bindings()

    def _why_empty(self, session: ReviewSession) -> tuple[str, str]:
        split, kind = session.predictions.split, kind_name(session.kind, session.threshold)
        if session.search:
            return (
                _("No review among the {kind} of {split} contains “{text}”.").format(
                    kind=kind, split=split, text=session.search
                ),
                _("esc clears the search, f shows other reviews."),
            )
        if session.query:
            return (
                _("None of the {kind} of {split} meets the filter {filter}.").format(
                    kind=kind, split=split, filter=session.place.where
                ),
                _("F changes the filter, f shows other reviews."),
            )
        return (
            _("There are no {kind} in {split}: {n} reviews, none of them here.").format(
                kind=kind, split=split, n=formats.count(len(session.predictions))
            ),
            _("f shows other reviews, 4 goes to Evaluation."),
        )

    def _show_queue_line(self) -> None:
        session = self.session
        assert session is not None
        quiet = colour(self.app, "secondary")
        if self._kept:
            left = Text.assemble(("✓ ", colour(self.app, "success")), self._kept)
        else:
            name = kind_name(session.kind, session.threshold)
            left = Text.assemble(
                (f"{name} {formats.count(session.unsearched)}", "bold"),
                (f" · {session.predictions.split} · ", quiet),
                (_("sort {order}").format(order=sort_name(session.sort)), quiet),
            )
            if session.threshold != THRESHOLD:
                left.append(" · " + _("threshold {value}").format(value=formats.number(session.threshold, 2)), quiet)
            if session.searched:
                left.append(" · ", quiet)
                left.append(_("“{text}” in {n}").format(text=visible(session.search), n=formats.count(len(session))))
            if session.query:
                left.append(" · ", quiet)
                left.append(visible(session.place.where))
        place = _("{n} of {total}").format(
            n=formats.count(session.position + 1 if len(session) else 0), total=formats.count(len(session))
        )
        if session.judged:
            place = _("{n} judged").format(n=formats.count(session.judged)) + " · " + place
        self.query_one("#queue", SpreadLine).show(left, place)

    def show_kept(self, text: str) -> None:
        """Say what was kept in the queue's line, for a while."""
        if self._kept_timer is not None:
            self._kept_timer.stop()
        self._kept = text
        self._show_queue_line()
        self._kept_timer = self.set_timer(KEPT_SECONDS, self._kept_long_enough)

    def _kept_long_enough(self) -> None:
        self._kept = ""
        self._show_queue_line()

    def verdicts_changed(self, reviews: Sequence[str] | set[str]) -> None:
        """Draw the list and, where it is among them, the review in view."""
        session = self.session
        if session is None or not len(session):
            return
        self.query_one(ReviewList).refresh()
        self._show_queue_line()
        if session.row is not None and session.review_id(session.row) in reviews:
            self._show_opinion()

    def _show_opinion(self) -> None:
        session = self.session
        assert session is not None
        if session.log is not None and session.row is not None:
            review = session.review_id(session.row)
            self.detail.show_opinions(session.log.shown(review), session.log.opinions(review), session.log.by)

    # -- the place ---------------------------------------------------------------------------------------------

    def _place_moved(self) -> None:
        if self._place_timer is not None:
            self._place_timer.stop()
        self._place_timer = self.set_timer(PLACE_DELAY, self._keep_place)

    def _keep_place(self) -> None:
        # The first time, Review has just been opened.
        collecting.settle()
        if self.session is not None and not self.session.stale and self.session.place != self._place:
            self._place = self.session.place
            self._save_place_aside(self._place)

    @work(thread=True, exclusive=True, group="place")
    def _save_place_aside(self, place: Place) -> None:
        # Until it is synced to the disk keys would wait.
        self._save_place(place)

    def _save_place(self, place: Place) -> None:
        assert self._opened is not None
        assert self._opened.predictions is not None
        try:
            save_place(self.run_dir, self._opened.predictions.split, place)
        except OSError as error:
            self.log.warning(f"the place in the queue could not be kept: {error}")

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
            self._show_queue_line()
            self._place_moved()
            self._show_current()

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
                "export": self.write_export,
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

    # -- the review in view ------------------------------------------------------------------------------------

    def _show_current(self) -> None:
        """Text and probabilities at once; heat as soon as there is some."""
        session = self.session
        assert session is not None
        review, row = session.current, session.row
        if review is None or row is None:
            return
        self.detail.show_review(review, session.threshold)
        self._show_opinion()
        self.show_context(review)
        self._cancel_question()
        assert self._opened is not None
        if self._opened.model is None:
            error = self._opened.model_error
            self.detail.show_message(error.message if error else "", error.hint if error else "")
            return
        kept = self.nsmc.inspector.cached(self._opened.model, review.document, self._opened.max_length)
        if kept is not None:
            self._show_inspection(kept)
            return
        self._waiting_for = row
        if self._answered:
            # Usually the answer is there before anyone could read that it is being waited for.
            self.detail.show_message("")
            self.set_timer(PATIENCE, lambda: self._show_waiting(row))
        else:
            self._show_waiting(row)
        self._ask(row, review.document, self._opened.model, self._opened.max_length)

    def _show_waiting(self, row: int) -> None:
        if self._waiting_for == row:
            self.detail.show_message(_("asking the model…") if self._answered else _("loading the model…"))

    def _cancel_question(self) -> None:
        self._waiting_for = None
        self.workers.cancel_group(self, "attention")

    @work(exclusive=True, group="attention")
    async def _ask(self, row: int, text: str, model: Path, max_length: int | None) -> None:
        # While `n` is held down reviews fly by that nobody wants attention of.
        await asyncio.sleep(DEBOUNCE)
        try:
            answer: Inspection | NsmcTuiError = await self.nsmc.inspector.inspect(model, text, max_length)
        except NsmcTuiError as error:
            answer = error
        self.post_message(self.Answered(row, answer))

    @on(Answered)
    def _show_answer(self, message: Answered) -> None:
        if message.row != self._waiting_for:
            return
        self._waiting_for = None
        if isinstance(message.answer, NsmcTuiError):
            self.detail.show_message(message.answer.message, message.answer.hint)
        else:
            self._show_inspection(message.answer)

    def _show_inspection(self, inspection: Inspection) -> None:
        self._answered = True
        self.detail.show_inspection(inspection)
        if self.session is not None and self._opened is not None and self._opened.model is not None:
            self.nsmc.inspector.prefetch(self._opened.model, self.session.neighbours(), self._opened.max_length)

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
            around = bool(self.query_one("#context").children)
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
