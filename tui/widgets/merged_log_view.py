"""The lines of a log pane, also of all logs of a run in one."""

from __future__ import annotations

from pathlib import Path

from textual import work
from textual.message import Message
from textual.worker import get_current_worker

from tui.log_merge import MergedLog
from tui.log_source import Entry
from tui.widgets.log_view import LogView


class MergedLogView(LogView):
    """A log view that can show a run's messages and the lines of several files by time."""

    class _Merged(Message):
        def __init__(self, merged: MergedLog) -> None:
            super().__init__()
            self.merged = merged

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id)
        # The files it is made of, and what was read of them.
        self._files: list[tuple[str, Path]] = []
        self._merged: MergedLog | None = None

    def show_merged(self, files: list[tuple[str, Path]], entries: list[Entry]) -> None:
        """Show a run's messages and the lines of `files` (a short name and a path) by time."""
        self.show_entries(entries, anew=True)
        self._files = files
        self._merge(files, entries)

    @work(thread=True, exclusive=True, group="log")
    def _merge(self, files: list[tuple[str, Path]], entries: list[Entry]) -> None:
        worker = get_current_worker()
        merged = MergedLog(files)
        try:
            merged.load(entries, lambda: worker.is_cancelled)
        except OSError:
            # It cannot be read any more: the messages alone are left.
            merged = MergedLog([])
            merged.load(entries)
        if not worker.is_cancelled:
            self.post_message(self._Merged(merged))

    def on_merged_log_view__merged(self, event: _Merged) -> None:
        """Show what was put together."""
        event.stop()
        if self._files:
            self._merged = event.merged
            self._entries = event.merged.lines
            self._list_rows()
            self.post_message(self.Filtered())

    def refresh_merged(self, entries: list[Entry]) -> None:
        """Take what is new of the messages and of the files."""
        if self._merged is None:
            return
        try:
            changed = self._merged.take(entries)
        except OSError:
            changed = None
        if changed is None:
            self._merged = None
            self._merge(self._files, entries)
        elif changed:
            self._list_rows()

    @property
    def is_partial(self) -> bool:
        """Whether a file of the merged view has lines that are not in it."""
        return self._merged is not None and self._merged.partly

    def _begin(self) -> None:
        super()._begin()
        self._merged, self._files = None, []
