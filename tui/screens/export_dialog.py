"""Writing to a file: what, where to, a question before something is replaced, how far it is, what was written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from core import formats
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.export_choice import ExportChoice, StoppedError, moved, obstacle, resolve
from tui.heat_scale import colour
from tui.keymap import key
from tui.screens.confirm import ConfirmScreen
from tui.screens.dialog import Dialog
from tui.widgets.completing_input import CompletingInput
from tui.widgets.form_input import PathInput

LINES_OF_COMMAND = 4
"""For the command, while there are the kinds of files above it; lines are broken between words, which takes some."""


class ExportDialog(Dialog[None]):
    """Asks which of `choices` to write and where to, writes it, and stays to say what was written.

    The line for the path has the focus; up and down choose what. While it is being written esc ends that, and nothing
    stands under the name.
    """

    DEFAULT_CSS = """
    ExportDialog > Vertical {
        width: 100; max-width: 100%; height: auto; max-height: 96%; padding: 1 2; background: $panel;
    }
    ExportDialog OptionList { height: auto; max-height: 12; background: $panel; margin: 1 0; }
    ExportDialog #export-line { height: 1; }
    ExportDialog #export-label { width: auto; margin: 0 2 0 0; color: $accent; text-style: bold; }
    ExportDialog CompletingInput { width: 1fr; background: $panel; }
    ExportDialog #export-note { height: auto; color: $secondary; }
    ExportDialog #export-command { height: auto; max-height: 4; margin: 1 0 0 0; color: $secondary; }
    ExportDialog #export-keys { height: 1; margin: 1 0 0 0; }
    ExportDialog.-short > Vertical { padding: 0 2; }
    ExportDialog.-short OptionList { max-height: 8; }
    ExportDialog.-done OptionList, ExportDialog.-done #export-line { display: none; }
    ExportDialog.-done #export-command { max-height: 16; }
    ExportDialog.-done #export-note { margin: 1 0 0 0; color: $foreground; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape", "leave", N_("Close"), N_("Close, or end what is being written"), show=True),
        key("enter", "finish", N_("Close")),
        key("y", "copy", N_("Copy the command"), N_("Copy the command that writes the same")),
        key("down", "cursor(1)"),
        key("up", "cursor(-1)"),
    ]

    class Progressed(Message):
        """So much of all is done."""

        def __init__(self, done: int, total: int) -> None:
            super().__init__()
            self.done, self.total = done, total

    class Ended(Message):
        """It was written to these paths; or not, and why (None: the user ended it)."""

        def __init__(self, written: list[Path], error: NsmcTuiError | None = None) -> None:
            super().__init__()
            self.written, self.error = written, error

    def __init__(self, choices: Sequence[ExportChoice]) -> None:
        super().__init__()
        self.VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
        self._choices = list(choices)
        self._width = max(cell_len(visible(choice.name)) for choice in self._choices) + 2
        self._number = 0
        self._stop: threading.Event | None = None
        self._path = Path()

    def compose(self) -> ComposeResult:
        """What, where to, what that means, the command, the keys."""
        with Vertical():
            yield Static(Text(_("Export"), style="bold"))
            yield OptionList(*map(self._line, self._choices), markup=False, compact=True, id="export-kinds")
            with Horizontal(id="export-line"):
                yield Static(Text(_("write to")), id="export-label")
                yield CompletingInput(id="export-path")
            yield Static(id="export-note", markup=False)
            yield Static(id="export-command", markup=False)
            yield Static(id="export-keys")

    def _line(self, choice: ExportChoice) -> Option:
        text = Text(no_wrap=True, overflow="ellipsis")
        name = visible(choice.name)
        text.append(name + " " * (self._width - cell_len(name)))
        text.append(visible(choice.about), style="dim")
        return Option(text, id=choice.name)

    def on_mount(self) -> None:
        """The first kind, in the working directory."""
        kinds = self.query_one(OptionList)
        kinds.can_focus = False
        kinds.highlighted = 0
        self._line_of_path.value = self.choice.file
        self._line_of_path.focus()
        self._show_place()

    @property
    def choice(self) -> ExportChoice:
        """What is chosen."""
        return self._choices[self._number]

    @property
    def writing(self) -> bool:
        """Whether it is being written."""
        return self._stop is not None

    @property
    def done(self) -> bool:
        """Whether something was written, which the dialog tells."""
        return self.has_class("-done")

    @property
    def _line_of_path(self) -> CompletingInput:
        return self.query_one(CompletingInput)

    # -- what and where to -------------------------------------------------------------------------------------

    def action_cursor(self, step: int) -> None:
        """Another kind; the line keeps the focus."""
        if not self.writing and not self.done:
            self.query_one(OptionList).highlighted = (self._number + step) % len(self._choices)

    @on(OptionList.OptionHighlighted)
    def _chosen(self, event: OptionList.OptionHighlighted) -> None:
        before, self._number = self.choice, event.option_index
        if self.choice is not before:
            line = self._line_of_path
            line.value = moved(line.value, before, self.choice)
            line.action_end()
            self._show_place()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._show_place()

    def _show_place(self) -> None:
        if self.writing or self.done:
            return
        path = resolve(self._line_of_path.value, self.choice)
        problem, replaceable = obstacle(path, self.choice)
        note = Text(visible(str(path)))
        if replaceable:
            note.append("  " + _("exists; you will be asked"), colour(self.app, "warning"))
        elif problem is not None:
            note = Text("⚠ " + visible(problem.message), colour(self.app, "warning"))
        self._say(note)
        self._show_command(path)
        self._show_keys((_("enter"), _("write")), ("↑↓", _("what")), ("tab", _("complete")), ("esc", _("close")))

    def _show_command(self, path: Path) -> None:
        command, line = self.choice.command_line(path), self.query_one("#export-command", Static)
        text = Text(f"$ {visible(command)}" if command else "")
        if not self.done:
            # Whole once it can be copied: then there is room.
            text.truncate(max(0, line.size.width * LINES_OF_COMMAND - 8), overflow="ellipsis")
        line.update(text)

    def _say(self, text: Text) -> None:
        self.query_one("#export-note", Static).update(text)

    def _show_keys(self, *keys: tuple[str, str]) -> None:
        parts = [part for name, what in keys for part in ((name, "bold"), (f" {what}   ", ""))]
        self.query_one("#export-keys", Static).update(Text.assemble(*parts))

    # -- writing -----------------------------------------------------------------------------------------------

    @on(Input.Submitted)
    def _enter(self, event: Input.Submitted) -> None:
        event.stop()
        path = resolve(event.value, self.choice)
        problem, replaceable = obstacle(path, self.choice)
        if problem is None:
            self._begin(path, False)
        elif replaceable:
            question = _("Replace {name}?").format(name=path.name)
            self.app.push_screen(
                ConfirmScreen(question, f"{path}\n{_on_disk(path)}"),
                lambda yes: self._begin(path, True) if yes else None,
            )
        else:
            self._say(Text(f"⚠ {visible(problem.message)}\n{visible(problem.hint)}", colour(self.app, "warning")))

    def _begin(self, path: Path, force: bool) -> None:
        self._path, self._stop = path, threading.Event()
        self._line_of_path.disabled = True
        self.focus()
        self._say(Text(_("writing…")))
        self._show_keys(("esc", _("stop")))
        self._write(self.choice, path, force, self._stop)

    @work(exclusive=True, group="export")
    async def _write(self, choice: ExportChoice, path: Path, force: bool, stop: threading.Event) -> None:
        def progress(done: int, total: int) -> None:
            if stop.is_set():
                raise StoppedError
            self.post_message(self.Progressed(done, total))

        try:
            written = await choice.write(path, force, progress)
        except StoppedError:
            self.post_message(self.Ended([]))
        except NsmcTuiError as error:
            self.post_message(self.Ended([], error))
        else:
            self.post_message(self.Ended(written))

    @on(Progressed)
    def _progressed(self, message: Progressed) -> None:
        if self._stop is not None and not self._stop.is_set():
            figures = {"done": formats.count(message.done), "total": formats.count(message.total)}
            self._say(Text(_("writing… {done} of {total}").format(**figures)))

    @on(Ended)
    def _ended(self, message: Ended) -> None:
        if self._stop is None:
            return
        self._stop = None
        if message.written:
            self.add_class("-done")
            lines = [f"{visible(str(path))}  {_on_disk(path)}" for path in message.written]
            self._say(Text.assemble(("✓ ", colour(self.app, "success")), _("written"), "\n", "\n".join(lines)))
            self._show_command(self._path)
            copy = (("y", _("copy the command")),) if self.choice.command else ()
            self._show_keys((_("enter"), _("close")), *copy)
            return
        line = self._line_of_path
        line.disabled = False
        line.focus()
        self._show_place()
        if message.error is None:
            self._say(Text(_("stopped; nothing was written")))
        else:
            why = f"⚠ {visible(message.error.message)}\n{visible(message.error.hint)}"
            self._say(Text(why, colour(self.app, "warning")))

    # -- leaving -----------------------------------------------------------------------------------------------

    def action_leave(self) -> None:
        """End what is being written, or close."""
        if self._stop is None:
            self.dismiss(None)
        elif not self._stop.is_set():
            self._stop.set()
            self._say(Text(_("stopping…")))

    @on(PathInput.Cancelled)
    def _cancelled(self, event: PathInput.Cancelled) -> None:
        event.stop()
        self.action_leave()

    def action_finish(self) -> None:
        """Close, once something was written."""
        if self.done:
            self.dismiss(None)

    def action_copy(self) -> None:
        """The command to the clipboard of the terminal (OSC 52)."""
        if self.done and self.choice.command:
            self.app.copy_to_clipboard(self.choice.command_line(self._path))
            self._show_keys((_("enter"), _("close")), ("✓", _("copied")))


def _on_disk(path: Path) -> str:
    """The size of a file; for a directory how many files are in it."""
    try:
        if path.is_dir():
            count = sum(1 for found in path.rglob("*") if found.is_file())
            return _("{n} files").format(n=formats.count(count))
        return formats.size(path.stat().st_size)
    except OSError as error:
        return visible(str(error.strerror or error))
