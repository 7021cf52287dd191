"""What can be asked of a run by name: for the query language, for sorting, for columns.

Three kinds of names: the fields in `FIELDS`, any metric (`eval_loss`, or `loss` for test, else dev), and settings as
`cfg.train.learning_rate`, shortened where that is unambiguous (`cfg.learning_rate`, or `lr` for this one).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import formats
from core.i18n import N_
from core.runs import Run

SETTING = "cfg."
ALIASES = {
    "acc": "accuracy",
    "lr": "cfg.train.learning_rate",
    "batch": "cfg.train.per_device_train_batch_size",
    "epochs": "cfg.train.num_train_epochs",
    "tags": "tag",
    "run": "name",
    "notes": "note",
}
# Names that mean a metric even before any run has one.
METRICS = ("accuracy", "f1", "precision", "recall", "macro_f1", "loss")
Value = float | str | tuple[str, ...] | None


@dataclass(frozen=True)
class Facts:
    """What is known beyond the run itself: its settings, the marks, the time."""

    settings_of: Callable[[Run], Mapping[str, Any]]
    marked: frozenset[Path] = frozenset()
    baseline: Path | None = None
    now: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Field:
    """`kind` is `text`, `number`, `time` (a span in seconds) or `words`; `about` is a line for help."""

    kind: str
    get: Callable[[Run, Facts], Value]
    about: str


def _progress(run: Run, _facts: Facts) -> Value:
    return run.step / run.max_steps if run.max_steps else None


FIELDS: dict[str, Field] = {
    "state": Field("text", lambda run, _facts: run.condition, N_("state: running, finished, crashed, silent …")),
    "name": Field("text", lambda run, _facts: run.name, N_("name")),
    "id": Field("text", lambda run, _facts: run.id, N_("id, the directory's name")),
    "model": Field("text", lambda run, _facts: run.model, N_("model")),
    "data": Field("text", lambda run, _facts: run.data, N_("data")),
    "host": Field("text", lambda run, _facts: run.host, N_("host")),
    "phase": Field("text", lambda run, _facts: run.phase if run.live else "", N_("what it is doing")),
    "tag": Field("words", lambda run, _facts: run.tags, N_("tag")),
    "note": Field("text", lambda run, _facts: run.note, N_("note")),
    "error": Field("text", lambda run, _facts: run.error, N_("why it failed")),
    "step": Field("number", lambda run, _facts: float(run.step), N_("steps done")),
    "max_steps": Field("number", lambda run, _facts: float(run.max_steps) or None, N_("steps in all")),
    "epoch": Field("number", lambda run, _facts: run.epoch, N_("epoch")),
    "progress": Field("number", _progress, N_("share of the steps that is done: progress>50%")),
    "train_loss": Field("number", lambda run, _facts: run.loss, N_("training loss")),
    "age": Field("time", lambda run, facts: max(0.0, facts.now - run.created), N_("since its start: age<2d")),
    "updated": Field("time", lambda run, facts: max(0.0, facts.now - run.updated), N_("since its last sign of life")),
    "eta": Field("time", lambda run, _facts: run.eta if run.live else None, N_("time left: eta<30m")),
}
FLAGS: dict[str, Callable[[Run, Facts], bool]] = {
    "live": lambda run, _facts: run.live,
    "marked": lambda run, facts: run.path in facts.marked,
    "pinned": lambda run, facts: run.path == facts.baseline,
    "archived": lambda run, _facts: run.archived,
    "elsewhere": lambda run, _facts: run.elsewhere,
    "foreign": lambda run, _facts: bool(run.source),
}


def canonical(name: str) -> str:
    """The name that an alias or another spelling stands for."""
    lowered = name.lower()
    return ALIASES.get(lowered, lowered if lowered in FIELDS or lowered in METRICS else name)


def metric_names(runs: Iterable[Run]) -> list[str]:
    """Every metric that one of the runs has, without and with its split, sorted."""
    found = {name for run in runs for name in run.metrics}
    bare = {name.split("_", 1)[1] for name in found if name.startswith(("test_", "eval_"))}
    return sorted(found | bare | set(METRICS))


def setting_of(settings: Mapping[str, Any], key: str) -> Any:
    """The value of a setting by its dotted key or the end of one; None where there is none, or more than one."""
    if key in settings:
        return settings[key]
    fitting = [name for name in settings if name.endswith("." + key)]
    return settings[fitting[0]] if len(fitting) == 1 else None


def value(run: Run, name: str, facts: Facts) -> Value:
    """What `run` has under the (canonical) `name`: a number, a text, words; None for nothing."""
    known = FIELDS.get(name)
    if known is not None:
        return known.get(run, facts)
    if name.startswith(SETTING):
        found = setting_of(facts.settings_of(run), name.removeprefix(SETTING))
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float):
            return str(found).lower() if isinstance(found, bool) else str(found)
        return float(found)
    exact = run.metrics.get(name)
    return exact if exact is not None else run.metric(name)


def sort_runs(runs: Iterable[Run], name: str, reverse: bool, facts: Facts) -> list[Run]:
    """Best first: highest score, lowest loss, newest, words from A; `reverse` turns it round.

    Runs that have nothing under `name` come last either way; among equals the order stays.
    """
    canonical_name = canonical(name)
    falling = _falls(canonical_name) != reverse
    with_value: list[tuple[Any, Run]] = []
    without: list[Run] = []
    texts = False
    for run in runs:
        found = value(run, canonical_name, facts)
        if isinstance(found, tuple):
            found = " ".join(found)
        if found is None or found == "" or (isinstance(found, float) and math.isnan(found)):
            without.append(run)
        else:
            texts |= isinstance(found, str)
            with_value.append((found, run))
    if texts:
        # A setting may be a number in one run and a word in another.
        with_value = [(formats.plain(found).casefold(), run) for found, run in with_value]
    with_value.sort(key=lambda pair: pair[0], reverse=falling)
    return [run for _found, run in with_value] + without


def _falls(name: str) -> bool:
    known = FIELDS.get(name)
    if known is not None:
        return known.kind == "number" and name != "train_loss"
    return not name.startswith(SETTING) and "loss" not in name and not name.endswith("runtime")
