"""What needed attention: alerts of all runs, the newest on top."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from core import formats
from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.keymap import key
from tui.screens.dialog import Dialog
from tui.widgets.form_input import Choices
from tui.widgets.top_bar import fit

if TYPE_CHECKING:
    from core.alert_log import RunAlert
    from tui.app import NsmcTuiApp

RUN_WIDTH, NARROW_RUN_WIDTH = 18, 12
WIDE_LIST = 90
MARKS = {"error": "✗", "warning": "!", "info": "·"}


class AlertsScreen(Dialog[None]):
    """A line an alert; what was acknowledged is dim. Enter goes to the run."""

    DEFAULT_CSS = """
    AlertsScreen > Vertical { width: 110; max-width: 100%; height: 80%; padding: 1 2; background: $panel; }
    AlertsScreen #choices { height: 1fr; background: $panel; border: none; padding: 0; }
    AlertsScreen #about { height: 6; margin-top: 1; }
    AlertsScreen #keys { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("space", "acknowledge", N_("Acknowledge"), N_("This one has been seen"), show=True),
        key("asterisk", "acknowledge_all", N_("All"), N_("All have been seen"), show=True, display="*"),
        key("escape,q,exclamation_mark", "leave", N_("Close"), show=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[RunAlert] = []
        self._looked = False

    @property
    def _nsmc(self) -> NsmcTuiApp:
        return cast("NsmcTuiApp", self.app)

    def compose(self) -> ComposeResult:
        """Title, list, the chosen one in full, keys."""
        with Vertical():
            yield Static("", id="title", markup=False)
            yield Choices(id="choices")
            yield Static("", id="about", markup=False)
            keys = _("enter: to the run   space: seen   *: all seen   esc: close")
            yield Static(Text(keys, style="dim", no_wrap=True), id="keys")

    def on_mount(self) -> None:
        """Show what there is, and what comes."""
        self._show()
        self.set_interval(1.0, self._show_if_new)
        self.query_one(Choices).focus()

    def _show_if_new(self) -> None:
        alerts, shown = self._nsmc.alerts, self._shown
        if len(alerts) != len(shown) or alerts[-1:] != shown[:1] or self._looked != self._nsmc.alerts_looked:
            self._show()

    def on_resize(self) -> None:
        """As much of a message as fits."""
        self._show()

    def _show(self) -> None:
        state, choices = self._nsmc.alert_state, self.query_one(Choices)
        self._looked = self._nsmc.alerts_looked
        before = choices.highlighted
        self._shown = self._nsmc.alerts[::-1]
        open_ones = sum(not state.acknowledged(one.key) for one in self._shown)
        title = Text(_("Alerts"), style="bold")
        title.append("  " + _("{n} not seen").format(n=open_ones), style="dim")
        self.query_one("#title", Static).update(title)
        choices.clear_options()
        width = max(30, choices.size.width - 2)
        # A message says more than the end of a long name, which stands below in full.
        longest = max((cell_len(visible(one.run)) for one in self._shown), default=0)
        names = min(longest, RUN_WIDTH if width >= WIDE_LIST else NARROW_RUN_WIDTH)
        choices.add_options([Option(self._line(one, width, names)) for one in self._shown])
        if self._shown:
            choices.highlighted = min(before or 0, len(self._shown) - 1)
        self._tell()

    def _line(self, one: RunAlert, width: int, names: int) -> Text:
        variables = self.app.theme_variables
        seen = self._nsmc.alert_state.acknowledged(one.key)
        tone = {"error": variables.get("error", ""), "warning": variables.get("warning", "")}.get(one.alert.level, "")
        text = Text(no_wrap=True)
        mark = "✓ " if seen else MARKS.get(one.alert.level, "·") + " "
        text.append(mark, style="dim" if seen else tone)
        moment = datetime.fromtimestamp(one.alert.ts)
        text.append(f"{moment:%m-%d %H:%M}  ", style="dim")
        run = fit(visible(one.run), names)
        text.append(run + " " * (names + 2 - Text(run).cell_len), style="dim" if seen else "bold")
        text.append(fit(visible(one.alert.message), max(8, width - text.cell_len)), style="dim" if seen else "")
        return text

    @property
    def chosen(self) -> RunAlert | None:
        """The alert under the cursor."""
        place = self.query_one(Choices).highlighted
        return self._shown[place] if place is not None and place < len(self._shown) else None

    @on(OptionList.OptionHighlighted)
    def _tell(self) -> None:
        one, about = self.chosen, self.query_one("#about", Static)
        if one is None and not self._looked:
            about.update(Text(_("reading the runs …"), style="dim"))
            return
        if one is None:
            words = _("No alerts. They tell of jumps of the loss, standstill, full memory or disk, and ends of runs.")
            about.update(
                Text(words + "\n" + _("Thresholds and ways of telling: [alerts] in the settings."), style="dim")
            )
            return
        text = Text(f"{visible(one.alert.message)}\n")
        if one.alert.hint:
            text.append(f"→ {visible(one.alert.hint)}\n")
        text.append(
            f"{visible(one.path.name)}   {_('{time} ago').format(time=formats.duration(time.time() - one.alert.ts))}",
            style="dim",
        )
        about.update(text)

    def _acknowledge(self, which: list[RunAlert]) -> None:
        try:
            self._nsmc.alert_state.acknowledge([one.key for one in which])
        except OSError as error:
            self._nsmc.say(
                _("it holds until you leave, it could not be kept: {reason}").format(reason=error), severity="warning"
            )
        self._show()

    def action_acknowledge(self) -> None:
        """This one has been seen; on to the next."""
        if self.chosen is not None:
            self._acknowledge([self.chosen])
            choices = self.query_one(Choices)
            if choices.highlighted is not None and choices.highlighted < len(self._shown) - 1:
                choices.action_cursor_down()

    def action_acknowledge_all(self) -> None:
        """All have been seen."""
        self._acknowledge(self._shown)

    @on(OptionList.OptionSelected)
    def _open(self) -> None:
        if self.chosen is not None:
            path = self.chosen.path
            self._acknowledge([self.chosen])
            self.dismiss()
            self.app.call_after_refresh(self._nsmc.show_run, path, "monitor")

    @on(Choices.Cancelled)
    def _cancelled(self) -> None:
        self.dismiss()

    def action_leave(self) -> None:
        """Close the list."""
        self.dismiss()
