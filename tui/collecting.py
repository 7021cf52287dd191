"""When Python's garbage collector may work: in moments when nobody waits for the screen.

Its full collections look at every object there is, 50 to 100 ms with a model's review open; one that begins with a key
is felt. What lives long is therefore set aside (`gc.freeze`) once a screen is at rest.
"""

from __future__ import annotations

import gc


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
