"""One line at the bottom that asks for a text: a filter, a name, labels."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from core.i18n import N_
from core.text import visible
from tui.keymap import key
from tui.widgets.form_input import FormInput


class AskInput(FormInput):
    """The line that is typed in."""

    BINDINGS = [  # noqa: RUF012
        key("enter", "submit", N_("OK"), N_("Take what is typed"), show=True),
        key("escape", "cancel", N_("Cancel"), N_("Leave it as it was"), show=True),
    ]


class AskLine(Horizontal):
    """Hidden until `ask`. Posts `Typed` at each letter, `Given` at enter, `Left` for esc; then it is hidden again."""

    DEFAULT_CSS = """
    AskLine { height: 1; background: $panel; padding: 0 1; display: none; }
    AskLine #ask-label { width: auto; text-style: bold; margin: 0 2 0 0; }
    AskLine:focus-within #ask-label { color: $accent; }
    AskLine #ask-text { width: 1fr; background: $panel; }
    """

    class Typed(Message):
        """What stands there for `purpose` while it is typed."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Given(Typed):
        """What was typed for `purpose`."""

    class Left(Typed):
        """Nothing shall change; `text` is what stood there at first."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.purpose = ""
        self._before = ""

    def compose(self) -> ComposeResult:
        """Label and text."""
        yield Static("", id="ask-label", markup=False)
        yield AskInput(id="ask-text")

    def ask(self, purpose: str, label: str, text: str, placeholder: str = "") -> None:
        """Ask for a text, `text` being there already."""
        self.purpose, self._before = purpose, text
        self.display = True
        self.query_one("#ask-label", Static).update(Text(visible(label)))
        line = self.query_one("#ask-text", AskInput)
        line.placeholder = placeholder
        line.value = text
        self.screen.set_focus(line)
        line.action_end()

    @on(Input.Changed, "#ask-text")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self.purpose:
            self.post_message(self.Typed(self.purpose, event.value))

    @on(Input.Submitted, "#ask-text")
    def _enter(self, event: Input.Submitted) -> None:
        event.stop()
        self._end(self.Given(self.purpose, event.value))

    @on(FormInput.Cancelled, "#ask-text")
    def _cancel(self, event: FormInput.Cancelled) -> None:
        event.stop()
        self._end(self.Left(self.purpose, self._before))

    def _end(self, message: Message) -> None:
        self.purpose = ""
        self.display = False
        self.post_message(message)
