"""What lies over a screen: small, with the screen that it is about seen dimmed around it."""

from __future__ import annotations

from textual.screen import ModalScreen, ScreenResultType

from tui.keymap import localise
from tui.painting import QuickScreen


class Dialog(QuickScreen[ScreenResultType], ModalScreen[ScreenResultType]):
    """A question, a choice or a list. The shade around it is `app.tcss`'s.

    At 80 columns its panel either leaves something to be seen on both sides, or is as wide as those.
    """

    DEFAULT_CSS = "Dialog { align: center middle; }"

    def __init__(self) -> None:
        super().__init__()
        localise(self)
