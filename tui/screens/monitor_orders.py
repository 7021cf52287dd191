"""Monitor's orders to the worker: keys, questions, and what has become of each order."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.message import Message

from core import control, formats
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from tui.feed import RunFeed
from tui.keymap import key
from tui.screens.base import RunScreen
from tui.screens.confirm import ConfirmScreen


class OrderSent(Message):
    """An order lies in the run's `control.jsonl`, or could not be put there."""

    def __init__(self, action: str, order: str = "", error: NsmcTuiError | None = None) -> None:
        super().__init__()
        self.action = action
        self.order = order
        self.error = error


class MonitorOrders(RunScreen):
    """The part of Monitor that controls the run. The screen calls `settle_orders` after each poll."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("s", "stop", N_("Stop+save"), N_("Finish the step, save, evaluate, end"), show=True),
        key("v", "order('evaluate')", N_("Evaluate now"), N_("Score the dev split at the next step"), show=True),
        key("b", "order('save')", N_("Save now"), N_("Save a checkpoint at the next step")),
        key("z", "pause", N_("Pause"), N_("Pause after the step, or go on"), show=True),
        key("A", "abort", N_("Abort"), N_("End at once; nothing more is saved")),
    ]
    ORDERS: ClassVar[frozenset[str]] = frozenset({"stop", "order", "pause", "abort"})

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir)
        self._feed = RunFeed(run_dir)
        self._pending: dict[str, str] = {}
        self._paused: bool | None = None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Orders only while there is a worker."""
        if action in self.ORDERS:
            run = self._feed.run
            return run is not None and run.live
        return super().check_action(action, parameters)

    def orders_line(self) -> list[str]:
        """What is said of orders that are under way, one text each, for the line of progress."""
        run = self._feed.run
        waits = _("{order}: waits") if run is not None and run.state == "paused" else _("{order}: sent")
        return [waits.format(order=formats.order(action)) for action in self._pending.values()]

    def draw_orders(self) -> None:
        """Show what `orders_line` says; the screen does it."""
        raise NotImplementedError

    def settle_orders(self) -> None:
        """Forget orders that were carried out; a pause that was asked for has come."""
        telemetry, run = self._feed.telemetry, self._feed.run
        for order, action in list(self._pending.items()):
            step = telemetry.orders.get(order)
            if step is None:
                continue
            paused = run is not None and run.state == "paused" and action in ("save", "evaluate")
            if not paused:
                del self._pending[order]
        if run is not None and self._paused is not None and (run.state == "paused") == self._paused:
            self._paused = None
            self.refresh_bindings()

    # -- keys --------------------------------------------------------------------------------------------------

    def action_stop(self) -> None:
        """Ask, then send `stop`."""
        self._ask("stop", _("Stop this run?"), _("The step is finished, the model saved and evaluated."))

    def action_abort(self) -> None:
        """Ask, then send `abort`."""
        self._ask("abort", _("Abort this run?"), _("It ends at once. What was not saved is lost."))

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

    def action_pause(self) -> None:
        """Pause, or go on."""
        run = self._feed.run
        # Until the state follows, the last wish counts: pressed twice, the key means both.
        paused = self._paused if self._paused is not None else run is not None and run.state in ("paused", "pausing")
        self._paused = not paused
        self.action_order("continue" if paused else "pause")

    def action_order(self, action: str) -> None:
        """Send an order to the worker."""
        if self._live():
            self._send(action)

    @work(thread=True, group="orders")
    def _send(self, action: str) -> None:
        try:
            order = control.send_order(self.run_dir, action)
        except NsmcTuiError as error:
            self.post_message(OrderSent(action, error=error))
        else:
            self.post_message(OrderSent(action, order))

    @on(OrderSent)
    def _order_sent(self, event: OrderSent) -> None:
        if event.error is not None:
            self.nsmc.report(event.error)
            return
        self._pending[event.order] = event.action
        self.draw_orders()
