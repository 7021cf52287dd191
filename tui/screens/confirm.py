"""A question before something that cannot be undone."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.keymap import key
from tui.screens.dialog import Dialog


class ConfirmScreen(Dialog[bool]):
    """Asks; `y` or enter is yes, anything that leaves is no."""

    DEFAULT_CSS = """
    ConfirmScreen > Vertical { width: 64; max-width: 96%; height: auto; padding: 1 2; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("y,enter", "answer(True)", N_("Yes"), show=True),
        key("n,escape,q", "answer(False)", N_("No"), show=True),
    ]

    def __init__(self, question: str, detail: str = "") -> None:
        super().__init__()
        self._question, self._detail = question, detail

    def compose(self) -> ComposeResult:
        """Question, what it means, the two keys."""
        with Vertical():
            yield Static(Text(visible(self._question), style="bold"))
            if self._detail:
                yield Static(Text(visible(self._detail), style="dim"))
            yield Static("")
            yield Static(Text.assemble(("y", "bold"), f" {_('Yes')}     ", ("n", "bold"), f" {_('No')}"))

    def action_answer(self, answer: bool) -> None:
        """Close with the answer."""
        self.dismiss(answer)
