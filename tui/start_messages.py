"""How the start of a run went; apart from what starts one, which takes long to import."""

from __future__ import annotations

from pathlib import Path

from textual.message import Message

from core.errors import NsmcTuiError


class Started(Message):
    """The run is on its way."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__()
        self.run_dir = run_dir


class NotStarted(Message):
    """The run could not be started; `key` is the setting to look at, if it is one's fault."""

    def __init__(self, error: NsmcTuiError, key: str = "") -> None:
        super().__init__()
        self.error = error
        self.key = key
