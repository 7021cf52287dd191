"""The keys of the moment, at the bottom of every screen."""

from __future__ import annotations

from typing import Any

from textual.screen import Screen
from textual.widgets import Footer


class KeyLine(Footer):
    """Textual's footer, made anew only when another key is to be shown.

    Textual's own does so at every change of focus and every look at what is enabled: several times before the first
    picture, each of which costs as much as a layout of the screen.
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._shown: list[tuple[Any, ...]] = []
        self._due = False

    def bindings_changed(self, screen: Screen[Any]) -> None:
        """Look after the refresh, once for all changes until then, whether other keys are to be shown."""
        self._bindings_ready = True
        if screen.app.app_focus and self.is_attached and screen is self.screen and not self._due:
            self._due = True
            self.call_after_refresh(self._show_changed)

    async def _show_changed(self) -> None:
        self._due = False
        if not self.is_attached:
            return
        keys = [
            (binding.key, self.app.get_key_display(binding), binding.description, binding.action, enabled, tooltip)
            for _node, binding, enabled, tooltip in self.screen.active_bindings.values()
            if binding.show
        ]
        if keys != self._shown:
            self._shown = keys
            await self.recompose()
