"""Alerts to a command or a webhook of the user's. Off unless the settings name one.

Nothing of an alert becomes part of a command line: it goes to the command's standard input as JSON and into its
environment, so that no name of a run and no message can do more than be read.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core import __version__
from core.alert_settings import AlertSettings
from core.alerts import Alert
from core.i18n import gettext as _

PREFIX = "NSMC_TUI_ALERT_"
# A queue that nobody empties (a command that always takes its whole time) must not grow without end.
LONGEST_QUEUE = 100


def payload(alert: Alert, run_dir: Path) -> dict[str, Any]:
    """What a command or webhook gets. `text` and `content` are whole sentences under the names that chats read."""
    text = f"{run_dir.name}: {alert.message}" + (f" → {alert.hint}" if alert.hint else "")
    return {
        "v": 1,
        "ts": alert.ts or round(time.time(), 3),
        "run": run_dir.name,
        "path": str(run_dir),
        "host": os.uname().nodename,
        "level": alert.level,
        "code": alert.code,
        "message": alert.message,
        "hint": alert.hint,
        "text": text,
        "content": text,
    }


def run_command(command: tuple[str, ...], told: dict[str, Any], timeout: float) -> str:
    """Run `command` with the alert on its standard input; returns what went wrong, empty when nothing did.

    It gets `timeout` seconds, then it and all it started are killed.
    """
    environment = dict(os.environ)
    for name in ("code", "level", "message", "hint", "run", "path"):
        environment[PREFIX + name.upper()] = str(told[name]).replace("\0", "")
    data = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    try:
        _output, errors = process.communicate(data, timeout)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return _("it took longer than {seconds:g} s").format(seconds=timeout)
    if process.returncode:
        last = errors.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        return _("it ended with {code}").format(code=process.returncode) + (f": {last[:200]}" if last else "")
    return ""


def call_webhook(address: str, told: dict[str, Any], timeout: float) -> str:
    """POST the alert to `address`; returns what went wrong, empty when nothing did."""
    import urllib.error
    import urllib.request

    class NoRedirects(urllib.request.HTTPRedirectHandler):
        """An address that answers with another one is told of, not followed: the alert was meant for this one."""

        def redirect_request(self, *args: Any, **kwargs: Any) -> None:
            """Follow nowhere."""

    request = urllib.request.Request(
        address,
        json.dumps(told, ensure_ascii=False).encode("utf-8", "replace"),
        {"Content-Type": "application/json; charset=utf-8", "User-Agent": f"nsmc-tui/{__version__}"},
        method="POST",
    )
    try:
        with urllib.request.build_opener(NoRedirects).open(request, timeout=timeout) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        error.close()
        return _("it answered {code}").format(code=error.code)
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


class Notifier:
    """Sends alerts in a thread of its own, one after the other.

    `failed` is called, in that thread, at the first failure of each way with what went wrong; later ones are silent.
    """

    def __init__(self, settings: AlertSettings, run_failed: Callable[[str], None]) -> None:
        self._settings = settings
        self._failed = run_failed
        self._told: set[str] = set()
        self._queue: queue.Queue[tuple[Alert, Path] | None] = queue.Queue(LONGEST_QUEUE)
        self._thread: threading.Thread | None = None

    @property
    def wanted(self) -> bool:
        """Whether the settings name a command or a webhook."""
        return bool(self._settings.command or self._settings.webhook)

    def send(self, alert: Alert, run_dir: Path) -> None:
        """Send `alert` of a run soon, if it is of a level that is sent."""
        if not self.wanted or not self._settings.sends(alert.level, alert.code):
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="notifier", daemon=True)
            self._thread.start()
        with suppress(queue.Full):
            self._queue.put_nowait((alert, run_dir))

    def close(self) -> None:
        """Send what is waiting, for at most twice the timeout, and end the thread."""
        if self._thread is None:
            return
        with suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(2 * self._settings.timeout)
        self._thread = None

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            told = payload(*item)
            if self._settings.command:
                reason = run_command(self._settings.command, told, self._settings.timeout)
                self._complain("command", self._settings.command[0], reason)
            if self._settings.webhook:
                reason = call_webhook(self._settings.webhook, told, self._settings.timeout)
                # The rest of an address is often its secret.
                self._complain("webhook", urlsplit(self._settings.webhook).hostname or "", reason)

    def _complain(self, way: str, name: str, reason: str) -> None:
        if not reason or way in self._told:
            return
        self._told.add(way)
        self._failed(_("alerts.{way} ({name}) failed: {reason}").format(way=way, name=name, reason=reason))
