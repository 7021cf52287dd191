"""The newest lines of what a run says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from core.i18n import gettext as _
from core.text import visible
from tui.widgets.top_bar import fit


class LogTail(Vertical):
    """A title and the lines below it. `show` takes entries (time, level, text), oldest first."""

    DEFAULT_CSS = """
    LogTail { height: 7; padding: 0 1; }
    LogTail > #log-title { height: 1; color: $secondary; }
    LogTail > #log { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(id="log-pane")
        self._entries: list[tuple[float, str, str]] = []

    def compose(self) -> ComposeResult:
        """Title and lines."""
        yield Static(_("log"), id="log-title", markup=False)
        yield Static("", id="log", markup=False)

    def show(self, entries: Iterable[tuple[float, str, str]]) -> None:
        """Draw the entries that fit."""
        self._entries = list(entries)
        self._draw()

    def on_resize(self) -> None:
        """As many lines as fit."""
        self._draw()

    def _draw(self) -> None:
        box = self.query_one("#log", Static)
        width, height = max(20, self.size.width), max(3, box.size.height or 6)
        variables = self.app.theme_variables
        tones = {"warning": variables.get("warning", ""), "error": variables.get("error", "")}
        text = Text(no_wrap=True)
        for index, (moment, level, message) in enumerate(self._entries[-height:]):
            if index:
                text.append("\n")
            text.append(f"{datetime.fromtimestamp(moment):%H:%M:%S}  ", style="dim")
            text.append(fit(visible(message), width - 10), style=tones.get(level, ""))
        box.update(text)
