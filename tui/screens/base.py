"""What all screens share: the top line, the footer, the way between screens, help."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget

from core.i18n import N_
from core.text import visible
from tui.keymap import key, localise, reach_capitals
from tui.painting import QuickScreen, paint
from tui.widgets.key_line import KeyLine
from tui.widgets.top_bar import TopBar

if TYPE_CHECKING:
    from tui.app import NsmcTuiApp

NARROW, WIDE = 120, 160


class BaseScreen(QuickScreen[None]):
    """A screen with a top line, a body (`compose_body`), and the keys of the moment at the bottom.

    The body gets the class `-narrow` (under 120 columns), `-medium` or `-wide` (160 and more), and `-short` under
    30 rows, for its style sheet.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        key("question_mark,f1", "help", N_("Keys"), N_("All keys of this screen"), show=True, display="?"),
        key("escape", "back", N_("Back"), N_("Back to where you came from")),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-medium"), (WIDE, "-wide")]
        self.VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
        localise(self)
        reach_capitals(self)

    @property
    def nsmc(self) -> NsmcTuiApp:
        """The app, typed."""
        return cast("NsmcTuiApp", self.app)

    def compose(self) -> ComposeResult:
        """Top line, body, footer."""
        yield TopBar()
        yield from self.compose_body()
        yield KeyLine()

    def compose_body(self) -> Iterable[Widget]:
        """The widgets between top line and footer."""
        return ()

    @property
    def patience(self) -> float:
        """Seconds that the machine's figures may wait, where a training is not to be disturbed."""
        return 0.0

    def paint(self) -> None:
        """Draw at once what a key brought about, in one picture."""
        paint(self)

    def set_top(self, *crumbs: str, state: str = "") -> None:
        """Show where we are, and the run's state."""
        bar = self.query_one(TopBar)
        bar.crumbs, bar.state = crumbs, state

    def on_mount(self) -> None:
        """Follow the machine's figures as long as the screen lives."""
        self.query_one(TopBar).machine = self.nsmc.machine_line
        self.watch(self.app, "machine_line", self._show_machine, init=False)

    def _show_machine(self, line: str) -> None:
        if self.is_current:
            self.query_one(TopBar).machine = line

    @on(events.Resize)
    def _keys_by_room(self) -> None:
        """What a key does may hang on the room there is: one pane, or several side by side."""
        self.call_after_refresh(self.refresh_bindings)

    def action_help(self) -> None:
        """Show all keys of this screen."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self))

    def action_back(self) -> None:
        """Leave this screen."""
        self.nsmc.go_back()


class RunScreen(BaseScreen):
    """A screen about one run: Monitor, Evaluation, Review. Number keys go from one to the other."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("3", "run_screen('monitor')", N_("Monitor"), N_("Loss, memory and log of this run")),
        key("4", "run_screen('evaluation')", N_("Evaluation"), N_("Scores and confusion matrix"), show=True),
        key("5", "run_screen('review')", N_("Review"), N_("Mispredicted reviews with attention")),
        key("q", "back", N_("Back"), N_("Back; the run goes on")),
    ]
    NAME: ClassVar[str] = ""

    def __init__(self, run_dir: Path) -> None:
        super().__init__()
        self.run_dir = run_dir

    @property
    def run_title(self) -> str:
        """The run's name with its time, short enough for the top line."""
        parts = self.run_dir.name.split("-", 2)
        if len(parts) == 3 and len(parts[1]) == 6:
            return visible(f"{parts[1][:4]} {parts[2]}")
        return visible(self.run_dir.name)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No way to where one is already."""
        return not (action == "run_screen" and parameters == (self.NAME,))

    def action_run_screen(self, name: str) -> None:
        """Go to another screen of the same run."""
        if name != self.NAME:
            self.nsmc.show_run(self.run_dir, name)
