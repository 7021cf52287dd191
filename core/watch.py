"""Watches a run from inside its worker: the rules of `core.alerts` over its own events, and the way out for alerts.

The worker sends alerts to the user's command or webhook, and nobody else does: a run goes on without an app, and
several apps may look at it. Only what a worker cannot tell of itself (it crashed, it is silent) is sent by the app.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from core import alert_settings
from core.alerts import AlertRules, alert_of
from core.i18n import gettext as _
from core.notify import Notifier
from core.settings import load_settings

if TYPE_CHECKING:
    from core.recorder import Recorder

INTERVAL = 1.0


class Watch:
    """A context in which `recorder`'s events are watched, in a thread that looks once a second.

    The thread that trains only puts its events into a queue. When the context ends, what is waiting is told and sent.
    """

    def __init__(self, recorder: Recorder, run_dir: Path) -> None:
        self._recorder = recorder
        self._run_dir = run_dir
        settings, self._problems = alert_settings.read(load_settings())
        self._rules = AlertRules(settings)
        self._notifier = Notifier(settings, self._not_sent)
        self._events: deque[dict[str, Any]] = deque()
        self._over = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)

    def __enter__(self) -> Watch:
        self._recorder.listener = self._events.append
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._recorder.listener = None
        self._notifier.close()

    def _not_sent(self, message: str) -> None:
        if self._over:
            # The end of a run is the last word of its log.
            print(message, file=sys.stderr, flush=True)
            return
        self._recorder.emit(
            "alert",
            level="warning",
            code="notify",
            message=message,
            hint=_("See [alerts] in the settings; this is told once a run."),
        )

    def _work(self) -> None:
        for problem in self._problems:
            self._not_sent(problem)
        while not self._stop.wait(INTERVAL):
            self._look()
        self._look()

    def _look(self) -> None:
        now = time.monotonic()
        found = []
        while self._events:
            event = self._events.popleft()
            found += self._rules.take(event, now)
            self._over = self._over or event["type"] in ("run_finished", "run_failed")
            alert = alert_of(event)
            if alert is not None and alert.code != "notify":
                self._notifier.send(alert, self._run_dir)
        if self._over or self._stop.is_set():
            return
        for alert in (*found, *self._rules.tick(now)):
            # It comes back here as an event, and is sent like any other.
            self._recorder.alert(alert.level, alert.code, alert.message, alert.hint)
