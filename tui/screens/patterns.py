"""Patterns: what many errors of a run have in common: words under heat, heads, verdicts and tags by slice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from core.attribution_methods import METHODS
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.patterns import HeadPattern, WordPattern
from core.text import visible
from tui.keymap import key
from tui.pattern_finding import Found, Read, Wanted, find, kept, read, slices_of
from tui.screens.base import RunScreen
from tui.screens.patterns_showing import PatternShowing
from tui.screens.patterns_typing import PatternTyping
from tui.widgets.pattern_list import PatternList
from tui.widgets.prompt_line import PromptLine
from tui.widgets.spread_line import SpreadLine

PANES = {"fp": "words", "fn": "words", "heads": "heads", "slices": "slices"}
"""The list that has the focus, and the pane that is in view where there is room for one."""


class PatternsScreen(PatternShowing, PatternTyping, RunScreen):
    """Patterns of `run_dir`'s errors in `split` (None: test, else what there is).

    What was counted before is shown at once; otherwise counting begins when the screen opens. Leaving ends it.
    """

    NAME = "patterns"
    CSS_PATH = "patterns.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key(
            "enter",
            "open",
            N_("Review"),
            N_("The reviews with this word or of this slice; the heat of this head"),
            show=True,
        ),
        key("tab", "pane(1)", N_("Pane"), N_("Next list: FP, FN, heads, slices"), show=True),
        key("shift+tab", "pane(-1)", N_("Pane back"), N_("List before")),
        key(
            "full_stop",
            "again",
            N_("Count again"),
            N_("Ask the model again, about the same sample"),
            show=True,
            display=".",
        ),
        key("full_stop", "stop", N_("Stop"), N_("Stop counting"), show=True, display="."),
        key(
            "number_sign",
            "sample",
            N_("Sample"),
            N_("How many FP, FN and correct reviews to ask about"),
            show=True,
            display="#",
        ),
        key(
            "m",
            "method",
            N_("Method"),
            N_("Method of the heat on the text: attention, rollout, attributions"),
            show=True,
        ),
        key("w", "words", N_("Words or tokens"), N_("Heat by word or by token")),
        *PatternTyping.BINDINGS,
        # Six keys at most at the bottom; the way to Evaluation stays a key.
        key("4", "run_screen('evaluation')", N_("Evaluation"), N_("Scores and confusion matrix")),
    ]

    class Loaded(Message):
        """The run has been read."""

        def __init__(self, found: Read) -> None:
            super().__init__()
            self.found = found

    class Progressed(Message):
        """So many reviews of all have been asked about."""

        def __init__(self, wanted: Wanted, done: int, total: int) -> None:
            super().__init__()
            self.wanted, self.done, self.total = wanted, done, total

    class Counted(Message):
        """Counting has ended: with patterns, with None where none are kept, or with an error."""

        def __init__(self, wanted: Wanted, answer: Found | NsmcTuiError | None) -> None:
            super().__init__()
            self.wanted, self.answer = wanted, answer

    class Judged(Message):
        """Verdicts and tags by slice, read again."""

        def __init__(self, slices: dict[str, dict[str, int]]) -> None:
            super().__init__()
            self.slices = slices

    def __init__(self, run_dir: Path, split: str | None = None) -> None:
        super().__init__(run_dir)
        self.wanted = Wanted()
        self.found: Found | None = None
        self.slices: dict[str, dict[str, int]] = {}
        self.by_token = False
        self.busy = False
        self._split = split
        self._read: Read | None = None
        self._progress: tuple[int, int] | None = None
        self._problem: NsmcTuiError | None = None
        self._list = "fp"

    def compose_body(self) -> Iterable[Widget]:
        """What was counted; words in FP and in FN, heads, slices; the line to type in."""
        yield SpreadLine(id="about")
        yield Static(_("reading the predictions…"), id="empty", classes="empty", markup=False)
        with Container(id="pattern-panes"):
            with Container(id="words-pane"):
                for name in ("fp", "fn"):
                    with Vertical(id=f"{name}-side"):
                        yield SpreadLine(id=f"{name}-title", classes="pattern-title")
                        yield PatternList(id=name)
            with Container(id="figures-pane"):
                for name in ("heads", "slices"):
                    with Vertical(id=f"{name}-pane"):
                        yield SpreadLine(id=f"{name}-title", classes="pattern-title")
                        yield PatternList(id=name)
        yield PromptLine(id="prompt-line")

    def on_mount(self) -> None:
        """Begin to read."""
        super().on_mount()
        self.set_top(self.run_title, _("Patterns"))
        self.add_class("-empty")
        self.watch(self.app, "theme", self._recolour, init=False)
        self._load()

    def _recolour(self) -> None:
        if self._read is not None and self._read.opened.predictions is not None:
            self.show_about()

    # -- reading -----------------------------------------------------------------------------------------------

    @work(exclusive=True, group="load")
    async def _load(self) -> None:
        threshold = self.nsmc.decisions.of(self.run_dir).threshold
        self.post_message(self.Loaded(await asyncio.to_thread(read, self.run_dir, self._split, threshold)))

    @on(Loaded)
    def _take(self, message: Loaded) -> None:
        self._read = message.found
        opened = message.found.opened
        self.set_top(self.run_title, _("Patterns"), state=opened.state)
        if opened.predictions is None:
            self._show_no_predictions()
            return
        self.remove_class("-empty")
        self.wanted, self.found, self.slices = message.found.wanted, message.found.found, message.found.slices
        self._problem = opened.model_error
        self.show_all()
        self.refresh_bindings()
        self.focus_list()
        if self.found is None and opened.model is not None:
            self.action_again()

    def _show_no_predictions(self) -> None:
        assert self._read is not None
        opened = self._read.opened
        lines = [
            _("There is nothing to count yet: patterns are of reviews that were predicted."),
            _("Predictions are written when a run ends, or by an evaluation."),
            _("4 goes to Evaluation, v there evaluates now."),
        ]
        if opened.error is not None and not opened.live:
            lines = [opened.error.message, opened.error.hint, lines[-1]]
        self.query_one("#empty", Static).update(Text("\n".join(visible(line) for line in lines if line)))
        self.refresh_bindings()

    def on_screen_resume(self) -> None:
        """Coming back from Review there may be verdicts, and another threshold."""
        if self._read is None or self._read.opened.predictions is None:
            return
        self._look_at_verdicts()
        threshold = self.nsmc.decisions.of(self.run_dir).threshold
        if threshold != self.wanted.threshold:
            self.want(replace(self.wanted, threshold=threshold))

    @work(exclusive=True, group="verdicts")
    async def _look_at_verdicts(self) -> None:
        assert self._read is not None
        try:
            self.post_message(self.Judged(await asyncio.to_thread(slices_of, self._read.opened)))
        except OSError as error:
            self.log.warning(f"the verdicts could not be read again: {error}")

    @on(Judged)
    def _take_verdicts(self, message: Judged) -> None:
        self.slices = message.slices
        self.show_slices()

    # -- counting ----------------------------------------------------------------------------------------------

    def action_again(self) -> None:
        """Count, whatever is kept."""
        self._begin(anew=True)

    def _begin(self, anew: bool) -> None:
        if self._read is None or self._read.opened.model is None or self._read.opened.predictions is None:
            return
        self.busy, self._progress, self._problem = True, None, None
        self.show_all()
        self.refresh_bindings()
        self._count(self.wanted, anew)

    @work(exclusive=True, group="count")
    async def _count(self, wanted: Wanted, anew: bool) -> None:
        assert self._read is not None
        opened = self._read.opened
        answer: Found | NsmcTuiError | None = None
        try:
            if not anew:
                answer = await asyncio.to_thread(kept, opened, wanted)
            if answer is None:
                answer = await find(
                    self.nsmc.inspector,
                    opened,
                    wanted,
                    lambda done, total: self.post_message(self.Progressed(wanted, done, total)),
                )
        except NsmcTuiError as error:
            answer = error
        except OSError as error:
            answer = NsmcTuiError(
                _("the patterns cannot be kept: {reason}").format(reason=error.strerror or error),
                _("They go into the cache: it needs room, and to be yours to write (NSMC_TUI_CACHE)."),
            )
        self.post_message(self.Counted(wanted, answer))

    @on(Progressed)
    def _progressed(self, message: Progressed) -> None:
        if self.busy and message.wanted == self.wanted:
            self._progress = message.done, message.total
            self.show_about()
            if self.found is None:
                self.show_lists()

    @on(Counted)
    def _counted(self, message: Counted) -> None:
        if not self.busy or message.wanted != self.wanted:
            return
        self.busy = False
        if isinstance(message.answer, NsmcTuiError):
            self._problem = message.answer
            if self.found is not None:
                self.nsmc.report(message.answer)
        else:
            self.found = message.answer
        self.show_all()
        self.refresh_bindings()

    def action_stop(self) -> None:
        """Count no more; what was there before stays."""
        self.workers.cancel_group(self, "count")
        self.busy = False
        self.show_all()
        self.refresh_bindings()

    def action_method(self) -> None:
        """Count under the heat of the next method."""
        names = list(METHODS)
        method = names[(names.index(self.wanted.method) + 1) % len(names)]
        self.want(replace(self.wanted, method=method))

    def want(self, wanted: Wanted) -> None:
        """Show patterns of another sample or method: those that are kept, else count."""
        self.wanted, self.found = wanted, None
        self._begin(anew=False)

    # -- panes -------------------------------------------------------------------------------------------------

    def focus_list(self) -> None:
        """Go to the list in view."""
        # At once, not by way of the queue: keys that were typed ahead are for it.
        self.set_focus(self.query_one(f"#{self._list}", PatternList))

    def on_descendant_focus(self) -> None:
        """Where there is room for one pane, it is that of the list with the focus; its title carries the accent."""
        focused = self.focused
        if isinstance(focused, PatternList) and focused.id in PANES:
            self._list = focused.id
        self._show_pane()

    def _show_pane(self) -> None:
        for pane in set(PANES.values()):
            self.set_class(pane == PANES[self._list], f"-{pane}")
        for name in PANES:
            self.query_one(f"#{name}-title").set_class(name == self._list, "-here")

    def action_pane(self, step: int) -> None:
        """The next list."""
        names = list(PANES)
        self._list = names[(names.index(self._list) + step) % len(names)]
        self._show_pane()
        self.focus_list()

    def action_words(self) -> None:
        """Words or tokens."""
        self.by_token = not self.by_token
        self.show_lists()

    # -- to Review ---------------------------------------------------------------------------------------------

    @on(PatternList.Opened)
    def action_open(self) -> None:
        """The reviews that the chosen line is about, or its head."""
        chosen = self.query_one(f"#{self._list}", PatternList).chosen
        if chosen is None or self._read is None or self._read.opened.predictions is None:
            return
        from tui.screens.review_at import ReviewAt, reviewed_filter, word_filter

        split = self._read.opened.predictions.split
        if isinstance(chosen, WordPattern):
            self.app.push_screen(ReviewAt(self.run_dir, split, self._list, word_filter(chosen.word)))
        elif isinstance(chosen, HeadPattern):
            self.app.push_screen(ReviewAt(self.run_dir, split, "all", layer_head=(chosen.layer, chosen.head)))
        else:
            self.app.push_screen(ReviewAt(self.run_dir, split, "any", reviewed_filter(str(chosen))))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What needs predictions, a model or patterns is offered where there are some."""
        opened = self._read.opened if self._read is not None else None
        predicted = opened is not None and opened.predictions is not None
        countable = predicted and opened is not None and opened.model is not None
        if action in ("open", "pane", "words"):
            return predicted
        if action in ("sample", "method"):
            return countable
        if action in ("again", "stop"):
            return countable and self.busy == (action == "stop")
        if action in ("export", "copy"):
            return self.found is not None or bool(self.slices)
        return super().check_action(action, parameters)
