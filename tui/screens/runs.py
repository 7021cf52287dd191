"""All runs: their state, how far they are, how well they did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import DataTable, Static
from textual.worker import get_current_worker

from core import formats
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.runs import Run, list_runs
from core.text import visible
from tui.keymap import key
from tui.screens.base import BaseScreen
from tui.widgets.top_bar import fit, state_text

REFRESH = 1.0
# Columns by importance: those at the end are left out on narrow terminals.
COLUMNS = (
    ("state", N_("state"), 11),
    ("run", N_("run"), 26),
    ("step", N_("step"), 15),
    ("accuracy", N_("accuracy"), 10),
    ("f1", "F1", 8),
    ("age", N_("age"), 6),
    ("eta", N_("ETA"), 10),
    ("model", N_("model"), 16),
    ("data", N_("data"), 12),
)


class RunsLoaded(Message):
    """The runs as they are now."""

    def __init__(self, runs: list[Run]) -> None:
        super().__init__()
        self.runs = runs


class RunsFailed(Message):
    """The runs directory cannot be read."""

    def __init__(self, error: NsmcTuiError) -> None:
        super().__init__()
        self.error = error


class RunsTable(DataTable[Text]):
    """The table without keys of its own for what the screen's keys do, so that the footer tells them."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self) -> None:
        super().__init__(id="runs", cursor_type="row", zebra_stripes=False)
        for name in ("enter", "home", "end"):
            self._bindings.key_to_bindings.pop(name, None)


class RunsScreen(BaseScreen):
    """The first screen: a table of runs, newest first, kept fresh."""

    CSS_PATH = "runs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "open", N_("Open"), N_("Watch the run"), show=True),
        key("t", "app.new_run", N_("New run"), N_("Set up a new run"), show=True),
        key("e", "evaluation", N_("Evaluation"), N_("Scores of the run"), show=True),
        key("v", "review", N_("Review"), N_("Mispredicted reviews of the run"), show=True),
        key("c", "copy_config", N_("New from this"), N_("New run with this run's settings")),
        key("y", "copy_id", N_("Copy id"), N_("Copy the run's id to the clipboard")),
        key("j", "cursor(1)", show=False),
        key("k", "cursor(-1)", show=False),
        key("g,home", "edge(0)", show=False),
        key("G,end", "edge(1)", show=False),
        key("q", "back", N_("Quit"), N_("Leave the app; runs go on"), show=True),
    ]

    def __init__(self, early: Sequence[Run] = ()) -> None:
        super().__init__()
        self._early = early
        self._runs: dict[str, Run] = {}
        self._cells: dict[str, tuple[Text, ...]] = {}
        self._order: list[str] = []
        self._shown: list[tuple[str, str, int]] = []
        self._loaded = False

    def compose_body(self) -> Iterable[Widget]:
        """Summary, table, the chosen run's line."""
        yield Static("", id="summary", classes="caption", markup=False)
        yield RunsTable()
        with Vertical(id="nothing"):
            yield Static("", id="empty", classes="empty", markup=False)
        yield Static("", id="chosen", markup=False)

    def on_mount(self) -> None:
        """Load the runs, then keep them fresh."""
        super().on_mount()
        self.set_top(visible(str(self.nsmc.runs_dir)))
        self.query_one("#nothing").display = False
        self._make_columns()
        if self._early:
            self._take(RunsLoaded(list(self._early)))
        else:
            self._load()
        self.set_interval(REFRESH, self._load)
        self.query_one(DataTable).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What needs a run is offered when there is one."""
        if action in ("open", "evaluation", "review", "copy_config", "copy_id", "cursor", "edge"):
            return bool(self._runs)
        return True

    # -- data --------------------------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, group="runs")
    def _load(self) -> None:
        worker = get_current_worker()
        try:
            message: Message = RunsLoaded(list_runs(self.nsmc.runs_dir))
        except NsmcTuiError as error:
            message = RunsFailed(error)
        if not worker.is_cancelled:
            self.post_message(message)

    @on(RunsFailed)
    def _failed(self, event: RunsFailed) -> None:
        self._show_empty(f"{event.error.message}\n{event.error.hint}")

    @on(RunsLoaded)
    def _take(self, event: RunsLoaded) -> None:
        self._loaded = True
        self._runs = {run.id: run for run in event.runs}
        self.refresh_bindings()
        live = sum(run.live for run in event.runs)
        text = _("runs: {n}").format(n=len(event.runs))
        if live:
            text += " · " + _("{n} live").format(n=live)
        if any(run.metric_split() == "eval" for run in event.runs):
            text += " · " + _("* on dev")
        self.query_one("#summary", Static).update(f"{text} · " + _("newest first"))
        if not event.runs:
            self._show_empty(
                _("No runs yet.")
                + "\n\n"
                + _("Press t to set one up, or leave with q and run `nsmc-tui demo`:")
                + "\n"
                + _("it trains a tiny model on built-in reviews in under a minute.")
            )
            return
        self.query_one("#nothing").display = False
        table = self.query_one(DataTable)
        table.display = True
        self._sync(table)
        self._show_chosen()

    def _show_empty(self, text: str) -> None:
        self.query_one("#nothing").display = True
        self.query_one(DataTable).display = False
        self.query_one("#chosen", Static).update("")
        self.query_one("#empty", Static).update("\n".join(visible(line) for line in text.split("\n")))

    # -- table -------------------------------------------------------------------------------------------------

    def _columns(self) -> list[tuple[str, str, int]]:
        room = self.size.width - 2
        chosen = []
        for name, title, width in COLUMNS:
            if room < width + 2:
                break
            chosen.append((name, title, width))
            room -= width + 2
        # What is left goes to the run's name.
        return [(name, title, width + max(0, room) if name == "run" else width) for name, title, width in chosen]

    def _make_columns(self) -> None:
        table = self.query_one(DataTable)
        table.clear(columns=True)
        self._shown = self._columns()
        for name, title, width in self._shown:
            right = name in ("step", "accuracy", "f1", "age", "eta")
            table.add_column(Text(_(title), justify="right" if right else "left"), width=width, key=name)
        self._cells, self._order = {}, []

    def on_resize(self) -> None:
        """Choose the columns anew and fill them, where they changed."""
        if self._columns() == self._shown:
            return
        chosen = self._cursor_id()
        self._make_columns()
        if self._runs:
            table = self.query_one(DataTable)
            self._sync(table)
            self._move_to(chosen)

    def _sync(self, table: DataTable[Text]) -> None:
        columns = self._columns()
        order = list(self._runs)
        if order != self._order:
            chosen = self._cursor_id()
            table.clear()
            self._cells = {}
            for run in self._runs.values():
                cells = self._row(run, columns)
                table.add_row(*(cell for cell in cells), key=run.id)
                self._cells[run.id] = tuple(cells)
            self._order = order
            self._move_to(chosen)
            return
        for run in self._runs.values():
            cells = self._row(run, columns)
            before = self._cells[run.id]
            for (name, _title, _width), cell, old in zip(columns, cells, before, strict=True):
                if cell != old or cell.spans != old.spans:
                    table.update_cell(run.id, name, cell)
            self._cells[run.id] = tuple(cells)

    def _row(self, run: Run, columns: list[tuple[str, str, int]]) -> list[Text]:
        return [self._cell(run, name, width) for name, _title, width in columns]

    def _cell(self, run: Run, name: str, width: int) -> Text:
        if name == "state":
            return state_text(run.state, self.app.theme_variables)
        if name == "run":
            return Text(fit(visible(self._title(run)), width), no_wrap=True)
        if name in ("accuracy", "f1"):
            value = run.metric(name)
            if value is not None and run.metric_split() == "eval":
                # Dev selected the model: its figure must not pass for a test score.
                return Text(f"{value:.4f}*", justify="right", style="dim")
            return Text(formats.number(value), justify="right")
        if name == "step":
            if run.max_steps == 0:
                return Text(formats.phase(run.phase) if run.live else "", justify="right", style="dim")
            return Text(f"{run.step:,}/{run.max_steps:,}", justify="right")
        if name == "eta":
            eta = formats.duration(run.eta) if run.live and run.eta is not None else ""
            return Text(_("silent") if run.silent else eta, justify="right", style="dim")
        if name == "age":
            return Text(formats.ago(run.created), justify="right", style="dim")
        named = Path(run.model).name if name == "model" else run.data
        return Text(fit(visible(named), width), style="dim", no_wrap=True)

    @staticmethod
    def _title(run: Run) -> str:
        parts = run.id.split("-", 2)
        if len(parts) == 3 and len(parts[1]) == 6 and parts[0].isdigit():
            return f"{parts[0][4:6]}-{parts[0][6:]} {parts[1][:2]}:{parts[1][2:4]}  {parts[2]}"
        return run.id

    # -- the chosen run ----------------------------------------------------------------------------------------

    def _cursor_id(self) -> str | None:
        table = self.query_one(DataTable)
        row = table.cursor_row
        return self._order[row] if 0 <= row < len(self._order) else None

    def _move_to(self, run_id: str | None) -> None:
        if run_id in self._order:
            self.query_one(DataTable).move_cursor(row=self._order.index(run_id), animate=False)

    @property
    def chosen(self) -> Run | None:
        """The run under the cursor."""
        run_id = self._cursor_id()
        return self._runs.get(run_id) if run_id is not None else None

    @on(DataTable.RowHighlighted)
    def _highlighted(self) -> None:
        self._show_chosen()

    def _show_chosen(self) -> None:
        run = self.chosen
        if run is None:
            self.query_one("#chosen", Static).update("")
            return
        variables = self.app.theme_variables
        text = Text()
        text.append(visible(run.id), style="bold")
        text.append(f"   {visible(Path(run.model).name)} · {visible(run.data)}", style="dim")
        if run.host:
            text.append(f"   {visible(run.host)}", style="dim")
        text.append("\n")
        if run.error:
            text.append(visible(run.error), style=variables.get("error", ""))
            if run.hint:
                text.append("\n→ " + visible(run.hint), style="dim")
        else:
            names = ("accuracy", "f1", "precision", "recall", *(("macro_f1", "loss") if self.size.width >= 110 else ()))
            shown = [(name, run.metric(name)) for name in names]
            text.append(formats.split_name(run.metric_split()) + "  ", style="dim")
            for name, value in shown:
                if value is not None:
                    text.append(f"{name} ", style="dim")
                    text.append(f"{value:.4f}  ")
            if run.live and run.phase:
                text.append(formats.phase(run.phase), style="dim")
        self.query_one("#chosen", Static).update(text)

    # -- keys --------------------------------------------------------------------------------------------------

    @on(DataTable.RowSelected)
    def _selected(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Open the chosen run where it is most telling: live ones in the monitor."""
        if self.chosen is not None:
            self.nsmc.show_run(self.chosen.path, "monitor")

    def action_evaluation(self) -> None:
        """Open the chosen run's scores."""
        if self.chosen is not None:
            self.nsmc.show_run(self.chosen.path, "evaluation")

    def action_review(self) -> None:
        """Open the chosen run's errors."""
        if self.chosen is not None:
            self.nsmc.show_run(self.chosen.path, "review")

    def action_copy_config(self) -> None:
        """Start the form from the chosen run's settings."""
        if self.chosen is not None:
            self.nsmc.action_new_run(self.chosen.path)

    def action_copy_id(self) -> None:
        """Copy the chosen run's id."""
        if self.chosen is not None:
            self.app.copy_to_clipboard(self.chosen.id)
            self.nsmc.say(_("copied: {text}").format(text=self.chosen.id))

    def action_cursor(self, step: int) -> None:
        """Move by `step` rows."""
        table = self.query_one(DataTable)
        table.move_cursor(row=table.cursor_row + step, animate=False)

    def action_edge(self, last: int) -> None:
        """Go to the first or last row."""
        table = self.query_one(DataTable)
        table.move_cursor(row=table.row_count - 1 if last else 0, animate=False)

    def action_back(self) -> None:
        """From the first screen, back is out."""
        self.app.exit()
