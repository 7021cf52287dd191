"""Whose samples the device pane shows: those of the run's worker, or the app's own look at the same machine."""

from __future__ import annotations

import time
from enum import Enum

from core import formats
from core.i18n import gettext as _
from core.runs import Run
from core.text import visible
from tui.machine_history import MachineHistory

# Seconds after which a sample of the worker is old: then the app looks for itself. A worker that samples less often
# than that leaves the looking to the app altogether.
FRESH = 10.0
# Seconds that a worker's first sample is waited for, so that the pane does not change its source as it opens.
WAIT = 2.0


class Source(Enum):
    """Whose samples are shown: the worker's as they come, the app's own, the last ones that a run left."""

    WORKER = "worker"
    APP = "app"
    LEFT = "left"


def choose(run: Run | None, worker: MachineHistory, waited: float, now: float, *, asked: bool) -> Source:
    """Whose samples to show of `run`, `waited` seconds after the pane was opened.

    The app can only look at its own host. Of a run at rest it does so when it is `asked`: what the machine does now has
    nothing to do with the run, and figures that never stand still would keep the terminal busy.
    """
    if run is None or run.elsewhere:
        return Source.WORKER if run is None or run.live else Source.LEFT
    if not run.live:
        return Source.APP if asked else Source.LEFT
    if worker.newest is None:
        return Source.APP if waited > WAIT else Source.WORKER
    fresh = now - worker.newest <= FRESH and worker.gap <= FRESH
    return Source.WORKER if fresh else Source.APP


def source_words(source: Source, run: Run | None, worker: MachineHistory, *, asked: bool) -> str:
    """Where the figures are from and how old they are, for the pane's title."""
    if run is None:
        return ""
    newest = worker.newest
    if source is Source.APP:
        words = _("this app's look at this machine, now")
        if not run.live:
            return words
        if newest is None:
            return words + " · " + _("none from the worker yet")
        return words + " · " + _("the worker's last sample: {time} ago").format(time=_age(newest))
    if source is Source.LEFT:
        words = "" if newest is None else _("the run's last sample, {time}").format(time=_moment(newest))
        offer = "" if asked or run.elsewhere else _("d: this machine now")
        return " · ".join(part for part in (words, offer) if part)
    if newest is None:
        return ""
    where = visible(run.host) if run.elsewhere else ""
    words = _("the worker's samples from {host}").format(host=where) if where else _("the worker's samples")
    # Of a run on this host they are never old here.
    if run.elsewhere and time.time() - newest > FRESH:
        words += " · " + _("the last one: {time} ago").format(time=_age(newest))
    return words


def _age(moment: float) -> str:
    return formats.duration(time.time() - moment)


def _moment(moment: float) -> str:
    return time.strftime("%m-%d %H:%M", time.localtime(moment))
