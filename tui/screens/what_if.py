"""What if: the review edited, words taken out or masked, and what the model says then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import TextArea

from core import formats
from core import inspector_questions as questions
from core.errors import NsmcTuiError
from core.i18n import N_, ngettext
from core.i18n import gettext as _
from core.inspector_answers import Flip
from core.inspector_protocol import Inspection
from core.predictions import THRESHOLD
from core.text import visible
from tui.attention_subject import Subject
from tui.heat_scale import colour
from tui.heat_view import HeatChoice
from tui.keymap import key
from tui.screens.base import BaseScreen
from tui.what_if_state import Draft, Drafts, typeable
from tui.widgets.attention_pane import AttentionPane
from tui.widgets.prob_bar import ProbBar, class_names
from tui.widgets.spread_line import SpreadLine
from tui.widgets.text_editor import TextEditor
from tui.widgets.variant_pane import VariantPane
from tui.widgets.word_strip import WordStrip

DEBOUNCE = 0.12
FLIP_TRIES = 400
"""Sets of words that the search tries at most."""


class WhatIfScreen(BaseScreen):
    """The review of `subject`, to be changed. `chosen` is called with the choice of heat that one leaves with."""

    CSS_PATH = "what_if.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("i", "edit", N_("Edit"), N_("Edit the text; esc goes back to the words"), show=True),
        key("x,delete", "delete", N_("Take out"), N_("Take the word out"), show=True, display="x"),
        key("space", "mask", N_("Mask"), N_("Mask the word, or no longer"), show=True),
        key("u", "undo", N_("Undo"), N_("One step back")),
        key("ctrl+r", "redo", N_("Redo"), N_("One step forward again")),
        key("U", "reset", N_("Original"), N_("Back to the review itself")),
        key("X", "flip", N_("Flip"), N_("Search the fewest words without which the answer is another one"), show=True),
        key("ctrl+s", "keep", N_("Keep variant"), N_("Keep this variant with the review"), show=True),
        key("m", "method", N_("Method"), N_("Method of the heat on the text: attention, rollout, attributions")),
        key("l", "layer(1)", N_("Layer"), N_("Next layer; the mean comes after the last")),
        key("L", "layer(-1)", N_("Layer back"), N_("Layer before")),
        key("h", "head(1)", N_("Head"), N_("Next head; the mean comes after the last")),
        key("H", "head(-1)", N_("Head back"), N_("Head before")),
        key("Z", "special", N_("Special tokens"), N_("Special tokens hidden, hidden and renormalised, shown")),
        key("v", "pin", N_("Fixed scale"), N_("Hold the colour scale, or one for each map")),
        key("escape", "words", N_("Words"), N_("From typing back to the words"), show=True, display="esc"),
        # Of the same key, which the one above would put out of sight.
        key("escape", "back", N_("Back"), N_("Back to where you came from")),
        key("q", "back", N_("Back"), N_("Back to the review")),
    ]

    class Answered(Message):
        """The inspector has answered about `draft`: with an inspection, or an error."""

        def __init__(self, draft: Draft, answer: Inspection | NsmcTuiError) -> None:
            super().__init__()
            self.draft, self.answer = draft, answer

    class Searched(Message):
        """The search has ended for `draft`: with what it found, or an error."""

        def __init__(self, draft: Draft, answer: Flip | NsmcTuiError) -> None:
            super().__init__()
            self.draft, self.answer = draft, answer

    def __init__(self, subject: Subject, choice: HeatChoice, chosen: Callable[[HeatChoice], None]) -> None:
        super().__init__()
        self.subject, self._choice, self._chosen = subject, choice, chosen
        self.drafts = Drafts(subject.inspection.text)
        self.inspection: Inspection | None = subject.inspection
        self._searching = ""

    def compose_body(self) -> Iterable[Widget]:
        """The text and its probabilities; its heat; the variants that were kept."""
        strip = WordStrip(id="words")
        pane = AttentionPane(strip, id="attention")
        # The class of the review's own answer, also where the draft's answer is another one.
        pane.choice, pane.target = self._choice, self.subject.pred
        with Container(id="body"):
            with Vertical(id="draft"):
                yield SpreadLine(id="moved")
                yield strip
                yield TextEditor(id="editor")
                yield ProbBar(id="probabilities")
            yield pane
            yield VariantPane(self.subject, id="kept")

    def on_mount(self) -> None:
        """Show the review as it is."""
        super().on_mount()
        self.set_top(self.subject.title, _("Review"), _("What if"))
        self.watch(self.app, "theme", self._redraw, init=False)
        self.query_one(ProbBar).threshold = self.subject.threshold
        self.strip.show_words(self.drafts.current.text, frozenset())
        assert self.inspection is not None
        self._show_answer(self.inspection)
        self.strip.focus()

    @property
    def strip(self) -> WordStrip:
        """The text."""
        return self.query_one(WordStrip)

    @property
    def pane(self) -> AttentionPane:
        """Its heat."""
        return self.query_one(AttentionPane)

    @property
    def editing(self) -> bool:
        """Whether the text is being typed."""
        return self.has_class("-editing")

    def _redraw(self) -> None:
        self.call_after_refresh(self.pane.redraw)
        self._show_moved()

    # -- the draft ---------------------------------------------------------------------------------------------

    def _show_draft(self) -> None:
        """Show the draft after it changed, and ask the model about it."""
        draft = self.drafts.current
        self.inspection = None
        self._stop_search()
        self.strip.show_words(draft.text, draft.masked)
        if self.editing and self.query_one(TextEditor).text != typeable(draft.text):
            with self.prevent(TextArea.Changed):
                self.query_one(TextEditor).load_text(draft.text)
        if draft.same(self.drafts.original):
            self.query_one(VariantPane).parent_variant = None
            self.workers.cancel_group(self, "ask")
            self._show_answer(self.subject.inspection)
            return
        self._show_moved()
        self._ask(draft)

    @work(exclusive=True, group="ask")
    async def _ask(self, draft: Draft) -> None:
        # One key after the other: only the last of them is asked about.
        await asyncio.sleep(DEBOUNCE)
        given = self.subject.inspection
        try:
            answer: Inspection | NsmcTuiError = await self.nsmc.inspector.ask(
                questions.inspect(given.model, draft.text, given.max_length, masked=draft.masked)
            )
        except NsmcTuiError as error:
            answer = error
        self.post_message(self.Answered(draft, answer))

    @on(Answered)
    def _take_answer(self, message: Answered) -> None:
        if not message.draft.same(self.drafts.current):
            return
        if isinstance(message.answer, NsmcTuiError):
            self.pane.clear()
            self.pane.show_message(message.answer.message, message.answer.hint)
            return
        self._show_answer(message.answer)

    def _show_answer(self, inspection: Inspection) -> None:
        self.inspection = inspection
        self.pane.show_inspection(inspection)
        probabilities = inspection.probabilities
        if len(probabilities) == 2:
            self.query_one(ProbBar).show(
                (probabilities[0], probabilities[1]), self.subject.label, self.subject.pred_of(inspection)
            )
        self._show_moved()

    def _show_moved(self) -> None:
        """The probability of the class that was predicted for the review, then and now."""
        before, after = self.subject.inspection, self.inspection
        target = self.subject.pred
        name = class_names()[target] if len(before.labels) == 2 else visible(before.labels[target])
        quiet = colour(self.app, "secondary")
        text = Text.assemble((f"p({name}) ", quiet), f"{before.probabilities[target]:.3f}")
        if self.drafts.changed:
            text.append(" → ", quiet)
            if after is None:
                text.append("…")
            else:
                change = after.probabilities[target] - before.probabilities[target]
                text.append(f"{after.probabilities[target]:.3f}", "bold")
                text.append(f"  Δ {change:+.3f}".replace("-", "−"))
                if self.subject.pred_of(after) != target:
                    text.append("  " + _("another answer"), "bold")
        draft = self.drafts.current
        gone = len(self.drafts.original.words) - len(draft.words)
        parts = [ngettext("{n} word fewer", "{n} words fewer", gone).format(n=gone)] if gone > 0 else []
        if self.subject.threshold != THRESHOLD:
            parts.append(_("threshold {value}").format(value=formats.threshold(self.subject.threshold)))
        parts += [_("{n} masked").format(n=len(draft.masked))] if draft.masked else []
        self.query_one("#moved", SpreadLine).show(text, self._searching or " · ".join(parts))

    # -- keys that change it -----------------------------------------------------------------------------------

    def action_delete(self) -> None:
        """Take the word out."""
        if self.drafts.delete(self.strip.word):
            self._show_draft()

    def action_mask(self) -> None:
        """Mask the word, or no longer."""
        if self.drafts.mask(self.strip.word):
            self._show_draft()

    def action_undo(self) -> None:
        """One step back."""
        if self.drafts.undo():
            self._show_draft()

    def action_redo(self) -> None:
        """One step forward."""
        if self.drafts.redo():
            self._show_draft()

    def action_reset(self) -> None:
        """Back to the review."""
        if self.drafts.reset():
            self._show_draft()

    def action_edit(self) -> None:
        """Type in the text."""
        self.add_class("-editing")
        editor = self.query_one(TextEditor)
        with self.prevent(TextArea.Changed):
            editor.load_text(self.drafts.current.text)
        editor.move_cursor(editor.document.end)
        editor.focus()
        self.refresh_bindings()

    @on(TextArea.Changed, "#editor")
    def _typed(self, event: TextArea.Changed) -> None:
        # What was only made safe for the terminal is still the review's own text.
        text = event.text_area.text
        if text != typeable(self.drafts.current.text) and self.drafts.type(text):
            self._show_draft()

    def action_words(self) -> None:
        """Out of the editor."""
        if self.editing:
            self.action_back()

    def action_back(self) -> None:
        """Out of the editor, out of the search, out of the screen: one at a time."""
        if self.editing:
            self.remove_class("-editing")
            self.drafts.stop_typing()
            self.strip.focus()
            self.refresh_bindings()
        elif self._searching:
            self._stop_search()
            self._show_moved()
        else:
            self._chosen(self.pane.choice)
            super().action_back()

    # -- the search --------------------------------------------------------------------------------------------

    def action_flip(self) -> None:
        """Search the fewest words without which the answer is another one."""
        if self._searching:
            self._stop_search()
            self._show_moved()
            return
        self._searching = _("searching…")
        self._show_moved()
        self._search(self.drafts.current)

    def _stop_search(self) -> None:
        self._searching = ""
        self.workers.cancel_group(self, "flip")

    @work(exclusive=True, group="flip")
    async def _search(self, draft: Draft) -> None:
        given = self.subject.inspection
        try:
            answer: Flip | NsmcTuiError = await self.nsmc.inspector.ask(
                questions.flip(
                    given.model,
                    draft.text,
                    given.max_length,
                    max_evaluations=FLIP_TRIES,
                    threshold=self.subject.threshold if len(given.probabilities) == 2 else None,
                    masked=draft.masked,
                ),
                self._show_progress,
            )
        except NsmcTuiError as error:
            answer = error
        self.post_message(self.Searched(draft, answer))

    def _show_progress(self, done: int, total: int) -> None:
        self._searching = _("searching {done}/{total}").format(done=done, total=total)
        self._show_moved()

    @on(Searched)
    def _take_search(self, message: Searched) -> None:
        if not self._searching or not message.draft.same(self.drafts.current):
            return
        self._searching = ""
        answer = message.answer
        if isinstance(answer, NsmcTuiError):
            self.nsmc.report(answer)
        elif not answer.found:
            self.nsmc.say(
                _("No set of words was found without which the answer is another one ({n} tried).").format(
                    n=answer.evaluations
                )
            )
        else:
            proof = _("fewer do not do it") if answer.minimal else _("perhaps fewer do it too")
            self.nsmc.say(
                _("Without {n} words the answer is another one; {proof}.").format(n=len(answer.words), proof=proof)
            )
            self.drafts.put(Draft(answer.text, frozenset(answer.masked), note="flip"))
            self._show_draft()
            return
        self._show_moved()

    # -- variants ----------------------------------------------------------------------------------------------

    @on(VariantPane.Chosen)
    def _load(self, message: VariantPane.Chosen) -> None:
        variant = message.variant
        if self.drafts.put(Draft(variant.text, frozenset(variant.masked), variant.note)):
            self._show_draft()

    @on(VariantPane.Failed)
    def _not_kept(self, message: VariantPane.Failed) -> None:
        self.nsmc.report(message.error)

    def action_keep(self) -> None:
        """Keep the text in view with the review."""
        pane = self.query_one(VariantPane)
        if not self.drafts.changed:
            self.nsmc.say(_("This is the review itself; change it first."))
        elif self.inspection is None or pane.variants is None:
            self.nsmc.say(_("The model has not answered yet."))
        elif len(self.inspection.probabilities) != 2:
            self.nsmc.say(_("Variants are kept for models with two classes."))
        else:
            pane.keep(self.drafts.current, self.inspection)

    # -- heat --------------------------------------------------------------------------------------------------

    def action_method(self) -> None:
        """The next method."""
        self.pane.choose(self.pane.choice.next_method())

    def action_layer(self, step: int) -> None:
        """Another layer."""
        self.pane.next_layer(step)

    def action_head(self, step: int) -> None:
        """Another head."""
        self.pane.next_head(step)

    def action_special(self) -> None:
        """The next way with special tokens."""
        self.pane.choose(self.pane.choice.next_special())

    def action_pin(self) -> None:
        """Hold the scales, or let them go."""
        self.pane.toggle_pin()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While one types, letters are letters; what would do nothing is not offered."""
        if self.editing and action in ("delete", "mask", "edit", "flip"):
            return False
        if action == "words":
            return self.editing
        return super().check_action(action, parameters)
