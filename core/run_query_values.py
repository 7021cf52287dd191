"""What may stand in a comparison of the runs' query language: numbers, spans of time, states; and what is known
instead of a name that is not."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

from core import formats
from core.i18n import gettext as _
from core.run_query_tokens import QueryError, Token
from core.run_query_tree import folded
from core.run_values import ALIASES, FIELDS, METRICS, SETTING
from core.runs import FINAL_STATES, LIVE_STATES

STATES = (*LIVE_STATES, *FINAL_STATES, "silent", "stale", "live")
UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0,
         "초": 1.0, "분": 60.0, "시간": 3600.0, "일": 86400.0, "주": 604800.0}  # fmt: skip
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(시간|min|[smhdw초분일주])")
_NUMBER = re.compile(r"[-+]?(\d+(?:,\d{3})*(\.\d*)?|\.\d+)(e[-+]?\d+)?(%?)$", re.I)


def example(name: str, op: str) -> str:
    """A comparison with the field `name` as one would write it."""
    if name in FIELDS:
        kind = FIELDS[name].kind
        shown = {"text": "…", "words": "…", "time": "2d"}.get(kind, "100")
        shown = "running" if name == "state" else "50%" if name == "progress" else shown
        return f"{name}{op}{shown}"
    return f"{name}{op}{'1e-5' if name.startswith(SETTING) else 'archived' if name == 'is' else '0.88'}"


def only(op: Token, name: str, *allowed: str) -> str:
    """The operator `op`. Raises QueryError when it is none of `allowed`."""
    if op.text not in allowed:
        raise QueryError(
            _("{name} is a text and cannot be {op} anything").format(name=name, op=op.text),
            _("Use {ops}.").format(ops=" ".join(allowed)),
            op.position,
        )
    return op.text


def one_of(text: str, known: Iterable[str], given: Token) -> str:
    """`text` as one of the `known` words. Raises QueryError with the nearest one."""
    lowered, names = text.lower(), list(known)
    if lowered in names:
        return lowered
    raise QueryError(
        _("there is no {text}").format(text=text) + _nearest(lowered, names),
        _("Known are {names}.").format(names=", ".join(names)),
        given.position,
    )


def state_named(text: str, given: Token) -> str:
    """`text` where it is a state, also as the screen says it. Raises QueryError."""
    words = {folded(formats.state(state)) for state in STATES}
    if folded(text) in words:
        return text
    return one_of({"read-only": "foreign"}.get(text.lower(), text), STATES, given)


def _nearest(text: str, names: Iterable[str]) -> str:
    close = get_close_matches(text, list(names), n=1, cutoff=0.5)
    return " — " + _("did you mean {name}?").format(name=close[0]) if close else ""


def unknown(field: Token, metrics: Collection[str]) -> QueryError:
    """The error for a field that there is not."""
    # A setting that was named without its cfg. is meant by its full name.
    settings = {name.rsplit(".", 1)[-1]: name for name in ALIASES.values() if name.startswith(SETTING)}
    names = {name: name for name in (*FIELDS, *ALIASES, "is", "has", *metrics)} | settings
    close = get_close_matches(field.text.lower(), list(names), n=1, cutoff=0.5)
    near = " — " + _("did you mean {name}?").format(name=names[close[0]]) if close else ""
    return QueryError(
        _("there is no field {name}").format(name=field.text) + near,
        _("Fields are {fields}, is, has; any metric such as {metrics}; settings as cfg.train.learning_rate. "
          "Put quotes around a text with such signs.").format(
            fields=", ".join(FIELDS), metrics=", ".join(METRICS[:2])
        ),
        field.position,
    )  # fmt: skip


def number_of(text: str) -> float | None:
    """A number, `1,000` and `50%` too; None for what is none."""
    match = _NUMBER.match(text.strip())
    if match is None:
        return None
    number = float(text.strip().rstrip("%").replace(",", ""))
    if not math.isfinite(number):
        return None
    return number / 100 if match.group(4) else number


def span_of(text: str) -> float | None:
    """A span of time such as `1h30m` in seconds; None for what is none."""
    total, place = 0.0, 0
    stripped = text.strip().lower()
    for match in _SPAN.finditer(stripped):
        if match.start() != place:
            return None
        total += float(match.group(1)) * UNITS[match.group(2)]
        place = match.end()
    return total if place and place == len(stripped) else None
