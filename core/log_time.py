"""When a line of a log was written, where it says so: `logging`'s and ISO's dates, and the short ones of glog, which
PyTorch's own messages have (`W1124 22:08:45.123456`)."""

from __future__ import annotations

import re
from datetime import datetime

# At the beginning of a line, behind a rank's name or a bracket; further inside a date belongs to what is told.
WITHIN = 40
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?")
_GLOG = re.compile(r"(?:^|[\s\[\]:])[IWEF](\d\d)(\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?")
_DAY = 86400.0


def moment_of(text: str, written: float) -> float | None:
    """Seconds since the epoch at which the line says it was written, None where it does not say.

    `written` is when its file was last written to: it tells the year where a line has none. Times without a zone are
    this machine's.
    """
    begin = text[:WITHIN]
    found = _ISO.search(begin)
    if found is not None:
        try:
            return datetime.fromisoformat(found.group().replace(",", ".")).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    short = _GLOG.search(begin)
    if short is None:
        return None
    month, day, clock, fraction = short.groups()
    year = datetime.fromtimestamp(written).year
    for candidate in (year, year - 1):
        try:
            told = datetime.fromisoformat(f"{candidate}-{month}-{day}T{clock}").timestamp()
        except (ValueError, OverflowError, OSError):
            continue
        if told <= written + _DAY:
            return told + (float(f"0.{fraction}") if fraction else 0.0)
    return None
