"""A run's log at a glance: the course of its loss and its last figures, for the price of a few pages of the file.

The log of a long run has hundreds of megabytes. Its end and some places spread over it tell as much as a line of
forty characters can show.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from core import foreign_json
from core.events import EVENTS_FILE
from core.runs import Run

WHOLE = 1 << 19
PLACES = 48
PLACE_BYTES = 4096
END_BYTES = 1 << 15
BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-=*#"


@dataclass(frozen=True)
class Preview:
    """`losses` in the order of their steps; the last figures, None where not known. Memory is in bytes."""

    losses: tuple[float, ...] = ()
    loss: float | None = None
    learning_rate: float | None = None
    samples_per_second: float | None = None
    memory: float | None = None
    on_gpu: bool = False


def preview(run: Run) -> Preview:
    """Look at the run's log; an empty preview where there is none."""
    if run.source == "trainer_state":
        from core.foreign import open_log

        return of_events(open_log(run.path).read(max_records=1_000_000))
    path = run.path / EVENTS_FILE
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= WHOLE:
                return of_events(_events(file.read()))
            pieces = []
            for place in range(PLACES):
                file.seek((size - END_BYTES) * place // PLACES)
                pieces.append(file.read(PLACE_BYTES))
            file.seek(size - END_BYTES)
            pieces.append(file.read())
    except OSError:
        return Preview()
    return of_events(event for piece in pieces for event in _events(piece))


def _events(text: bytes) -> Iterable[dict[str, Any]]:
    """The whole `step` lines in a piece of a log."""
    for line in text.split(b"\n"):
        if b'"step"' not in line:
            continue
        try:
            event = foreign_json.parse(line)
        except ValueError:
            # The first and the last line of a piece are cut.
            continue
        if isinstance(event, dict):
            yield event


def of_events(events: Iterable[dict[str, Any]]) -> Preview:
    """The preview of a run that told these events."""
    losses: list[float] = []
    last: dict[str, Any] = {}
    rss = peak = None
    for event in events:
        if event.get("type") != "step":
            continue
        last = event
        loss = _number(event.get("loss"))
        if loss is not None:
            losses.append(loss)
        gpu, host = _number(event.get("gpu_peak")), _number(event.get("rss"))
        peak = gpu if peak is None else max(peak, gpu or 0.0)
        rss = host if rss is None else max(rss, host or 0.0)
    return Preview(
        tuple(losses),
        _number(last.get("loss")),
        _number(last.get("learning_rate")),
        _number(last.get("samples_per_second")),
        peak if peak is not None else rss,
        peak is not None,
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def sparkline(values: Sequence[float], width: int, ascii_only: bool = False) -> str:
    """`values` as at most `width` bars, each the mean of its share, from the lowest to the highest of them."""
    bars = ASCII_BARS if ascii_only else BARS
    count = min(width, len(values))
    if count < 1:
        return ""
    shares = [values[len(values) * n // count : len(values) * (n + 1) // count] for n in range(count)]
    means = [sum(share) / len(share) for share in shares]
    low, high = min(means), max(means)
    if high - low <= 1e-12 * max(1.0, abs(high)):
        return bars[len(bars) // 2] * count
    return "".join(bars[min(len(bars) - 1, int((mean - low) / (high - low) * len(bars)))] for mean in means)
