"""Review's keys for what is drawn of the attention: layer, head, method, special tokens, words or tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from core.i18n import N_
from core.i18n import gettext as _
from tui.keymap import key
from tui.widgets.attention_pane import AttentionPane
from tui.widgets.heatmap import HeatMap

if TYPE_CHECKING:
    from tui.screens.base import RunScreen as Base
else:
    # Textual merges the bindings of widgets' and screens' classes only, base first; the screen that mixes this in
    # puts the keys where it wants them.
    Base = object

ACTIONS = ("layer", "head", "method", "special", "words")


class AttentionActions(Base):
    """The part of the Review screen that acts on its attention pane."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # One place in the footer for both: six keys at most.
        key(
            "l",
            "layer(1)",
            N_("Layer, head"),
            N_("Next layer; the mean comes after the last"),
            show=True,
            display="l h",
        ),
        key("L", "layer(-1)", N_("Layer back"), N_("Layer before")),
        key("h", "head(1)", N_("Head"), N_("Next head; the mean comes after the last")),
        key("H", "head(-1)", N_("Head back"), N_("Head before")),
        key("m", "method", N_("Method"), N_("Attention of one layer, or rollout over layers")),
        key("x", "special", N_("Special tokens"), N_("Special tokens hidden, hidden and renormalised, shown")),
        key("w", "words", N_("Words or tokens"), N_("Heat by word or by token")),
    ]

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
