"""What the list of runs shows: which runs, in which order, with which columns."""

from __future__ import annotations

from textual import on

from core.i18n import gettext as _
from core.run_values import FIELDS, METRICS, SETTING, canonical
from core.runs import Run
from core.settings import save_setting
from tui.run_columns import DEFAULT, KNOWN, chosen_columns, column, title
from tui.run_reader import NamesRead, RunReader, View
from tui.screens.runs_actions import ActingScreen
from tui.widgets.ask_line import AskLine
from tui.widgets.run_list import RunList


class FindingScreen(ActingScreen):
    """The part of the list of runs that asks for a filter, an order and columns. A screen below it shows the answer."""

    reader: RunReader

    def __init__(self) -> None:
        super().__init__()
        self._columns = chosen_columns()
        self._query = self._sort = ""
        self._reverse = False
        self._asked: Run | None = None

    def show_list(self) -> None:
        """Show the runs that are known, in the columns that are chosen."""
        raise NotImplementedError

    def view(self) -> View:
        """What is to be shown, as a question to the reader."""
        names = tuple(name for name in map(canonical, self._columns) if name.startswith(SETTING))
        return View(self._query, self._sort, self._reverse, names, frozenset(self.nsmc.marked), self.nsmc.baseline)

    def look_again(self) -> None:
        """Ask the reader anew: the question has changed, or the runs have."""
        self.reader.ask(self.view())

    # -- filter ------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Ask for a query; the list follows while it is typed."""
        self.query_one(AskLine).ask(
            "filter", _("filter"), self._query, _("state:running acc>0.88 cfg.learning_rate>=1e-5 tag:x -model:tiny")
        )

    @on(AskLine.Typed)
    def _typed(self, event: AskLine.Typed) -> None:
        if event.purpose == "filter" and type(event) is AskLine.Typed:
            self._query = event.text
            self.look_again()

    @on(AskLine.Given)
    def _given(self, event: AskLine.Given) -> None:
        self.query_one(RunList).focus()
        if event.purpose == "filter":
            self._query = event.text.strip()
            self.look_again()
        elif self._asked is not None:
            (self.rename if event.purpose == "rename" else self.label)(self._asked, event.text)

    @on(AskLine.Left)
    def _left(self, event: AskLine.Left) -> None:
        self.query_one(RunList).focus()
        if event.purpose == "filter":
            self._query = event.text
            self.look_again()

    # -- order and columns -------------------------------------------------------------------------------------

    def action_sort(self) -> None:
        """Choose what to sort by."""
        self.reader.ask_names("sort")

    def action_turn(self) -> None:
        """Turn the order round."""
        self._reverse = not self._reverse
        self.look_again()

    def action_columns(self) -> None:
        """Choose the columns."""
        self.reader.ask_names("columns")

    @on(NamesRead)
    def _choose(self, event: NamesRead) -> None:
        from tui.screens.pick import PickScreen

        metrics = [(name, "") for name in event.metrics if name not in KNOWN]
        settings = [(name, "") for name in event.settings]
        if event.purpose == "sort":
            fields = [(name, _(field.about).split(":")[0]) for name, field in FIELDS.items()]
            scores = [(name, "") for name in METRICS if name in KNOWN]
            choices = [("newest", _("newest first")), *fields, *scores, *metrics, *settings]
            chosen = [self._sort or "newest"]
            self.app.push_screen(
                PickScreen(_("Sort by; the same once more turns the order round"), choices, chosen), self._sorted
            )
        else:
            choices = [*((name, title(column(name))) for name in KNOWN), *metrics, *settings]
            self.app.push_screen(
                PickScreen(_("Columns, from left to right"), choices, self._columns or DEFAULT, several=True),
                self._chosen,
            )

    def _sorted(self, names: tuple[str, ...] | None) -> None:
        if names:
            name = "" if names[0] == "newest" else names[0]
            self._reverse = name == self._sort and not self._reverse
            self._sort = name
            self.look_again()

    def _chosen(self, names: tuple[str, ...] | None) -> None:
        if names is None:
            return
        self._columns = () if names == DEFAULT else names
        try:
            save_setting("runs_columns", list(self._columns) or None)
        except OSError as error:
            self.nsmc.say(_("the columns could not be kept: {reason}").format(reason=error), severity="warning")
        self.look_again()
        self.show_list()
