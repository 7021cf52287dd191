"""Choosing among many names, one or several, with a line to search in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.keymap import key
from tui.screens.dialog import Dialog


class PickScreen(Dialog[tuple[str, ...] | None]):
    """Choices are (name, what it is). Enter takes one, or with `several` adds and removes; esc is the end.

    Gives the names in the order in which they were chosen, None when nothing was changed.
    """

    DEFAULT_CSS = """
    PickScreen > Vertical { width: 64; max-width: 96%; height: 22; max-height: 92%; padding: 1 2; background: $panel; }
    PickScreen Input { background: $panel; margin: 1 0; }
    PickScreen OptionList { height: 1fr; background: $panel; }
    PickScreen #pick-keys { height: 1; margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape", "leave", N_("Close"), show=True),
        key("down", "cursor(1)"),
        key("up", "cursor(-1)"),
        key("pagedown", "cursor(10)"),
        key("pageup", "cursor(-10)"),
        key("ctrl+r", "usual", N_("Usual ones"), N_("As it was at first")),
    ]

    def __init__(
        self, title: str, choices: Sequence[tuple[str, str]], chosen: Sequence[str] = (), *, several: bool = False
    ) -> None:
        super().__init__()
        self._title, self._choices, self._several = title, choices, several
        self._chosen = list(chosen)
        self._before = list(chosen)

    def compose(self) -> ComposeResult:
        """Title, search, names, the keys."""
        with Vertical():
            yield Static(Text(self._title, style="bold"))
            yield Input(placeholder=_("type to search"), compact=True, id="pick-search")
            yield OptionList(markup=False, compact=True, id="pick-names")
            keys: tuple[tuple[str, str], ...] = (
                ("enter", _("add or remove") if self._several else _("take")),
                ("esc", _("done")),
            )
            if self._several:
                keys += (("ctrl+r", _("usual ones")),)
            line = Text.assemble(
                *((part, style) for name, what in keys for part, style in ((name, "bold"), (f" {what}   ", "")))
            )
            yield Static(line, id="pick-keys")

    def on_mount(self) -> None:
        """All names at first."""
        names = self.query_one(OptionList)
        names.can_focus = False
        self._fill()

    def _fill(self) -> None:
        wanted = self.query_one(Input).value.strip().casefold()
        names = self.query_one(OptionList)
        before = names.highlighted
        names.clear_options()
        first = [choice for choice in self._choices if choice[0] in self._chosen] if self._several else []
        first.sort(key=lambda choice: self._chosen.index(choice[0]))
        rest = [choice for choice in self._choices if choice not in first]
        fitting = [c for c in (*first, *rest) if wanted in c[0].casefold() or wanted in c[1].casefold()]
        names.add_options(Option(self._line(*choice), id=choice[0]) for choice in fitting)
        if fitting:
            names.highlighted = min(before or 0, len(fitting) - 1)

    def _line(self, name: str, about: str) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("✓ " if name in self._chosen else "  ")
        text.append(visible(name))
        if about and about != name:
            text.append(f"  {visible(about)}", style="dim")
        return text

    @on(Input.Changed)
    def _typed(self) -> None:
        self.query_one(OptionList).highlighted = None
        self._fill()

    @on(Input.Submitted)
    def _enter(self) -> None:
        names = self.query_one(OptionList)
        if names.highlighted is not None:
            self._take(str(names.get_option_at_index(names.highlighted).id))

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self._take(str(event.option.id))

    def _take(self, name: str) -> None:
        if not self._several:
            self.dismiss((name,))
        elif name in self._chosen:
            self._chosen.remove(name)
            self._fill()
        else:
            self._chosen.append(name)
            self._fill()

    def action_cursor(self, step: int) -> None:
        """Go to another name; the search keeps the focus."""
        names = self.query_one(OptionList)
        if names.option_count:
            place = 0 if names.highlighted is None else names.highlighted + step
            names.highlighted = max(0, min(place, names.option_count - 1))

    def action_usual(self) -> None:
        """Choose nothing: the usual ones."""
        if self._several:
            self.dismiss(())

    def action_leave(self) -> None:
        """Close with what is chosen."""
        self.dismiss(tuple(self._chosen) if self._several and self._chosen != self._before else None)
