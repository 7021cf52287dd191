"""Numbers, times and states as people read them, the same in the command line and on the screens."""

from __future__ import annotations

import math
import time

from core.i18n import gettext as _


def number(value: float | None, decimals: int = 4) -> str:
    """A figure with fixed decimals; `–` for none, `NaN` where it is no number."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN"
    return f"{value:,.{decimals}f}"


def plain(value: float | str) -> str:
    """Any figure as short as it can be said exactly: `32`, `2e-05`, `0.1`; texts as they are."""
    if isinstance(value, str):
        return value
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return "–" if value is None else f"{int(value):,}"


def rate(value: float | None) -> str:
    """A learning rate: `2.0e-05`."""
    return "–" if value is None else f"{value:.1e}"


def size(value: float | None) -> str:
    """Bytes in GB or MB (powers of 1024)."""
    if value is None:
        return "–"
    if value >= 1 << 30:
        return f"{value / (1 << 30):.1f} GB"
    if 0 < value < 1 << 19:
        return "<1 MB"
    return f"{value / (1 << 20):,.0f} MB"


def duration(seconds: float | None) -> str:
    """A time span in its two largest units: `6 min`, `1 h 05 min`, `42 s`."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return _("{n} s").format(n=whole)
    if whole < 3600:
        return _("{n} min").format(n=round(whole / 60))
    if whole < 86400:
        return _("{h} h {m:02d} min").format(h=whole // 3600, m=whole % 3600 // 60)
    return _("{d} d {h} h").format(d=whole // 86400, h=whole % 86400 // 3600)


def ago(moment: float, now: float | None = None) -> str:
    """How long ago `moment` (seconds since the epoch) was: `now`, `3 min`, `5 h`, `2 d`."""
    past = (time.time() if now is None else now) - moment
    if past < 10:
        return _("now")
    if past < 60:
        return _("{n} s").format(n=int(past))
    if past < 3600:
        return _("{n} min").format(n=int(past / 60))
    if past < 86400:
        return _("{n} h").format(n=int(past / 3600))
    return _("{n} d").format(n=int(past / 86400))


def state(name: str) -> str:
    """A run's state in words."""
    words = {
        "queued": _("queued"),
        "starting": _("starting"),
        "running": _("running"),
        "pausing": _("pausing"),
        "paused": _("paused"),
        "stopping": _("stopping"),
        "finished": _("finished"),
        "stopped": _("stopped"),
        "failed": _("failed"),
        "crashed": _("crashed"),
        "silent": _("silent"),
        "stale": _("stale"),
        "foreign": _("read-only"),
    }
    return words.get(name, name)


def phase(name: str) -> str:
    """A phase of a run in words."""
    words = {
        "loading": _("loading"),
        "tokenizing": _("tokenizing"),
        "building": _("building the model"),
        "training": _("training"),
        "evaluating": _("evaluating"),
        "saving": _("saving"),
    }
    return words.get(name, name)


def order(action: str) -> str:
    """An order to a worker in words."""
    words = {
        "stop": _("stop"),
        "stop_at": _("stop at"),
        "abort": _("abort"),
        "save": _("save"),
        "evaluate": _("evaluate"),
        "pause": _("pause"),
        "continue": _("continue"),
    }
    return words.get(action, action)


def metric(name: str) -> str:
    """A score without its split, as people call it; what is not ours as it is called."""
    words = {
        "accuracy": _("accuracy"),
        "f1": "F1",
        "precision": _("precision"),
        "recall": _("recall"),
        "macro_f1": _("macro F1"),
        "loss": _("loss"),
    }
    return words.get(name, name)


def split_name(split: str) -> str:
    """Which split a figure is of, short enough for a column."""
    return {"test": "test", "eval": "dev"}.get(split, split)


def threshold(value: float) -> str:
    """A decision threshold with two decimals, more where it has them: `0.50`, `0.625`."""
    return number(value, 2) if round(value, 2) == value else f"{value:.6g}"
