"""The `[alerts]` table of the user's settings: when to tell, and by which ways. Everything has a default."""

from __future__ import annotations

import shlex
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.i18n import gettext as _


class Thresholds(BaseModel):
    """When the rules of `core.alerts` speak; 0 (or false) turns one off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss_spike: float = Field(8.0, ge=0)
    """How many robust standard deviations above its recent median the loss has to jump and stay for some events."""
    plateau: int = Field(5, ge=0)
    """Evaluations of dev in a row without a better `metric_for_best_model`."""
    no_progress_minutes: float = Field(10.0, ge=0)
    """Minutes without a step, a batch or a part of the preparation."""
    gpu_memory: float = Field(0.97, ge=0, le=1)
    """Share of a GPU's memory in use."""
    host_memory: float = Field(0.95, ge=0, le=1)
    """Share of the machine's memory in use."""
    disk_free_gb: float = Field(2.0, ge=0)
    """Gigabytes left on the disk of the run."""
    other_users: bool = True
    """Another user's process on a GPU of the run."""


class AlertSettings(Thresholds):
    """Thresholds, and the ways by which alerts leave the app. Command and webhook are off by default."""

    terminal: Literal["off", "bell", "osc9", "both"] = "bell"
    """What the terminal is sent by an app that is open: a bell, a notification (OSC 9), both, or nothing."""
    send: Literal["info", "warning", "error"] = "warning"
    """The lowest level that is sent by bell, notification, command and webhook; the end of a run always is."""
    command: tuple[str, ...] = ()
    """A program of the user's and its arguments; it gets the alert as JSON on its standard input."""
    webhook: str = ""
    """An address that gets the alert as JSON by POST."""
    timeout: float = Field(10.0, gt=0, le=120)
    """Seconds that the command or the webhook may take."""

    @field_validator("command", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        # No shell is involved: the line is only cut at its blanks, as a shell would.
        return tuple(shlex.split(value)) if isinstance(value, str) else value

    @field_validator("webhook")
    @classmethod
    def _web_only(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError(_("an address begins with https:// or http://"))
        return value

    def sends(self, level: str, code: str) -> bool:
        """Whether an alert of this level and code leaves the app."""
        order = ("info", "warning", "error")
        return code in ENDINGS or (level in order and order.index(level) >= order.index(self.send))


# The codes of alerts that tell how a run ended, or that nothing is heard of it.
ENDINGS = ("finished", "stopped", "failed", "crashed", "silent")


def read(settings: dict[str, Any]) -> tuple[AlertSettings, list[str]]:
    """The alert settings in `settings` (`core.settings.load_settings`), and what is wrong with them.

    A value that cannot be used counts as absent: settings never stop a run or the app.
    """
    table = settings.get("alerts")
    if table is None:
        return AlertSettings(), []
    if not isinstance(table, dict):
        return AlertSettings(), [_("settings: [alerts] is not a table")]
    values = dict(table)
    problems: list[str] = []
    while True:
        try:
            return AlertSettings(**values), problems
        except ValidationError as error:
            for found in error.errors():
                key = str(found["loc"][0])
                problems.append(_("settings: alerts.{key}: {reason}").format(key=key, reason=found["msg"]))
                values.pop(key, None)
