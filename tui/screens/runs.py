"""All runs: their state, how far they are, how well they did; found, sorted, marked and put in order."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from core.i18n import N_, ngettext
from core.i18n import gettext as _
from core.run_index import RunIndex
from core.run_preview import Preview
from core.run_values import canonical
from core.runs import Run
from core.text import visible
from tui.keymap import key
from tui.run_columns import column, title
from tui.run_reader import Answer, PreviewRead, RunReader, RunsFailed, RunsRead, View, answer
from tui.screens.runs_finding import FindingScreen
from tui.widgets.ask_line import AskLine
from tui.widgets.run_list import RunList
from tui.widgets.run_preview import RunPreview

TICK = 1.0
TOLD_ONCE_IN = 5.0
"""Seconds that what esc says stays: pressed again, it is not said again beside itself."""
NEEDS_RUN = (
    "open",
    "evaluation",
    "review",
    "copy_config",
    "copy_id",
    "mark",
    "pin",
    "rename",
    "label",
    "archive",
    "delete",
)
NEEDS_RUNS = ("overlay", "mark_all", "sort", "turn")


class RunsScreen(FindingScreen):
    """The first screen: a list of runs, newest first unless asked otherwise, kept fresh by a thread.

    `index` may have been read while the app was still being imported: then the first picture has the runs.
    """

    CSS_PATH = "runs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "open", N_("Open"), N_("Watch the run"), show=True),
        key("t", "app.new_run", N_("New run"), N_("Set up a new run"), show=True),
        key(
            "slash",
            "filter",
            N_("Filter"),
            N_("Show runs that match, such as state:running acc>0.88"),
            show=True,
            display="/",
        ),
        key("space", "mark", N_("Mark"), N_("Mark the run, or take its mark away"), show=True),
        key("c,O", "overlay", N_("Overlay"), N_("Watch the run with the marked ones laid over it")),
        key("4", "evaluation", N_("Evaluation"), N_("Scores of the run")),
        key("r,5", "review", N_("Review"), N_("Mispredicted reviews of the run")),
        key("S", "sort", N_("Sort"), N_("Sort by a column, a metric or a setting")),
        key("I", "turn", N_("Turn order"), N_("Turn the order round")),
        key("C", "columns", N_("Columns"), N_("Choose the columns")),
        key("p", "pin", N_("Pin"), N_("Compare all with this run, or with none")),
        key("N", "label", N_("Tags, note"), N_("Edit the run's tags and note")),
        key("R", "rename", N_("Rename"), N_("Give the run another name to show")),
        key("X", "archive", N_("Archive"), N_("Put the marked runs (else this one) away, or take them back")),
        key("D,delete", "delete", N_("Delete"), N_("Delete the marked runs (else this one); asks first")),
        key("u", "undo", N_("Undo"), N_("Undo the last renaming, labelling or archiving")),
        key("asterisk", "mark_all", N_("Mark all"), N_("Mark all that are shown, or none"), display="*"),
        key("T", "copy_config", N_("New from this"), N_("New run with this run's settings")),
        key("y", "copy_id", N_("Copy id"), N_("Copy the run's id to the clipboard")),
        key("q", "leave", N_("Quit"), N_("Leave the app; runs go on"), show=True),
        key("escape", "back", N_("All runs"), N_("End the filter")),
    ]

    def __init__(self, index: RunIndex) -> None:
        super().__init__()
        self._index = index
        self.reader = RunReader(index, self.post_message)
        self._answer = Answer(View())
        self._preview: tuple[str, Preview] | None = None
        self._quiet_until = 0.0

    def compose_body(self) -> Iterable[Widget]:
        """Summary, list, the chosen run, the line that asks."""
        yield Static("", id="summary", classes="caption", markup=False)
        yield RunList(id="runs")
        with Vertical(id="nothing"):
            yield Static("", id="empty", classes="empty", markup=False)
        yield RunPreview(id="chosen")
        yield AskLine(id="ask")

    def on_mount(self) -> None:
        """Show what is known, then let the thread look."""
        super().on_mount()
        self.set_top(visible(str(self.nsmc.runs_dir)))
        self.query_one("#nothing").display = False
        view = self.view()
        known = self._index.listing
        if known.runs:
            self._take(RunsRead(answer(known, view, self._index)))
        else:
            self.query_one("#summary", Static).update(_("reading the runs …"))
        self.reader.start(view)
        self.set_interval(TICK, self._tick)
        self.query_one(RunList).focus()

    def on_unmount(self) -> None:
        """No reading after the end."""
        self.reader.stop()

    def on_screen_suspend(self) -> None:
        """Nobody looks: no reading."""
        self.reader.pause(True)

    def on_screen_resume(self) -> None:
        """Marks may have changed elsewhere, runs have for sure."""
        self.reader.pause(False)
        self.look_again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What needs a run is offered when there is one."""
        if action == "filter":
            # While something is typed, a slash is a letter.
            asking = self.query_one_optional(AskLine)
            return (asking is None or not asking.display) and bool(self._answer.total or self._query)
        if action in NEEDS_RUN:
            return self.chosen is not None
        if action in NEEDS_RUNS:
            return bool(self._answer.runs)
        return True

    # -- data --------------------------------------------------------------------------------------------------

    @on(RunsFailed)
    def _failed(self, event: RunsFailed) -> None:
        self.query_one("#summary", Static).update("")
        self._show_empty(f"{event.error.message}\n{event.error.hint}")

    @on(RunsRead)
    def _take(self, event: RunsRead) -> None:
        had = self.chosen
        self._answer = found = event.answer
        self._show_summary()
        if found.runs:
            self.query_one("#nothing").display = False
            self.query_one(RunList).display = True
            self.show_list()
        elif found.pending:
            self._show_empty(_("reading the runs …"))
        elif self._query.strip():
            self._show_empty(_("No run matches.") + "\n\n" + _("esc shows all runs, / changes the filter."))
        elif found.archived:
            self._show_empty(
                _("All runs are archived.")
                + "\n\n"
                + _("/ is:archived shows them, X takes them back, t sets up a new one.")
            )
        else:
            self._show_empty(
                _("No runs yet.")
                + "\n\n"
                + _("Press t to set one up, or leave with q and run `nsmc-tui demo`:")
                + "\n"
                + _("it trains a tiny model on built-in reviews in under a minute.")
            )
        self._show_chosen()
        if (had is None) != (self.chosen is None):
            self.refresh_bindings()

    def show_list(self) -> None:
        """Show the runs that are known, in the columns that are chosen."""
        self.query_one(RunList).show(
            self._answer.runs,
            self._columns,
            self._answer.settings,
            frozenset(self.nsmc.marked),
            self._answer.baseline,
            (self._sort, self._reverse),
            whole=not self._answer.pending,
        )

    def _show_empty(self, text: str) -> None:
        runs = self.query_one(RunList)
        runs.runs = ()
        runs.display = False
        self.query_one("#nothing").display = True
        self.query_one("#empty", Static).update("\n".join(visible(line) for line in text.split("\n")))

    def _show_summary(self) -> None:
        found = self._answer
        parts = [_("runs: {n}").format(n=found.total - found.archived)]
        if self._query.strip():
            parts = [
                ngettext("{n} of {all} run", "{n} of {all} runs", found.total).format(
                    n=len(found.runs), all=found.total
                ),
                visible(self._query.strip()),
            ]
        if found.live:
            parts.append(_("{n} live").format(n=found.live))
        if found.archived and not self._query.strip():
            parts.append(_("{n} archived").format(n=found.archived))
        if found.pending:
            parts.append(_("{n} still to read").format(n=found.pending))
        marked = len(self.nsmc.marked)
        if marked:
            parts.append(_("+ {n} marked, c lays them over this one").format(n=marked))
        if any(run.metric_split() == "eval" for run in found.runs):
            parts.append(_("* on dev"))
        if found.baseline is not None:
            parts.append(_("difference to ★ {run}").format(run=visible(found.baseline.label or found.baseline.id)))
        if self._sort:
            order = _("sorted by {name}").format(name=title(column(canonical(self._sort))))
            parts.append(order + (" ↑" if self._reverse else " ↓"))
        else:
            parts.append(_("oldest first") if self._reverse else _("newest first"))
        self.query_one("#summary", Static).update(" · ".join(parts))
        if found.error is not None:
            self.query_one("#summary", Static).update("✗ " + visible(f"{found.error.message} → {found.error.hint}"))

    def _tick(self) -> None:
        # Ages and the times left grow without any news from the runs.
        if self.is_current and self._answer.runs:
            self.query_one(RunList).redraw_changed()
            self._show_chosen()

    # -- the chosen run ----------------------------------------------------------------------------------------

    @property
    def chosen(self) -> Run | None:
        """The run under the cursor."""
        return self.query_one(RunList).chosen if self.is_mounted and self._answer.runs else None

    def targets(self) -> list[Run]:
        """The marked runs that are shown, else the chosen one."""
        marked = set(self.nsmc.marked)
        runs = [run for run in self._answer.runs if run.path in marked]
        return runs or ([self.chosen] if self.chosen is not None else [])

    @on(RunList.Moved)
    def _moved(self) -> None:
        self._show_chosen()

    @on(PreviewRead)
    def _previewed(self, event: PreviewRead) -> None:
        self._preview = (event.run_id, event.preview)
        self._show_chosen()

    def _show_chosen(self) -> None:
        run = self.chosen
        self.reader.look_into(run)
        found = self._preview[1] if run is not None and self._preview and self._preview[0] == run.id else None
        preview = self.query_one(RunPreview)
        # Where there is no run at all, nothing is waited for. Else it keeps its place, whatever the filter leaves.
        preview.display = bool(self._answer.total)
        preview.show(run, found, self._answer.baseline)

    # -- marks and labels --------------------------------------------------------------------------------------

    def _marks_changed(self) -> None:
        self.nsmc.keep_marks()
        self.show_list()
        self._show_summary()
        self.look_again()

    def action_mark(self) -> None:
        """Mark the chosen run and go on to the next, or take its mark away."""
        if self.chosen is not None and self.nsmc.marks.toggle(self.chosen.path):
            self.query_one(RunList).action_move(1)
        self._marks_changed()

    def action_mark_all(self) -> None:
        """Mark all that are shown; when they are, none."""
        shown = [run.path for run in self._answer.runs]
        marked = self.nsmc.marked
        rest = [path for path in marked if path not in set(shown)]
        self.nsmc.marks.mark(rest if set(shown) <= set(marked) else [*marked, *shown])
        self._marks_changed()

    def action_pin(self) -> None:
        """Make the chosen run the baseline, or have none."""
        run = self.chosen
        if run is not None:
            self.nsmc.marks.pin(None if run.path == self.nsmc.baseline else run.path)
            self._marks_changed()

    def action_rename(self) -> None:
        """Ask for the name to show."""
        run = self._asked = self.chosen
        if run is not None:
            self.query_one(AskLine).ask("rename", _("name"), run.label or run.name, _("empty: its own name"))

    def action_label(self) -> None:
        """Ask for tags and note."""
        run = self._asked = self.chosen
        if run is not None:
            text = " ".join([*(f"#{tag}" for tag in run.tags), run.note]).strip()
            self.query_one(AskLine).ask("label", _("tags, note"), text, _("#best #lr What I learned from it"))

    # -- ways out ----------------------------------------------------------------------------------------------

    @on(RunList.Opened)
    def action_open(self) -> None:
        """Open the chosen run in the monitor."""
        if self.chosen is not None:
            self.nsmc.show_run(self.chosen.path, "monitor")

    def action_overlay(self) -> None:
        """Open the chosen run with the marked ones laid over it."""
        run = self.chosen
        if run is None:
            return
        others = [path for path in self.nsmc.marked if path != run.path]
        if others:
            self.nsmc.show_run(run.path, "monitor", overlay=others)
        else:
            self.nsmc.say(_("Mark other runs with space first; c then lays them over the chosen one."))

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

    def action_back(self) -> None:
        """End the filter. Without one there is nothing to go back to, and one more esc than was needed ends no app."""
        if self._query:
            self._query = ""
            self.look_again()
        elif time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + TOLD_ONCE_IN
            self.nsmc.say(_("This is the first screen: q leaves the app. Runs go on."))

    def action_leave(self) -> None:
        """Leave the app."""
        self.app.exit()
