"""One verdict for many reviews: which, and how many it will be, before anything is written."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from core import formats
from core.i18n import N_, ngettext
from core.i18n import gettext as _
from core.review_log import verdict_name
from tui.keymap import key
from tui.review_session import ReviewSession
from tui.screens.dialog import Dialog

Chosen = tuple[str | None, int | None]
CHOICES: tuple[tuple[str, str | None, int | None], ...] = (
    ("0", "label_wrong", 0),
    ("1", "label_wrong", 1),
    ("d", "model_wrong", None),
    ("a", "ambiguous", None),
    ("s", "sarcasm", None),
    ("c", "needs_context", None),
    ("⌫", None, None),
)


class ApplyDialog(Dialog[Chosen | None]):
    """Asks for a verdict by its own key, then whether it is meant; answers None for no."""

    DEFAULT_CSS = """
    ApplyDialog > Vertical { width: 64; max-width: 96%; height: auto; padding: 1 2; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("0", "choose(0)"),
        key("1", "choose(1)"),
        key("d", "choose(2)"),
        key("a", "choose(3)"),
        key("s", "choose(4)"),
        key("c", "choose(5)"),
        key("backspace", "choose(6)"),
        key("y,enter", "apply", N_("Yes"), show=True),
        key("n,escape,q", "leave", N_("No"), show=True),
    ]

    def __init__(self, session: ReviewSession) -> None:
        super().__init__()
        self._session = session
        self._rows = session.targets()
        self._chosen: Chosen | None = None

    def compose(self) -> ComposeResult:
        """The question, the verdicts with their keys, what will happen."""
        n = formats.count(len(self._rows))
        question = (
            _("One verdict for the {n} marked reviews")
            if self._session.marked
            else _("One verdict for all {n} reviews")
        )
        with Vertical():
            yield Static(Text(question.format(n=n), style="bold"))
            yield Static("")
            for name, verdict, label in CHOICES:
                yield Static(Text.assemble((name, "bold"), f"  {verdict_name(verdict, label)}"))
            yield Static("")
            yield Static(Text(_("press the verdict's key")), id="question", markup=False)

    def action_choose(self, number: int) -> None:
        """Take a verdict, and say how many reviews it changes."""
        _key, verdict, label = CHOICES[number]
        self._chosen = (verdict, label)
        table = self._session.table
        rows = [row for row in self._rows if verdict != "label_wrong" or table.label[row] != label]
        judged = int((table.verdicts[rows] != 0).sum()) if rows else 0
        lines = [
            ngettext("{verdict}: {n} review", "{verdict}: {n} reviews", len(rows)).format(
                verdict=verdict_name(verdict, label), n=formats.count(len(rows))
            ),
        ]
        if len(rows) < len(self._rows):
            left = formats.count(len(self._rows) - len(rows))
            said = ngettext(
                "{n} has this label already and is left out",
                "{n} have this label already and are left out",
                len(self._rows) - len(rows),
            )
            lines.append(said.format(n=left))
        if judged:
            said = ngettext(
                "{n} has a verdict now, which this one takes the place of",
                "{n} have a verdict now, which this one takes the place of",
                judged,
            )
            lines.append(said.format(n=formats.count(judged)))
        text = Text("\n".join(lines))
        text.append("\n")
        text.append_text(Text.assemble(("y", "bold"), f" {_('Yes')}     ", ("n", "bold"), f" {_('No')}"))
        self.query_one("#question", Static).update(text)

    def action_apply(self) -> None:
        """Do it, once there is something to do."""
        if self._chosen is not None:
            self.dismiss(self._chosen)

    def action_leave(self) -> None:
        """Do nothing."""
        self.dismiss(None)
