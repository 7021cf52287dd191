"""One line at the bottom that asks for a path: where to save, what to load."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from core.i18n import gettext as _
from core.text import visible
from tui.widgets.form_input import PathInput


class PathPrompt(Horizontal):
    """Hidden until `ask`. Posts `Given` at enter and stays open until `close`, so that a path can be mended."""

    DEFAULT_CSS = """
    PathPrompt { height: 1; background: $panel; padding: 0 1; display: none; }
    PathPrompt #ask-label { width: auto; text-style: bold; margin: 0 2 0 0; }
    PathPrompt:focus-within #ask-label { color: $accent; }
    PathPrompt #path { width: 1fr; background: $panel; }
    PathPrompt #ask-note { width: auto; max-width: 50%; margin: 0 0 0 2; color: $secondary; }
    """

    class Given(Message):
        """A path was typed for `purpose`."""

        def __init__(self, purpose: str, path: Path) -> None:
            super().__init__()
            self.purpose = purpose
            self.path = path

    class Closed(Message):
        """There is no path."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.purpose = ""

    def compose(self) -> ComposeResult:
        """Label, path, what is to be said about it."""
        yield Static("", id="ask-label", markup=False)
        yield PathInput(id="path")
        yield Static("", id="ask-note", markup=False)

    def ask(self, purpose: str, label: str, path: str) -> None:
        """Ask for a path, `path` being there already. `purpose` is `save` or `load`."""
        self.purpose = purpose
        self.display = True
        self.query_one("#ask-label", Static).update(Text(label))
        line = self.query_one("#path", PathInput)
        line.value = path
        self.screen.set_focus(line)
        line.action_end()
        self._note(path)

    def close(self) -> None:
        """Ask no more."""
        self.purpose = ""
        self.display = False

    @on(Input.Changed, "#path")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._note(event.value)

    def _note(self, typed: str) -> None:
        path = Path(typed.strip() or ".").expanduser()
        note = ""
        try:
            if path.is_dir():
                note = _("that is a directory")
            elif self.purpose == "save" and path.is_file():
                note = _("exists: values change, comments stay")
            elif self.purpose == "load" and not path.exists():
                note = _("no such file")
        except OSError as error:
            note = str(error.strerror or error)
        self.query_one("#ask-note", Static).update(Text(visible(note), no_wrap=True, overflow="ellipsis"))

    @on(Input.Submitted, "#path")
    def _enter(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.post_message(self.Given(self.purpose, Path(event.value.strip()).expanduser()))
        else:
            self._cancel(event)

    @on(PathInput.Cancelled, "#path")
    def _cancel(self, event: Message) -> None:
        event.stop()
        self.close()
        self.post_message(self.Closed())
