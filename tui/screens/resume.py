"""Going on with a run: from which checkpoint, and for how long."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from core import config_file, formats
from core.checkpoints import Checkpoint, list_checkpoints
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.runs import CONFIG_FILE
from core.text import visible
from tui.keymap import key
from tui.screens.dialog import Dialog
from tui.widgets.form_input import Choices, FormInput

if TYPE_CHECKING:
    from tui.app import NsmcTuiApp

NEWEST, FIRST = "newest", "first"


@dataclass(frozen=True)
class ResumeWish:
    """What `core.resume.resume` shall do: from `step` (None: the newest whole checkpoint), with `sets` changed."""

    step: int | None
    sets: tuple[tuple[tuple[str, ...], Any], ...] = ()


class CheckpointsFound(Message):
    """The checkpoints of the run by step, and how long it is to train: the setting's name and its value."""

    def __init__(self, found: list[Checkpoint], length: tuple[str, float]) -> None:
        super().__init__()
        self.found = found
        self.length = length


class CheckpointsNotFound(Message):
    """The run's directory or config cannot be read."""

    def __init__(self, error: NsmcTuiError) -> None:
        super().__init__()
        self.error = error


def read_length(text: str, name: str, before: float) -> tuple[float, str]:
    """The number of epochs (or steps) that was typed, and what is wrong with it."""
    try:
        value = float(text.strip().replace(",", ""))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0 or (name == "max_steps" and value != int(value)):
        return before, _("a number above 0")
    return value, ""


class ResumeScreen(Dialog[ResumeWish | None]):
    """Lists checkpoints, the newest whole one chosen, and shows the number of epochs for changing."""

    DEFAULT_CSS = """
    ResumeScreen > Vertical { width: 68; max-width: 96%; height: auto; padding: 1 2; background: $panel; }
    ResumeScreen #choices { height: auto; max-height: 8; background: $panel; border: none; padding: 0; }
    ResumeScreen Horizontal { height: 1; }
    ResumeScreen .label { width: 14; }
    ResumeScreen FormInput { width: 14; background: $background; }
    ResumeScreen #wrong { width: 1fr; padding: 0 2; color: $error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [key("escape", "leave", N_("Cancel"), show=True)]

    def __init__(self, run_dir: Path) -> None:
        super().__init__()
        self._run_dir = run_dir
        self._length = ("num_train_epochs", 1.0)

    def compose(self) -> ComposeResult:
        """Question, checkpoints, length, keys."""
        with Vertical():
            yield Static(Text(_("Go on with this run from"), style="bold"))
            yield Choices(id="choices")
            yield Static(Text(_("looking for checkpoints …"), style="dim"), id="looking")
            yield Static("")
            with Horizontal():
                yield Static("", id="length-label", classes="label", markup=False)
                yield FormInput(id="length")
                yield Static("", id="wrong", markup=False)
            yield Static("")
            yield Static(Text(_("enter: go on   tab: from where, how long   esc: leave"), style="dim"))

    def on_mount(self) -> None:
        """Look for checkpoints; a slow disk does not hold up the keys."""
        self._look()

    @work(thread=True)
    def _look(self) -> None:
        try:
            train = config_file.load(self._run_dir / CONFIG_FILE).train
            found = list_checkpoints(self._run_dir)
        except NsmcTuiError as error:
            self.post_message(CheckpointsNotFound(error))
            return
        by_steps = train.max_steps > 0
        length = ("max_steps", float(train.max_steps)) if by_steps else ("num_train_epochs", train.num_train_epochs)
        self.post_message(CheckpointsFound(found, length))

    @on(CheckpointsNotFound)
    def _not_found(self, event: CheckpointsNotFound) -> None:
        cast("NsmcTuiApp", self.app).report(event.error)
        self.dismiss(None)

    @on(CheckpointsFound)
    def _show(self, event: CheckpointsFound) -> None:
        self._length = event.length
        self.query_one("#looking").display = False
        choices = self.query_one(Choices)
        choices.clear_options()
        # A checkpoint without the optimizer's state would train on differently: resuming from it is refused.
        newest_whole = next((one for one in reversed(event.found) if one.whole), None)
        longest = max((len(formats.count(checkpoint.step)) for checkpoint in event.found), default=0)
        for checkpoint in reversed(event.found):
            choices.add_option(self._option(checkpoint, checkpoint is newest_whole, longest))
        if newest_whole is None:
            words = _("the beginning: there is no whole checkpoint")
            choices.add_option(Option(Text(words), id=FIRST))
        first = next((n for n, option in enumerate(choices.options) if not option.disabled), 0)
        choices.highlighted = first
        label = _("steps") if self._length[0] == "max_steps" else _("epochs")
        self.query_one("#length-label", Static).update(label)
        self.query_one("#length", FormInput).value = f"{self._length[1]:g}"
        self.set_focus(choices)

    @staticmethod
    def _option(checkpoint: Checkpoint, newest: bool, longest: int) -> Option:
        text = Text()
        text.append(_("step {step}").format(step=formats.count(checkpoint.step).rjust(longest)))
        try:
            text.append("   " + _("{time} ago").format(time=_age(checkpoint.path)), style="dim")
        except OSError:
            text.append("   –", style="dim")
        if checkpoint.broken:
            text.append("   " + _("not whole: {reason}").format(reason=visible(checkpoint.broken)), style="dim")
        elif checkpoint.missing:
            names = ", ".join(checkpoint.missing)
            text.append("   " + _("without {files}").format(files=visible(names)), style="dim")
        elif newest:
            text.append("   " + _("the last whole one"), style="dim")
        return Option(text, id=NEWEST if newest else str(checkpoint.step), disabled=not checkpoint.whole)

    def _wrong(self) -> str:
        text = self.query_one("#length", FormInput).value
        return read_length(text, *self._length)[1]

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_one("#wrong", Static).update(Text(self._wrong()))

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _enter(self, event: Message) -> None:
        event.stop()
        choices = self.query_one(Choices)
        if self._wrong() or choices.highlighted is None:
            return
        chosen = choices.get_option_at_index(choices.highlighted)
        if chosen.disabled:
            return
        name, before = self._length
        value, _text = read_length(self.query_one("#length", FormInput).value, name, before)
        sets = () if value == before else ((("train", name), int(value) if name == "max_steps" else value),)
        step = None if chosen.id in (NEWEST, FIRST) else int(str(chosen.id))
        self.dismiss(ResumeWish(step, sets))

    @on(FormInput.Cancelled)
    @on(Choices.Cancelled)
    def _cancelled(self, event: Message) -> None:
        event.stop()
        self.dismiss(None)

    def action_leave(self) -> None:
        """Leave the run as it is."""
        self.dismiss(None)


def _age(path: Path) -> str:
    return formats.duration(time.time() - path.stat().st_mtime)
