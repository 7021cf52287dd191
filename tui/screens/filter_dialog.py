"""Which reviews to look at, as an expression and as a list of what can be asked for; they say the same thing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from core import formats
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.predictions import path_for
from core.review_log import VERDICTS, verdict_name
from core.review_query import KINDS, Query, Term, parse, written
from core.runs import is_run_dir
from core.slices import SLICES
from core.text import visible
from tui.heat_scale import colour
from tui.keymap import key
from tui.review_session import ReviewSession, kind_name
from tui.screens.dialog import Dialog

PAUSE = 0.12
RUNS = 12
"""Most other runs that are offered; any can be typed."""

FLAGS = {
    "judged": N_("has a verdict"),
    "unjudged": N_("has no verdict yet"),
    "tagged": N_("has tags"),
    "noted": N_("has a note"),
    "reviewed": N_("has a verdict, tags or a note"),
    "conflict": N_("reviewers disagree"),
}


class Counted(Message):
    """How many reviews an expression asks for, or why it asks for none."""

    def __init__(self, expression: str, answer: int | NsmcTuiError) -> None:
        super().__init__()
        self.expression = expression
        self.answer = answer


def whole_query(session: ReviewSession) -> Query:
    """Kind and filter of a session as one query."""
    return (Term("kind", ("errors" if session.kind == "all" else session.kind,)), *session.query)


def parted(query: Query) -> tuple[str, Query]:
    """The kind that a query asks for (`any` where it does not ask for one), and the rest of it."""
    kinds = [term for term in query if term.field == "kind" and not term.negated and len(term.values) == 1]
    if len(kinds) != 1:
        return "any", query
    kind = "all" if kinds[0].values[0] == "errors" else kinds[0].values[0]
    return kind, tuple(term for term in query if term is not kinds[0])


class FilterDialog(Dialog[bool]):
    """Edits a session's kind and filter; answers whether they have changed."""

    DEFAULT_CSS = """
    FilterDialog > Vertical { width: 100; max-width: 100%; height: 92%; padding: 1 2 0 2; background: $panel; }
    FilterDialog Input { height: 1; border: none; padding: 0; background: $background; }
    FilterDialog #count { height: 2; color: $secondary; }
    FilterDialog #count.-wrong { color: $warning; }
    FilterDialog OptionList { height: 1fr; border: none; padding: 0; background: $panel; scrollbar-size-vertical: 1; }
    FilterDialog OptionList { text-wrap: nowrap; text-overflow: ellipsis; }
    FilterDialog #keys { height: 1; color: $secondary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape", "leave", N_("Leave as it was"), show=True),
    ]

    def __init__(self, session: ReviewSession, run_dir: Path) -> None:
        super().__init__()
        self._session, self._run_dir = session, run_dir
        self._terms: dict[str, Term] = {}
        self._query: Query | None = whole_query(session)

    def compose(self) -> ComposeResult:
        """The expression, how many it finds, what can be asked for."""
        with Vertical():
            yield Static(Text(_("Which reviews"), style="bold"))
            yield Input(written(whole_query(self._session)), id="expression", compact=True, select_on_focus=False)
            yield Static("", id="count", markup=False)
            yield OptionList(id="terms", compact=True)
            yield Static(
                Text(_("enter show them   ↓ list   space with, without, no matter   esc leave"), no_wrap=True),
                id="keys",
            )

    def on_mount(self) -> None:
        """Fill the list and count."""
        self._fill()
        self._count(self.query_one(Input).value)
        self.query_one(Input).focus()

    # -- the list ----------------------------------------------------------------------------------------------

    def _groups(self) -> list[tuple[str, list[tuple[Term, str]]]]:
        log = self._session.log
        tags = sorted({tag for opinion in log.held().values() for tag in opinion.tags}) if log is not None else []
        runs = self._other_runs()
        return [
            (_("Kind"), [(Term("kind", (name,)), kind_name(name, self._session.threshold)) for name in KINDS]),
            (_("Slice"), [(Term("slice", (part.name,)), f"{part.shown}: {part.explained}") for part in SLICES]),
            (_("Verdict"), [(Term(name), _(title)) for name, title in FLAGS.items()]),
            ("", [(Term("verdict", (name,)), verdict_name(name)) for name in VERDICTS]),
            (_("Tag"), [(Term("tag", (tag,)), "") for tag in tags]),
            (_("Right in another run, wrong here"), [(Term("broken", (name,)), "") for name in runs]),
        ]

    def _other_runs(self) -> list[str]:
        split = self._session.predictions.split
        found = [
            path.name
            for path in self._run_dir.parent.iterdir()
            if path != self._run_dir and is_run_dir(path) and path_for(path, split).is_file()
        ]
        return sorted(found, reverse=True)[:RUNS]

    def _fill(self) -> None:
        options = self.query_one(OptionList)
        chosen = options.highlighted
        options.clear_options()
        quiet, accent = colour(self.app, "secondary"), colour(self.app, "accent")
        active = {(term.field, value): term for term in self._query or () for value in term.values or ("",)}
        self._terms = {}
        for title, terms in self._groups():
            if not terms:
                continue
            if title:
                options.add_option(Option(Text(title, style="bold"), disabled=True))
            for term, meaning in terms:
                here = active.get((term.field, term.values[0] if term.values else ""))
                sign = " " if here is None else "−" if here.negated else "+"
                name = visible(str(term))
                line = Text.assemble((f" {sign} ", f"bold {accent}"), name, no_wrap=True, overflow="ellipsis")
                line.append(" " * max(1, 22 - cell_len(name)) + visible(meaning), quiet)
                self._terms[name] = term
                options.add_option(Option(line, id=f"term-{len(self._terms)}"))
        if chosen is not None and chosen < options.option_count:
            options.highlighted = chosen

    def _chosen_term(self) -> Term | None:
        options = self.query_one(OptionList)
        option = options.highlighted_option
        if option is None or option.id is None:
            return None
        return list(self._terms.values())[int(option.id.removeprefix("term-")) - 1]

    def toggle(self, term: Term) -> None:
        """Ask for `term`, against it, or neither; there is one kind at a time."""
        query = list(self._query or ())
        same = [held for held in query if (held.field, held.values) == (term.field, term.values)]
        if term.field == "kind":
            query = [held for held in query if held.field != "kind"]
            if not same:
                query.insert(0, term)
        elif not same:
            query.append(term)
        elif not same[0].negated:
            query[query.index(same[0])] = Term(term.field, term.values, negated=True)
        else:
            query.remove(same[0])
        self._query = tuple(query)
        line = self.query_one(Input)
        line.value = written(self._query)
        line.action_end()

    async def on_key(self, event: events.Key) -> None:
        """Enter takes it everywhere; space belongs to the list, down leads there."""
        in_list = self.query_one(OptionList).has_focus
        if event.key == "enter":
            event.prevent_default()
            event.stop()
            self._take()
        elif event.key == "space" and in_list:
            event.stop()
            term = self._chosen_term()
            if term is not None:
                self.toggle(term)
        elif event.key == "down" and not in_list:
            event.stop()
            self.query_one(OptionList).focus()
            if self.query_one(OptionList).highlighted is None:
                self.query_one(OptionList).action_first()

    # -- the expression ----------------------------------------------------------------------------------------

    @on(Input.Changed, "#expression")
    def _typed(self, event: Input.Changed) -> None:
        self._count(event.value)

    @work(exclusive=True, group="count")
    async def _count(self, expression: str) -> None:
        await asyncio.sleep(PAUSE)
        try:
            query = parse(expression)
            answer: int | NsmcTuiError = await asyncio.to_thread(lambda: int(self._session.table.mask(query).sum()))
        except NsmcTuiError as error:
            answer = error
        self.post_message(Counted(expression, answer))

    @on(Counted)
    def _show_count(self, message: Counted) -> None:
        if message.expression != self.query_one(Input).value:
            return
        box = self.query_one("#count", Static)
        wrong = isinstance(message.answer, NsmcTuiError)
        box.set_class(wrong, "-wrong")
        if isinstance(message.answer, NsmcTuiError):
            self._query = None
            box.update(Text(f"⚠ {visible(message.answer.message)} {visible(message.answer.hint)}"))
            return
        self._query = parse(message.expression)
        total = formats.count(len(self._session.predictions))
        box.update(Text(_("{n} of {total} reviews").format(n=formats.count(message.answer), total=total)))
        self._fill()

    @on(Input.Submitted, "#expression")
    def _take(self) -> None:
        """Take what is typed over, if it can be understood."""
        expression = self.query_one(Input).value
        try:
            query = parse(expression)
        except NsmcTuiError as error:
            self.post_message(Counted(expression, error))
            return
        kind, rest = parted(query)
        session = self._session
        if (kind, rest) == (session.kind, session.query):
            self.dismiss(False)
            return
        session.set_query(kind, rest)
        self.dismiss(True)

    def action_leave(self) -> None:
        """Leave the queue as it was."""
        self.dismiss(False)
