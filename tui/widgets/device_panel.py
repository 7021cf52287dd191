"""The device pane: what the machine does for the run, and for others."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from core.i18n import N_
from core.i18n import gettext as _
from core.runs import Run
from tui.colour_depth import ascii_of
from tui.device_source import Source, choose, source_words
from tui.device_view import device_lines
from tui.machine_history import MachineHistory
from tui.widgets.live_text import LiveText

if TYPE_CHECKING:
    from core.sampler import MachineLook

# Seconds between two looks of the app itself: while a run lives, and at a machine where it does not.
EVERY, EVERY_AT_REST = 2.0, 5.0
# CPU figures need two looks: the first picture waits for the second one.
SECOND_LOOK = 0.3
_EMPTY = {
    Source.APP: N_("looking at the machine …"),
    Source.LEFT: N_("This run left no sample of its machine."),
    Source.WORKER: N_("No sample yet: the worker looks at its machine once it trains."),
}


class DevicePanel(Vertical):
    """A title that tells whose samples these are, and the figures below it.

    `follow` takes the run as it is, `show` what it told. Where the worker has told nothing for a while, the app looks
    at the machine itself (`tui.device_source` says when), in a thread and only while the pane is to be seen.
    """

    DEFAULT_CSS = """
    DevicePanel { height: auto; padding: 0 1; }
    DevicePanel > #device-title { height: 1; color: $secondary; }
    DevicePanel > #device-lines { height: auto; max-height: 100%; }
    """
    # GPUs with their processes, and four lines of host, torch and batches.
    MOST_LINES = 11

    class _Looked(Message):
        """The app has looked at the machine, the `look` being the one that was made for a purpose."""

        def __init__(self, purpose: object, look: MachineLook, events: list[tuple[str, dict[str, Any]]]) -> None:
            super().__init__()
            self.purpose = purpose
            self.look = look
            self.events = events

    def __init__(self, run_dir: Path) -> None:
        super().__init__(id="device-panel")
        self._run_dir = run_dir
        self._run: Run | None = None
        self._worker = MachineHistory()
        self._step: Mapping[str, Any] = {}
        self._seen: float | None = None
        self._asked = False
        # The app's own look: what it is for, what it has seen, and whether a thread is at it.
        self._purpose: object = None
        self._look: MachineLook | None = None
        self._own = MachineHistory()
        self._looking = False
        self._next = 0.0
        self._source = Source.WORKER
        self._titled: str | None = None

    def compose(self) -> ComposeResult:
        """Title and lines."""
        yield Static(_("device"), id="device-title", markup=False)
        yield LiveText(id="device-lines")

    def on_mount(self) -> None:
        """See from time to time whether the app has to look itself."""
        self.set_interval(1.0, self._tick)

    def on_unmount(self) -> None:
        """Let go of the driver."""
        if self._look is not None:
            self._look.close()

    def follow(self, run: Run | None) -> None:
        """The run as its status tells it."""
        self._run = run

    def show(self, worker: MachineHistory, step: Mapping[str, Any]) -> None:
        """Draw the newest figures that the run told."""
        self._worker, self._step = worker, step
        self._draw()

    def ask(self) -> bool:
        """Look at this machine as it is now, of a run at rest; whether that is to be had and was not shown yet."""
        possible = self._run is not None and not self._run.live and not self._run.elsewhere
        self._asked = possible and not self._asked
        self._next = 0.0
        self._tick()
        return self._asked

    def on_resize(self) -> None:
        """As much history as there is room for."""
        self._tick()
        self._draw()

    # -- the app's own look ------------------------------------------------------------------------------------

    def _tick(self) -> None:
        if not self.is_on_screen or not self.screen.is_current:
            self._seen = None
            return
        now = time.monotonic()
        self._seen = now if self._seen is None else self._seen
        before = self._source
        self._source = choose(self._run, self._worker, now - self._seen, time.time(), asked=self._asked)
        # The age of another host's sample grows by itself.
        ageing = self._source is Source.WORKER and self._run is not None and self._run.elsewhere
        if self._source is not before or ageing:
            self._draw()
        if self._source is Source.APP and self._run is not None and not self._looking and now >= self._next:
            self._looking = True
            pid = self._run.pid if self._run.live else None
            if self._purpose != (purpose := (self._run.live, pid)):
                self._forget(purpose)
            self._next = now + (EVERY if self._run.live else EVERY_AT_REST)
            self._look_at_machine(purpose, self._look, self._run.live, pid)

    def _forget(self, purpose: object) -> None:
        """Another worker, or none any more: other processes are ours, perhaps other GPUs."""
        if self._look is not None:
            self._look.close()
        self._look, self._purpose = None, purpose
        self._own = self._worker.going_on() if self._run is not None and self._run.live else MachineHistory()

    @work(thread=True, group="machine")
    def _look_at_machine(self, purpose: object, look: MachineLook | None, live: bool, pid: int | None) -> None:
        # In a thread: a driver may take its time to answer.
        from core.environment import run_devices
        from core.sampler import MachineLook

        if look is None:
            look = MachineLook(self._run_dir, pid, run_devices(self._run_dir) if live else {})
            look.look()
            time.sleep(SECOND_LOOK)
        self.post_message(self._Looked(purpose, look, look.look()))

    def on_device_panel__looked(self, event: _Looked) -> None:
        """Take what the app saw."""
        event.stop()
        self._looking = False
        if event.purpose != self._purpose:
            event.look.close()
            return
        self._look = event.look
        self._own.take_look(event.events, time.time())
        self._draw()

    # -- drawing -----------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        if not self.is_on_screen or self.size.width < 4:
            return
        variables = self.app.theme_variables
        live = self._run is None or self._run.live
        source = self._source
        if source is Source.APP and live and self._own.newest is None and self._worker.newest is not None:
            # Until the app has seen something, what the worker told stays.
            source = Source.WORKER
        trains = live or source is not Source.APP
        self._title(source)
        lines = device_lines(
            self._own if source is Source.APP else self._worker,
            self._step if trains else {},
            self.size.width,
            self.MOST_LINES,
            lambda name: variables.get(name, ""),
            ascii_only=ascii_of(self.app),
            trains=trains,
            empty=_(_EMPTY[source]),
        )
        self.query_one("#device-lines", LiveText).show(lines)

    def _title(self, source: Source) -> None:
        words = source_words(source, self._run, self._worker, asked=self._asked)
        if words == self._titled:
            return
        self._titled = words
        text = Text(_("device"), no_wrap=True, overflow="ellipsis")
        text.append("  " + words, style="dim")
        self.query_one("#device-title", Static).update(text, layout=False)
