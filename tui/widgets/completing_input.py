"""A line for a path that completes names of the disk: what would come is shown behind the cursor, tab takes it."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.binding import BindingType
from textual.suggester import Suggester

from core.i18n import N_
from tui.export_choice import completed
from tui.keymap import key
from tui.widgets.form_input import PathInput


class PathSuggester(Suggester):
    """The first name on the disk that begins as what is typed."""

    def __init__(self) -> None:
        # Files come and go.
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The whole line as it would be."""
        return await asyncio.to_thread(completed, value)


class CompletingInput(PathInput):
    """`PathInput` with completion."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("tab", "complete", N_("Complete"), N_("Take the name that is proposed"), show=True)
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.suggester = PathSuggester()

    def action_complete(self) -> None:
        """Take what is proposed."""
        if self._suggestion:
            self.value = self._suggestion
            self.cursor_position = len(self.value)
