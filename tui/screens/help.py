"""All keys of a screen, over it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from core.i18n import N_
from core.i18n import gettext as _
from tui.keymap import key, key_names, out_of_reach, own_bindings
from tui.screens.dialog import Dialog

if TYPE_CHECKING:
    from textual.screen import Screen

MOVEMENT = (
    ("↑ ↓ ← →  h j k l", N_("move")),
    ("enter / esc", N_("in / out")),
    ("tab", N_("next pane")),
    ("ctrl+p", N_("command palette: everything by name")),
)


class HelpScreen(Dialog[None]):
    """Keys of the screen below, then the keys that move everywhere."""

    DEFAULT_CSS = """
    HelpScreen > VerticalScroll {
        width: 80; max-width: 100%; height: auto; max-height: 92%; padding: 1 2; background: $panel;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape,q,question_mark,f1", "dismiss", N_("Close"), show=True, display="esc"),
    ]

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self._below = below

    def compose(self) -> ComposeResult:
        """The table of keys."""
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, expand=True)
        table.add_column(no_wrap=True, style="bold")
        table.add_column(ratio=1, overflow="fold")
        for keys, text in self._rows():
            table.add_row(Text(keys), Text(text))
        table.add_row("", "")
        rest = [(keys, _(text)) for keys, text in MOVEMENT]
        latin = out_of_reach(self._below)
        if latin:
            rest.append((" ".join(latin), _("while Hangul is typed: by name in the command palette (ctrl+p)")))
        for keys, text in rest:
            table.add_row(Text(keys, style="dim"), Text(text, style="dim"))
        with VerticalScroll():
            yield Static(Text(_("Keys"), style="bold"))
            yield Static("")
            yield Static(table)

    def _rows(self) -> Iterable[tuple[str, str]]:
        screen_first = sorted(own_bindings(self._below), key=lambda found: found[1] is self.app)
        for binding, _node in screen_first:
            keys = key_names(self._below, binding.action)
            if keys:
                # By the name that sentences call it.
                yield " ".join(keys[:3]).replace("⏎", "enter"), binding.tooltip or binding.description
