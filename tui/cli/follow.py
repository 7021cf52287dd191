"""Following a run as text: lines for people on stderr or stdout, or its events as JSON lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from core import formats
from core.events import jsonable
from core.foreign import is_over, open_log
from core.i18n import gettext as _
from core.runs import FINAL_STATES, Run, load_run
from core.text import visible
from tui.cli.printing import json_text

POLL = 0.2
STEP_LINE_INTERVAL = 5.0


def events_until_end(
    run_dir: Path,
    offset: int = 0,
    caught_up: Callable[[], object] | None = None,
    waiting: Callable[[Run], object] | None = None,
) -> Iterator[dict[str, Any]]:
    """All events of a run from byte `offset` of its log to its end, waiting for those that are still to come.

    `caught_up` is called once, when all is read of a run that goes on; `waiting` with the run whenever there was
    nothing to read.
    """
    tail = open_log(run_dir, offset)
    while True:
        # The state is read before the events: what a dead worker wrote last is not missed.
        run = load_run(run_dir)
        ended = has_ended(run)
        records = tail.read(max_seconds=1.0)
        yield from records
        if ended and not records and not tail.pending:
            return
        if not records:
            if caught_up is not None and not tail.pending:
                caught_up()
                caught_up = None
            if waiting is not None:
                waiting(run)
            time.sleep(POLL)


def has_ended(run: Run) -> bool:
    """Whether nothing more will come. What another program writes may go on."""
    return is_over(run) if run.source else run.state in FINAL_STATES


class Silence:
    """What to say while a run says nothing: what it is at and for how long, after `FIRST` seconds, then ever later."""

    FIRST = 5.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._next = self.FIRST

    def broken(self) -> None:
        """The run has said something."""
        self._since, self._next = self._clock(), self.FIRST

    def line(self, run: Run) -> str:
        """The line for `run`, which has written nothing; empty while it is too early for another one."""
        seconds = self._clock() - self._since
        if seconds < self._next or not run.live:
            return ""
        self._next = 2 * seconds
        paused = run.state in ("pausing", "paused")
        what = formats.phase(run.phase) if run.phase and not paused else formats.state(run.state)
        return f"… {what} ({formats.duration(seconds)})"


class Lines:
    """One line a noteworthy event; steps, and how far a phase is, at most every few seconds."""

    def __init__(self, step_interval: float = STEP_LINE_INTERVAL) -> None:
        self._phase: tuple[str, str] = ("", "")
        self._phase_at = 0.0
        self._step_at = -step_interval
        self._held: dict[str, Any] | None = None
        self._step_interval = step_interval

    def line(self, event: dict[str, Any]) -> str:
        """The line for `event`; empty for one that needs none."""
        match event.get("type"):
            case "run_started":
                if event.get("resumed_from") is not None:
                    return _("run {run}, resumed from step {step}").format(
                        run=event.get("run_id", ""), step=formats.count(event.get("resumed_from"))
                    )
                return _("run {run}").format(run=event.get("run_id", ""))
            case "phase":
                return self._of_phase(event)
            case "step":
                return self._of_step(event)
            case "eval":
                return self._of_eval(event)
            case "checkpoint":
                best = _(" (best)") if event.get("best") else ""
                return _("checkpoint-{step} saved").format(step=event.get("step")) + best
            case "alert":
                hint = event.get("hint")
                return f"! {event.get('message')}" + (f" — {hint}" if hint else "")
            case "order":
                return _("order {action} taken at step {step}").format(
                    action=event.get("action"), step=event.get("taken_at_step")
                )
            case "run_finished":
                return formats.state(str(event.get("state")))
            case "run_failed":
                return _("failed: {message}").format(message=event.get("message"))
        return ""

    def held(self) -> str:
        """The line of the newest step where that was held back; empty when it was not."""
        event, self._held = self._held, None
        self._step_at = -self._step_interval
        return "" if event is None else self._of_step(event)

    def _of_phase(self, event: dict[str, Any]) -> str:
        phase = (str(event.get("name", "")), str(event.get("split") or ""))
        now = time.monotonic()
        if phase[0] == self._phase[0] and phase[1] in ("", self._phase[1]):
            done, total = event.get("done") or 0, event.get("total") or 0
            if phase[0] == "training" or not 0 < done < total or now - self._phase_at < self._step_interval:
                return ""
            self._phase_at = now
            return f"{formats.phase(phase[0])} {formats.count(done)}/{formats.count(total)}"
        self._phase, self._phase_at = phase, now
        return f"{formats.phase(phase[0])} {phase[1]}".strip()

    def _of_step(self, event: dict[str, Any]) -> str:
        now = time.monotonic()
        last = event.get("step") == event.get("max_steps")
        if now - self._step_at < self._step_interval and not last:
            self._held = event
            return ""
        self._step_at, self._held = now, None
        loss = event.get("loss")
        total = event.get("max_steps")
        parts = [
            formats.count(event.get("step")) + (f"/{formats.count(total)}" if total else ""),
            f"loss {'NaN' if loss is None else formats.number(loss)}",
            f"lr {formats.rate(event.get('learning_rate'))}",
        ]
        # What another program wrote may not know these.
        if event.get("samples_per_second") is not None:
            parts.append(_("{n} reviews/s").format(n=formats.count(event.get("samples_per_second"))))
        if event.get("eta") is not None:
            parts.append(_("ETA {time}").format(time=formats.duration(event.get("eta"))))
        memory = event.get("gpu_allocated") or event.get("rss")
        if memory:
            parts.append(formats.size(memory))
        return "  ".join(parts)

    def _of_eval(self, event: dict[str, Any]) -> str:
        # Others may have written it.
        metrics = event.get("metrics")
        shown = [
            f"{name.split('_', 1)[1]} {formats.number(value)}"
            for name, value in (metrics if isinstance(metrics, dict) else {}).items()
            if isinstance(value, int | float) and name.split("_", 1)[-1] in ("accuracy", "f1", "loss")
        ]
        return f"{event.get('split')}: " + "  ".join(shown)


def follow(run_dir: Path, *, as_json: bool, stream: TextIO | None = None, offset: int = 0) -> Run:
    """Show a run from byte `offset` of its log until it ends; returns how. Interrupting it leaves the run alone."""
    out = stream or sys.stdout
    lines, silence = Lines(), Silence()

    def tell(text: str) -> None:
        if text:
            print(visible(text), file=out, flush=True)

    def wait(run: Run) -> None:
        text = silence.line(run)
        if text:
            print(visible(text), file=out, flush=True)

    # Whoever begins to follow a run sees where it is, not only where it was when its log began.
    followed = (
        events_until_end(run_dir, offset)
        if as_json
        else events_until_end(run_dir, offset, lambda: tell(lines.held()), wait)
    )
    for event in followed:
        if event.get("type") not in ("host", "device"):
            silence.broken()
        if as_json:
            print(json_text(jsonable(event)), file=sys.stdout, flush=True)
        else:
            tell(lines.line(event))
    return load_run(run_dir)
