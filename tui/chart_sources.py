"""The runs that Monitor's charts are drawn from: what each has told, and the smoothed lines made of it."""

from __future__ import annotations

from pathlib import Path

from tui.chart_drawing import Source
from tui.feed import RunFeed
from tui.telemetry import Telemetry


class Sources:
    """One source for each run that is read, made anew when the run's log begins anew."""

    def __init__(self) -> None:
        self._known: dict[Path, Source] = {}
        # Of runs that are shown from a sample: the log itself as far as it is read.
        self._ahead: dict[Path, Source] = {}

    def of(self, feed: RunFeed) -> Source:
        """What is to be drawn of a run; what was smoothed `ahead` is in it when the log is read."""
        ahead = self._ahead.get(feed.run_dir)
        if ahead is not None and ahead.telemetry is feed.telemetry:
            self._known[feed.run_dir] = self._ahead.pop(feed.run_dir)
        return self._get(self._known, feed, feed.telemetry)

    def ahead(self, feed: RunFeed) -> Source:
        """What will take the sample's place."""
        return self._get(self._ahead, feed, feed.whole)

    @staticmethod
    def _get(sources: dict[Path, Source], feed: RunFeed, telemetry: Telemetry) -> Source:
        source = sources.get(feed.run_dir)
        if source is None or source.telemetry is not telemetry:
            source = sources[feed.run_dir] = Source(telemetry, _name(feed.run_dir))
        return source


def _name(run_dir: Path) -> str:
    parts = run_dir.name.split("-", 2)
    return f"{parts[1][:4]} {parts[2]}" if len(parts) == 3 and len(parts[1]) == 6 else run_dir.name
