"""The log of a run alone: the run's messages, or the worker's output of any length."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from core.i18n import N_
from core.i18n import gettext as _
from tui.feed import RunFeed
from tui.keymap import key
from tui.screens.base import RunScreen
from tui.widgets.log_tail import WORKER, LogTail
from tui.widgets.log_view import LogView

TICK = 0.5


class WholeLog(LogTail):
    """The pane with its keys at the bottom of the screen: here they are the ones of the moment."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key(
            "slash",
            "search",
            N_("Search"),
            N_("Search the log for a text or a /regular expression/"),
            show=True,
            display="/",
        ),
        key("f", "follow", N_("Follow"), N_("Stay at the newest line, or hold"), show=True),
        key("F", "level", N_("Filter"), N_("All lines, warnings and errors, errors only"), show=True),
        key("E", "first_error", N_("First error"), N_("To the first line that tells of an error"), show=True),
    ]


class LogScreen(RunScreen):
    """Shows the log over the monitor. Opens on the worker's output; `feed` is the monitor's and is not polled here."""

    NAME = "log"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("L", "back", N_("Back"), N_("Back to the monitor")),
        # Not at the bottom: the log's own keys are.
        key("4", "run_screen('evaluation')", N_("Evaluation"), N_("Scores and confusion matrix")),
    ]
    DEFAULT_CSS = "LogScreen #log-pane { height: 1fr; }"

    def __init__(self, run_dir: Path, feed: RunFeed) -> None:
        super().__init__(run_dir)
        self._feed = feed

    def compose_body(self) -> Iterable[Widget]:
        """The pane alone."""
        yield WholeLog(self.run_dir, source=WORKER)

    def on_mount(self) -> None:
        """Follow as long as the screen lives."""
        super().on_mount()
        state = self._feed.run.state if self._feed.run is not None else ""
        self.set_top(self.run_title, _("Log"), state=state)
        self._tick()
        self.set_interval(TICK, self._tick)
        self.query_one(LogView).focus()

    def _tick(self) -> None:
        if self.is_current:
            self.query_one(LogTail).show(self._feed.telemetry.log)

    def action_run_screen(self, name: str) -> None:
        """Go to another screen of the run, in the monitor's place."""
        self.app.pop_screen()
        if name != "monitor":
            self.nsmc.show_run(self.run_dir, name)
