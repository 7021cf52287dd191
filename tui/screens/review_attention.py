"""Review's keys for what is drawn of the attention: layer, head, method, special tokens, words or tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from core.i18n import N_
from core.i18n import gettext as _
from tui.attention_subject import Subject
from tui.heat_view import method_name
from tui.keymap import key
from tui.widgets.attention_pane import AttentionPane
from tui.widgets.heatmap import HeatMap

if TYPE_CHECKING:
    from tui.review_session import ReviewSession
    from tui.screens.base import RunScreen as Base
    from tui.screens.model_picker import Model
else:
    # Textual merges the bindings of widgets' and screens' classes only, base first; the screen that mixes this in
    # puts the keys where it wants them.
    Base = object

ACTIONS = (
    *("layer", "head", "method", "special", "words", "pin", "target"),
    *("grid", "links", "methods", "what_if", "two_models"),
)


class AttentionActions(Base):
    """The part of the Review screen that acts on its attention pane."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # One place in the footer for all three: six keys at most.
        key(
            "l",
            "layer(1)",
            N_("Layer, head, all"),
            N_("Next layer; the mean comes after the last"),
            show=True,
            display="l h o",
        ),
        key("L", "layer(-1)", N_("Layer back"), N_("Layer before")),
        key("h", "head(1)", N_("Head"), N_("Next head; the mean comes after the last")),
        key("H", "head(-1)", N_("Head back"), N_("Head before")),
        key("m", "method", N_("Method"), N_("Method of the heat on the text: attention, rollout, attributions")),
        key("o", "grid", N_("Heads"), N_("All layers and heads at once")),
        key("i", "what_if", N_("What if"), N_("Edit the review, take words out, and see the answer move")),
        key("T", "links", N_("Token to token"), N_("Where one token looks, and who looks at it")),
        key("M", "methods", N_("Methods"), N_("Does attention explain it? All methods side by side")),
        key("C", "two_models", N_("Two models"), N_("The same review with another model, side by side")),
        key("Z", "special", N_("Special tokens"), N_("Special tokens hidden, hidden and renormalised, shown")),
        key("w", "words", N_("Words or tokens"), N_("Heat by word or by token")),
        key("v", "pin", N_("Fixed scale"), N_("Hold the colour scale, or one for each map")),
        key("b", "target", N_("Class"), N_("Attributions for the other class")),
    ]

    session: ReviewSession | None
    _other_model: Model | None = None

    @property
    def attention(self) -> AttentionPane:
        """The pane that shows where the model looked."""
        return self.query_one(AttentionPane)

    def focus_attention(self) -> None:
        """Go to the map."""
        self.query_one(HeatMap).focus()

    def offers_attention(self, action: str) -> bool | None:
        """Whether `action` is offered here and now; None for an action that is not of this part."""
        if action not in ACTIONS:
            return None
        reading = not self.has_class("-narrow") or self.has_class("-reading")
        return reading and not self.has_class("-empty")

    def action_layer(self, step: int) -> None:
        """The next layer."""
        self.attention.next_layer(step)

    def action_head(self, step: int) -> None:
        """The next head."""
        if not self.attention.next_head(step):
            self.nsmc.say(_("Rollout takes the mean of the heads; m goes back to attention."))

    def action_method(self) -> None:
        """The next method."""
        self.attention.choose(self.attention.choice.next_method())

    def action_special(self) -> None:
        """The next way with special tokens."""
        self.attention.choose(self.attention.choice.next_special())

    def action_words(self) -> None:
        """Words or tokens."""
        self.attention.toggle_words()

    def action_pin(self) -> None:
        """Hold the scales, or let them go."""
        if self.attention.toggle_pin():
            self.nsmc.say(_("Colours now mean the same weights everywhere; v gives each map its own scale again."))

    def action_target(self) -> None:
        """Attributions for the next class."""
        if not self.attention.next_target():
            self.nsmc.say(
                _("{method} is for no class; m goes to the next method.").format(
                    method=method_name(self.attention.choice.method)
                )
            )

    # -- other screens on the same review ----------------------------------------------------------------------

    @property
    def subject(self) -> Subject | None:
        """The review in view for other screens; None while the model has not answered."""
        session, inspection = self.session, self.attention.inspection
        review = session.current if session is not None else None
        if session is None or inspection is None or review is None:
            return None
        split = session.predictions.split
        return Subject(
            self.run_title,
            self.run_dir,
            split,
            review.id,
            review.label,
            inspection,
            self.attention.maps,
            session.threshold,
        )

    def _subject_with_attention(self) -> Subject | None:
        subject = self.subject
        if subject is None:
            self.nsmc.say(_("The model has not answered yet."))
        elif subject.maps is None:
            self.nsmc.say(subject.inspection.note or _("This model gives no attention."))
        else:
            return subject
        return None

    def action_grid(self) -> None:
        """All heads at once."""
        from tui.screens.head_grid import HeadGridScreen

        if (subject := self._subject_with_attention()) is not None:
            self.app.push_screen(HeadGridScreen(subject, self.attention.choice, self.attention.choose))

    def action_links(self) -> None:
        """Where one token looks."""
        from tui.screens.token_links import TokenLinksScreen

        if (subject := self._subject_with_attention()) is not None:
            self.app.push_screen(TokenLinksScreen(subject, self.attention.choice, self.attention.choose))

    def action_methods(self) -> None:
        """All methods side by side."""
        from tui.screens.methods import MethodsScreen

        if (subject := self.subject) is None:
            self.nsmc.say(_("The model has not answered yet."))
            return
        pane = self.attention
        target = subject.pred if pane.target is None else pane.target
        self.app.push_screen(MethodsScreen(subject, pane.choice, target, pane.choose))

    def action_what_if(self) -> None:
        """Change the review and see the answer move."""
        from tui.screens.what_if import WhatIfScreen

        if (subject := self.subject) is None:
            self.nsmc.say(_("The model has not answered yet."))
            return
        self.app.push_screen(WhatIfScreen(subject, self.attention.choice, self.attention.choose))

    def action_two_models(self) -> None:
        """The same review with another model; which one is asked for once."""
        from tui.screens.model_picker import ModelPicker

        if self.subject is None:
            self.nsmc.say(_("The model has not answered yet."))
        elif self._other_model is None:
            self.app.push_screen(ModelPicker(self.run_dir), self._compare_with)
        else:
            self._compare_with(self._other_model)

    def _compare_with(self, model: Model | None) -> None:
        from tui.screens.two_models import TwoModelsScreen

        subject = self.subject
        if model is not None and subject is not None:
            self._remember_model(model)
            self.app.push_screen(TwoModelsScreen(subject, self.attention.choice, model, self._remember_model))

    def _remember_model(self, model: Model) -> None:
        self._other_model = model
