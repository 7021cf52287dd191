"""What the Patterns screen shows, without widgets: a run read, patterns of the cache, and finding them anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core import patterns
from core.patterns import Patterns
from core.predictions import THRESHOLD
from core.review_log import ReviewLog
from core.settings import load_settings
from tui.review_session import Opened, open_run

if TYPE_CHECKING:
    from tui.inspector_client import InspectorClient

SAMPLE = 20
"""Reviews of each kind at first: a model of BERT's size answers about 60 of them on a CPU in under a minute."""

SAMPLES = (10, 20, 50, 100, 200, 500, 1000)
"""Sizes that are looked for in the cache; 100 is the command's."""

LEAST, MOST = 2, 5000
SETTING = "patterns_sample"


@dataclass(frozen=True)
class Wanted:
    """What is counted: so many reviews of each kind at a threshold, under the heat of a method."""

    each: int = SAMPLE
    method: str = "attention"
    seed: int = 0
    threshold: float = THRESHOLD


@dataclass(frozen=True)
class Found:
    """Patterns and when they were computed (seconds since the epoch)."""

    patterns: Patterns
    moment: float


@dataclass(frozen=True, eq=False)
class Read:
    """A run as the screen finds it. found: patterns of the cache, for `wanted`. slices: verdicts and tags."""

    opened: Opened
    wanted: Wanted
    found: Found | None
    slices: dict[str, dict[str, int]]


def sample_size() -> int:
    """The size that was last asked for, else SAMPLE."""
    size = load_settings().get(SETTING)
    return size if isinstance(size, int) and LEAST <= size <= MOST else SAMPLE


def read(run_dir: Path, split: str | None, threshold: float = THRESHOLD) -> Read:
    """Read the run, and the newest patterns that were kept of it at `threshold`. For a thread."""
    opened = open_run(run_dir, split)
    wanted = Wanted(sample_size(), threshold=threshold)
    newest: tuple[Wanted, Found] | None = None
    for each in dict.fromkeys((wanted.each, *SAMPLES)):
        candidate = replace(wanted, each=each)
        found = kept(opened, candidate)
        if found is not None and (newest is None or found.moment > newest[1].moment):
            newest = candidate, found
    if newest is not None:
        wanted = newest[0]
    return Read(opened, wanted, newest[1] if newest is not None else None, slices_of(opened))


def slices_of(opened: Opened) -> dict[str, dict[str, int]]:
    """Verdicts and tags by slice, from the verdicts as they stand on disk. For a thread."""
    if opened.predictions is None or opened.log is None:
        return {}
    # A log of its own: the one in `opened` belongs to whoever opened it, and to one thread.
    log = ReviewLog(opened.log.path.parent, opened.predictions.split)
    log.refresh()
    return patterns.verdicts_by_slice(opened.predictions, log)


def kept(opened: Opened, wanted: Wanted) -> Found | None:
    """The patterns of the cache, None where there are none. For a thread."""
    place = _place(opened, wanted)
    found = patterns.kept(place) if place is not None else None
    if place is None or found is None:
        return None
    return Found(found, place.stat().st_mtime)


def _place(opened: Opened, wanted: Wanted) -> Path | None:
    if opened.model is None or opened.predictions is None:
        return None
    return patterns.cache_file(
        opened.model, opened.predictions, opened.max_length, wanted.each, wanted.method, wanted.seed, wanted.threshold
    )


async def find(
    inspector: InspectorClient, opened: Opened, wanted: Wanted, progress: Callable[[int, int], object]
) -> Found:
    """Ask the model about each review of the sample, keep and give what was counted; ends when it is cancelled.

    `opened` has predictions and a model. progress: called with reviews done and all. Raises ModelError, InspectorError;
    OSError where what was found cannot be kept.
    """
    assert opened.model is not None
    assert opened.predictions is not None
    steps = patterns.asking(
        opened.model, opened.predictions, opened.max_length, wanted.each, wanted.method, wanted.seed, wanted.threshold
    )
    answer: object = None
    while True:
        step = await asyncio.to_thread(patterns.advance, steps, answer)
        if isinstance(step, Patterns):
            break
        done, total, question = step
        progress(done, total)
        answer = await inspector.ask(question)
    return await asyncio.to_thread(_keep, opened, wanted, step)


def _keep(opened: Opened, wanted: Wanted, found: Patterns) -> Found:
    place = _place(opened, wanted)
    assert place is not None
    patterns.keep(place, found)
    return Found(found, place.stat().st_mtime)
