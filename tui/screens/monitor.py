"""One run while it trains: how far it is, its charts, what it says; and the orders to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.containers import Container, Horizontal
from textual.events import Mount
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from core import formats
from core.i18n import N_
from core.i18n import gettext as _
from core.predictions import splits
from core.settings import load_settings, save_setting
from tui.chart_choices import Choices
from tui.chart_sources import Sources
from tui.feed import RunFeed
from tui.keymap import key
from tui.pace import Pace
from tui.screens.monitor_orders import MonitorOrders
from tui.widgets.chart_grid import ChartGrid
from tui.widgets.device_panel import DevicePanel
from tui.widgets.failure_card import FailureCard
from tui.widgets.log_tail import LogTail
from tui.widgets.order_line import OrderLine
from tui.widgets.run_progress import RunProgress

# Seconds between two pictures at least: more on few cores (`tui.pace`), and on a line that is slower than that.
FRAME = 0.25
# So long the first picture waits for the log, and as long it lets the reader go on each time it looks.
FIRST_LOOK, A_MOMENT = 0.15, 0.002
# Chunks of output that may wait for the terminal before a picture is left out.
BACKLOG = 4
SETTING = "monitor"


class FeedNews(Message):
    """A run's reader has found something; `feed` is to be asked for it."""

    def __init__(self, feed: RunFeed) -> None:
        super().__init__()
        self.feed = feed


class NotKept(Message):
    """A choice could not be written to the settings."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


class MonitorScreen(MonitorOrders):
    """Watches a run live, a finished one at rest. `overlay` are runs whose lines are laid over this one's; without
    any, the marked runs and the baseline are, at the key `O`. `feed` is one of this run that is reading already."""

    NAME = "monitor"
    CSS_PATH = "monitor.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("x", "x_axis", N_("x-axis"), N_("Step, epoch, samples or time on the x-axis")),
        key("w", "smoothing", N_("Smoothing"), N_("Smoothing of the lines (EMA, as TensorBoard's)")),
        key("O", "overlay", N_("Overlay"), N_("Lay marked runs and the baseline over this one, or take them away")),
        key("r", "review", N_("Review errors"), N_("Mispredicted reviews with attention"), show=True),
    ]

    def __init__(self, run_dir: Path, overlay: Sequence[Path] = (), feed: RunFeed | None = None) -> None:
        super().__init__(run_dir, feed)
        self._others: list[RunFeed] = []
        self._overlay = list(overlay)
        self._sources = Sources()
        self._pace = Pace(FRAME)
        self._drawn_state = ""
        self._later = False
        self._dirty = False
        self._drawn: Any = None
        self._was_live = False
        self._left = False
        # While the screen is being made and laid out.
        self._feed.begin()

    def compose_body(self) -> Iterable[Widget]:
        """Progress, failure card, charts, log and device."""
        settings = load_settings()
        yield RunProgress(id="progress")
        yield OrderLine()
        yield FailureCard(self.run_dir)
        yield ChartGrid(Choices.of(settings.get(SETTING)))
        yield Input(id="metric-filter", placeholder=_("metrics: a regular expression; esc shows all"), compact=True)
        with Horizontal(id="bottom"):
            yield LogTail(self.run_dir)
            with Container(id="device"):
                yield DevicePanel(self.run_dir)

    @on(Mount)
    async def _begin(self) -> None:
        """Look after the run; what can be read in no time is part of the first picture."""
        self.set_top(self.run_title, _("Monitor"))
        self.query_one(ChartGrid).focus()
        deadline = time.monotonic() + FIRST_LOOK
        while (self._feed.take() or not self._feed.looked) and time.monotonic() < deadline:
            await asyncio.sleep(A_MOMENT)
        self._dirty = True
        self._feed.start(self._notify(self._feed))
        if self._overlay:
            self._lay_over(self._overlay)
        self._draw()

    @property
    def patience(self) -> float:
        """As long as a picture of a live run."""
        return self._pace.patience if self._was_live else 0.0

    def _show_machine(self, line: str) -> None:
        # With a run at rest in view nothing is written to the terminal: these figures would never stand still.
        live = self._feed.run is not None and self._feed.run.live
        super()._show_machine(line if live else "")

    def on_unmount(self) -> None:
        """Nobody looks any more."""
        for feed in (self._feed, *self._others):
            feed.close()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The ways to the results when there are results."""
        run = self._feed.run
        if action == "review":
            # Scores of dev, told while it trained, are no predictions.
            return run is not None and not run.live and bool(splits(self.run_dir))
        return super().check_action(action, parameters)

    # -- news --------------------------------------------------------------------------------------------------

    def _notify(self, feed: RunFeed) -> Any:
        return lambda: self.post_message(FeedNews(feed))

    @on(FeedNews)
    def _take(self, event: FeedNews) -> None:
        if event.feed.take():
            # More is waiting; keys come first.
            self.call_later(self.post_message, FeedNews(event.feed))
        if event.feed.behind:
            # So that all of it can be drawn when it is read.
            self.query_one(ChartGrid).smooth_ahead(self._sources.ahead(event.feed))
        self._dirty = True
        self._draw_soon()

    def _draw_soon(self) -> None:
        """Draw, but not more often than the eye and the line can follow, and than the training can spare."""
        run = self._feed.run
        # Another state or the answer to an order does not wait for its turn; a run at rest takes nothing away.
        answered = len(self._feed.telemetry.answers) != self._answers[1]
        changed = run is not None and (run.state != self._drawn_state or answered)
        if self._later and not changed:
            return
        wait = self._pace.wait(urgent=changed or run is None or not run.live)
        if wait <= 0 and not self._line_is_busy():
            self._draw()
        else:
            self._later = True
            self.set_timer(max(wait, 0.05), self._draw_late)

    def _look_around(self) -> None:
        # Somebody may have come back, to a run that was left alone: what is put off for that long is due.
        for feed in (self._feed, *self._others):
            feed.hurry(self._pace.patience)
        if self._later and self._pace.wait() <= 0:
            self._draw_late()
        super()._look_around()

    def _draw_late(self) -> None:
        self._later = False
        if self._line_is_busy():
            self._draw_soon()
        else:
            self._draw()

    def _line_is_busy(self) -> bool:
        """Whether output is still waiting for the terminal (a slow connection): another picture would only queue."""
        writer = getattr(self.app._driver, "_writer_thread", None)
        waiting = getattr(writer, "_queue", None)
        return waiting is not None and waiting.qsize() > BACKLOG

    def on_screen_resume(self) -> None:
        """What came while another screen was in front is drawn."""
        self._pace.looked()
        self._drawn = None
        self._dirty = True
        self._draw()

    # -- drawing -----------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        run = self._feed.run
        if not self.is_current or not self._dirty:
            return
        self._dirty = False
        if run is not None:
            # What stands there before the run is read is no picture that the next one would have to wait for.
            self._pace.drawn()
            for feed in (self._feed, *self._others):
                feed.patience = self._pace.usual
        self._drawn_state = run.state if run is not None else ""
        if run is not None:
            self.set_top(self.run_title, _("Monitor"), state=run.state)
            self.settle_orders()
        self.query_one(RunProgress).follow(self._feed)
        telemetry = self._feed.telemetry
        card = self.query_one(FailureCard)
        card.show(run, telemetry.failure)
        self.set_class(card.display, "-failed")
        self.query_one(DevicePanel).follow(run)
        version = (
            id(telemetry),
            telemetry.version,
            tuple(feed.telemetry.version for feed in self._others),
            run is not None and run.live,
        )
        if version != self._drawn:
            self._drawn = version
            self._draw_charts()
            self.query_one(LogTail).show(telemetry.log)
            self.query_one(DevicePanel).show(telemetry.machine, telemetry.last)
        live = run is not None and run.live
        if self._was_live != live or not live:
            self._show_machine(self.nsmc.machine_line)
        if self._was_live != live:
            self.refresh_bindings()
            if run is not None and not live:
                self._ended(run.state)
        self._was_live = live

    def _draw_charts(self) -> None:
        run = self._feed.run
        live = run is not None and run.live
        if live:
            message = _("Nothing to draw yet: the first figures come with the first step.")
        elif run is None:
            message = _("reading …")
        else:
            message = _("This run told no figures.") + "\n" + _("Its log may say why; worker.log says more.")
        sources = [self._sources.of(feed) for feed in (self._feed, *self._others)]
        self.query_one(ChartGrid).show(sources, live=live, message=message)

    def _ended(self, state: str) -> None:
        if self.nsmc.demo and state == "finished" and not self._left:
            self._left = True
            self.nsmc.show_run(self.run_dir, "review", reading=True)
            self.nsmc.say(
                _("A mispredicted review and where the model looked. n: the next one, esc: the list, ?: all keys."),
                timeout=12,
            )
            return
        text = _("The run has ended: {state}").format(state=formats.state(state))
        if state in ("finished", "stopped"):
            # One that was aborted has not been scored.
            self.nsmc.say(text + "\n" + _("4 shows its scores, 5 its errors.") if splits(self.run_dir) else text)
        elif state in ("failed", "crashed"):
            self.nsmc.say(text, severity="error")

    # -- overlay -----------------------------------------------------------------------------------------------

    def _lay_over(self, paths: Sequence[Path]) -> None:
        for path in dict.fromkeys(paths):
            if path != self.run_dir:
                feed = RunFeed(path)
                self._others.append(feed)
                feed.start(self._notify(feed))

    def action_overlay(self) -> None:
        """Lay marked runs over this one, or take away what lies there."""
        if self._others:
            for feed in self._others:
                feed.close()
            self._others = []
            self._dirty = True
            self._draw()
            return
        baseline = self.nsmc.baseline
        paths = [*self._overlay, *self.nsmc.marked, *([baseline] if baseline is not None else [])]
        if not any(path != self.run_dir for path in paths):
            self.nsmc.say(_("No other run is marked. Space marks one in the list of runs (1)."))
            return
        self._lay_over(paths)

    # -- keys --------------------------------------------------------------------------------------------------

    def action_x_axis(self) -> None:
        """Next x-axis."""
        self.query_one(ChartGrid).next_axis()

    def action_smoothing(self) -> None:
        """Next smoothing weight."""
        self.query_one(ChartGrid).next_smoothing()

    def action_review(self) -> None:
        """Go to the errors."""
        self.action_run_screen("review")

    def action_back(self) -> None:
        """From the line for a pattern, the cursor and one chart back to all of them, else to the runs."""
        grid, line = self.query_one(ChartGrid), self.query_one("#metric-filter", Input)
        if line.has_focus:
            line.value = ""
            self._close_filter()
        elif grid.cursor is not None:
            grid.action_cursor()
        elif grid.enlarged:
            grid.action_enlarge()
        else:
            super().action_back()

    @on(ChartGrid.Filter)
    def _ask_filter(self) -> None:
        line = self.query_one("#metric-filter", Input)
        line.display = True
        line.value = self.query_one(ChartGrid).choices.filter
        line.focus()

    @on(Input.Changed, "#metric-filter")
    def _filter_typed(self, event: Input.Changed) -> None:
        self.query_one(ChartGrid).filter(event.value)

    @on(Input.Submitted, "#metric-filter")
    def _filter_given(self) -> None:
        self._close_filter()

    def _close_filter(self) -> None:
        grid = self.query_one(ChartGrid)
        grid.focus()
        self.query_one("#metric-filter").display = False
        self._keep(grid.choices.settings())

    @on(ChartGrid.Changed)
    def _choice_made(self, event: ChartGrid.Changed) -> None:
        self._keep(event.choices.settings())

    @work(thread=True, exclusive=True, group="settings")
    def _keep(self, settings: dict[str, Any]) -> None:
        # In a thread: it ends with an fsync.
        try:
            save_setting(SETTING, settings)
        except OSError as error:
            self.post_message(NotKept(error))

    @on(NotKept)
    def _not_kept(self, event: NotKept) -> None:
        reason = event.error.strerror or event.error
        self.nsmc.say(_("the choice could not be kept: {reason}").format(reason=reason), severity="warning")
