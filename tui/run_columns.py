"""The columns of a list of runs, on the screen and in the command line: names, widths, what stands in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len

from core import formats
from core.i18n import N_
from core.i18n import gettext as _
from core.run_values import SETTING, Value, canonical
from core.runs import Run
from core.settings import load_settings
from core.text import visible

GAP = 2
GUTTER = 2
NAME_AT_LEAST = 20
NAME_AT_MOST = 44
NAME_WITH_DATE = 32
DIFFERENCE = 8


@dataclass(frozen=True)
class Column:
    """`width` is in cells; `right` says at which side figures stand."""

    name: str
    title: str
    width: int
    right: bool = False


KNOWN: dict[str, Column] = {
    column.name: column
    for column in (
        Column("state", N_("state"), 12),
        Column("name", N_("run"), NAME_AT_LEAST),
        Column("model", N_("model"), 16),
        Column("data", N_("data"), 10),
        Column("step", N_("step"), 11, True),
        Column("progress", N_("progress"), 8, True),
        Column("epoch", N_("epoch"), 6, True),
        Column("train_loss", N_("train loss"), 10, True),
        Column("accuracy", N_("accuracy"), 8, True),
        Column("f1", "F1", 7, True),
        Column("eta", N_("ETA"), 9, True),
        Column("age", N_("age"), 6, True),
        Column("updated", N_("last sign"), 9, True),
        Column("host", N_("host"), 12),
        Column("tag", N_("tags"), 16),
        Column("note", N_("note"), 24),
        Column("error", N_("error"), 30),
        Column("id", N_("id"), 32),
    )
}
# Shown unless others were chosen: in this order, and left out on narrow terminals from the end of the other.
DEFAULT = ("state", "name", "model", "data", "step", "accuracy", "f1", "eta", "age")
IMPORTANCE = ("state", "name", "step", "accuracy", "age", "f1", "eta", "model", "data")


def chosen_columns() -> tuple[str, ...]:
    """The columns that the user chose (`runs_columns` in the settings); empty for the usual ones."""
    kept = load_settings().get("runs_columns")
    return tuple(name for name in kept if isinstance(name, str)) if isinstance(kept, list) else ()


def column(name: str) -> Column:
    """The column of a (canonical) name; a metric or a setting makes one of its own."""
    known = KNOWN.get(name)
    if known is not None:
        return known
    if name.startswith(SETTING):
        title = name.rsplit(".", 1)[-1]
        return Column(name, title, min(20, max(8, len(title))), True)
    return Column(name, name, max(7, len(name)), True)


def title(shown: Column) -> str:
    """What stands over a column."""
    return _(shown.title) if shown.name in KNOWN else visible(shown.title)


def is_metric(name: str) -> bool:
    """Whether a column shows a metric, which can be compared with the baseline's."""
    return (name not in KNOWN and not name.startswith(SETTING)) or name in ("accuracy", "f1")


def layout(names: Sequence[str], runs: Iterable[Run], room: int, compared: bool) -> list[Column]:
    """The columns that fit into `room` cells, each as wide as it has to be; what is left over goes to the name.

    `names` are the user's, empty for the usual ones; `compared` leaves room for differences to a baseline.
    """
    most = max((run.max_steps for run in runs), default=0)
    wanted = [_sized(column(canonical(name)), most, compared) for name in (names or IMPORTANCE)]
    room -= GUTTER
    fitting: list[Column] = []
    for shown in wanted:
        if shown.width > room:
            break
        fitting.append(shown)
        room -= shown.width + GAP
    if not names:
        fitting.sort(key=lambda shown: DEFAULT.index(shown.name))
    spare = max(0, room + GAP)
    for name, limit in (("name", NAME_AT_MOST), ("model", 32), ("data", 24), ("note", 60), ("name", 1000)):
        for place, shown in enumerate(fitting):
            if shown.name == name and spare > 0:
                more = max(0, min(spare, limit - shown.width))
                fitting[place] = Column(shown.name, shown.title, shown.width + more, shown.right)
                spare -= more
    return fitting


def _sized(shown: Column, most: int, compared: bool) -> Column:
    width = max(shown.width, cell_len(title(shown)))
    if shown.name == "step":
        width = max(width, 2 * len(f"{most:,}") + 1)
    if compared and is_metric(shown.name):
        width = max(width, 7 + DIFFERENCE)
    return Column(shown.name, shown.title, width, shown.right)


def run_title(run: Run, short: bool = False) -> str:
    """When a run began and what it is called: `11-24 14:31  xlmr-lr2e-5`; its label where it was given one.

    `short` leaves the day to the column with the age: `1431 xlmr-lr2e-5`.
    """
    parts = run.id.split("-", 2)
    if len(parts) == 3 and len(parts[1]) == 6 and parts[0].isdigit() and len(parts[0]) == 8:
        if short:
            return f"{parts[1][:4]} {run.label or parts[2]}"
        return f"{parts[0][4:6]}-{parts[0][6:]} {parts[1][:2]}:{parts[1][2:4]}  {run.label or parts[2]}"
    return run.label or run.id


def text_of(run: Run, name: str, settings: Mapping[str, Value], baseline: Run | None = None) -> str:
    """What stands in the column `name` for `run`; foreign text in it is not yet made visible.

    `settings` has the values of `cfg.…` columns. Metrics are followed by their difference to `baseline`'s.
    """
    match name:
        case "state":
            return formats.state(run.condition) + ("@" if run.elsewhere else "")
        case "name":
            return run_title(run)
        case "step":
            if run.max_steps:
                return f"{run.step:,}/{run.max_steps:,}"
            return f"{run.step:,}" if run.step else formats.phase(run.phase) if run.live else ""
        case "progress":
            return f"{run.step / run.max_steps:.0%}" if run.max_steps else ""
        case "epoch":
            return f"{run.epoch:.2f}" if run.epoch else ""
        case "train_loss":
            return "" if run.loss is None else formats.number(run.loss)
        case "eta":
            return formats.duration(run.eta) if run.live and run.eta is not None else ""
        case "age":
            return formats.ago(run.created)
        case "updated":
            return formats.ago(run.updated)
        case "model":
            return Path(run.model).name
        case "tag":
            return " ".join(f"#{tag}" for tag in run.tags)
        case "data" | "host" | "note" | "error" | "id":
            return str(getattr(run, name))
    if name.startswith(SETTING):
        found = settings.get(name)
        return "" if found is None or isinstance(found, tuple) else formats.plain(found)
    return _metric(run, name, baseline)


def _metric(run: Run, name: str, baseline: Run | None) -> str:
    value = _value(run, name)
    if value is None:
        return "–"
    # Dev selected the model: its figure must not pass for a test score.
    on_dev = name not in run.metrics and run.metric_split() == "eval"
    text = formats.number(value) + ("*" if on_dev else "")
    other = _value(baseline, name) if baseline is not None and baseline.id != run.id else None
    if other is None or not math.isfinite(other) or not math.isfinite(value):
        return text
    return f"{text} {value - other:+.4f}"


def _value(run: Run, name: str) -> float | None:
    exact = run.metrics.get(name)
    return exact if exact is not None else run.metric(name)
