"""Several pictures from one app: each size in turn, without what differs from machine to machine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot

import tui.app
from core.i18n import language
from tests.tui.picture import picture
from tests.tui.test_screens import control_bytes, until
from tui.colour_depth import set_ascii

SIZES = {"80x24": (80, 24), "160x48": (160, 48)}


class QuietApp(tui.app.NsmcTuiApp):
    """The app without the machine's figures in its top line: they are different with every look."""

    CSS_PATH = Path(tui.app.__file__).with_name("app.tcss")

    def _read_machine(self) -> None:
        """Nothing is read."""


async def hang(
    pilot: Pilot[None], name: str, snapshot: SnapshotAssertion, seen: Callable[[str], object], hide: Path | None = None
) -> None:
    """Hold the screen in view against its pictures in each size, once `seen` says of its letters that it is there.

    Paths under `hide` are not part of the picture, nor is a moment today.
    """
    app = pilot.app
    for size, (width, height) in SIZES.items():
        await pilot.resize_terminal(width, height)
        await until(pilot, lambda: app.screen.size == (width, height))  # noqa: B023
        await until(pilot, lambda: seen(picture(app, colours=False)))
        app.clear_notifications()
        # What is laid out anew after a resize asks for one more picture.
        await pilot.pause()
        await pilot.pause(0.1)
        letters = picture(app, colours=False)
        assert not control_bytes(letters)
        if hide is not None:
            letters = letters.replace(str(hide), "PATH")
        letters = re.sub(r"\d\d:\d\d:\d\d", "HH:MM:SS", letters)
        assert letters == snapshot(name=f"{name} {size}")
    if language() == "en":
        # In a terminal without signs, or one that disagrees about their width, the same picture has none.
        set_ascii(app, True)
        await until(pilot, lambda: not signs(picture(app, colours=False)))
        set_ascii(app, False)


def signs(text: str) -> set[str]:
    """What in `text` is neither ASCII nor a letter, of any script, nor of an emoji, nor stands for a control byte."""
    found = {char for char in text if not char.isascii() and unicodedata.category(char)[0] not in "LMC"}
    return {char for char in found if unicodedata.east_asian_width(char) in "ANH" and not "\u2400" <= char <= "\u2426"}
