"""The device pane: what the machine does for the run, and for others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from core.i18n import gettext as _
from tui.colour_depth import ascii_of
from tui.device_view import device_lines
from tui.machine_history import MachineHistory
from tui.widgets.live_text import LiveText


class DevicePanel(Vertical):
    """A title and the figures below it. `show` takes what the run told; nothing is drawn while it is hidden."""

    DEFAULT_CSS = """
    DevicePanel { height: auto; padding: 0 1; }
    DevicePanel > #device-title { height: 1; color: $secondary; }
    DevicePanel > #device-lines { height: auto; max-height: 100%; }
    """
    # GPUs with their processes, and four lines of host, torch and batches.
    MOST_LINES = 11

    def __init__(self) -> None:
        super().__init__(id="device-panel")
        self._told: tuple[MachineHistory, Mapping[str, Any]] | None = None

    def compose(self) -> ComposeResult:
        """Title and lines."""
        yield Static(_("device"), id="device-title", markup=False)
        yield LiveText(id="device-lines")

    def show(self, machine: MachineHistory, step: Mapping[str, Any]) -> None:
        """Draw the newest figures."""
        self._told = (machine, step)
        self._draw()

    def on_resize(self) -> None:
        """As much history as there is room for."""
        self._draw()

    def _draw(self) -> None:
        if self._told is None or not self.is_on_screen or self.size.width < 4:
            return
        variables = self.app.theme_variables
        lines = device_lines(
            *self._told,
            self.size.width,
            self.MOST_LINES,
            lambda name: variables.get(name, ""),
            ascii_only=ascii_of(self.app),
        )
        self.query_one("#device-lines", LiveText).show(lines)
