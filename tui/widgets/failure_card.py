"""Why a run failed, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.text import Text
from textual.widgets import Static

from core.i18n import gettext as _
from core.launch import LOG_FILE
from core.log_file import LogFile, LogLine
from core.runs import Run
from core.text import visible

# What stands at the end of a log is the traceback; its last lines say what happened.
LAST_LINES = 4
# Characters of each of them, of the reason and of the hint: charts and keys stay in view. The log has them whole.
LONGEST_LINE, LONGEST_TEXT = 160, 400
LOOKED_AT = 40


def last_lines(path: Path, count: int = LAST_LINES) -> list[LogLine]:
    """The last `count` lines of a log that are not empty; none when it cannot be read."""
    log = LogFile(path)
    try:
        log.refresh()
        begin = max(0, log.count - LOOKED_AT)
        lines = log.lines(begin, LOOKED_AT) if log.count else []
    except OSError:
        return []
    return [line for line in lines if line.text.strip()][-count:]


def cut(text: str, length: int) -> str:
    """At most `length` characters of `text`, with a sign where some are left out."""
    return text if len(text) <= length else text[: length - 1] + "…"


class FailureCard(Static):
    """Reason, hint, the end of the worker's log and the keys for going on; takes no room for a run that is well."""

    DEFAULT_CSS = "FailureCard { height: auto; padding: 0 1; margin-bottom: 1; display: none; }"

    def __init__(self, run_dir: Path) -> None:
        super().__init__("", id="failure", markup=False)
        self._run_dir = run_dir
        self._told: tuple[object, ...] = ()

    def show(self, run: Run | None, failure: Mapping[str, Any]) -> None:
        """Show the card when `run` is over with an error; `failure` is its `run_failed` event, empty if none came."""
        message = str(failure.get("message") or (run.error if run is not None else ""))
        if run is None or run.state not in ("failed", "crashed") or not message:
            self.display = False
            self._told = ()
            return
        hint = str(failure.get("hint") or run.hint)
        told = (run.state, message, hint)
        if told == self._told:
            return
        self._told = told
        self.update(self._card(message, hint))
        self.display = True

    def _card(self, message: str, hint: str) -> Text:
        variables = self.app.theme_variables
        text = Text(no_wrap=False)
        text.append("✗ " + visible(cut(message, LONGEST_TEXT)) + "\n", style=variables.get("error", ""))
        if hint:
            text.append("→ " + visible(cut(hint, LONGEST_TEXT)) + "\n")
        for line in last_lines(self._run_dir / LOG_FILE):
            text.append(f"  {cut(line.text, LONGEST_LINE)}\n", style="dim")
        keys = (("z", _("resume")), ("T", _("edit and start")), ("ctrl+r", _("start again")), ("L", _("the whole log")))
        for place, (name, words) in enumerate(keys):
            text.append("   " if place else "")
            text.append(name, style="bold")
            text.append(f" {words}", style="dim")
        return text
