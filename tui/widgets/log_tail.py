"""The log pane: what a run says of itself, and what its worker wrote, of any length."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from core.i18n import N_
from core.i18n import gettext as _
from core.launch import LOG_FILE
from core.text import visible
from tui.keymap import key, localise
from tui.log_merge import other_logs
from tui.log_source import ERRORS, LEVELS, WARNINGS, pattern_of
from tui.widgets.form_input import SearchInput
from tui.widgets.log_view import LogView
from tui.widgets.merged_log_view import MergedLogView

RUN, WORKER, ALL = "run", "worker", "all"
# From one to the next with the key.
ORDER = (RUN, WORKER, ALL)


class LogTail(Vertical):
    """A title and lines that can be moved through, searched and filtered. Begins with what the run says.

    `show` takes the run's own entries (time, level, text), oldest first; the worker's log is read from its file.
    Posts `Enlarge` when it is to be shown alone.
    """

    DEFAULT_CSS = """
    LogTail { height: 7; padding: 0 1; }
    LogTail > #log-title { height: 1; color: $secondary; }
    LogTail:focus-within > #log-title { color: $accent; }
    LogTail > #log { height: 1fr; }
    LogTail > #log-search { height: 1; background: $panel; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("W", "source", N_("Other log"), N_("The run's messages, worker.log, or all of it by time"), show=True),
        key("slash", "search", N_("Search"), N_("Search the log for a text or a /regular expression/"), display="/"),
        key("n", "find(1)", N_("Next match"), N_("The next line that matches")),
        key("N", "find(-1)", N_("Match before"), N_("The line before that matches")),
        key("f", "follow", N_("Follow"), N_("Stay at the newest line, or hold")),
        key("F", "level", N_("Filter"), N_("All lines, warnings and errors, errors only")),
        key("E", "first_error", N_("First error"), N_("To the first line that tells of an error")),
        key("enter", "enlarge", N_("Enlarge"), N_("The log alone")),
        key("escape", "leave", N_("Leave")),
    ]

    class Enlarge(Message):
        """The log is to be shown alone, as it stands."""

    def __init__(self, run_dir: Path | None = None, *, source: str = RUN) -> None:
        super().__init__(id="log-pane")
        localise(self)
        self._run_dir = run_dir
        self._source = source if run_dir is not None else RUN
        self._entries: list[tuple[float, str, str]] = []
        self._found = ""
        self._titled: list[str] = []

    @property
    def source(self) -> str:
        """What is shown: `run`, `worker` or `all`."""
        return self._source

    @property
    def view(self) -> MergedLogView:
        """The lines."""
        return self.query_one(MergedLogView)

    def compose(self) -> ComposeResult:
        """Title, lines, and the line for searching."""
        yield Static("", id="log-title", markup=False)
        yield MergedLogView(id="log")
        yield SearchInput(id="log-search", placeholder=_("text, or /regular expression/"))

    def on_mount(self) -> None:
        """Show the source it begins with."""
        self._show_source()
        self.watch(self.view, "following", self._title, init=False)

    def show(self, entries: Iterable[tuple[float, str, str]]) -> None:
        """Take the run's entries, and look whether the worker's log has grown."""
        told = list(entries)
        if told != self._entries:
            self._entries = told
            if self._source == RUN:
                self.view.show_entries(told)
        elif self._source == RUN:
            return
        if self._source == WORKER:
            self.view.refresh_file()
        elif self._source == ALL:
            self.view.refresh_merged(told)
        self._title()

    def _show_source(self) -> None:
        if self._source == WORKER and self._run_dir is not None:
            self.view.show_file(self._run_dir / LOG_FILE)
        elif self._source == ALL and self._run_dir is not None:
            self.view.show_merged(other_logs(self._run_dir, LOG_FILE), self._entries)
        else:
            self.view.show_entries(self._entries, anew=True)
        self._title()

    def _title(self) -> None:
        self._say_if_empty()
        view = self.view
        parts = [{WORKER: LOG_FILE, RUN: _("messages of the run"), ALL: _("all by time")}[self._source]]
        if view.level != LEVELS[0]:
            parts.append({WARNINGS: _("warnings and errors"), ERRORS: _("errors only")}[view.level])
            if view.partly:
                parts.append(_("its last {size} MB").format(size=view.partly))
        if view.is_partial:
            parts.append(_("the ends of the logs"))
        if not view.following:
            parts.append(_("held; f follows"))
        if self._found:
            parts.append(self._found)
        if parts == self._titled:
            return
        self._titled = parts
        text = Text(_("log"), no_wrap=True, overflow="ellipsis")
        text.append("  " + " · ".join(parts), style="dim")
        self.query_one("#log-title", Static).update(text, layout=False)

    def _say_if_empty(self) -> None:
        """Where there is no line, say why, and which key shows others."""
        view = self.view
        if view.level != LEVELS[0]:
            text = _("No line is of this level.") + " " + _("F shows the others.")
        elif self._source == WORKER:
            text = _("{log} is empty, or not there.").format(log=LOG_FILE) + " " + _("W shows another log.")
        elif self._run_dir is None:
            text = _("The run has not said anything yet.")
        else:
            text = _("The run has not said anything yet.") + " " + _("W shows another log.")
        view.when_empty = text

    # -- keys --------------------------------------------------------------------------------------------------

    def action_source(self) -> None:
        """The next log."""
        self._change_source(ORDER[(ORDER.index(self._source) + 1) % len(ORDER)])

    def _change_source(self, source: str) -> None:
        if self._run_dir is None:
            return
        self._source = source
        self._found = ""
        self._show_source()

    def action_follow(self) -> None:
        """Stay at the newest line, or hold."""
        self.view.following = not self.view.following

    def action_level(self) -> None:
        """The next choice of levels."""
        self.view.set_level(LEVELS[(LEVELS.index(self.view.level) + 1) % len(LEVELS)])
        self._title()

    def action_first_error(self) -> None:
        """To the first error."""
        if self._source == RUN and not any(level == "error" for _ts, level, _text in self._entries):
            self._change_source(WORKER)
        elif self._source == ALL and self.view.is_partial:
            # The first one may be before what was put together.
            self._change_source(WORKER)
        self._found = _("looking for the first error …")
        self._title()
        self.view.find_first_error()

    def action_search(self) -> None:
        """Ask what to look for."""
        line = self.query_one("#log-search", SearchInput)
        line.display = True
        self.screen.set_focus(line)
        line.action_end()

    def action_find(self, direction: int) -> None:
        """To the next match or the one before."""
        if self.view.pattern is None:
            self.action_search()
            return
        self._found = _("searching …")
        self._title()
        self.view.find(direction)

    @on(Input.Submitted, "#log-search")
    def _search(self, event: Input.Submitted) -> None:
        event.stop()
        pattern, wrong = pattern_of(event.value)
        if wrong:
            self._found = visible(wrong)
            self._title()
            return
        self._close_search()
        self.view.set_pattern(pattern)
        self._found = ""
        if pattern is not None:
            # The end of a log is what one looks at first: the newest match before it.
            self.action_find(-1)
        self._title()

    @on(SearchInput.Cancelled, "#log-search")
    def _cancelled(self, event: SearchInput.Cancelled) -> None:
        event.stop()
        self._close_search()
        self.view.set_pattern(None)
        self._found = ""
        self._title()

    def _close_search(self) -> None:
        self.query_one("#log-search").display = False
        self.screen.set_focus(self.view)

    @on(LogView.Found)
    def _was_found(self, event: LogView.Found) -> None:
        event.stop()
        self._found = "" if event.row is not None else _("nothing more that way")
        self._title()

    @on(LogView.Filtered)
    def _was_filtered(self, event: LogView.Filtered) -> None:
        event.stop()
        self._title()

    def action_enlarge(self) -> None:
        """Ask for the whole screen."""
        self.post_message(self.Enlarge())

    def action_leave(self) -> None:
        """Out of the search's marks, then out of the screen."""
        if self.view.pattern is not None:
            self.view.set_pattern(None)
            self._found = ""
            self._title()
            return
        self.screen.action_back()  # type: ignore[attr-defined]
