"""Commands that texts name, as they have to be typed: with `--runs` where it was given."""

from __future__ import annotations

import re
import shlex

# Commands that look for a run.
_NAMED = re.compile(
    r"(?<=`nsmc-tui )(?=(?:attention|compare|control|delete|errors|evaluate|explain|export|join|label|neighbours|open"
    r"|patterns|resume|show|watch)\b)"
)
_runs = ""


def remember_runs(option: str | None) -> None:
    """From now on commands are told with this `--runs`; nothing is added for None."""
    global _runs
    _runs = f"--runs {shlex.quote(option)} " if option else ""


def as_typed(text: str) -> str:
    """`text` with its commands as they find the same runs."""
    return _NAMED.sub(lambda _: _runs, text) if _runs else text
