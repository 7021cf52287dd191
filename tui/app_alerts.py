"""The part of the app that tells of alerts: of all runs of the directory, whichever screen is open."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.message import Message
from textual.notifications import SeverityLevel

from core.alert_state import AlertState
from core.i18n import N_, ngettext
from core.i18n import gettext as _
from core.settings import load_settings
from core.text import visible
from tui.keymap import key
from tui.screens.base import RunScreen
from tui.terminal_note import osc9
from tui.type_ahead import TypeAheadApp

if TYPE_CHECKING:
    from core.alert_log import AlertLog, RunAlert
    from core.alert_settings import AlertSettings
    from core.notify import Notifier

INTERVAL = 3.0
# After the first picture.
FIRST = 1.5
# More at once are counted: a wall of toasts tells nothing.
MOST_TOASTS = 3
KEPT = 500
# What the screens of a run tell by themselves.
ENDINGS = ("finished", "stopped", "failed", "crashed")
SEVERITIES: dict[str, SeverityLevel] = {"info": "information", "warning": "warning", "error": "error"}


class AlertsFound(Message):
    """Alerts that have not been told before, oldest first."""

    def __init__(self, found: list[RunAlert]) -> None:
        super().__init__()
        self.found = found


class AlertsLooked(Message):
    """All runs have been looked at for the first time."""


class AlertTrouble(Message):
    """Something about alerts does not work: a setting, the user's command, the file of what was seen."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


@dataclass(frozen=True)
class AlertDesk:
    """What looks for alerts and sends them."""

    settings: AlertSettings
    log: AlertLog
    notifier: Notifier


class AlertingApp(TypeAheadApp[None]):
    """Looks for alerts every few seconds; toasts, bells, and the list behind `!`.

    Subclasses set `runs_dir` before it is mounted.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        key("exclamation_mark", "alerts", N_("Alerts"), N_("What needed attention, in all runs"), display="!"),
    ]
    runs_dir: Path

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.alerts: list[RunAlert] = []
        self.alerts_looked = False
        self.alert_state = AlertState()
        self._desk: AlertDesk | None = None
        self._looking = threading.Lock()
        self._opened = time.time()

    def on_mount(self) -> None:
        """Look soon, then again and again."""
        self.set_timer(FIRST, self._look_for_alerts)
        self.set_interval(INTERVAL, self._look_for_alerts)

    def close_alerts(self) -> None:
        """Let a command or webhook that is under way finish."""
        if self._desk is not None:
            self._desk.notifier.close()

    @work(thread=True, group="alerts")
    def _look_for_alerts(self) -> None:
        if not self._looking.acquire(blocking=False):
            # A slow disk: the look before this one is still under way.
            return
        try:
            self._look_at_runs()
        finally:
            self._looking.release()

    def _look_at_runs(self) -> None:
        from core.alert_log import is_news

        if self._desk is None:
            self._desk = self._set_up()
        found = self._desk.log.poll()
        now = time.time()
        for one in found:
            if self._desk.notifier.wanted and is_news(one, now):
                self._send(self._desk, one)
        if found:
            self.post_message(AlertsFound(found))
        if not self.alerts_looked:
            self.post_message(AlertsLooked())

    def _set_up(self) -> AlertDesk:
        # Imported here, in the thread: the first picture does not wait for it.
        from core import alert_settings
        from core.alert_log import AlertLog
        from core.notify import Notifier

        settings, problems = alert_settings.read(load_settings())
        for problem in problems:
            self._trouble(problem)
        return AlertDesk(settings, AlertLog(self.runs_dir), Notifier(settings, self._trouble))

    def _trouble(self, text: str) -> None:
        self.post_message(AlertTrouble(text))

    def _send(self, desk: AlertDesk, one: RunAlert) -> None:
        """What no worker can tell goes to command and webhook from here, from one app of this user's."""
        try:
            first = self.alert_state.claim(one.key)
        except OSError as error:
            # Better twice than never.
            self._trouble(_("cannot keep what was sent: {reason}").format(reason=error))
            first = True
        if first:
            desk.notifier.send(one.alert, one.path)

    @on(AlertsLooked)
    def _alerts_looked(self) -> None:
        self.alerts_looked = True

    @on(AlertTrouble)
    def _alert_trouble(self, event: AlertTrouble) -> None:
        self.notify(visible(event.text), severity="warning", timeout=10, markup=False)

    @on(AlertsFound)
    def _alerts_found(self, event: AlertsFound) -> None:
        # What is only worth knowing stands in the run's log.
        self.alerts = [*self.alerts, *(one for one in event.found if self._matters(one))][-KEPT:]
        fresh = [one for one in event.found if self._is_worth_telling(one)]
        for one in fresh[-MOST_TOASTS:]:
            self._toast(one)
        if len(fresh) > MOST_TOASTS:
            more = len(fresh) - MOST_TOASTS
            text = ngettext("{n} more alert; ! lists it", "{n} more alerts; ! lists them", more)
            self.notify(text.format(n=more), markup=False)
        sent = [one for one in event.found if self._is_new(one) and self._sends(one)]
        if sent:
            self._ring(sent[-1])

    def _is_new(self, one: RunAlert) -> bool:
        return one.alert.ts >= self._opened - INTERVAL and not self.alert_state.acknowledged(one.key)

    def _sends(self, one: RunAlert) -> bool:
        return self._desk is not None and self._desk.settings.sends(one.alert.level, one.alert.code)

    @staticmethod
    def _matters(one: RunAlert) -> bool:
        return one.alert.level != "info" or one.alert.code in ENDINGS

    def _is_worth_telling(self, one: RunAlert) -> bool:
        ending = one.alert.code in ENDINGS
        if not self._is_new(one) or not self._matters(one):
            return False
        # The screens of a run say how it ended by themselves.
        here = isinstance(self.screen, RunScreen) and self.screen.run_dir == one.path
        return not (here and ending)

    def _toast(self, one: RunAlert) -> None:
        # Messages have colons of their own.
        text = f"{visible(one.run)} · {visible(one.alert.message)}"
        if one.alert.hint:
            text += f"\n{visible(one.alert.hint)}"
        self.notify(text, severity=SEVERITIES.get(one.alert.level, "information"), timeout=8, markup=False)

    def _ring(self, one: RunAlert) -> None:
        way = self._desk.settings.terminal if self._desk is not None else "off"
        if way in ("bell", "both"):
            self.bell()
        if way in ("osc9", "both") and self._driver is not None and not self.is_headless:
            self._driver.write(osc9(f"{one.run} · {one.alert.message}", os.environ))

    def action_alerts(self) -> None:
        """The list of alerts."""
        from tui.screens.alerts import AlertsScreen

        if not isinstance(self.screen, AlertsScreen):
            self.push_screen(AlertsScreen())
