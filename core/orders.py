"""What the user has asked of a run so far, on the worker's side: by signals, by `control.jsonl`. Light."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

from core.control import OrderReader
from core.i18n import gettext as _
from core.ranks import SOLO, Ranks
from core.recorder import Recorder


class Aborted(BaseException):
    """The run ends now: nothing more is saved or evaluated. No library's `except Exception` may hold it up."""


def _is_step(value: Any) -> bool:
    """Whether an order's `step` is one, or says that there is none. Anyone may have written the order."""
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)


def _is_epoch(value: Any) -> bool:
    """The same for its `epoch`."""
    return _is_step(value) or (isinstance(value, float) and math.isfinite(value) and value > 0)


class Orders:
    """Wishes that the worker has taken: `stop`, `paused`, `save`, `evaluate`, and where to stop by itself.

    `stop` is set by the first SIGTERM, SIGINT or order `stop`, and at `stop_at_step` or `stop_at_epoch`. Each
    order taken is an `order` event, with the reason as `refused` for one that can have no effect. It is made first of
    all in the worker's life, so that nothing sent while it is still importing gets lost. Of several ranks the first
    one reads, and `share` tells the others.
    """

    def __init__(self, run_dir: Path, recorder: Recorder, ranks: Ranks = SOLO) -> None:
        self.signals = 0
        self.stop = False
        self.paused = False
        self.save = False
        self.evaluate = False
        # Whether there is a dev split to score.
        self.can_evaluate = True
        # After the last step there is nothing left to save, to score on the way or to stop at.
        self.trained = False
        self.stop_at_step: int | None = None
        self.stop_at_epoch: float | None = None
        self._aborted = False
        # Whether somebody asked for the stop; where the plan did, a first order is not the second one, which aborts.
        self._asked = False
        # The newest step at which orders were looked for.
        self._step = 0
        self._ranks = ranks
        self._reader = OrderReader(run_dir) if ranks.head else None
        self._recorder = recorder

    @property
    def ending(self) -> bool:
        """Whether the run has been asked to end, soon or now."""
        return self.stop or self._aborted

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as orders from now on. Only in the main thread.

        A rank ignores both: they come from whoever ends all ranks at once, and the supervisor turns them into
        orders, which every rank takes at the same step.
        """
        if not self._ranks.alone:
            self.ignore_signals()
            return
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

    def tell_abort(self) -> None:
        """Record an abort that signals asked for; one by an order has been recorded as it was taken."""
        if self.signals > 1:
            self._recorder.emit("order", action="abort", taken_at_step=self._step, by="signal")

    def request_stop(self, step: int, **fields: Any) -> None:
        """Stop after this step, for a reason other than an order."""
        self.stop = True
        self.paused = False
        self._recorder.set_state("stopping")
        self._recorder.emit("order", action="stop", taken_at_step=step, **fields)

    def take(self, step: int, *, training: bool = True) -> None:
        """Read new orders and take them, at `step`. Raises Aborted for `abort`, or for a second `stop`.

        `training` is False before the first step: a pause is then taken, but only begins with it. Among several
        ranks nothing is raised here but by `share`.
        """
        self._step = step
        if self._reader is None:
            return
        if self.signals and not self._asked:
            self._asked = True
            self.request_stop(step, by="signal")
        for record in self._reader.read():
            action, fields = record["action"], {"id": record.get("id")}
            if action == "stop" and not self._asked:
                self._asked = True
                self.request_stop(step, **fields)
                continue
            refused = self._refusal(record)
            if refused:
                self._recorder.emit("order", action=action, taken_at_step=step, refused=refused, **fields)
                continue
            if action == "save":
                self.save = True
            elif action == "evaluate":
                self.evaluate = True
            elif action == "stop_at":
                self.stop_at_step, self.stop_at_epoch = record.get("step"), record.get("epoch")
                fields.update(step=self.stop_at_step, epoch=self.stop_at_epoch)
                self._recorder.update(stop_at_step=self.stop_at_step, stop_at_epoch=self.stop_at_epoch)
            elif action == "pause":
                self.paused = True
                self._recorder.set_state("paused" if training else "pausing")
            elif action == "continue" and self.paused:
                self.paused = False
                self._recorder.set_state("running" if training else "starting")
            self._recorder.emit("order", action=action, taken_at_step=step, **fields)
            if action in ("abort", "stop"):
                self._aborted = True
                if self._ranks.alone:
                    raise Aborted

    def _refusal(self, record: dict[str, Any]) -> str:
        """Why an order would have no effect; empty when it has one."""
        action = record["action"]
        if action == "stop_at" and not (_is_step(record.get("step")) and _is_epoch(record.get("epoch"))):
            return _("stop_at takes a whole step or an epoch above 0")
        if self.stop and action not in ("stop", "abort"):
            return _("the run is stopping")
        if self.trained and action in ("save", "evaluate", "stop_at"):
            return _("training is over: the run saves its model, scores it and ends")
        if action == "evaluate" and not self.can_evaluate:
            return _("there is no dev split to score")
        return ""

    def reached(self, step: int, epoch: float) -> None:
        """Stop when `step` or `epoch` is where the user wanted the run to end."""
        if self.stop:
            return
        at_step = self.stop_at_step is not None and step >= self.stop_at_step
        at_epoch = self.stop_at_epoch is not None and epoch >= self.stop_at_epoch - 1e-9
        if at_step or at_epoch:
            self.request_stop(step, by="plan")

    def share(self, *more: float) -> tuple[float, ...]:
        """Make every rank's wishes those of the first; returns its `more`. Raises Aborted on all of them.

        Collective: all ranks call it at the same place.
        """
        if self._ranks.alone:
            return more
        flags = (self._aborted, self.stop, self.paused, self.save, self.evaluate)
        told = self._ranks.agree((*(float(flag) for flag in flags), *more))
        self._aborted, self.stop, self.paused, self.save, self.evaluate = (bool(value) for value in told[:5])
        if self._aborted:
            raise Aborted
        return told[5:]
