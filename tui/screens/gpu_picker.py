"""Which device a run shall use: the GPUs of this machine, the emptiest first, who uses them, and the CPU."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from core import formats
from core.device import GpuSample, Nvml
from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.keymap import key
from tui.screens.dialog import Dialog
from tui.widgets.form_input import Choices

CPU, WHATEVER = "cpu", ""
INTERVAL = 2.0
NARROWEST = 30


class GpusSeen(Message):
    """The machine's GPUs now."""

    def __init__(self, gpus: list[GpuSample]) -> None:
        super().__init__()
        self.gpus = gpus


def by_room(gpus: list[GpuSample]) -> list[GpuSample]:
    """The GPUs with the most free memory first, then the idlest, then the driver's order."""
    return sorted(gpus, key=lambda gpu: (-gpu.memory_free, gpu.util or 0, gpu.index))


def users_of(gpu: GpuSample) -> str:
    """Who uses a GPU and how much of it, as text."""
    if gpu.hidden:
        return _("the driver does not tell which processes")
    shares: dict[str, int] = {}
    for process in gpu.processes:
        user = process.user or "?"
        shares[user] = shares.get(user, 0) + (process.memory or 0)
    told = [f"{user} {formats.size(memory)}" if memory else user for user, memory in shares.items()]
    return ", ".join(told) or _("free")


class GpuPicker(Dialog[str | None]):
    """Gives `launch.device`: GPU numbers, `cpu`, or nothing for whatever torch finds; None leaves it as it is."""

    DEFAULT_CSS = """
    GpuPicker > Vertical { width: 84; max-width: 100%; height: auto; max-height: 90%; }
    GpuPicker > Vertical { padding: 1 2; background: $panel; }
    GpuPicker #choices { height: auto; max-height: 12; background: $panel; border: none; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("space", "mark", N_("Mark"), N_("Several GPUs, for a run of several processes"), show=True),
        key("escape", "leave", N_("Cancel"), show=True),
    ]

    def __init__(self, now: str = "") -> None:
        super().__init__()
        chosen = {int(part) for part in now.split(",") if part.strip().isdigit()}
        # A single one is under the cursor; marks are for several.
        self._marked = chosen if len(chosen) > 1 else set()
        self._now = now
        self._gpus: list[GpuSample] | None = None
        self._nvml: Nvml | None = None

    def compose(self) -> ComposeResult:
        """Title, devices, keys."""
        with Vertical():
            yield Static(Text(_("Where to train"), style="bold"))
            yield Choices(id="choices")
            yield Static(Text(_("looking for GPUs …"), style="dim"), id="note")
            yield Static(Text(_("enter: take   space: mark several   esc: leave"), style="dim"))

    def on_mount(self) -> None:
        """Look at the GPUs, again and again: others come and go."""
        self._look()
        self.set_interval(INTERVAL, self._look)
        self.query_one(Choices).focus()

    def on_resize(self) -> None:
        """As much of a line as fits."""
        if self._gpus is not None:
            self._show()

    def on_unmount(self) -> None:
        """Let go of the driver."""
        if self._nvml is not None:
            self._nvml.close()

    @work(thread=True, exclusive=True)
    def _look(self) -> None:
        if self._nvml is None:
            self._nvml = Nvml()
        self.post_message(GpusSeen(self._nvml.sample()))

    @on(GpusSeen)
    def _seen(self, event: GpusSeen) -> None:
        first = self._gpus is None
        self._gpus = event.gpus
        self._show(first)

    def _show(self, first: bool = False) -> None:
        choices = self.query_one(Choices)
        chosen = None if choices.highlighted is None else choices.get_option_at_index(choices.highlighted).id
        choices.clear_options()
        for gpu in by_room(self._gpus or []):
            choices.add_option(Option(self._line(gpu), id=str(gpu.index)))
        choices.add_option(Option(Text(_("CPU")), id="device-cpu"))
        choices.add_option(Option(Text(_("leave it to the start: the emptiest GPU, else the CPU")), id="device-any"))
        if first:
            chosen = {CPU: "device-cpu", WHATEVER: None}.get(self._now, self._now)
        places = [option.id for option in choices.options]
        choices.highlighted = places.index(chosen) if chosen in places else 0
        note = "" if self._gpus else _("No GPU is seen on this machine.")
        self.query_one("#note", Static).update(Text(note, style="dim"))

    def _line(self, gpu: GpuSample) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(
            "● " if gpu.index in self._marked else "  ",
            style=self.app.theme_variables.get("accent", ""),
        )
        names = max(len(f"gpu{one.index}") for one in self._gpus or [gpu])
        text.append(f"gpu{gpu.index}".ljust(names + 2), style="bold")
        text.append(formats.size(gpu.memory_free).rjust(8), style="bold")
        text.append(" " + _("free of {size}").format(size=formats.size(gpu.memory_total)), style="dim")
        text.append(f"  {gpu.util if gpu.util is not None else '–':>3}%  ", style="")
        text.append(visible(users_of(gpu)))
        text.append(f"  {visible(gpu.name)}", style="dim")
        # A list of options wraps what does not fit, whatever the text says of that.
        text.truncate(max(NARROWEST, self.query_one(Choices).size.width - 2), overflow="ellipsis")
        return text

    def action_mark(self) -> None:
        """Mark the GPU under the cursor, or take the mark away."""
        choices = self.query_one(Choices)
        if choices.highlighted is None:
            return
        chosen = str(choices.get_option_at_index(choices.highlighted).id)
        if chosen.isdigit():
            self._marked ^= {int(chosen)}
            self._show()

    @on(OptionList.OptionSelected)
    def _taken(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        chosen = str(event.option.id)
        if chosen == "device-cpu":
            self.dismiss(CPU)
        elif chosen == "device-any":
            self.dismiss(WHATEVER)
        else:
            self.dismiss(",".join(str(index) for index in sorted(self._marked | {int(chosen)})))

    @on(Choices.Cancelled)
    def _cancelled(self, event: Choices.Cancelled) -> None:
        event.stop()
        self.dismiss(None)

    def action_leave(self) -> None:
        """Leave the device as it is."""
        self.dismiss(None)
