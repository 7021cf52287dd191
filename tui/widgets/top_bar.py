"""The one line on top: where I am at the left, the machine and the run's state at the right."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.app import App
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from core import formats
from core.text import visible
from tui.strips import changed_regions

# A dot and a word: the colour is never alone in saying something.
STATE_MARKS = {
    "queued": ("○", "dim"),
    "starting": ("○", "accent"),
    "running": ("●", "accent"),
    "pausing": ("‖", "warning"),
    "paused": ("‖", "warning"),
    "stopping": ("●", "warning"),
    "finished": ("✓", "success"),
    "stopped": ("■", "dim"),
    "failed": ("✗", "error"),
    "crashed": ("†", "error"),
    "silent": ("?", "warning"),
    "stale": ("!", "warning"),
    "foreign": ("◇", "dim"),
}


def state_text(state: str, app: App[Any]) -> Text:
    """A run's state as a mark and a word in the theme's colours."""
    mark, tone = STATE_MARKS.get(state, ("·", "dim"))
    style = "dim" if tone == "dim" else app.theme_variables.get(tone, "")
    return Text.assemble((f"{mark} ", style), (formats.state(state), style))


class TopBar(Widget):
    """Breadcrumb, machine, state; cut in that order of importance when the line is short."""

    DEFAULT_CSS = """
    TopBar { dock: top; height: 1; background: $panel; padding: 0 1; }
    """
    crumbs: reactive[tuple[str, ...]] = reactive((), repaint=False)
    machine: reactive[str] = reactive("", repaint=False)
    state: reactive[str] = reactive("", repaint=False)

    def __init__(self) -> None:
        super().__init__()
        self._strip = Strip([])

    def render_line(self, y: int) -> Strip:
        """The line as it stands now."""
        self._strip = self._draw()
        return self._strip

    def watch_crumbs(self) -> None:
        """Somewhere else."""
        self._changed()

    def watch_machine(self) -> None:
        """New figures."""
        self._changed()

    def watch_state(self) -> None:
        """The run's state."""
        self._changed()

    def _changed(self) -> None:
        """Have the cells drawn that differ: the machine's figures change all the time, and little of the line."""
        new = self._draw()
        if new.cell_length != self._strip.cell_length:
            self.refresh()
            return
        regions = changed_regions([self._strip], [new])
        if regions:
            self.refresh(*regions)

    def _draw(self) -> Strip:
        width = self.content_size.width
        line = Strip(self._line(width).render(self.app.console)).adjust_cell_length(width)
        return line.apply_style(self.rich_style)

    def _line(self, width: int) -> Text:
        left = self._path(self.crumbs)
        state = state_text(self.state, self.app) if self.state else Text()
        # Not the style of the whole text: what is put behind it would be dim as well.
        machine = Text.assemble((self.machine, "dim"))
        right = machine + (Text("  ") if self.state and self.machine else Text()) + state
        if left.cell_len + right.cell_len + 2 > width:
            right = state
        room = max(8, width - right.cell_len - 2)
        if left.cell_len > room and len(self.crumbs) > 1:
            # Rather than the screen's name, the end of what stands before it: a run's, which is shown elsewhere too.
            *before, name, last = map(visible, self.crumbs)
            left = self._path((*before, fit(name, max(8, cell_len(name) - left.cell_len + room)), last))
        if left.cell_len > room:
            left = Text(set_cell_size(left.plain, room - 1) + "…", style="bold")
        gap = max(0, width - left.cell_len - right.cell_len)
        return left + Text(" " * gap) + right

    def _path(self, crumbs: tuple[str, ...]) -> Text:
        left = Text()
        for index, part in enumerate(("nsmc-tui", *crumbs)):
            if index:
                left.append(" › ", style="dim")
            left.append(visible(part), style="bold" if index == len(crumbs) else "dim")
        return left


def fit(text: str, width: int, more: str = "…") -> str:
    """`text` cut to `width` cells with `more` (one cell) at its end, wide characters whole."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)) + more
