"""When a run needs attention: rules over its events, each told once until it is over.

Pure: events and moments go in, alerts come out. Who tells them, and to whom, is in `core.watch` and `core.notify`.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from core import formats
from core.alert_settings import Thresholds
from core.i18n import gettext as _
from core.i18n import ngettext

# Events of the same loss that a spike is measured against, and the fewest that make it worth measuring.
WINDOW, FEWEST = 50, 20
# The newest events, whose median has to be above: a batch with a review that the model gets wrong is no spike.
NEWEST = 5
# A spike is over when this many events in a row are back below this share of the threshold.
CALM_EVENTS, CALM_SHARE = 20, 0.4
# A flat loss has hardly any spread: a spike is at least this share of the median away, times the threshold, and ...
LEAST_SPREAD = 0.05
# ... by this much, below which a classifier hardly gets anything wrong.
LEAST_JUMP = 0.1
# Of a run that knows its reviews by heart most batches cost nothing and some much, which the median's spread does not
# see: a spike is this many standard deviations above the mean, too.
TAIL = 4
# What was nearly full is told again after it has once been this much emptier.
BACK_BELOW = 0.05
# Samples without someone before their return is worth telling again.
GONE_AFTER = 5
GIB = 1 << 30
LEVELS = ("info", "warning", "error")


@dataclass(frozen=True)
class Alert:
    """Something to tell the user: `level` is `info`, `warning` or `error`, `code` the kind for programs.

    `ts` is when, in seconds since the epoch.
    """

    level: str
    code: str
    message: str
    hint: str = ""
    ts: float = 0.0


def alert_of(event: dict[str, Any]) -> Alert | None:
    """The alert that an event of the log is: an `alert`, or the end of a run; None for any other event."""
    moment = _number(event.get("ts")) or 0.0
    match event.get("type"):
        case "alert":
            level = str(event.get("level"))
            return Alert(
                level if level in LEVELS else "info",
                str(event.get("code") or ""),
                str(event.get("message") or ""),
                str(event.get("hint") or ""),
                moment,
            )
        case "run_finished":
            state = str(event.get("state") or "finished")
            metrics = event.get("metrics") if isinstance(event.get("metrics"), dict) else {}
            text = _("the run has ended: {state}").format(state=formats.state(state))
            return Alert("info", state, f"{text}{_scores(metrics or {})}", "", moment)
        case "run_failed":
            return Alert("error", "failed", str(event.get("message") or ""), str(event.get("hint") or ""), moment)
    return None


def _scores(metrics: dict[str, Any]) -> str:
    for prefix, split in (("test", "test"), ("eval", "dev")):
        accuracy = _number(metrics.get(f"{prefix}_accuracy"))
        if accuracy is not None:
            return " · " + _("{split} accuracy {value}").format(split=split, value=formats.number(accuracy))
    return ""


@dataclass
class _Plateau:
    metric: str = "accuracy"
    best: float | None = None
    best_step: int = 0
    without: int = 0


@dataclass
class _Spike:
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    newest: deque[float] = field(default_factory=deque)
    told: bool = False
    calm: int = 0


class AlertRules:
    """The rules for one run. `take` gets each of its events, `tick` the time now and then."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._limits = thresholds
        self._plateau = _Plateau()
        self._spike = _Spike()
        self._full: set[str] = set()
        # For each GPU and user: samples since they were last seen.
        self._others: dict[tuple[int, str], int] = {}
        self._moved: float | None = None
        self._place: tuple[Any, ...] = ()
        self._stuck = False
        self._paused = False

    def take(self, event: dict[str, Any], now: float) -> list[Alert]:
        """The alerts that `event` gives rise to; `now` is a moment on the clock that `tick` gets."""
        match event.get("type"):
            case "run_started":
                self._begin(event)
                self._progress(("started",), now)
            case "step":
                self._progress(("step", event.get("step")), now)
                return list(self._on_step(event))
            case "phase":
                self._progress(("phase", event.get("name"), event.get("done"), event.get("split")), now)
            case "eval":
                self._progress(("eval", event.get("step"), event.get("split")), now)
                return list(self._on_eval(event))
            case "checkpoint":
                self._progress(("checkpoint", event.get("step")), now)
            case "order":
                self._on_order(event, now)
            case "device":
                return [*self._on_memory(event), *self._on_others(event)]
            case "host":
                return list(self._on_host(event))
        return []

    def tick(self, now: float) -> list[Alert]:
        """The alerts that the passing of time gives rise to."""
        minutes = self._limits.no_progress_minutes
        if not minutes or self._paused or self._stuck or self._moved is None or now - self._moved < 60 * minutes:
            return []
        self._stuck = True
        return [
            Alert(
                "warning",
                "no_progress",
                _("no progress for {time}").format(time=formats.duration(now - self._moved)),
                _("A slow download, a data loader or another process may hold it up; worker.log may tell."),
            )
        ]

    # -- progress ----------------------------------------------------------------------------------------------

    def _begin(self, event: dict[str, Any]) -> None:
        config = event.get("config")
        train = config.get("train") if isinstance(config, dict) else None
        metric = train.get("metric_for_best_model") if isinstance(train, dict) else None
        self._plateau = _Plateau(str(metric or "accuracy"))
        self._spike = _Spike()

    def _progress(self, place: tuple[Any, ...], now: float) -> None:
        if place == self._place and place != ("started",):
            return
        self._place, self._moved, self._stuck = place, now, False

    def _on_order(self, event: dict[str, Any], now: float) -> None:
        if event.get("refused"):
            return
        if event.get("action") == "pause":
            self._paused = True
        elif event.get("action") in ("continue", "stop", "abort"):
            self._paused = False
            self._moved = now

    # -- training ----------------------------------------------------------------------------------------------

    def _on_step(self, event: dict[str, Any]) -> Iterator[Alert]:
        """A spike by the modified z-score: 0.6745 (x - median) / MAD (Iglewicz and Hoaglin, 1993)."""
        loss, spike, limit = _number(event.get("loss")), self._spike, self._limits.loss_spike
        if loss is None or not limit:
            return
        spike.newest.append(loss)
        if len(spike.newest) <= NEWEST:
            return
        spike.losses.append(spike.newest.popleft())
        if len(spike.losses) < FEWEST:
            return
        level, median = statistics.median(spike.newest), statistics.median(spike.losses)
        spread = statistics.median(abs(value - median) for value in spike.losses) / 0.6745
        score = (level - median) / max(spread, LEAST_SPREAD * abs(median), LEAST_JUMP / limit)
        spike.calm = spike.calm + 1 if score < CALM_SHARE * limit else 0
        if spike.told and spike.calm >= CALM_EVENTS:
            spike.told = False
        if score <= limit or spike.told:
            return
        if level <= statistics.fmean(spike.losses) + TAIL * statistics.pstdev(spike.losses):
            return
        spike.told = True
        yield Alert(
            "warning",
            "loss_spike",
            _("the loss jumped to {loss} at step {step}, from about {median}").format(
                loss=formats.number(level, 3),
                step=formats.count(_number(event.get("step"))),
                median=formats.number(median, 3),
            ),
            _("If it does not come back: a lower train.learning_rate, more warm-up, a lower max_grad_norm."),
        )

    def _on_eval(self, event: dict[str, Any]) -> Iterator[Alert]:
        plateau, metrics = self._plateau, event.get("metrics")
        if (
            not self._limits.plateau
            or event.get("split") != "dev"
            or event.get("final")
            or not isinstance(metrics, dict)
        ):
            return
        value = _number(metrics.get(f"eval_{plateau.metric}"))
        if value is None:
            return
        better = plateau.best is None or (value < plateau.best if plateau.metric == "loss" else value > plateau.best)
        if better:
            plateau.best, plateau.best_step, plateau.without = value, int(_number(event.get("step")) or 0), 0
            return
        plateau.without += 1
        if plateau.without == self._limits.plateau:
            yield Alert(
                "warning",
                "plateau",
                ngettext(
                    "{metric} on dev has not got better for {count} evaluation; best {best} at step {step}",
                    "{metric} on dev has not got better for {count} evaluations; best {best} at step {step}",
                    plateau.without,
                ).format(
                    metric=plateau.metric,
                    count=plateau.without,
                    best=formats.number(plateau.best),
                    step=formats.count(plateau.best_step),
                ),
                _("`stop` ends the run with its best checkpoint; train.early_stopping_patience does so by itself."),
            )

    # -- the machine -------------------------------------------------------------------------------------------

    def _on_memory(self, event: dict[str, Any]) -> Iterator[Alert]:
        index = int(_number(event.get("index")) or 0)
        if self._filled(f"gpu{index}", event, self._limits.gpu_memory):
            yield Alert(
                "warning",
                "gpu_memory",
                _("the memory of GPU {index} is nearly full: {used} of {total}").format(
                    index=index, used=formats.size(event["memory_used"]), total=formats.size(event["memory_total"])
                ),
                _("Longer reviews or another process may end it as out of memory; a smaller batch leaves room."),
            )

    def _on_host(self, event: dict[str, Any]) -> Iterator[Alert]:
        if self._filled("host", event, self._limits.host_memory):
            yield Alert(
                "warning",
                "host_memory",
                _("the machine's memory is nearly full: {used} of {total}").format(
                    used=formats.size(event["memory_used"]), total=formats.size(event["memory_total"])
                ),
                _("When it is full the system ends a process, often the largest: the worker."),
            )
        free, least = _number(event.get("disk_free")), self._limits.disk_free_gb * GIB
        if free is None or not least:
            return
        if free < least and "disk" not in self._full:
            self._full.add("disk")
            yield Alert(
                "warning",
                "disk",
                _("the disk of the run is nearly full: {free} left").format(free=formats.size(free)),
                _("Delete old checkpoints or runs; a checkpoint that does not fit is lost."),
            )
        elif free > 1.5 * least:
            self._full.discard("disk")

    def _filled(self, name: str, event: dict[str, Any], limit: float) -> bool:
        """Whether the memory in `event` has just become nearly full."""
        used, total = _number(event.get("memory_used")), _number(event.get("memory_total"))
        if not limit or not used or not total:
            return False
        if used >= limit * total and name not in self._full:
            self._full.add(name)
            return True
        if used < (limit - BACK_BELOW) * total:
            self._full.discard(name)
        return False

    def _on_others(self, event: dict[str, Any]) -> Iterator[Alert]:
        """Another user's process on a GPU of ours; further processes of one's own are no surprise."""
        index, processes = int(_number(event.get("index")) or 0), event.get("processes")
        if not self._limits.other_users or not isinstance(processes, list):
            return
        told = [process for process in processes if isinstance(process, dict)]
        mine = {str(process.get("user")) for process in told if process.get("ours")}
        strangers: dict[str, float] = {}
        for process in told:
            user = str(process.get("user") or "")
            if user and mine and not process.get("ours") and user not in mine:
                strangers[user] = strangers.get(user, 0) + (_number(process.get("memory")) or 0)
        for place in [place for place in self._others if place[0] == index]:
            self._others[place] += 1
            if self._others[place] > GONE_AFTER:
                del self._others[place]
        for user, memory in strangers.items():
            known = (index, user) in self._others
            self._others[(index, user)] = 0
            if not known:
                yield Alert(
                    "warning",
                    "gpu_shared",
                    _("{user} uses GPU {index} as well ({memory})").format(
                        user=user, index=index, memory=formats.size(memory)
                    ),
                    _("Both get slower, and either may run out of memory."),
                )


def _number(value: Any) -> float | None:
    """`value` as a finite number, else None: events come from anyone."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
