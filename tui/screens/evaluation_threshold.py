"""Evaluation's keys for the decision threshold: moved, typed, the model's own, the best one of dev."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import BindingType
from textual.message import Message

from core.errors import NsmcTuiError, RunError
from core.i18n import N_
from core.i18n import gettext as _
from tui.keymap import key
from tui.widgets.prompt_line import PromptLine

if TYPE_CHECKING:
    from core.decision import Decision
    from tui.scored import Scored
    from tui.screens.base import RunScreen as Base
else:
    Base = object

STEP = 0.01
DEV = "dev"
"""The split that a threshold may be chosen on: test must have no say in what it is to judge."""

ACTIONS = ("lower", "higher", "type_threshold", "usual_threshold", "best_threshold")


class BestFound(Message):
    """The threshold with the highest F1 on dev, or why there is none."""

    def __init__(self, answer: Decision | NsmcTuiError) -> None:
        super().__init__()
        self.answer = answer


class ThresholdActions(Base):
    """The part of Evaluation that moves the threshold; `show_decision` is called with each other one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("minus", "lower", N_("Threshold"), N_("Threshold lower by 0.01, + higher"), show=True, display="- +"),
        key("plus", "higher", N_("Threshold up"), N_("Threshold higher by 0.01"), display="+"),
        key("equals_sign", "type_threshold", N_("Type threshold"), N_("Type the threshold"), display="="),
        key("0", "usual_threshold", N_("Threshold 0.5"), N_("The threshold of the model itself, 0.5")),
        key("B", "best_threshold", N_("Best on dev"), N_("The threshold with the highest F1 on dev")),
    ]

    _scored: Scored | None
    show_decision: Callable[[Decision], None]

    def _move(self, step: float) -> None:
        from core.decision import decided

        if self._scored is None:
            return
        # From one hundredth to the next, also where the best one of dev lies between two.
        threshold = round(self._scored.decision.threshold + step, 2)
        if 0 < threshold < 1:
            self.show_decision(decided(threshold, self._scored.split))

    def action_lower(self) -> None:
        """More reviews are positive."""
        self._move(-STEP)

    def action_higher(self) -> None:
        """Fewer reviews are positive."""
        self._move(STEP)

    def action_usual_threshold(self) -> None:
        """The model's own."""
        from core.decision import Decision

        self.show_decision(Decision())

    def action_best_threshold(self) -> None:
        """The one with the highest F1 on dev."""
        self._find_best()

    @work(thread=True, exclusive=True, group="best")
    def _find_best(self) -> None:
        from core.decision import best_on
        from core.predictions import splits

        try:
            if DEV not in splits(self.run_dir):
                raise RunError(
                    _("A threshold is chosen on dev, which has no predictions."),
                    _("`nsmc-tui evaluate {run} --split dev` makes them.").format(run=self.run_dir.name),
                )
            self.post_message(BestFound(best_on(self.run_dir, DEV)))
        except NsmcTuiError as error:
            self.post_message(BestFound(error))

    def on_best_found(self, message: BestFound) -> None:
        """Show it."""
        if isinstance(message.answer, NsmcTuiError):
            self.nsmc.report(message.answer)
            return
        if message.answer.usual:
            self.nsmc.say(_("No threshold has a higher F1 on dev than 0.5."))
        self.show_decision(message.answer)

    # -- typing ------------------------------------------------------------------------------------------------

    def action_type_threshold(self) -> None:
        """Ask for the threshold."""
        if self._scored is not None:
            now = f"{self._scored.decision.threshold:g}"
            self.query_one(PromptLine).ask("threshold", _("threshold"), now, _("above 0, below 1"))

    def on_prompt_line_given(self, message: PromptLine.Given) -> None:
        """Take the threshold that was typed; the line stays open where it is none."""
        from core.decision import decided, threshold_of

        threshold = threshold_of(message.text)
        if threshold is None or self._scored is None:
            self.query_one(PromptLine).note(_("above 0, below 1"), wrong=True)
            return
        self._stop_typing()
        self.show_decision(decided(threshold, self._scored.split))

    def on_prompt_line_cancelled(self) -> None:
        """Leave it as it is."""
        self._stop_typing()

    def _stop_typing(self) -> None:
        self.query_one(PromptLine).close()
        self.query_one("#confusion").focus()
