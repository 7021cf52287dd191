"""Patterns' keys for what is typed and what leaves the screen: the size of the sample, files, the clipboard."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from core import formats
from core.export_files import write
from core.i18n import N_
from core.i18n import gettext as _
from core.settings import save_setting
from tui import pattern_tables as tables
from tui.export_choice import ExportChoice, Progress
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
        """Ask what to write and where to, and write it."""
        from tui.screens.export_dialog import ExportDialog

        found = self.found.patterns if self.found is not None else None
        words, heads = (len(found.words), len(found.heads)) if found is not None else (0, 0)
        about = {
            "json": _("everything, as the command gives it"),
            "words": _("the {n} words as CSV").format(n=formats.count(words)),
            "tokens": _("the {n} tokens as CSV").format(n=formats.count(len(found.tokens) if found is not None else 0)),
            "heads": _("the {n} heads as CSV").format(n=formats.count(heads)),
            "slices": _("verdicts and tags of {n} slices as CSV").format(n=formats.count(len(self.slices))),
        }
        self.app.push_screen(ExportDialog([self._choice(name, what) for name, what in about.items()]))

    def _choice(self, name: str, about: str) -> ExportChoice:
        async def write_file(path: Path, force: bool, progress: Progress) -> list[Path]:
            found = self.found.patterns if self.found is not None else None
            if name == "json":
                data = tables.as_json(self.run_dir.name, found, self.slices)
            else:
                data = tables.as_csv(name, found, self.slices)
            return [await asyncio.to_thread(write, path, data, force)]

        file = "patterns.json" if name == "json" else f"patterns-{name}.csv"
        return ExportChoice(name, about, file, write_file, self._command(name))

    def _command(self, name: str) -> tuple[str, ...]:
        """`patterns`, which writes the same; empty where nothing was counted, as it would count."""
        if self.found is None:
            return ()
        wanted = self.wanted
        words = ["nsmc-tui", "--runs", str(self.nsmc.runs_dir.resolve()), "patterns", self.run_dir.name]
        words += ["--split", self.found.patterns.split, "--sample", str(wanted.each)]
        words += ["--method", wanted.method] if wanted.method != Wanted.method else []
        words += ["--seed", str(wanted.seed)] if wanted.seed != Wanted.seed else []
        words += ["--threshold", repr(wanted.threshold)] if wanted.threshold != Wanted.threshold else []
        return (*words, "--as", name, "--to", "{path}")

    def on_prompt_line_given(self, message: PromptLine.Given) -> None:
        """Do what was asked for; the line stays open where that failed."""
        line = self.query_one(PromptLine)
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

    def action_copy(self) -> None:
        """All tables to the clipboard of the terminal (OSC 52)."""
        found = self.found.patterns if self.found is not None else None
        self.app.copy_to_clipboard(tables.markdown(self.run_dir.name, found, self.slices, self.by_token))
        self.nsmc.say(_("The tables are in the clipboard as Markdown."))
