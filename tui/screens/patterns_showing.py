"""What Patterns shows: the line about what was counted, its lists, and why one of them is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from core import formats
from core.errors import NsmcTuiError
from core.i18n import gettext as _
from core.text import visible
from tui import pattern_tables as tables
from tui.heat_scale import colour
from tui.heat_view import method_name
from tui.pattern_finding import Found, Read, Wanted
from tui.widgets.pattern_list import NOTHING, PatternList
from tui.widgets.spread_line import SpreadLine

if TYPE_CHECKING:
    from tui.screens.base import RunScreen as Base
else:
    Base = object


class PatternShowing(Base):
    """The part of the Patterns screen that draws what is there.

    busy: whether the model is being asked; _progress: reviews done and all. _problem: why there is nothing.
    """

    wanted: Wanted
    found: Found | None
    slices: dict[str, dict[str, int]]
    by_token: bool
    busy: bool
    _read: Read | None
    _progress: tuple[int, int] | None
    _problem: NsmcTuiError | None

    def show_all(self) -> None:
        """Everything anew."""
        self.show_about()
        self.show_lists()
        self.show_slices()

    def show_about(self) -> None:
        """What was counted, or how far it is."""
        assert self._read is not None
        assert self._read.opened.predictions is not None
        quiet = colour(self.app, "secondary")
        left = Text.assemble(
            (method_name(self.wanted.method), "bold"),
            (f" · {self._read.opened.predictions.split} · ", quiet),
            (tables.threshold_part(self.wanted.threshold), quiet),
            (tables.sample_line(self.found.patterns), quiet)
            if self.found is not None
            else (_("{n} of each kind").format(n=self.wanted.each), quiet),
        )
        right, shorter = Text("", quiet), ""
        if self.busy:
            done = "" if self._progress is None else " {} / {}".format(*self._progress)
            right = Text(_("asking the model…") + done, colour(self.app, "accent"))
        elif self.found is not None:
            when = formats.ago(self.found.moment)
            said, shorter = _("counted just now"), _("just now")
            if when != _("now"):
                said, shorter = _("counted {when} ago").format(when=when), _("{when} ago").format(when=when)
            right = Text(said, quiet)
        self.query_one("#about", SpreadLine).show(left, right, shorter)

    def show_lists(self) -> None:
        """Words and heads."""
        found = self.found.patterns if self.found is not None else None
        for kind, title in (("fp", _("hot in FP")), ("fn", _("hot in FN"))):
            words = tables.side(found, kind, self.by_token) if found is not None else []
            self.query_one(f"#{kind}-title", SpreadLine).show(title, _("under heat/contained") if words else "")
            table = tables.word_table(words, self.by_token) if words else NOTHING
            self.query_one(f"#{kind}", PatternList).show(table, self._why_no_words(kind))
        heads = found.heads if found is not None else ()
        self.query_one("#heads-title", SpreadLine).show(tables.heads_title(found))
        self.query_one("#heads", PatternList).show(tables.head_table(heads) if heads else NOTHING, self._why_no_heads())

    def show_slices(self) -> None:
        """Verdicts and tags."""
        message = _("No review of this split has a verdict or tag yet.") + "\n"
        message += _("5 goes to Review: 0 1 d a s c judge a review there, t gives tags.")
        self.query_one("#slices-title", SpreadLine).show(_("verdicts and tags by slice"))
        table = tables.slice_table(self.slices) if self.slices else NOTHING
        self.query_one("#slices", PatternList).show(table, message)

    def _why_nothing(self) -> str:
        """Why nothing was counted; empty where something was."""
        if self.busy:
            if self._progress is None:
                return _("asking the model…")
            return _("{done} of {total} reviews asked about").format(done=self._progress[0], total=self._progress[1])
        if self._problem is not None:
            return f"{visible(self._problem.message)}\n{visible(self._problem.hint)}"
        return "" if self.found is not None else _("Nothing counted yet: . begins.")

    def _why_no_words(self, kind: str) -> str:
        why = self._why_nothing()
        if why or self.found is None:
            return why
        found = self.found.patterns
        if not found.n.get(kind):
            return _("There are no {kind} in {split}.").format(kind=kind.upper(), split=found.split)
        if found.note and not (found.words or found.tokens):
            return visible(found.note) + "\n" + _("m goes to the next method.")
        return _("No word is rather here. A larger sample may have one: # asks how many.")

    def _why_no_heads(self) -> str:
        why = self._why_nothing()
        if why or self.found is None:
            return why
        if self.found.patterns.note:
            return visible(self.found.patterns.note)
        return _("Two wrong and two right reviews are needed: # takes more.")
