"""What the user has asked of a run so far, on the worker's side: by signals, by `control.jsonl`. Light."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from core.control import OrderReader
from core.recorder import Recorder


class Aborted(BaseException):
    """The run ends now: nothing more is saved or evaluated. No library's `except Exception` may hold it up."""


class Orders:
    """Wishes that the worker has taken: `stop`, `paused`, `save`, `evaluate`.

    `stop` is set by the first SIGTERM, SIGINT or order `stop`. Each order taken is an `order` event. It is made
    first of all in the worker's life, so that nothing sent while it is still importing gets lost.
    """

    def __init__(self, run_dir: Path, recorder: Recorder) -> None:
        self.signals = 0
        self.stop = False
        self.paused = False
        self.save = False
        self.evaluate = False
        self._reader = OrderReader(run_dir)
        self._recorder = recorder

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as orders from now on. Only in the main thread."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    @staticmethod
    def ignore_signals() -> None:
        """Ignore both from now on: what is left to do takes no time and must not be left half done."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _on_signal(self, number: int, frame: Any) -> None:
        # The first only counts: the main thread may be in the middle of writing an event.
        self.signals += 1
        if self.signals > 1:
            raise Aborted

    def _request_stop(self, step: int, **fields: Any) -> None:
        self.stop = True
        self.paused = False
        self._recorder.set_state("stopping")
        self._recorder.emit("order", action="stop", taken_at_step=step, **fields)

    def take(self, step: int, *, training: bool = True) -> None:
        """Read new orders and take them, at `step`. Raises Aborted for `abort`, or for a second `stop`.

        `training` is False before the first step: a pause is then taken, but only begins with it.
        """
        if self.signals and not self.stop:
            self._request_stop(step, by="signal")
        for record in self._reader.read():
            action, fields = record["action"], {"id": record.get("id")}
            if action == "stop" and not self.stop:
                self._request_stop(step, **fields)
                continue
            if action == "save":
                self.save = True
            elif action == "evaluate":
                self.evaluate = True
            elif action == "pause" and not self.stop:
                self.paused = True
                self._recorder.set_state("paused" if training else "pausing")
            elif action == "continue" and self.paused:
                self.paused = False
                self._recorder.set_state("running" if training else "starting")
            self._recorder.emit("order", action=action, taken_at_step=step, **fields)
            if action in ("abort", "stop"):
                raise Aborted
