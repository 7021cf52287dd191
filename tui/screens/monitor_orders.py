"""Monitor's orders to the worker: keys, questions, what has become of each order; and a run's next life."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.message import Message

from core import control
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.order_log import OrderLog
from core.runs import CONFIG_FILE, FOREIGN, read_status
from tui.feed import RunFeed
from tui.keymap import key
from tui.screens.base import RunScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.log import LogScreen
from tui.start_messages import NotStarted, Started
from tui.widgets.device_panel import DevicePanel
from tui.widgets.log_tail import LogTail
from tui.widgets.order_line import OrderLine

# Settings with their rules take longer to import than Monitor to draw: they come with the keys that need them.
if TYPE_CHECKING:
    from tui.screens.resume import ResumeWish

LOOK = 1.0


class OrderSent(Message):
    """An order lies in the run's `control.jsonl`, or could not be put there."""

    def __init__(self, action: str, error: NsmcTuiError | None = None) -> None:
        super().__init__()
        self.action = action
        self.error = error


class Resumed(Message):
    """The run goes on from a step, or cannot."""

    def __init__(self, step: int = 0, error: NsmcTuiError | None = None) -> None:
        super().__init__()
        self.step = step
        self.error = error


class MonitorOrders(RunScreen):
    """The part of Monitor that controls the run, and the way to its other panes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("s", "stop", N_("Stop+save"), N_("Finish the step, save, evaluate, end"), show=True),
        key("v", "order('evaluate')", N_("Evaluate now"), N_("Score the dev split at the next step"), show=True),
        key("b", "order('save')", N_("Save now"), N_("Save a checkpoint at the next step")),
        key("z", "pause", N_("Pause"), N_("Pause after the step"), show=True),
        key("z", "go_on", N_("Continue"), N_("Go on after the pause"), show=True),
        key("z", "resume", N_("Resume"), N_("Go on from a checkpoint, longer too"), show=True),
        key("a", "stop_at", N_("Stop at"), N_("Stop by itself at a step or an epoch")),
        key("A", "abort", N_("Abort"), N_("End at once; nothing more is saved")),
        key("A", "abort_now", N_("Abort"), N_("End at once; nothing more is saved"), show=True),
        key("s", "stopping"),
        key("T", "copy_config", N_("New from this"), N_("New run with this run's settings")),
        key("d", "device", N_("Device"), N_("GPUs, memory and processes in the place of the log, and back")),
        key("L", "log", N_("Log"), N_("The log alone, with the worker's output")),
        key("ctrl+r", "start_again", N_("Start again"), N_("The same settings once more, as a new run")),
    ]
    ORDERS: ClassVar[frozenset[str]] = frozenset({"stop", "order", "pause", "go_on", "abort", "stop_at"})
    # What a run that is stopping still takes, in the place of these.
    ENDING: ClassVar[frozenset[str]] = frozenset({"abort_now", "stopping"})
    OVER: ClassVar[frozenset[str]] = frozenset({"resume", "start_again"})

    def __init__(self, run_dir: Path, feed: RunFeed | None = None) -> None:
        super().__init__(run_dir)
        self._feed = feed if feed is not None else RunFeed(run_dir)
        self._orders = OrderLog(run_dir)
        self._answers: tuple[int, int] = (0, 0)
        self._paused: bool | None = None
        self._offered: tuple[bool, bool] = (False, False)
        self._looked_at = 0.0

    def on_mount(self) -> None:
        """Look for the orders of others, and for what the worker writes, as long as the screen lives."""
        # Textual calls the handlers of all base classes by itself.
        self.set_interval(LOOK, self._look_around)

    def _look_around(self) -> None:
        now = time.monotonic()
        # What is read seldom is looked at as seldom.
        if self.is_current and now - self._looked_at > self._feed.patience - LOOK / 2:
            self._looked_at = now
            self.settle_orders()
            self.query_one(LogTail).show(self._feed.telemetry.log)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Orders only while there is a worker, another life only when there is none."""
        run = self._feed.run
        if action in self.ENDING:
            return self._ending
        if action in self.ORDERS:
            if self._ending:
                return False
            if action in ("pause", "go_on") and self._pauses != (action == "go_on"):
                return False
            return run is not None and run.live
        if action in self.OVER:
            return run is not None and not run.live and run.state != FOREIGN
        return super().check_action(action, parameters)

    def settle_orders(self) -> None:
        """Follow what becomes of orders, whoever sent them; a pause that was asked for has come."""
        run, answers = self._feed.run, self._feed.telemetry.answers
        if run is None:
            return
        known, done = self._answers
        if known != id(answers) or done > len(answers):
            # Another reading of the log, or another life's.
            self._orders, done = OrderLog(self.run_dir), 0
        self._orders.read()
        for event in answers[done:]:
            self._orders.take(event)
        self._answers = (id(answers), len(answers))
        self._orders.follow(run)
        if self._paused is not None and (run.state == "paused") == self._paused:
            self._paused = None
        if self._offered != (self._pauses, self._ending):
            # Paused, let go on or stopped, by somebody else or by this app.
            self._offered = (self._pauses, self._ending)
            self.refresh_bindings()
        shown = self._orders.shown(run, time.time())
        self.query_one(OrderLine).show(shown, os.environ.get("USER", ""))

    # -- orders ------------------------------------------------------------------------------------------------

    def action_stop(self) -> None:
        """Ask, then send `stop`."""
        self._ask("stop", _("Stop this run?"), _("The step is finished, the model saved and evaluated."))

    def action_abort(self) -> None:
        """Ask, then send `abort`."""
        self._ask("abort", _("Abort this run?"), _("It ends at once. What was not saved is lost."))

    def action_abort_now(self) -> None:
        """Ask, then send `abort` to a run that is stopping."""
        self.action_abort()

    def action_stopping(self) -> None:
        """Send nothing: a second `stop` aborts, and who asks for one wants it saved."""
        self.nsmc.say(_("The run is stopping already. To end it at once, abort it."), severity="warning")

    def _ask(self, action: str, question: str, detail: str) -> None:
        if self._live():
            self.app.push_screen(
                ConfirmScreen(question, detail), lambda yes: self.action_order(action) if yes else None
            )

    def _live(self) -> bool:
        run = self._feed.run
        if run is not None and run.live:
            return True
        self.nsmc.say(_("This run is over: it takes no orders."), severity="warning")
        return False

    @property
    def _ending(self) -> bool:
        """Whether the run has been asked to stop. Its state follows at the next step only, the order is known."""
        run = self._feed.run
        return run is not None and run.live and (run.state == "stopping" or self._orders.stops)

    @property
    def _pauses(self) -> bool:
        """Whether the run is paused. Until its state follows, the last wish counts: pressed twice, a key means both."""
        run = self._feed.run
        return self._paused if self._paused is not None else run is not None and run.state in ("paused", "pausing")

    def action_pause(self) -> None:
        """Pause."""
        self._paused = True
        self.action_order("pause")
        self.refresh_bindings()

    def action_go_on(self) -> None:
        """End the pause."""
        self._paused = False
        self.action_order("continue")
        self.refresh_bindings()

    def action_order(self, action: str) -> None:
        """Send an order to the worker."""
        if self._live():
            self._send(action, {})

    def action_stop_at(self) -> None:
        """Ask where, then send `stop_at`."""
        run = self._feed.run
        if run is None or not self._live():
            return
        status = read_status(self.run_dir)
        step, epoch = status.get("stop_at_step"), status.get("stop_at_epoch")
        from tui.screens.stop_at import StopAtScreen, StopPlan

        plan = StopPlan(
            run.step,
            run.max_steps,
            run.epoch,
            step if isinstance(step, int) else None,
            float(epoch) if isinstance(epoch, int | float) else None,
        )
        self.app.push_screen(StopAtScreen(plan), self._stop_at)

    def _stop_at(self, fields: dict[str, float] | None) -> None:
        if fields is not None and self._live():
            self._send("stop_at", fields)

    @work(thread=True, group="orders")
    def _send(self, action: str, fields: dict[str, float]) -> None:
        # The answer is waited for.
        self._feed.hurry()
        try:
            control.send_order(self.run_dir, action, **fields)
        except NsmcTuiError as error:
            self.post_message(OrderSent(action, error))
        else:
            self.post_message(OrderSent(action))

    @on(OrderSent)
    def _order_sent(self, event: OrderSent) -> None:
        if event.error is not None:
            self._paused = None
            self.nsmc.report(event.error)
            return
        self.settle_orders()

    # -- the other panes ---------------------------------------------------------------------------------------

    def action_device(self) -> None:
        """The device pane instead of the log; of a run at rest then this machine as it is now; the log again."""
        panel = self.query_one(DevicePanel)
        if not panel.is_on_screen:
            self.add_class("-device")
        elif not panel.ask():
            self.remove_class("-device")

    def action_log(self) -> None:
        """The log on a screen of its own."""
        self.app.push_screen(LogScreen(self.run_dir, self._feed))

    @on(LogTail.Enlarge)
    def _enlarge_log(self, event: LogTail.Enlarge) -> None:
        event.stop()
        self.action_log()

    # -- another life ------------------------------------------------------------------------------------------

    def action_resume(self) -> None:
        """Ask from which checkpoint and for how long, then go on."""
        from tui.screens.resume import ResumeScreen

        self.app.push_screen(ResumeScreen(self.run_dir), self._asked_to_resume)

    def _asked_to_resume(self, wish: ResumeWish | None) -> None:
        if wish is not None:
            self._resume(wish)

    @work(thread=True, group="orders")
    def _resume(self, wish: ResumeWish) -> None:
        from core import resume

        try:
            step = resume.resume(self.run_dir, [(list(path), value) for path, value in wish.sets], wish.step)
        except NsmcTuiError as error:
            self.post_message(Resumed(error=error))
        else:
            self.post_message(Resumed(step))

    @on(Resumed)
    def _resumed(self, event: Resumed) -> None:
        if event.error is not None:
            self.nsmc.report(event.error)
            return
        self.nsmc.say(_("The run goes on from step {step}.").format(step=f"{event.step:,}"))

    def action_copy_config(self) -> None:
        """The form for a new run, filled in from this one."""
        self.nsmc.action_new_run(self.run_dir)

    def action_start_again(self) -> None:
        """Ask, then start a new run with the same settings."""
        self.app.push_screen(
            ConfirmScreen(_("Start again?"), _("A new run with the same settings; this one stays as it is.")),
            self._asked_to_start_again,
        )

    def _asked_to_start_again(self, yes: bool | None) -> None:
        if yes:
            self._start_again()

    @work(thread=True, group="orders")
    def _start_again(self) -> None:
        from core import config_file
        from tui.form_start import try_launch

        try:
            config = config_file.load(self.run_dir / CONFIG_FILE)
        except NsmcTuiError as error:
            self.post_message(NotStarted(error))
            return
        self.post_message(try_launch(config, self.nsmc.runs_dir))

    @on(Started)
    def _started_again(self, event: Started) -> None:
        self.nsmc.show_run(event.run_dir, "monitor")

    @on(NotStarted)
    def _not_started(self, event: NotStarted) -> None:
        self.nsmc.report(event.error)
