"""Review: mispredicted reviews one by one, and where the model looked in each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from core import formats
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.inspector_protocol import Inspection
from core.predictions import splits
from core.text import visible
from tui.heat_scale import colour
from tui.keymap import key
from tui.review_session import Opened, ReviewSession, kind_name, open_run, sort_name
from tui.screens.base import RunScreen
from tui.screens.review_attention import AttentionActions
from tui.widgets.review_detail import ReviewDetail
from tui.widgets.review_list import ReviewList, heading
from tui.widgets.spread_line import SpreadLine
from tui.widgets.token_strip import TokenStrip

DEBOUNCE = 0.06
PATIENCE = 0.4
"""Seconds without an answer after which the screen says that it waits; sooner would flicker."""

RETRY = 2.0


class ReviewScreen(AttentionActions, RunScreen):
    """The queue of a run's reviews of one `kind` (see `core.predictions.KINDS`), their text and attention.

    `split` None is test, or what has predictions. Attention comes from the inspector process; without a model, or
    while it loads, text and probabilities are shown all the same.
    """

    NAME = "review"
    CSS_PATH = "review.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("n", "step(1)", N_("Next"), N_("Next review"), show=True),
        key("p", "step(-1)", N_("Previous"), N_("Previous review")),
        key("f", "filter(1)", N_("Filter"), N_("Filter: errors, FP, FN"), show=True),
        key("F", "filter(-1)", "", ""),
        key("slash", "search", N_("Search"), N_("Search in the reviews"), show=True, display="/"),
        key("S", "sort", N_("Sort"), N_("Sort by loss, confidence, margin, length, file order")),
        key("y", "copy", N_("Copy"), N_("Copy the review's text")),
        *AttentionActions.BINDINGS,
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

    def __init__(self, run_dir: Path, kind: str = "all", split: str | None = None, reading: bool = False) -> None:
        super().__init__(run_dir)
        self.session: ReviewSession | None = None
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
        yield Input(id="search", placeholder=_("search in the reviews; enter keeps it, esc clears it"), compact=True)

    def on_mount(self) -> None:
        """Begin to read the run."""
        super().on_mount()
        self.set_top(self.run_title, _("Review"))
        self.add_class("-empty")
        self.watch(self.app, "theme", self._recolour, init=False)
        self._load()

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
        self.session = ReviewSession(opened.predictions, self._kind)
        self._show_queue()
        if self.has_class("-empty"):
            return
        if self._begin_reading:
            self._begin_reading = False
            self._opened_in_list()
        else:
            self.query_one(ReviewList).focus()

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

    def _show_queue(self) -> None:
        """Show the queue after it changed, then the review in view."""
        session = self.session
        assert session is not None
        self._show_queue_line()
        if not len(session):
            self._cancel_question()
            split = session.predictions.split
            if session.search:
                self._show_empty(
                    _("No review among the {kind} of {split} contains “{text}”.").format(
                        kind=kind_name(session.kind), split=split, text=session.search
                    ),
                    _("esc clears the search, f shows other reviews."),
                )
            else:
                self._show_empty(
                    _("There are no {kind} in {split}: {n} reviews, none of them here.").format(
                        kind=kind_name(session.kind), split=split, n=formats.count(len(session.predictions))
                    ),
                    _("f shows other reviews, 4 goes to Evaluation."),
                )
            return
        self.remove_class("-empty")
        self.query_one("#list-title", SpreadLine).show(heading(session.kind))
        self.query_one(ReviewList).show(session)
        self._show_current()
        self.refresh_bindings()

    def _show_queue_line(self) -> None:
        session = self.session
        assert session is not None
        quiet = colour(self.app, "secondary")
        left = Text.assemble(
            (f"{kind_name(session.kind)} {formats.count(session.unsearched)}", "bold"),
            (f" · {session.predictions.split} · ", quiet),
            (_("sort {order}").format(order=sort_name(session.sort)), quiet),
        )
        if session.search:
            left.append(" · ", quiet)
            left.append(_("“{text}” in {n}").format(text=visible(session.search), n=formats.count(len(session))))
        place = _("{n} of {total}").format(
            n=formats.count(session.position + 1 if len(session) else 0), total=formats.count(len(session))
        )
        self.query_one("#queue", SpreadLine).show(left, place)

    @on(ReviewList.Moved)
    def _moved_in_list(self, message: ReviewList.Moved) -> None:
        self._go_to(message.position)

    @on(ReviewList.Opened)
    def _opened_in_list(self) -> None:
        if self.has_class("-narrow"):
            self.add_class("-reading")
        self.focus_attention()
        self.refresh_bindings()

    def _go_to(self, position: int) -> None:
        if self.session is not None and self.session.move_to(position):
            self.query_one(ReviewList).cursor = self.session.position
            self._show_queue_line()
            self._show_current()

    def action_step(self, step: int) -> None:
        """Go on, or back, by `step` reviews."""
        if self.session is not None:
            self._go_to(self.session.position + step)

    def action_filter(self, step: int) -> None:
        """The next kind of review."""
        if self.session is not None:
            self.session.cycle_kind(step)
            self._show_queue()

    def action_sort(self) -> None:
        """The next order."""
        if self.session is not None:
            self.session.cycle_sort()
            self._show_queue()

    # -- search ------------------------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Open the line to type a search in."""
        self.add_class("-searching")
        self.query_one("#search", Input).focus()

    @on(Input.Changed, "#search")
    def _search_typed(self, event: Input.Changed) -> None:
        if self.session is not None and event.value != self.session.search:
            self.session.set_search(event.value)
            self._show_queue()

    @on(Input.Submitted, "#search")
    def _search_done(self) -> None:
        self._close_search()

    def _close_search(self) -> None:
        self.remove_class("-searching")
        if self.has_class("-reading"):
            self.focus_attention()
        else:
            self.query_one(ReviewList).focus()

    def _clear_search(self) -> None:
        with self.prevent(Input.Changed):
            self.query_one("#search", Input).value = ""
        if self.session is not None and self.session.search:
            self.session.set_search("")
            self._show_queue()

    def action_back(self) -> None:
        """Out of the search, out of the text (one pane at a time), out of the screen: one at a time."""
        if self.has_class("-searching"):
            self._clear_search()
            self._close_search()
        elif self.has_class("-narrow") and self.has_class("-reading"):
            self.remove_class("-reading")
            self.query_one(ReviewList).focus()
            self.refresh_bindings()
        elif self.session is not None and self.session.search:
            self._clear_search()
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
        self.detail.show_review(review)
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
        if action in ("step", "copy"):
            return not nothing
        if action in ("filter", "sort", "search"):
            return self.session is not None
        return super().check_action(action, parameters)
