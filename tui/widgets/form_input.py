"""Where things are typed and chosen in the form: enter keeps, esc leaves as it was."""

from __future__ import annotations

from typing import ClassVar

from rich.highlighter import Highlighter
from rich.text import Text
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Input, OptionList

from core.i18n import N_
from core.text import visible_each
from tui.keymap import key, localise
from tui.plain_signs import TextOfOthers


class SafeText(Highlighter):
    """What is edited may be of others: its control characters are drawn as signs, and kept as they are."""

    def highlight(self, text: Text) -> None:
        """Draw one sign for each of them."""
        text.plain = visible_each(text.plain)


class FormInput(TextOfOthers, Input):
    """A line of text: enter keeps it, esc leaves it as it was."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "submit", N_("Keep"), N_("Keep what is typed"), show=True),
        key("escape", "cancel", N_("Cancel"), N_("Leave it as it was"), show=True),
    ]

    class Cancelled(Message):
        """The user wants the text as it was."""

        def __init__(self, sender: FormInput) -> None:
            super().__init__()
            self.sender = sender

        @property
        def control(self) -> FormInput:
            """The input that was left."""
            return self.sender

    def __init__(self, placeholder: str = "", id: str | None = None) -> None:
        super().__init__(placeholder=placeholder, id=id, compact=True, select_on_focus=False, highlighter=SafeText())
        localise(self)

    def action_cancel(self) -> None:
        """Say that the text shall be as it was."""
        self.post_message(self.Cancelled(self))


class SearchInput(FormInput):
    """A line to search with: enter goes to what was found, esc shows everything again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "submit", N_("To the list"), N_("To what was found"), show=True),
        key("escape", "cancel", N_("Show all"), N_("End the search"), show=True),
        key("down", "submit"),
    ]


class PathInput(FormInput):
    """A line for a path."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "submit", N_("OK"), N_("Take this path"), show=True),
        key("escape", "cancel", N_("Cancel"), N_("Do nothing"), show=True),
    ]


class Choices(OptionList):
    """A short list to choose from."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "select", N_("Choose"), N_("Take this one"), show=True),
        key("escape", "cancel", N_("Cancel"), N_("Leave it as it was"), show=True),
        key("j", "cursor_down"),
        key("k", "cursor_up"),
        key("g", "first"),
        key("G", "last"),
    ]

    class Cancelled(Message):
        """Nothing was chosen."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, markup=False, compact=True)
        localise(self)

    def action_cancel(self) -> None:
        """Say that nothing was chosen."""
        self.post_message(self.Cancelled())
