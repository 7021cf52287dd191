"""Patterns' keys for what is typed and what leaves the screen: the size of the sample, files, the clipboard."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import BindingType

from core.errors import NsmcTuiError
from core.export_files import check_free, write
from core.i18n import N_
from core.i18n import gettext as _
from core.settings import save_setting
from tui import pattern_tables as tables
from tui.keymap import key
from tui.pattern_finding import LEAST, MOST, SETTING, Found, Wanted
from tui.widgets.prompt_line import PromptLine

if TYPE_CHECKING:
    from tui.screens.base import RunScreen as Base
else:
    Base = object


class PatternTyping(Base):
    """The part of the Patterns screen that asks for texts and gives its tables away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("e", "export", N_("Export"), N_("Write the patterns to a file: JSON, CSV")),
        key("y", "copy", N_("Copy"), N_("Copy the tables as Markdown")),
    ]

    found: Found | None
    slices: dict[str, dict[str, int]]
    wanted: Wanted
    by_token: bool
    _export = ""

    # What the screen gives.
    def want(self, wanted: Wanted) -> None:
        """Show patterns of another sample or method."""
        raise NotImplementedError

    def focus_list(self) -> None:
        """Go to the list in view."""
        raise NotImplementedError

    def action_sample(self) -> None:
        """Ask for the size of the sample."""
        note = _("of each kind: {least} to {most}").format(least=LEAST, most=MOST)
        self.query_one(PromptLine).ask("sample", _("sample"), str(self.wanted.each), note)

    def action_export(self) -> None:
        """Choose what to write."""
        from tui.screens.pick import PickScreen

        names = {
            "json": _("everything, as the command gives it"),
            "words": _("the words as CSV"),
            "tokens": _("the tokens as CSV"),
            "heads": _("the heads as CSV"),
            "slices": _("verdicts and tags by slice as CSV"),
        }
        self.app.push_screen(PickScreen(_("Export"), list(names.items())), self._picked)

    def _picked(self, chosen: tuple[str, ...] | None) -> None:
        if chosen:
            self._export = chosen[0]
            name = "patterns.json" if self._export == "json" else f"patterns-{self._export}.csv"
            self.query_one(PromptLine).ask("export", _("write to"), str(Path.cwd() / name), self._export)

    def on_prompt_line_given(self, message: PromptLine.Given) -> None:
        """Do what was asked for; the line stays open where that failed."""
        line = self.query_one(PromptLine)
        if message.purpose == "export":
            path = Path(message.text.strip()).expanduser()
            try:
                check_free(path)
            except NsmcTuiError as error:
                line.note(error.message.replace(str(path), path.name), wrong=True)
                return
            self._write(self._export, path)
        else:
            size = int(message.text) if message.text.strip().isdecimal() else 0
            if not LEAST <= size <= MOST:
                line.note(_("of each kind: {least} to {most}").format(least=LEAST, most=MOST), wrong=True)
                return
            self._remember(size)
            if size != self.wanted.each:
                self.want(replace(self.wanted, each=size))
        self.on_prompt_line_cancelled()

    def on_prompt_line_cancelled(self) -> None:
        """Back to the lists."""
        self.query_one(PromptLine).close()
        self.focus_list()

    def _remember(self, size: int) -> None:
        try:
            save_setting(SETTING, size)
        except OSError as error:
            self.log.warning(f"the size of the sample could not be kept: {error}")

    @work(exclusive=True, group="export")
    async def _write(self, what: str, path: Path) -> None:
        found = self.found.patterns if self.found is not None else None
        if what == "json":
            data = tables.as_json(self.run_dir.name, found, self.slices)
        else:
            data = tables.as_csv(what, found, self.slices)
        try:
            await asyncio.to_thread(write, path, data)
        except NsmcTuiError as error:
            self.nsmc.report(error)
        else:
            self.nsmc.say(_("written: {path}").format(path=path))

    def action_copy(self) -> None:
        """All tables to the clipboard of the terminal (OSC 52)."""
        found = self.found.patterns if self.found is not None else None
        self.app.copy_to_clipboard(tables.markdown(self.run_dir.name, found, self.slices, self.by_token))
        self.nsmc.say(_("The tables are in the clipboard as Markdown."))
