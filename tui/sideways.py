"""Lines that are longer than their room: what of one is seen, and a sign at each end where it goes on."""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip


def in_view(strip: Strip, x: int, width: int, style: Style, sign: Segment, *, ends: bool = True) -> Strip:
    """`width` cells of `strip` from `x` on, filled up in `style`. `sign` (one cell) stands at each end where more is;
    unless it `ends`, there is more after it."""
    left, right = x > 0 and strip.cell_length > 0, not ends or strip.cell_length > x + width
    shown = strip.crop_extend(x, x + width, style)
    if not left and not right:
        return shown
    inner = shown.crop(int(left), width - int(right))
    return Strip([*([sign] if left else []), *inner, *([sign] if right else [])], width)


def beside(text: str, pattern: re.Pattern[str] | None, x: int, width: int) -> int:
    """Where a view of `width` cells, which is at `x`, has to be for the first match in `text` to be seen."""
    found = pattern.search(text) if pattern is not None else None
    if found is None:
        return x
    first, last = cell_len(text[: found.start()]), cell_len(text[: found.end()])
    # A sign may stand at either end.
    if (x == 0 or x < first) and last < x + width:
        return x
    return 0 if last < width else max(0, min(first - width // 4, cell_len(text) - width))
