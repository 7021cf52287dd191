"""Where a run shall stop by itself: a step or an epoch, checked while it is typed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from core import formats
from core.i18n import N_
from core.i18n import gettext as _
from tui.keymap import key
from tui.screens.dialog import Dialog
from tui.widgets.form_input import FormInput


@dataclass(frozen=True)
class StopPlan:
    """Where the run is, and where it would stop: None where nothing is planned."""

    step: int = 0
    max_steps: int = 0
    epoch: float = 0.0
    at_step: int | None = None
    at_epoch: float | None = None

    @property
    def epochs(self) -> float | None:
        """Epochs of the whole run, as far as it has shown how many steps one takes."""
        return self.epoch * self.max_steps / self.step if self.step and self.epoch else None


def read_stop(step: str, epoch: str, plan: StopPlan) -> tuple[dict[str, float], str]:
    """The fields of a `stop_at` order for what was typed, and what is wrong with it (empty: nothing).

    Nothing typed takes the plan back, which is an order without fields.
    """
    fields: dict[str, float] = {}
    step, epoch = step.strip().replace(",", ""), epoch.strip()
    if step and epoch:
        return {}, _("a step or an epoch, not both")
    if step:
        if not step.isdecimal() or int(step) < 1:
            return {}, _("a step is a whole number")
        if int(step) <= plan.step:
            return {}, _("step {step} is past: the run is at {now}").format(
                step=formats.count(int(step)), now=formats.count(plan.step)
            )
        if plan.max_steps and int(step) >= plan.max_steps:
            return {}, _("the run ends at step {step} anyway").format(step=formats.count(plan.max_steps))
        fields["step"] = int(step)
    if epoch:
        try:
            value = float(epoch)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value <= 0:
            return {}, _("an epoch is a number above 0, such as 1.5")
        if value <= plan.epoch:
            return {}, _("epoch {epoch} is past: the run is at {now}").format(
                epoch=f"{value:g}", now=f"{plan.epoch:.2f}"
            )
        if plan.epochs is not None and value >= round(plan.epochs, 2):
            return {}, _("the run ends at epoch {epoch} anyway").format(epoch=f"{plan.epochs:.3g}")
        fields["epoch"] = value
    return fields, ""


class StopAtScreen(Dialog[dict[str, float] | None]):
    """Asks where to stop; gives the order's fields, or None when nothing shall change."""

    DEFAULT_CSS = """
    StopAtScreen > Vertical { width: 64; max-width: 96%; height: auto; padding: 1 2; background: $panel; }
    StopAtScreen Horizontal { height: 1; }
    StopAtScreen .label { width: 10; }
    StopAtScreen FormInput { width: 14; background: $background; }
    StopAtScreen .whole { width: 1fr; padding: 0 2; color: $secondary; }
    StopAtScreen #wrong { height: 1; color: $error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [key("escape", "leave", N_("Cancel"), show=True)]

    def __init__(self, plan: StopPlan) -> None:
        super().__init__()
        self._plan = plan

    def compose(self) -> ComposeResult:
        """What it does, where it would stop now, the two lines, what is wrong."""
        plan = self._plan
        with Vertical():
            yield Static(Text(_("Stop at a step or an epoch"), style="bold"))
            about = _("As by the order stop: saved and scored. The learning rate goes on as for the whole run.")
            yield Static(Text(about, style="dim"))
            yield Static(Text(self._now(), style="dim"), id="now")
            yield Static("")
            with Horizontal():
                yield Static(Text(_("step")), classes="label")
                yield FormInput(id="step")
                whole = _("now {now} of {all}").format(now=formats.count(plan.step), all=formats.count(plan.max_steps))
                yield Static(Text(whole), classes="whole")
            with Horizontal():
                yield Static(Text(_("epoch")), classes="label")
                yield FormInput(id="epoch")
                every = "–" if plan.epochs is None else f"{plan.epochs:.3g}"
                yield Static(Text(_("now {now} of {all}").format(now=f"{plan.epoch:.2f}", all=every)), classes="whole")
            yield Static("", id="wrong", markup=False)
            yield Static(
                Text(_("enter: send   tab: the other line   both empty: take it back   esc: leave"), style="dim")
            )

    def _now(self) -> str:
        if self._plan.at_step is not None:
            return _("Planned: step {step}").format(step=formats.count(self._plan.at_step))
        if self._plan.at_epoch is not None:
            return _("Planned: epoch {epoch}").format(epoch=f"{self._plan.at_epoch:g}")
        return _("Nothing is planned: it runs to its end.")

    def on_mount(self) -> None:
        """Begin with what is planned."""
        step, epoch = self.query_one("#step", FormInput), self.query_one("#epoch", FormInput)
        step.value = "" if self._plan.at_step is None else str(self._plan.at_step)
        epoch.value = "" if self._plan.at_epoch is None else f"{self._plan.at_epoch:g}"
        first = epoch if self._plan.at_step is None and self._plan.at_epoch is not None else step
        self.set_focus(first)
        first.action_end()

    def _read(self) -> tuple[dict[str, float], str]:
        step, epoch = self.query_one("#step", FormInput), self.query_one("#epoch", FormInput)
        return read_stop(step.value, epoch.value, self._plan)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_one("#wrong", Static).update(Text(self._read()[1]))

    @on(Input.Submitted)
    def _enter(self, event: Input.Submitted) -> None:
        event.stop()
        fields, wrong = self._read()
        if not wrong:
            self.dismiss(fields)

    @on(FormInput.Cancelled)
    def _cancelled(self, event: FormInput.Cancelled) -> None:
        event.stop()
        self.dismiss(None)

    def action_leave(self) -> None:
        """Change nothing."""
        self.dismiss(None)
