"""The app: wires screens, themes, signals and the processes it talks to. It owns no run."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.reactive import reactive
from textual.screen import Screen

from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.run_marks import RunMarks
from core.settings import load_settings, save_setting
from core.text import visible
from tui import collecting, colour_depth
from tui.app_alerts import AlertingApp
from tui.command_hints import as_typed
from tui.key_path import QuickKeys
from tui.keymap import key, localise, own_bindings
from tui.machine import MachineReader
from tui.screens.base import BaseScreen, RunScreen
from tui.sixteen import of_sixteen
from tui.terminal_memory import TerminalMemory
from tui.terminal_output import frugal
from tui.themes import THEMES

if TYPE_CHECKING:
    from textual.driver import Driver

    from core.run_index import RunIndex
    from tui.decisions import Decisions
    from tui.feed import RunFeed
    from tui.inspector_client import InspectorClient

MACHINE_INTERVAL = 2.0
# After the first picture.
MACHINE_FIRST = 0.5
LATEST_COLLECTION = 3.0
"""Seconds after which garbage is collected again, however slowly a screen opens."""
RUN_SCREENS = ("monitor", "evaluation", "review")


class MachineRead(Message):
    """The machine's figures as a line."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self.line = line


class MarksNotKept(Message):
    """The runs directory does not take the file with the marks."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


class NsmcTuiApp(QuickKeys, AlertingApp):
    """`nsmc-tui` on a runs directory. `run` and `screen` say where to open; `demo` goes on to the review by itself.

    `index` has runs that were read while the app was still being imported, and `feed` the log of `run`, for the first
    picture.
    """

    TITLE = "nsmc-tui"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        key("1", "runs", N_("Runs"), N_("All runs")),
        key("2", "new_run", N_("New run"), N_("Set up a new run")),
        key("ctrl+l", "redraw", N_("Redraw"), N_("Draw the whole screen anew")),
        key("ctrl+q", "quit", N_("Quit"), N_("Leave the app; runs go on")),
    ]
    # Screens watch it; as a plain reactive of the app, each change would send the whole screen to the terminal.
    machine_line: reactive[str] = reactive("", repaint=False)

    def __init__(
        self,
        runs: Path,
        run: Path | None = None,
        screen: str = "",
        demo: bool = False,
        index: RunIndex | None = None,
        feed: RunFeed | None = None,
    ) -> None:
        super().__init__()
        localise(self)
        self.runs_dir = runs
        self.demo = demo
        self._first = (run, screen)
        self._index = index
        self._feed = feed
        self._marks: RunMarks | None = None
        self._inspector: InspectorClient | None = None
        self._machine = MachineReader()
        self._machine_at = 0.0
        self._decisions: Decisions | None = None
        self._terminal = TerminalMemory()
        # Only themes that know our colours; Textual's ANSI themes have none that rich could draw.
        for name in list(self.available_themes):
            if name not in ("textual-dark", "textual-light"):
                self.unregister_theme(name)
        for theme in THEMES:
            self.register_theme(theme)
        chosen = os.environ.get("TEXTUAL_THEME") or load_settings().get("theme") or THEMES[0].name
        # Textual takes TEXTUAL_THEME for its own when it does not know ours yet; from another one it is a change.
        self.set_reactive(NsmcTuiApp.theme, "textual-dark")
        self.theme = chosen if chosen in {theme.name for theme in THEMES} else THEMES[0].name
        colour_depth.prepare(self)
        # Textual reads a theme that was changed before the start only after the first picture.
        self.stylesheet.set_variables(self.get_css_variables())

    def on_mount(self) -> None:
        """Open the first screen, listen for signals, begin to look at the machine."""
        self._handle_signals()
        run, screen = self._first
        if run is not None and screen != "new":
            self.show_run(run, screen or "monitor")
        if len(self.screen_stack) < 2:
            self.push_screen(self._runs_screen())
        if screen == "new":
            self.action_new_run()
        self.set_timer(MACHINE_FIRST, self._read_machine)
        collecting.leave_full_ones_to_rest()
        self.set_interval(MACHINE_INTERVAL, self._look_around)
        self.call_after_refresh(self._started)

    @property
    def _background_screens(self) -> list[Screen[Any]]:
        # Textual takes the screen below for visible even where an opaque one covers it, and then any change below sends
        # the whole terminal again. Its name is private; textual is pinned, and a test watches what is sent at rest.
        return [] if self.screen.styles.background.a == 1 else super()._background_screens

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        super()._display(screen, frugal(renderable, self._terminal))

    def on_resize(self) -> None:
        """The terminal is another one than before."""
        self._terminal.forget()

    def action_redraw(self) -> None:
        """Send the whole picture: somebody else (`wall`, a kernel's message) has written to the terminal."""
        self._terminal.forget()
        self.screen.refresh()

    def _started(self) -> None:
        if not gc.isenabled():
            gc.freeze()
            gc.enable()

    def _handle_signals(self) -> None:
        # A closed terminal or `kill` would end the process at once, without restoring anything.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._on_signal, number)
            except (RuntimeError, ValueError):
                # Not the main thread (tests, textual-serve): whoever runs the loop there handles signals.
                return

    def _on_signal(self, number: int) -> None:
        self.exit(return_code=128 + number)

    def get_driver_class(self) -> type[Driver]:
        """Textual's, or in a terminal the one that notices its end."""
        found = super().get_driver_class()
        if found.__name__ != "LinuxDriver":
            return found
        from tui.terminal_driver import TerminalDriver

        return TerminalDriver

    def on_terminal_gone(self) -> None:
        """Leave as at the signal that a closed terminal sends, which may be ignored or never come."""
        self._on_signal(signal.SIGHUP)

    def on_terminal_taken(self) -> None:
        """Draw everything anew."""
        self.action_redraw()

    async def on_unmount(self) -> None:
        """End the inspector; runs are left alone."""
        collecting.as_usual()
        self._machine.close()
        if self._decisions is not None:
            self._decisions.close()
        self.close_alerts()
        if self._inspector is not None:
            await self._inspector.aclose()

    def _look_around(self) -> None:
        collecting.rest()
        now, screen = time.monotonic(), self.screen
        patience = screen.patience if isinstance(screen, BaseScreen) else 0.0
        if now - self._machine_at > patience - MACHINE_INTERVAL / 2:
            self._machine_at = now
            self._read_machine()

    @work(thread=True, exclusive=True, group="machine")
    def _read_machine(self) -> None:
        # In a thread: a driver may take its time to answer.
        self.post_message(MachineRead(self._machine.line()))

    @on(MachineRead)
    def _show_machine(self, event: MachineRead) -> None:
        self.machine_line = event.line

    # -- where to go -------------------------------------------------------------------------------------------

    def _make(self, name: str, run_dir: Path, **options: Any) -> Screen[Any]:
        # Screens are imported when they are first opened: the first picture must not wait for charts.
        if name == "monitor":
            from tui.screens.monitor import MonitorScreen

            # What was begun early is for the first screen; another one of the same run reads for itself.
            feed, self._feed = self._feed, None
            return MonitorScreen(
                run_dir, feed=feed if feed is not None and feed.run_dir == run_dir else None, **options
            )
        if name == "evaluation":
            from tui.screens.evaluation import EvaluationScreen

            return EvaluationScreen(run_dir)
        # Until Review is at rest, or does not come to be.
        collecting.put_off()
        self.set_timer(LATEST_COLLECTION, collecting.settle)
        from tui.screens.review import ReviewScreen

        return ReviewScreen(run_dir, **options)

    def show_run(self, run_dir: Path, name: str, *, push: bool = False, **options: Any) -> None:
        """Open screen `name` of a run; in the place of another run screen unless `push` asks to come back to it."""
        try:
            screen = self._make(name, run_dir, **options)
        except NsmcTuiError as error:
            self.report(error)
            return
        if isinstance(self.screen, RunScreen) and not push:
            self.switch_screen(screen)
        else:
            self.push_screen(screen)

    def _runs_screen(self) -> Screen[Any]:
        # Made when it is gone to: an app that was opened on a run shows that one first.
        from core.run_index import RunIndex
        from tui.screens.runs import RunsScreen

        if self._index is None:
            self._index = RunIndex(self.runs_dir)
        return RunsScreen(self._index)

    def go_back(self) -> None:
        """One screen back; from the run that the app was opened on, to the list of runs; from there, quit."""
        if len(self.screen_stack) > 2:
            self.pop_screen()
        elif isinstance(self.screen, RunScreen):
            self.switch_screen(self._runs_screen())
        else:
            self.exit()

    def action_runs(self) -> None:
        """Go to the list of runs."""
        while len(self.screen_stack) > 2:
            self.pop_screen()
        if isinstance(self.screen, RunScreen):
            self.switch_screen(self._runs_screen())

    def action_new_run(self, start_from: Path | None = None) -> None:
        """Open the form for a new run, filled in from the run directory `start_from` if given."""
        from tui.screens.new_run import NewRunScreen

        if not isinstance(self.screen, NewRunScreen):
            self.push_screen(NewRunScreen(start_from))

    # -- shared by screens -------------------------------------------------------------------------------------

    @property
    def marks(self) -> RunMarks:
        """Marked runs and baseline of this runs directory; call `keep_marks` after a change."""
        if self._marks is None:
            self._marks = RunMarks(self.runs_dir)
        return self._marks

    @property
    def marked(self) -> list[Path]:
        """The marked run directories, in the order in which they were marked."""
        return list(self.marks.marked)

    @property
    def baseline(self) -> Path | None:
        """The run directory that others are compared with, if one is pinned."""
        return self.marks.baseline

    @work(thread=True, group="marks")
    def keep_marks(self) -> None:
        """Write marks and baseline beside the runs, for the next start."""
        try:
            self.marks.save()
        except OSError as error:
            self.post_message(MarksNotKept(error))

    @on(MarksNotKept)
    def _marks_not_kept(self, event: MarksNotKept) -> None:
        reason = event.error.strerror or event.error
        self.say(_("the marks hold until you leave, they could not be kept: {reason}").format(reason=reason))

    @property
    def inspector(self) -> InspectorClient:
        """The process that holds models for attention; made at its first use."""
        if self._inspector is None:
            from tui.inspector_client import InspectorClient

            self._inspector = InspectorClient()
        return self._inspector

    @property
    def decisions(self) -> Decisions:
        """The user's thresholds; numpy is needed for them."""
        if self._decisions is None:
            from tui.decisions import Decisions

            self._decisions = Decisions(self)
        return self._decisions

    def get_key_display(self, binding: Binding) -> str:
        """A key as people write it; `ctrl+s`, not `^s`, wherever it stands."""
        modifiers, _key = binding.parse_key()
        shown = super().get_key_display(binding)
        if shown == "⏎" and colour_depth.ascii_of(self):
            return "enter"
        return f"ctrl+{shown[1:]}" if "ctrl" in modifiers and shown.startswith("^") else shown

    def say(self, text: str, *, severity: SeverityLevel = "information", timeout: float = 5) -> None:
        """A toast of one or more lines; foreign text in it is never markup."""
        lines = "\n".join(visible(line) for line in as_typed(text).split("\n"))
        self.notify(lines, severity=severity, timeout=timeout, markup=False)

    def report(self, error: NsmcTuiError) -> None:
        """An error as a toast: what happened, and the way out."""
        text = error.message if not error.hint else f"{error.message}\n{error.hint}"
        self.say(text, severity="error", timeout=10)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our own colours, for themes that do not know them and for the first reading of the style sheets."""
        return dict(THEMES[0].variables)

    def get_css_variables(self) -> dict[str, str]:
        """The theme's colours, on few colours those that were chosen for them."""
        variables = super().get_css_variables()
        if colour_depth.depth_of(self) == "16":
            variables = self.theme_variables = of_sixteen(variables, dark=self.current_theme.dark)
        return variables

    def watch_theme(self, before: str, theme: str) -> None:
        """Remember the theme that the user chose."""
        if self.is_running and before != theme:
            self._keep("theme", theme)

    def _keep(self, setting: str, value: object) -> None:
        if value != load_settings().get(setting):
            try:
                save_setting(setting, value)
            except OSError as error:
                self.say(_("the setting could not be kept: {reason}").format(reason=error), severity="warning")

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Everything that our keys can do here, by name; the themes."""
        for binding, node in own_bindings(screen):
            yield SystemCommand(
                binding.description, binding.tooltip or binding.description, self._action_callback(binding.action, node)
            )
        other = next(theme.name for theme in THEMES if theme.name != self.theme)
        yield SystemCommand(_("Light or dark"), _("Change to the other theme"), lambda: setattr(self, "theme", other))
        yield SystemCommand(_("ASCII drawing"), _("Bars and maps without block characters, or with them"), self._ascii)
        yield SystemCommand(_("Number of colours"), _("The next of: all, 256, 16, none"), self._depth)

    def _ascii(self) -> None:
        colour_depth.set_ascii(self, not colour_depth.ascii_of(self))
        self._keep("ascii", colour_depth.ascii_of(self))

    def _depth(self) -> None:
        self._keep("colours", colour_depth.next_depth(self))
        self.say(_("Colours: {depth}").format(depth=colour_depth.depth_of(self)))

    def _action_callback(self, action: str, node: Any) -> Callable[[], Any]:
        async def run() -> None:
            await self.run_action(action, node)

        return run
