"""What a run will take, from some of its steps tried now: time, memory, disk, and what it learns from."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static

from core import formats
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.forecast_lines import memory_and_disk, phase_words, time_taken, what_it_learns
from tui.keymap import key
from tui.screens.dialog import Dialog

if TYPE_CHECKING:
    from core.config import RunConfig
    from core.forecast import Forecast


class _LeftError(Exception):
    """Nobody waits for the forecast any more."""


class Progressed(Message):
    """What the forecast is doing, and how far it is."""

    def __init__(self, phase: str, done: int, total: int) -> None:
        super().__init__()
        self.text = phase_words(phase) + (f"  {formats.count(done)} / {formats.count(total)}" if total else " …")


class Forecasted(Message):
    """The forecast, or why there is none."""

    def __init__(self, made: Forecast | None = None, error: NsmcTuiError | None = None) -> None:
        super().__init__()
        self.made = made
        self.error = error


class ForecastScreen(Dialog[None]):
    """Forecasts the run of `config`; closing it ends the trial steps."""

    DEFAULT_CSS = """
    ForecastScreen > VerticalScroll {
        width: 84; max-width: 100%; height: auto; max-height: 92%; padding: 1 2; background: $panel;
        scrollbar-size-vertical: 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape,q,f,enter", "leave", N_("Close"), show=True, display="esc"),
    ]

    def __init__(self, config: RunConfig, runs: Path) -> None:
        super().__init__()
        self._config, self._runs = config, runs
        self._left = threading.Event()
        self._told = ""

    def compose(self) -> ComposeResult:
        """Title with the key, what it is doing or what it found."""
        with VerticalScroll():
            yield Static(Text.assemble((_("Forecast"), "bold"), "   ", (_("esc: close"), "dim")))
            yield Static("")
            yield Static("", id="found", markup=False)

    def on_mount(self) -> None:
        """Begin."""
        self.query_one("#found", Static).update(Text(phase_words("loading") + " …", style="dim"))
        self._forecast()

    def on_unmount(self) -> None:
        """End the trial steps: however this was closed."""
        self._left.set()

    @work(thread=True)
    def _forecast(self) -> None:
        from core.forecast import forecast

        try:
            made = forecast(self._config, self._progress, self._runs)
        except NsmcTuiError as error:
            self.post_message(Forecasted(error=error))
        except _LeftError:
            return
        else:
            self.post_message(Forecasted(made))

    def _progress(self, phase: str, done: int, total: int) -> None:
        if self._left.is_set():
            raise _LeftError
        message = Progressed(phase, done, total)
        if message.text != self._told:
            self._told = message.text
            self.post_message(message)

    @on(Progressed)
    def _show_progress(self, event: Progressed) -> None:
        self.query_one("#found", Static).update(Text(event.text, style="dim"))

    @on(Forecasted)
    def _show(self, event: Forecasted) -> None:
        variables = self.app.theme_variables
        text = Text()
        if event.made is not None:
            self.query_one("#found", Static).update(self._table(event.made))
        elif event.error is not None:
            text.append("✗ " + visible(event.error.message), style=variables.get("error", ""))
            if event.error.hint:
                text.append("\n→ " + visible(event.error.hint))
            self.query_one("#found", Static).update(text)

    def _table(self, made: Forecast) -> Table:
        """What it takes first: that decides whether the run is started."""
        variables = self.app.theme_variables
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(no_wrap=True, style=variables.get("secondary", ""))
        # rich measures a line for its ellipsis with the space at its end, which takes a wide letter off full lines.
        table.add_column(ratio=1, overflow="fold")
        for title, said in (*time_taken(made), *memory_and_disk(made)):
            table.add_row(title, Text(visible(said)))
        for caution in made.warnings:
            said = caution.message + (f" — {caution.hint}" if caution.hint else "")
            table.add_row("⚠", Text(visible(said), style=variables.get("warning", "")))
        table.add_row("", "")
        for title, said in what_it_learns(made):
            table.add_row(title, Text(visible(said), style="dim"))
        return table

    def action_leave(self) -> None:
        """Close it."""
        self.dismiss()
