"""When Python's garbage collector may work: in moments when nobody waits for the screen.

Its full collections look at every object there is, 50 to 100 ms with a model's review open; one that begins with a key
is felt. What lives long is therefore set aside (`gc.freeze`) once a screen is at rest, and full collections are not
left to the counts of objects, which keys drive, but made by `rest`.
"""

from __future__ import annotations

import gc
import time

YOUNG, MIDDLE = 2000, 10
"""Objects after which the youngest are looked at, and how often that is done before those that stayed are, too. Each
takes less than a millisecond."""

NEVER = 1_000_000

USUAL = gc.get_threshold()

DUE, OVERDUE = 10, 60
"""So many of the middle collections make a full one due at rest; so many more, whether one rests or not."""

REST = 0.6
"""Seconds without a key that count as rest."""

LARGE = 50_000
"""Objects that a full collection is to leave aside from then on: texts of a training file, say."""

_last_key = 0.0


def put_off() -> None:
    """No collection until `settle`: much is about to be imported and built, nearly all of which stays."""
    gc.disable()


def settle() -> None:
    """After `put_off`: collect what is garbage, set aside all that is not, and go on collecting what comes after.

    What was set aside before is looked at too: screens that were left since are among it.
    """
    if gc.isenabled():
        return
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.enable()


def leave_full_ones_to_rest() -> None:
    """No full collections but those of `rest`, which has to be called every few seconds from then on."""
    gc.set_threshold(YOUNG, MIDDLE, NEVER)


def as_usual() -> None:
    """Leave all to the counts of objects again: `rest` is called no longer."""
    gc.enable()
    gc.set_threshold(*USUAL)


def key_pressed() -> None:
    """Somebody waits for the screen."""
    global _last_key
    _last_key = time.monotonic()


def last_key() -> float:
    """When a key came last, in the time of `time.monotonic`."""
    return _last_key


def rest() -> None:
    """Make a full collection where one is due and no key was pressed of late."""
    count = gc.get_count()[2]
    resting = time.monotonic() - last_key() > REST
    if not gc.isenabled() or count < (DUE if resting else OVERDUE):
        return
    gc.collect()
    if len(gc.get_objects(generation=2)) > LARGE:
        gc.freeze()
