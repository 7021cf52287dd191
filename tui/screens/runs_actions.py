"""What the list of runs does to runs: labels, archiving, deleting; asked first, undone where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from textual import on, work
from textual.message import Message

from core import run_actions
from core.errors import NsmcTuiError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.run_labels import Labels, clean_tags, write_labels
from core.runs import Run
from tui.screens.base import BaseScreen
from tui.screens.confirm import ConfirmScreen

NAMED_IN_QUESTION = 5


class Changed(Message):
    """Labels are written: `before` are those from before, to go back to; `error` says why it went no further."""

    def __init__(self, what: str, before: list[tuple[Path, Labels]], error: NsmcTuiError | None = None) -> None:
        super().__init__()
        self.what = what
        self.before = before
        self.error = error


class Counted(Message):
    """What a deletion would delete."""

    def __init__(self, runs: list[Run], files: int, size: int) -> None:
        super().__init__()
        self.runs = runs
        self.files = files
        self.size = size


class Deleted(Message):
    """These directories are gone; `error` says why the next one is not."""

    def __init__(self, paths: list[Path], error: NsmcTuiError | None) -> None:
        super().__init__()
        self.paths = paths
        self.error = error


class ActingScreen(BaseScreen):
    """The part of the list of runs that changes runs. A screen below it says which run is chosen, and looks again."""

    def __init__(self) -> None:
        super().__init__()
        self._undo: list[tuple[str, list[tuple[Path, Labels]]]] = []

    def targets(self) -> list[Run]:
        """The marked runs that are listed, else the chosen one."""
        raise NotImplementedError

    def look_again(self) -> None:
        """Runs have changed by our own doing: show it at once."""
        raise NotImplementedError

    # -- labels ------------------------------------------------------------------------------------------------

    def rename(self, run: Run, name: str) -> None:
        """Show the run under this name; an empty one gives it its own back. The directory keeps its name."""
        self._change(_("renamed"), [run], lambda path: run_actions.change(path, name=name))

    def label(self, run: Run, text: str) -> None:
        """Take `#tag #tag a note` as the run's tags and note."""
        words = text.split()
        try:
            tags = clean_tags(word for word in words if word.startswith("#"))
        except NsmcTuiError as error:
            self.nsmc.report(error)
            return
        note = " ".join(word for word in words if not word.startswith("#"))
        self._change(_("tags and note kept"), [run], lambda path: run_actions.change(path, tags=tags, note=note))

    @work(thread=True, group="labels")
    def _change(self, what: str, runs: Sequence[Run], change: Callable[[Path], Labels]) -> None:
        before: list[tuple[Path, Labels]] = []
        error: NsmcTuiError | None = None
        for run in runs:
            try:
                before.append((run.path, change(run.path)))
            except NsmcTuiError as caught:
                error = caught
                break
        self.post_message(Changed(what, before, error))

    @on(Changed)
    def _changed(self, event: Changed) -> None:
        if event.before:
            self._undo.append((event.what, event.before))
            self.nsmc.say(event.what + " · " + _("u undoes it"))
        if event.error is not None:
            self.nsmc.report(event.error)
        self.look_again()

    def action_undo(self) -> None:
        """Take the last change of labels back."""
        if self._undo:
            self._take_back(*self._undo.pop())
        else:
            self.nsmc.say(_("nothing to undo"))

    @work(thread=True, group="labels")
    def _take_back(self, what: str, before: list[tuple[Path, Labels]]) -> None:
        error: NsmcTuiError | None = None
        for path, labels in before:
            try:
                write_labels(path, labels)
            except NsmcTuiError as caught:
                error = caught
        self.app.call_from_thread(self._taken_back, what, error)

    def _taken_back(self, what: str, error: NsmcTuiError | None) -> None:
        if error is not None:
            self.nsmc.report(error)
        else:
            self.nsmc.say(_("undone: {what}").format(what=what))
        self.look_again()

    # -- putting away ------------------------------------------------------------------------------------------

    def action_archive(self) -> None:
        """Put the marked runs (else the chosen one) away, or take them back when all of them are put away."""
        runs = self.targets()
        if not runs:
            return
        back = all(run.archived for run in runs)
        if not back and not self._over(runs):
            return
        if back:
            question = ngettext("Take {n} archived run back?", "Take {n} archived runs back?", len(runs))
        else:
            question = ngettext(
                "Archive {n} run? It stays on the disk, out of the list.",
                "Archive {n} runs? They stay on the disk, out of the list.",
                len(runs),
            )
        self.app.push_screen(
            ConfirmScreen(question.format(n=len(runs)), self._named(runs)),
            partial(self._archive_if, runs=runs, archived=not back),
        )

    def _archive_if(self, answer: bool | None, runs: list[Run], archived: bool) -> None:
        if answer:
            what = (_("archived: {n}") if archived else _("taken back: {n}")).format(n=len(runs))
            self._change(what, runs, partial(run_actions.set_archived, archived=archived))

    # -- deleting ----------------------------------------------------------------------------------------------

    def action_delete(self) -> None:
        """Delete the marked runs (else the chosen one) after a question that counts what goes."""
        runs = self.targets()
        if runs and self._over(runs):
            self._count(runs)

    @work(thread=True, exclusive=True, group="count")
    def _count(self, runs: list[Run]) -> None:
        extents = [run_actions.extent(run.path) for run in runs]
        self.post_message(Counted(runs, sum(one.files for one in extents), sum(one.size for one in extents)))

    @on(Counted)
    def _ask_to_delete(self, event: Counted) -> None:
        question = run_actions.delete_question(len(event.runs), event.files, event.size)
        self.app.push_screen(
            ConfirmScreen(question, self._named(event.runs)), partial(self._delete_if, runs=event.runs)
        )

    def _delete_if(self, answer: bool | None, runs: list[Run]) -> None:
        if answer:
            self._delete(runs)

    @work(thread=True, group="delete")
    def _delete(self, runs: list[Run]) -> None:
        gone: list[Path] = []
        error: NsmcTuiError | None = None
        for run in runs:
            try:
                run_actions.delete(run.path)
            except NsmcTuiError as caught:
                error = caught
                break
            gone.append(run.path)
        self.post_message(Deleted(gone, error))

    @on(Deleted)
    def _deleted(self, event: Deleted) -> None:
        if event.paths:
            self.nsmc.say(_("deleted: {n}").format(n=len(event.paths)))
            self.nsmc.marks.forget(event.paths)
            self.nsmc.keep_marks()
            gone = set(event.paths)
            self._undo = [
                (what, [pair for pair in before if pair[0] not in gone])
                for what, before in self._undo
                if any(pair[0] not in gone for pair in before)
            ]
        if event.error is not None:
            self.nsmc.report(event.error)
        self.look_again()

    def _over(self, runs: Sequence[Run]) -> bool:
        """Whether none of the runs is live or another program's; says so otherwise."""
        for run in runs:
            try:
                run_actions.check_over(run)
            except NsmcTuiError as error:
                self.nsmc.report(error)
                return False
        return True

    @staticmethod
    def _named(runs: Sequence[Run]) -> Any:
        names = [run.label or run.id for run in runs[:NAMED_IN_QUESTION]]
        more = len(runs) - len(names)
        return ", ".join(names) + (" " + _("and {n} more").format(n=more) if more else "")
