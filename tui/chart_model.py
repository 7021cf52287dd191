"""What the charts of Monitor show, without widgets: which metrics, on which x-axis, in which window, at what cursor."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core import formats
from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.columns import Column, Places, Track
from tui.raster import nice_step
from tui.series import Smoothed
from tui.telemetry import Telemetry

X_AXES = ("step", "epoch", "samples", "time")
SMOOTHING = (0.0, 0.6, 0.9, 0.97, 0.99)
# What people look at first; the rest follows as it was told.
FIRST = (
    "loss",
    "eval_accuracy",
    "eval_loss",
    "learning_rate",
    "grad_norm",
    "samples_per_second",
    "tokens_per_second",
    "eval_f1",
    "padding",
)
# Bytes are looked at last, these before other counts of them.
BYTES_FIRST = ("gpu_allocated", "rss")
LAST = ("eta", "loss_min", "loss_max", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second")
TITLES = {
    "loss": N_("loss"),
    "eval_accuracy": N_("dev accuracy"),
    "eval_loss": N_("dev loss"),
    "eval_f1": N_("dev F1"),
    "eval_precision": N_("dev precision"),
    "eval_recall": N_("dev recall"),
    "eval_macro_f1": N_("dev macro F1"),
    "learning_rate": N_("learning rate"),
    "grad_norm": N_("gradient norm"),
    "samples_per_second": N_("reviews per second"),
    "tokens_per_second": N_("tokens per second"),
    "padding": N_("share of padding"),
    "loader_stall": N_("share of waiting for batches"),
    "rss": N_("memory of the worker"),
    "gpu_allocated": N_("GPU memory, allocated"),
    "gpu_reserved": N_("GPU memory, reserved"),
    "gpu_peak": N_("GPU memory, peak"),
    "eta": N_("time left"),
}
BYTES = re.compile(
    r"^(rss|gpu_(allocated|reserved|peak)|gpu\d+/memory.*|host/(memory.*|disk_free|worker_rss)|.*_mem_(cpu|gpu)_.*)$"
)
# What somebody set, and did not measure: a line without noise, which smoothing would only falsify.
SET = re.compile(r"^(.*[/_])?(learning_rate|lr|epoch)$|^.*/lr[-_].*$|^lr-.*$")
SECONDS = re.compile(r"^(eta|.*_runtime)$")
COUNTS = re.compile(r".*_per_second$")
# A value that was not told at the very place of the cursor is looked for in as many events before it.
LOOK_BACK = 256
LONGEST_TICK = 6
BYTE_UNITS = ((30, "G"), (20, "M"), (10, "K"))
# The right edge of a live run moves by about such a part of what there is: every move draws everything anew.
JUMPS = 5


@dataclass(frozen=True)
class Metric:
    """One number that runs tell: its key for people and settings, and where a telemetry holds it."""

    key: str
    track: str
    name: str

    def column(self, telemetry: Telemetry) -> Column | None:
        """Its values in a run, None where the run has none."""
        track = telemetry.tracks.get(self.track)
        column = track.columns.get(self.name) if track is not None else None
        return column if column is not None and column.finite else None

    @property
    def evaluation(self) -> bool:
        """Whether it comes from evaluations: few points, each for itself."""
        return self.track.startswith("eval ")

    @property
    def smooth(self) -> bool:
        """Whether a moving average tells more than the values: neither of a schedule, nor of few exact ones."""
        return not self.evaluation and not SET.match(self.key)

    @property
    def title(self) -> str:
        """Its name in the user's language where there is one, else as the run calls it."""
        return _(TITLES[self.key]) if self.key in TITLES else visible(self.key)

    def text(self, value: float) -> str:
        """A value as people read it."""
        if not math.isfinite(value):
            return "NaN"
        # Columns keep seven digits; the others would round a half the other way than wherever else the value stands.
        value = float(f"{value:.7g}")
        if BYTES.match(self.key):
            return formats.size(value)
        if SECONDS.match(self.key):
            return formats.duration(value)
        if COUNTS.match(self.key):
            return formats.count(value)
        return number_text(value)

    def ticks(self, values: Sequence[float], step: float, *, log: bool = False) -> list[str]:
        """Values at the y-axis from below, about `step` apart, in ASCII and at most `LONGEST_TICK` cells each.

        Where no label has room for the digits that differ, those above the lowest say how much more they are.
        """
        texts = [self._tick(value, step, log)[:LONGEST_TICK] for value in values]
        if len(set(texts)) == len(texts):
            return texts
        lowest = self._tick(values[0], step, False)[:LONGEST_TICK]
        return [lowest, *(self._more(value - values[0]) for value in values[1:])]

    def _tick(self, value: float, step: float, log: bool) -> str:
        if log:
            return short_power(f"{value:.0e}")
        if BYTES.match(self.key):
            return _giga_text(value / (1 << 30), step / (1 << 30))
        if SECONDS.match(self.key):
            return clock_text(value)
        return tick_text(value, step)

    def _more(self, value: float) -> str:
        if BYTES.match(self.key):
            power, unit = next(((power, unit) for power, unit in BYTE_UNITS if value >= 1 << power), BYTE_UNITS[-1])
            return f"+{value / (1 << power):.0f}{unit}"
        unit = "s" if SECONDS.match(self.key) else ""
        text = short_power(f"{value:.1g}")
        room = LONGEST_TICK - 1 - len(unit)
        return f"+{text if len(text) <= room else short_power(f'{value:.0e}')}{unit}"


def _giga_text(value: float, step: float) -> str:
    decimals = min(4, max(0, -math.floor(math.log10(step) + 1e-9)))
    return f"{value:.{decimals}f}"[:5] + "G"


def number_text(value: float) -> str:
    """A number with about four digits that count."""
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e7):
        return short_power(f"{value:.2e}")
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if size < 10 else f"{value:.2f}"


def short_power(text: str) -> str:
    """A number with a power of ten, without the signs and zeros that say nothing: `2e-5`."""
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def tick_text(value: float, step: float) -> str:
    """A number at an axis whose numbers are `step` apart."""
    size = max(abs(value), step)
    if size >= 1e6:
        return short_power(f"{value:.1e}")
    if size < 1e-2 and step < 1e-4:
        return "0" if value == 0 else short_power(f"{value:.1e}")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    # Of numbers that lie close together the digits that differ, as far as there is room.
    decimals = min(decimals, max(0, LONGEST_TICK - 1 - len(f"{value:,.0f}")))
    text = f"{value:,.{decimals}f}"
    return text if len(text) <= LONGEST_TICK else f"{value / 1e3:.0f}k"


def find_metrics(runs: Iterable[Telemetry]) -> list[Metric]:
    """Every number that one of the runs has told, the usual ones first."""
    found: dict[str, Metric] = {}
    for telemetry in runs:
        for track_name, track in telemetry.tracks.items():
            for name, column in track.columns.items():
                if column.finite:
                    metric = _metric(track_name, name, found)
                    found.setdefault(metric.key, metric)
    order = {key: place for place, key in enumerate(FIRST)}
    large = {key: place for place, key in enumerate(BYTES_FIRST)}
    late = {key: place for place, key in enumerate(LAST)}
    place = {key: index for index, key in enumerate(found)}

    def rank(metric: Metric) -> tuple[int, int, int]:
        if metric.key in order:
            return (0, order[metric.key], 0)
        if metric.key in late:
            return (2, late[metric.key], 0)
        if BYTES.match(metric.key):
            return (3, large.get(metric.key, len(large)), place[metric.key])
        return (1, 0 if metric.track == "step" else 1 if metric.evaluation else 2, place[metric.key])

    return sorted(found.values(), key=rank)


def _metric(track: str, name: str, known: dict[str, Metric]) -> Metric:
    key = name
    if track.startswith("device "):
        key = f"gpu{track.removeprefix('device ')}/{name}"
    elif track == "host":
        key = f"host/{name}"
    taken = known.get(key)
    if taken is not None and taken.track != track:
        key = f"{track}/{name}"
    return Metric(key, track, name)


def matches(metrics: Sequence[Metric], pattern: str) -> list[Metric]:
    """The metrics whose key or title `pattern` finds (a regular expression, else as it stands); empty finds all."""
    if not pattern:
        return list(metrics)
    try:
        found = re.compile(pattern, re.IGNORECASE).search
    except re.error:
        found = re.compile(re.escape(pattern), re.IGNORECASE).search
    return [metric for metric in metrics if found(metric.key) or found(metric.title)]


@dataclass(frozen=True)
class Axis:
    """The x-axis of a track: `value = place × scale − origin`."""

    places: Places
    scale: float = 1.0
    origin: float = 0.0

    def value(self, place: float) -> float:
        """A place as people see it."""
        return place * self.scale - self.origin

    def place(self, value: float) -> float:
        """The place of what people see."""
        return (value + self.origin) / self.scale


def axis_of(telemetry: Telemetry, track: Track, name: str) -> Axis:
    """The x-axis `name` of a track. Samples are steps × the configured batch; time counts from the first event."""
    if name == "samples":
        return Axis(track.places["step"], float(telemetry.batch or 1))
    if name == "time":
        begins = [
            other.places["time"].at(0)
            for other in telemetry.tracks.values()
            if other.count and other.places["time"].count
        ]
        finite = [begin for begin in begins if math.isfinite(begin)]
        return Axis(track.places["time"], 1.0, min(finite, default=0.0))
    return Axis(track.places[name])


def axis_text(name: str, value: float) -> str:
    """A value of the x-axis in ASCII."""
    if name == "epoch":
        return f"{value:.2f}"
    if name == "time":
        return clock_text(value)
    return f"{value:z,.0f}"


def clock_text(seconds: float) -> str:
    """A span of time, short and in ASCII."""
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if seconds < 120:
        return f"{sign}{seconds:.0f}s"
    return f"{sign}{seconds / 60:.0f}min" if seconds < 7200 else f"{sign}{seconds / 3600:.1f}h"


@dataclass
class View:
    """The window on x that all charts share. `width` None: all of it; `right` None: it follows the newest."""

    width: float | None = None
    right: float | None = None

    def bounds(self, first: float, newest: float, live: bool) -> tuple[float, float]:
        """Left and right edge. While a run is live its right edge moves in jumps, so that the picture holds still."""
        right = newest if self.right is None else self.right
        if self.right is None and live:
            jump = nice_step(self.width or max(newest - first, 1e-9), JUMPS)
            right = (first if self.width is None else 0.0) + jump * math.ceil(
                (newest - (first if self.width is None else 0.0)) / jump - 1e-9
            )
        left = first if self.width is None else right - self.width
        if right - left < 1e-12:
            left, right = left - 0.5, right + 0.5
        return left, right

    def zoom(self, factor: float, bounds: tuple[float, float], whole: tuple[float, float], at: float | None) -> None:
        """Make the window `factor` as wide, around `at` or its middle; what follows keeps its right edge."""
        left, right = bounds
        width = (right - left) * factor
        if width >= whole[1] - whole[0]:
            self.width = None
            self.right = None
            return
        if at is None and self.right is None:
            self.width = width
            return
        middle = (left + right) / 2 if at is None else at
        share = (middle - left) / (right - left)
        self.width = width
        self.right = middle + width * (1 - share)

    def pan(self, share: float, bounds: tuple[float, float], whole: tuple[float, float]) -> None:
        """Move by a share of the width; at the newest end the window follows again."""
        if self.width is None:
            return
        right = bounds[1] + share * self.width
        if right >= whole[1]:
            self.right = None
        else:
            self.right = max(right, whole[0] + self.width)


@dataclass(frozen=True)
class Reading:
    """What the cursor reads off a line: the event's step and place on x, its value and the smoothed one (or None)."""

    step: float
    x: float
    raw: float
    smooth: float | None


def read_at(
    telemetry: Telemetry, metric: Metric, axis_name: str, x: float, smoothed: Smoothed | None
) -> Reading | None:
    """The value at the event nearest to `x`; before the first and where nothing was told, None."""
    column = metric.column(telemetry)
    if column is None:
        return None
    track = telemetry.tracks[metric.track]
    axis = axis_of(telemetry, track, axis_name)
    index = nearest(axis.places, axis.place(x), column.count)
    begin = max(0, index - LOOK_BACK)
    values = column.slice(begin, index + 1)
    for back in range(len(values) - 1, -1, -1):
        if not math.isnan(values[back]):
            place = begin + back
            break
    else:
        return None
    smooth = None
    if smoothed is not None and place < smoothed.count:
        smooth = float(smoothed.slice(place, place + 1)[0])
    step = track.places["step"].at(place)
    return Reading(step, axis.value(axis.places.at(place)), float(values[place - begin]), smooth)


def nearest(places: Places, place: float, count: int) -> int:
    """The event nearest to `place` among the first `count`."""
    behind = min(places.first_from(place), count - 1)
    if behind > 0 and place - places.at(behind - 1) < places.at(behind) - place:
        return behind - 1
    return behind
