"""One line at the bottom of a screen that asks for a text: what to search, where to go, tags, a note."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from core.text import visible
from tui.widgets.form_input import PathInput


class PromptLine(Horizontal):
    """Hidden until `ask`. Posts `Typed` at every change, `Given` at enter, `Cancelled` at escape; stays open until
    `close`, so that what was typed can be mended."""

    DEFAULT_CSS = """
    PromptLine { height: 1; background: $panel; padding: 0 1; display: none; }
    PromptLine #prompt-label { width: auto; text-style: bold; margin: 0 2 0 0; }
    PromptLine:focus-within #prompt-label { color: $accent; }
    PromptLine Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    PromptLine #prompt-note { width: auto; max-width: 60%; margin: 0 0 0 2; color: $secondary; }
    PromptLine #prompt-note.-wrong { color: $warning; }
    """

    class Typed(Message):
        """The text for `purpose` has changed."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Given(Message):
        """Enter was pressed on the text for `purpose`."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Cancelled(Message):
        """Escape was pressed."""

        def __init__(self, purpose: str) -> None:
            super().__init__()
            self.purpose = purpose

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.purpose = ""

    def compose(self) -> ComposeResult:
        """Label, text, what is to be said about it."""
        yield Static("", id="prompt-label", markup=False)
        yield PathInput(id="prompt")
        yield Static("", id="prompt-note", markup=False)

    @property
    def text(self) -> str:
        """What was typed."""
        return self.query_one(Input).value

    def ask(self, purpose: str, label: str, text: str = "", note: str = "") -> None:
        """Ask for `purpose`, with `text` there already."""
        self.purpose = purpose
        self.display = True
        self.query_one("#prompt-label", Static).update(Text(label))
        line = self.query_one(Input)
        with self.prevent(Input.Changed):
            line.value = text
        line.action_end()
        line.focus()
        self.note(note)

    def note(self, text: str, wrong: bool = False) -> None:
        """Say something at the right; `wrong`: what was typed cannot be used."""
        box = self.query_one("#prompt-note", Static)
        box.set_class(wrong, "-wrong")
        box.update(Text(("⚠ " if wrong else "") + visible(text), no_wrap=True, overflow="ellipsis"))

    def close(self) -> None:
        """Ask no more."""
        self.purpose = ""
        self.display = False

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(self.purpose, event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Given(self.purpose, event.value))

    @on(PathInput.Cancelled)
    def _cancelled(self, event: PathInput.Cancelled) -> None:
        event.stop()
        self.post_message(self.Cancelled(self.purpose))
