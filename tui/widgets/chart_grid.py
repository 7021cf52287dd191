"""The charts of Monitor with their keys: choosing, enlarging, the cursor, the window on the x-axis."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.events import Blur, Click, Focus
from textual.message import Message

from core.i18n import N_
from tui.chart_choices import MOST_COLUMNS, Choices
from tui.chart_model import SMOOTHING, X_AXES, View
from tui.keymap import key, localise
from tui.widgets.chart_board import GUTTER, ChartBoard


class ChartGrid(ChartBoard, can_focus=True):
    """Charts of one run, or of several over one another, moved through with the keyboard."""

    DEFAULT_CSS = """
    ChartGrid { height: 1fr; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "enlarge", N_("Enlarge"), N_("The chosen chart alone, and back"), show=True),
        key("c", "cursor", N_("Cursor"), N_("Read values off all charts at once; ← → move it"), show=True),
        key("slash", "filter", N_("Filter"), N_("Choose metrics by a regular expression"), display="/"),
        key(
            "plus,equals_sign", "zoom(0.5)", N_("Zoom in"), N_("Half as much of the x-axis, on all charts"), display="+"
        ),
        key("minus", "zoom(2.0)", N_("Zoom out"), N_("Twice as much of the x-axis"), display="-"),
        key("0", "whole", N_("All"), N_("All of the x-axis, following the newest")),
        key("h,shift+left", "pan(-0.25)", N_("Earlier"), N_("Move the window to earlier values")),
        key("l,shift+right", "pan(0.25)", N_("Later"), N_("Move the window to later values")),
        key("f", "follow", N_("Follow"), N_("Follow the newest values, or hold the window")),
        key("Y", "log", N_("Log scale"), N_("Logarithmic y-axis for the chosen chart")),
        key("n,pagedown", "page(1)", N_("Next page"), N_("Next page of charts")),
        key("p,pageup", "page(-1)", N_("Previous page"), N_("Previous page of charts")),
        key("left_square_bracket", "columns(-1)", N_("Larger charts"), N_("Fewer charts in a row"), display="["),
        key("right_square_bracket", "columns(1)", N_("Smaller charts"), N_("More charts in a row"), display="]"),
        key("left", "move(-1,0)", show=False),
        key("right", "move(1,0)", show=False),
        key("up,k", "move(0,-1)", show=False),
        key("down,j", "move(0,1)", show=False),
        key("g,home", "edge(0)", show=False),
        key("G,end", "edge(1)", show=False),
    ]

    class Filter(Message):
        """The user wants to choose metrics."""

    class Changed(Message):
        """A choice was made that is worth keeping."""

        def __init__(self, choices: Choices) -> None:
            super().__init__()
            self.choices = choices

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices, id="charts")
        localise(self)

    # -- events ------------------------------------------------------------------------------------------------

    def on_focus(self, event: Focus) -> None:
        """The chosen chart's caption takes the accent."""
        self.redraw()

    def on_blur(self, event: Blur) -> None:
        """And gives it back."""
        self.redraw()

    def on_click(self, event: Click) -> None:
        """Choose the chart that was clicked."""
        columns, rows = self._grid()
        offset = event.get_content_offset(self)
        if offset is None or not self.shown or offset.y < 1:
            return
        column = offset.x * columns // max(1, self.size.width)
        row = (offset.y - 1) * rows // max(1, self.room)
        number = row * columns + column
        if number < len(self.shown):
            self._selected = self.shown[number].key
            self.redraw()

    # -- keys --------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        self.post_message(self.Changed(self.choices))
        self.redraw()

    def action_filter(self) -> None:
        """Ask for a pattern; the screen has the line for it."""
        self.post_message(self.Filter())

    def action_enlarge(self) -> None:
        """The chosen chart alone, or all again."""
        self.enlarged = not self.enlarged and self.selected is not None
        self.redraw()

    def action_cursor(self) -> None:
        """Show the cursor at the newest value, or take it away."""
        if self.cursor is None:
            (left, right), whole = self.bounds()
            self.cursor = min(right, max(left, whole[1]))
        else:
            self.cursor = None
        self.redraw()

    def _column_step(self) -> float:
        columns, _rows = self._grid()
        width = (self.size.width - GUTTER * (columns - 1)) // columns
        (left, right), _whole = self.bounds()
        return (right - left) / max(1, width - 8)

    def action_move(self, right: int, down: int) -> None:
        """Choose another chart; sideways move the cursor where there is one."""
        if self.cursor is not None and right:
            (low, high), _whole = self.bounds()
            self.cursor = min(high, max(low, self.cursor + right * self._column_step()))
            self.redraw()
            return
        keys = [metric.key for metric in self.metrics]
        if not keys:
            return
        columns, _rows = self._grid()
        place = keys.index(self._selected) + right + down * columns
        if 0 <= place < len(keys):
            self._selected = keys[place]
            self.redraw()

    def action_edge(self, last: int) -> None:
        """The first or last chart; the ends of the window for the cursor."""
        if self.cursor is not None:
            (low, high), whole = self.bounds()
            self.cursor = min(high, whole[1]) if last else max(low, whole[0])
        elif self.metrics:
            self._selected = self.metrics[-1 if last else 0].key
        self.redraw()

    def action_page(self, pages: int) -> None:
        """Another page of charts."""
        columns, rows = self._grid()
        keys = [metric.key for metric in self.metrics]
        if not keys:
            return
        size = columns * rows
        page = keys.index(self._selected) // size + pages
        if 0 <= page * size < len(keys):
            self._selected = keys[page * size]
            self.redraw()

    def action_columns(self, more: int) -> None:
        """More or fewer charts in a row."""
        now, _rows = self._grid()
        self.choices.columns = min(MOST_COLUMNS, max(1, now + more))
        self._keep()

    def action_zoom(self, factor: float) -> None:
        """See less or more of the x-axis."""
        window, whole = self.bounds()
        if whole[1] > whole[0]:
            self.view.zoom(factor, window, whole, self.cursor)
            self._keep_cursor()

    def action_whole(self) -> None:
        """See all of the x-axis."""
        self.view = View()
        self.redraw()

    def action_pan(self, share: float) -> None:
        """Move the window."""
        window, whole = self.bounds()
        self.view.pan(share, window, whole)
        self._keep_cursor()

    def _keep_cursor(self) -> None:
        if self.cursor is not None:
            (low, high), _whole = self.bounds()
            self.cursor = min(high, max(low, self.cursor))
        self.redraw()

    def action_follow(self) -> None:
        """Hold the window where it is, or follow the newest values."""
        window, _whole = self.bounds()
        self.view.right = window[1] if self.view.right is None else None
        self.redraw()

    def action_log(self) -> None:
        """Logarithmic or linear y-axis."""
        if not self._selected:
            return
        if self._selected in self.choices.log:
            self.choices.log.remove(self._selected)
        else:
            self.choices.log.append(self._selected)
        self._keep()

    def next_axis(self) -> None:
        """The next x-axis; the window begins anew, its numbers mean something else."""
        self.choices.axis = X_AXES[(X_AXES.index(self.choices.axis) + 1) % len(X_AXES)]
        self.view = View()
        if self.cursor is not None:
            self.cursor = None
            self.action_cursor()
        self._keep()

    def next_smoothing(self) -> None:
        """The next weight of smoothing."""
        self.choices.smoothing = SMOOTHING[(SMOOTHING.index(self.choices.smoothing) + 1) % len(SMOOTHING)]
        self._keep()
