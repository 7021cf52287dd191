"""A line of numbers as a line of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
# For terminals in which block characters take two cells.
ASCII = " .:-=+*#%"


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """The newest `width` of `values` (shares of 1), one character each, the newest at the right; NaN is a gap."""
    marks = ASCII if ascii_only else BLOCKS
    recent = list(values)[-width:] if width > 0 else []
    drawn = "".join(" " if math.isnan(value) else marks[1 + round(value * (len(marks) - 2))] for value in recent)
    return drawn.rjust(max(0, width))
