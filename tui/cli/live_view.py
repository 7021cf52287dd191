"""`watch` in a terminal: how far the run is, its figures, the course of its loss, what it said last.

Drawn on the terminal's other screen, at most four times a second and only when something changed or the window did.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import formats
from core.foreign import EventLog, open_log
from core.i18n import gettext as _
from core.run_preview import sparkline
from core.runs import Run, load_run
from core.text import visible
from tui.cli.follow import Lines, has_ended
from tui.machine_history import MachineHistory
from tui.terminal_wishes import ascii_wanted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

FRAME = 0.25
# More would not be seen: a terminal of 250 columns shows 500 places.
KEPT = 4000
LOG_LINES = 200
# A window of so many rows has room for the machine beside figures, course and messages.
DEVICE_FROM, DEVICE_LINES = 24, 7
SCORES = ("accuracy", "f1", "precision", "recall", "macro_f1", "loss")


def can_draw() -> bool:
    """Whether stdout is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "")


class Course:
    """The loss over the steps in bounded memory: neighbours are merged into their lowest and highest value."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float, float]] = []
        self._width = 1
        self._open: list[tuple[float, float]] = []

    def add(self, step: float, value: float) -> None:
        """Take the loss at a step; one that comes before the last goes on from an earlier checkpoint."""
        if self.points and step <= self.points[-1][0]:
            self.points = [point for point in self.points if point[0] < step]
            self._open.clear()
        self._open.append((step, value))
        if len(self._open) < self._width:
            return
        values = [value for _step, value in self._open]
        self.points.append((self._open[-1][0], min(values), max(values)))
        self._open.clear()
        if len(self.points) > KEPT:
            pairs = zip(self.points[::2], self.points[1::2], strict=False)
            self.points = [(b[0], min(a[1], b[1]), max(a[2], b[2])) for a, b in pairs]
            self._width *= 2


def draw_course(points: Sequence[tuple[float, float, float]], width: int, height: int) -> list[str]:
    """A line of (x, lowest, highest) as `height` rows of braille, `width` cells each; every spike is in it.

    A cell is two dots wide and four high. Points share the width evenly by their x.
    """
    columns, rows = 2 * width, 4 * height
    if not points or width < 1 or height < 1:
        return [" " * width] * height
    left, right = points[0][0], points[-1][0]
    low, high = min(point[1] for point in points), max(point[2] for point in points)
    spread = (high - low) or 1.0
    lows: list[float | None] = [None] * columns
    highs: list[float] = [0.0] * columns
    for x, lowest, highest in points:
        column = min(columns - 1, int((x - left) / ((right - left) or 1.0) * columns))
        before = lows[column]
        lows[column] = lowest if before is None else min(before, lowest)
        highs[column] = highest if before is None else max(highs[column], highest)
    cells = [[0] * width for _row in range(height)]
    # The dots of a cell in their bits: the two columns from top to bottom, the lowest row apart (Unicode U+2800).
    bits = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))

    def row_of(value: float) -> int:
        return rows - 1 - int((value - low) / spread * (rows - 1) + 0.5)

    last: tuple[int, int, int] | None = None
    for column in range(columns):
        lowest_here = lows[column]
        if lowest_here is None:
            continue
        top, bottom = row_of(highs[column]), row_of(lowest_here)
        if last is None:
            last = (column - 1, top, bottom)
        # Where there are fewer points than columns the line goes straight from one to the next.
        came, was = last[0], (last[1] + last[2]) // 2
        for between in range(came + 1, column + 1):
            share = (between - came) / (column - came)
            here = round(was + ((top + bottom) // 2 - was) * share)
            begin, end = (top, bottom) if between == column else (here, here)
            # Joined with its neighbour, so that a steep line has no holes.
            begin, end = min(begin, last[2] + 1), max(end, last[1] - 1)
            for row in range(max(0, begin), min(rows - 1, end) + 1):
                cells[row // 4][between // 2] |= bits[between % 2][row % 4]
            last = (between, here, here) if between < column else (column, top, bottom)
    return ["".join(chr(0x2800 + cell) for cell in row) for row in cells]


class LiveView:
    """What is known of a run, and its picture for a given size."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.run: Run = load_run(run_dir)
        self._log: EventLog = open_log(run_dir)
        self._lines = Lines(step_interval=float("inf"))
        self._said: deque[tuple[float, str]] = deque(maxlen=LOG_LINES)
        self._last: dict[str, Any] = {}
        self._phase: dict[str, Any] = {}
        self._evals: dict[str, dict[str, Any]] = {}
        self._course = Course()
        self._machine = MachineHistory()
        self._ascii = ascii_wanted()

    def poll(self) -> tuple[bool, bool]:
        """Read what is new: whether there was anything, and whether the run has ended and is read to its end."""
        before = self.run
        self.run = load_run(self.run_dir)
        ended = has_ended(self.run)
        events = self._log.read(max_seconds=0.2)
        for event in events:
            self._take(event)
        return bool(events) or self.run != before, ended and not events and not self._log.pending

    def _take(self, event: dict[str, Any]) -> None:
        self._machine.take(event)
        match event.get("type"):
            case "step":
                self._last = event
                self._phase = {}
                loss, step = event.get("loss"), event.get("step")
                if isinstance(loss, int | float) and isinstance(step, int | float):
                    self._course.add(float(step), float(loss))
                return
            case "phase":
                self._phase = event
            case "eval":
                self._evals[str(event.get("split") or "")] = event
        text = self._lines.line(event)
        if text:
            self._said.append((float(event.get("ts") or 0.0), text))

    # -- drawing -----------------------------------------------------------------------------------------------

    def picture(self, width: int, height: int) -> Text:
        """The view in `width` × `height` cells."""
        from rich.text import Text

        rows = [self._head(width), self._progress(width), Text(), self._figures()]
        rows += self._scores()
        rows.append(Text())
        below = 2
        if height >= DEVICE_FROM:
            rows += self._device(width)
        room = height - len(rows) - below
        chart = max(0, min(12, room - 3))
        if chart >= 3:
            rows += self._chart(width, chart)
        for at, text in list(self._said)[-max(0, height - len(rows) - below) :] if height - len(rows) > below else ():
            clock = time.strftime("%H:%M:%S ", time.localtime(at)) if at else ""
            rows.append(Text.assemble((clock, "dim"), visible(text)))
        rows = rows[: max(1, height - below)]
        rows += [Text() for _row in range(height - below - len(rows))]
        rows += [Text(), Text(_("ctrl+c leaves the view; the run goes on"), style="dim")]
        picture = Text("\n", no_wrap=True, overflow="ellipsis").join(row for row in rows[-height:])
        picture.no_wrap, picture.overflow = True, "ellipsis"
        return picture

    def _head(self, width: int) -> Text:
        from rich.text import Text

        from tui.plain_signs import plain_sign
        from tui.widgets.top_bar import STATE_MARKS

        mark = STATE_MARKS.get(self.run.condition, ("·", "dim"))[0]
        mark = plain_sign(mark, plain=self._ascii)
        state = f"{mark} {formats.state(self.run.condition)}"
        if self.run.silent or self.run.stale:
            state += " " + _("for {time}").format(time=formats.ago(self.run.updated))
        return Text.assemble(
            (visible(self.run.id), "bold"),
            (f"  {visible(Path(self.run.model).name)} · {visible(self.run.data)}  ", "dim"),
            (state, "bold"),
        )

    def _progress(self, width: int) -> Text:
        from rich.text import Text

        run, phase = self.run, self._phase
        done, total = run.step, run.max_steps
        # The log is ahead of the status, which is written once a second.
        name = formats.phase("training" if self._last else run.phase) if run.live else formats.state(run.condition)
        if phase and run.live:
            name, done, total = (
                formats.phase(str(phase.get("name"))),
                int(phase.get("done") or 0),
                int(phase.get("total") or 0),
            )
        elif self._last:
            done = max(done, int(self._last.get("step") or 0))
        text = Text(f"{visible(name)} ")
        if total:
            bar = max(10, min(40, width - 60))
            full = min(bar, bar * done // total)
            text.append(("#" if self._ascii else "━") * full, style="cyan")
            text.append(("-" if self._ascii else "─") * (bar - full), style="dim")
            text.append(f" {done:,} / {total:,}  {done / total:.0%}")
        elif done:
            text.append(f"{done:,}")
        epoch = self._last.get("epoch")
        if isinstance(epoch, int | float):
            text.append(f"  epoch {epoch:.2f}", style="dim")
        eta = self._last.get("eta") if not phase else None
        if run.live and run.state != "paused" and isinstance(eta, int | float):
            text.append("  " + _("ETA {time}").format(time=formats.duration(eta)))
        return text

    def _figures(self) -> Text:
        from rich.text import Text

        last, text = self._last, Text()
        parts: list[tuple[str, str]] = []
        if last:
            loss = last.get("loss")
            parts.append(("loss", "NaN" if loss is None else formats.number(loss)))
        for name, key, show in (
            ("lr", "learning_rate", formats.rate),
            ("grad_norm", "grad_norm", formats.number),
            (_("reviews/s"), "samples_per_second", formats.count),
            (_("tokens/s"), "tokens_per_second", formats.count),
            (_("peak"), "gpu_peak", formats.size),
            (_("host memory"), "rss", formats.size),
        ):
            if last.get(key) is not None:
                parts.append((name, show(last[key])))
        for name, value in parts:
            text.append(f"{name} ", style="dim")
            text.append(value, style="bold" if name == "loss" else "")
            text.append("   ")
        return text

    def _scores(self) -> list[Text]:
        from rich.text import Text

        rows = []
        for split, event in self._evals.items():
            text = Text(f"{visible(formats.split_name(split))}  ", style="dim")
            prefix = "eval_" if split in ("dev", "eval") else f"{split}_"
            metrics = event.get("metrics") or {}
            for name in SCORES:
                value = metrics.get(prefix + name)
                if isinstance(value, int | float):
                    text.append(f"{name} ", style="dim")
                    text.append(f"{formats.number(value)}  ", style="not dim")
            text.append(f"@ {formats.count(event.get('step'))}", style="dim")
            rows.append(text)
        if self.run.error:
            rows.append(Text(visible(self.run.error), style="red"))
            rows.append(Text("→ " + visible(self.run.hint), style="dim"))
        return rows

    def _device(self, width: int) -> list[Text]:
        """What Monitor's device pane shows, as the worker told it."""
        from rich.text import Text

        from tui.device_view import device_lines

        if not self.run.live or (not self._machine.gpus and not self._machine.host):
            return []
        lines = device_lines(self._machine, self._last, width, DEVICE_LINES, lambda _name: "", ascii_only=self._ascii)
        return [*lines, Text()]

    def _chart(self, width: int, height: int) -> list[Text]:
        from rich.text import Text

        points = self._course.points
        if len(points) < 2:
            return []
        low, high = min(point[1] for point in points), max(point[2] for point in points)
        labels = [formats.number(high), *[""] * (height - 2), formats.number(low)]
        margin = max(len(label) for label in labels) + 1
        room = max(10, width - margin - 1)
        if self._ascii:
            means = [(point[1] + point[2]) / 2 for point in points]
            return [Text(f"loss {labels[0]} {sparkline(means, room - 10, True)} {labels[-1]}"), Text()]
        lines = draw_course(points, room, height)
        rows = [
            Text.assemble((label.rjust(margin - 1) + " ", "dim"), (line, "cyan"))
            for label, line in zip(labels, lines, strict=True)
        ]
        first, last = f"{int(points[0][0]):,}", f"{int(points[-1][0]):,}"
        axis = " " * margin + first + last.rjust(room - len(first))
        return [*rows, Text(axis, style="dim"), Text()]


def watch_live(run_dir: Path, console: Console | None = None) -> Run:
    """Draw the run until it ends; returns how. An interruption restores the terminal and leaves the run alone."""
    from rich.console import Console
    from rich.live import Live

    out = console or Console(highlight=False, markup=False, emoji=False)
    view = LiveView(run_dir)
    drawn: tuple[int, int] | None = None
    with Live(console=out, screen=True, auto_refresh=False) as live:
        while True:
            changed, ended = view.poll()
            size = (out.size.width, out.size.height)
            if changed or drawn != size or view.run.silent or view.run.stale:
                live.update(view.picture(*size), refresh=True)
                drawn = size
            if ended:
                return view.run
            time.sleep(FRAME)
