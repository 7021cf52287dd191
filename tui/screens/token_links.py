"""Token to token: where one word or token of a review looks, and who looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.widget import Widget

from core.i18n import N_
from core.i18n import gettext as _
from tui.attention_subject import Subject
from tui.heat_keys import LAYER_AND_HEAD
from tui.heat_scale import colour, scale_of
from tui.heat_view import HeatChoice, heat_of
from tui.keymap import key
from tui.screens.base import BaseScreen
from tui.widgets.spread_line import SpreadLine
from tui.widgets.token_links import MARK, TokenLinks
from tui.widgets.top_bar import fit


class TokenLinksScreen(BaseScreen):
    """The text of `subject` twice; `chosen` is called with the choice of layer and head that one leaves with."""

    CSS = """
    TokenLinksScreen #links-title, TokenLinksScreen #links-heads { padding: 0 1; color: $secondary; }
    TokenLinksScreen TokenLinks { height: 1fr; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *LAYER_AND_HEAD,
        key("m", "method", N_("Method"), N_("Attention or rollout"), show=True),
        key(
            "Z", "special", N_("Special tokens"), N_("Special tokens hidden, hidden and renormalised, shown"), show=True
        ),
        key("w", "words", N_("Words or tokens"), N_("By word or by token"), show=True),
        key("q", "back", N_("Back"), N_("Back to the review")),
    ]

    def __init__(self, subject: Subject, choice: HeatChoice, chosen: Callable[[HeatChoice], None]) -> None:
        super().__init__()
        assert subject.maps is not None
        self.subject, self.choice, self._chosen, self._came_with = subject, choice, chosen, choice
        if choice.attributed:
            # An attribution has no map; the one that Review shows beside it has.
            self.choice = replace(choice, method="attention")

    def compose_body(self) -> Iterable[Widget]:
        """What the weights are; the columns' heads; the columns."""
        yield SpreadLine(id="links-title")
        yield SpreadLine(id="links-heads")
        yield TokenLinks(id="links")

    def on_mount(self) -> None:
        """Show the weights of the choice that one came with."""
        super().on_mount()
        self.set_top(self.subject.title, _("Review"), _("Token to token"))
        self.watch(self.app, "theme", self._show, init=False)
        self.query_one(TokenLinks).focus()
        self._show()

    def _show(self) -> None:
        heat = heat_of(self.subject.inspection, self.choice, self.subject.maps)
        assert heat is not None
        self.choice = heat.choice
        self.query_one(TokenLinks).show(heat.matrix, heat.units)

    @on(TokenLinks.Moved)
    def _show_titles(self) -> None:
        links = self.query_one(TokenLinks)
        said = Text(" · ".join(self.choice.describe()))
        self.query_one("#links-title", SpreadLine).show(said, scale_of(self.app).legend(links.top()))
        heads = Text(no_wrap=True)
        if links.units:
            column = (links.scrollable_content_region.width - MARK) // 2
            name = links.units[links.cursor].label
            tone = colour(self.app, "foreground")
            for text, total in (
                (_("where {word} looks"), float(links.looks.sum())),
                (_("who looks at {word}"), float(links.looked_at.sum())),
            ):
                room = max(4, column - Text(text).cell_len - 4)
                head = Text(text.format(word=fit(name, room)), tone)
                head.append(f"  Σ {total:.2f}", colour(self.app, "secondary"))
                head.truncate(column - 1, pad=True)
                heads.append_text(head).append(" ")
        self.query_one("#links-heads", SpreadLine).show(Text(" " * MARK) + heads)

    # -- keys --------------------------------------------------------------------------------------------------

    def _choose(self, choice: HeatChoice) -> None:
        self.choice = choice
        self._show()

    def action_layer(self, step: int) -> None:
        """Another layer."""
        assert self.subject.maps is not None
        self._choose(self.choice.next_layer(step, *self.subject.maps.attention.shape[:2]))

    def action_head(self, step: int) -> None:
        """Another head."""
        assert self.subject.maps is not None
        if self.choice.rolled:
            self.nsmc.say(_("Rollout takes the mean of the heads; m goes back to attention."))
            return
        self._choose(self.choice.next_head(step, *self.subject.maps.attention.shape[:2]))

    def action_method(self) -> None:
        """Attention or rollout."""
        self._choose(replace(self.choice, method="attention" if self.choice.rolled else "rollout"))

    def action_special(self) -> None:
        """The next way with special tokens."""
        self._choose(self.choice.next_special())

    def action_words(self) -> None:
        """Words or tokens."""
        self._choose(replace(self.choice, words=not self.choice.words))

    def action_back(self) -> None:
        """Back, with the layer and head that are shown."""
        came_with = self._came_with
        self._chosen(replace(self.choice, method=came_with.method) if came_with.attributed else self.choice)
        super().action_back()
