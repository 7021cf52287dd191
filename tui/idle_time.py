"""When the machine and the user leave time for work that nobody waits for."""

from __future__ import annotations

import os

IDLE = 3.0
"""Seconds without a new review in view after which the user counts as reading."""


def machine_busy() -> bool:
    """Whether processes want all cores already: a training run, or another's work."""
    try:
        return os.getloadavg()[0] >= (os.cpu_count() or 1)
    except OSError:
        # A system that does not tell.
        return False
