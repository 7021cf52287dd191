"""Which other model: a run that has one, the baseline and marked runs first, or any model directory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.keymap import key
from tui.screens.dialog import Dialog

if TYPE_CHECKING:
    from tui.app import NsmcTuiApp


@dataclass(frozen=True)
class Model:
    """A model to ask: its directory, a name for the screen (safe text), the longest input in tokens, if known, and its
    run, None for a model without one."""

    path: Path
    name: str
    max_length: int | None = None
    marks: str = ""
    run_dir: Path | None = None


def models_of(runs: Path, first: list[Path], baseline: Path | None, without: Path) -> list[Model]:
    """The runs below `runs` that have a model, `first` ones first, but for the run `without`. For a thread."""
    # These bring pydantic and click along, which the first picture need not wait for.
    from core.runs import list_runs
    from tui.cli.review_commands import model_of, run_max_length

    found = []
    for run in list_runs(runs):
        if run.path == without:
            continue
        try:
            model, length = model_of(run.path), run_max_length(run.path)
        except NsmcTuiError:
            # A run without a model, or with a config that cannot be read, is none to choose.
            continue
        marks = _("baseline") if run.path == baseline else _("marked") if run.path in first else ""
        found.append((run.path, Model(model, visible(run.id), length, marks, run.path)))
    order = [*([baseline] if baseline is not None else []), *first]
    found.sort(key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order))
    return [model for _path, model in found]


class ModelPicker(Dialog["Model | None"]):
    """The list, and a line for a path. Dismisses with the model, or None."""

    DEFAULT_CSS = """
    ModelPicker > Vertical { width: 80; max-width: 100%; height: auto; max-height: 92%; padding: 1 2; }
    ModelPicker > Vertical { background: $panel; }
    ModelPicker OptionList { height: auto; max-height: 12; border: none; padding: 0; background: $panel; }
    ModelPicker OptionList { margin-top: 1; }
    ModelPicker Input { border: none; height: 1; padding: 0; margin-top: 1; background: $background; }
    ModelPicker #picker-note { height: auto; color: $secondary; }
    ModelPicker #picker-keys { height: 1; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [key("escape", "leave", N_("Close"), show=True, display="esc")]

    class Listed(Message):
        """The runs have been read."""

        def __init__(self, models: list[Model]) -> None:
            super().__init__()
            self.models = models

    def __init__(self, without: Path) -> None:
        super().__init__()
        self._without = without
        self._models: list[Model] = []

    def compose(self) -> ComposeResult:
        """Title, runs, path, what is wrong with it."""
        with Vertical():
            yield Static(Text(_("The same review with another model"), style="bold"))
            yield OptionList(id="runs", markup=False, compact=True)
            yield Input(id="directory", placeholder=_("or the directory of a model"), compact=True)
            yield Static(_("reading the runs…"), id="picker-note", markup=False)
            keys = (("enter", _("compare")), ("tab", _("list, directory")), ("esc", _("close")))
            parts = [part for name, what in keys for part in ((name, "bold"), (f" {what}   ", ""))]
            yield Static(Text.assemble(*parts), id="picker-keys")

    def on_mount(self) -> None:
        """Begin to read the runs."""
        self._list()

    @work(exclusive=True)
    async def _list(self) -> None:
        app = cast("NsmcTuiApp", self.app)
        marks = app.marks
        models = await asyncio.to_thread(models_of, app.runs_dir, list(marks.marked), marks.baseline, self._without)
        self.post_message(self.Listed(models))

    @on(Listed)
    def _show(self, message: Listed) -> None:
        self._models = message.models
        runs = self.query_one("#runs", OptionList)
        for model in self._models:
            line = Text(model.name, no_wrap=True, overflow="ellipsis")
            if model.marks:
                line.append(f"  {model.marks}", "dim")
            runs.add_option(Option(line))
        note = "" if self._models else _("No other run here has a model; give a directory.")
        self._say(note)
        if self._models:
            runs.highlighted = 0
            runs.focus()
        else:
            runs.display = False
            self.query_one("#directory").focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._models[event.option_index])

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        path = Path(event.value.strip()).expanduser()
        # A run's directory stands for its model.
        if (path / "model" / "config.json").is_file():
            path = path / "model"
        if event.value.strip() and (path / "config.json").is_file():
            run_dir = path.absolute().parent if path.name == "model" else None
            self.dismiss(Model(path, visible(path.name if run_dir is None else run_dir.name), run_dir=run_dir))
        else:
            self._say(_("There is no model in this directory."))

    def _say(self, note: str) -> None:
        line = self.query_one("#picker-note", Static)
        line.update(note)
        line.display = bool(note)

    def action_leave(self) -> None:
        """Close without a model."""
        self.dismiss(None)
