"""What has become of a run's orders, whoever sent them: from `control.jsonl` and the events that answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core import formats
from core.control import ACTIONS
from core.i18n import gettext as _
from core.launch import CONTROL_FILE
from core.runs import FINAL_STATES, Run, read_status
from core.tail import JsonlTail

# A run of days may be given many orders; older ones are of no interest.
KEPT = 50
# The types of events that say what became of orders.
ANSWERS = frozenset({"run_started", "order", "checkpoint", "eval", "run_finished", "run_failed"})


@dataclass(frozen=True)
class Order:
    """One order. `state` goes from `pending` over `taken` to `done`; `refused` and `lapsed` are the other ends.

    `at` is when it was sent or, for one that the worker gave itself, taken (seconds since the epoch), `step` where it
    was taken, `result` what came of it or why nothing did.
    """

    id: str
    action: str
    state: str = "pending"
    by: str = ""
    at: float = 0.0
    step: int | None = None
    result: str = ""
    target: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "refused", "lapsed")


class OrderLog:
    """The orders of one run, oldest first. `take` gets each event of the run, `read` looks for new orders."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._tail: JsonlTail | None = None
        self._orders: dict[str, Order] = {}
        self._own = 0

    @property
    def orders(self) -> list[Order]:
        """All orders of this life of the run that are known, oldest first."""
        return list(self._orders.values())

    @property
    def stops(self) -> bool:
        """Whether this life of the run has been asked to stop and has not ended yet."""
        return any(order.action == "stop" and not order.over for order in self._orders.values())

    def read(self) -> bool:
        """Read orders that came since the last call; whether there were any."""
        if self._tail is None:
            # At the first look: where the disk is slow, making one shall not wait for it.
            begin = read_status(self._run_dir).get("orders_from")
            self._tail = JsonlTail(self._run_dir / CONTROL_FILE, begin if isinstance(begin, int) else 0)
        found = [record for record in self._tail.read() if record.get("action") in ACTIONS]
        for record in found:
            self._add(record)
        return bool(found)

    def _add(self, record: dict[str, Any]) -> None:
        order = str(record.get("id") or f"?{len(self._orders)}")
        known = self._orders.get(order)
        at, by = _number(record.get("ts")) or 0.0, str(record.get("by") or "")
        if known is not None:
            # The answer was read first.
            self._orders[order] = replace(known, by=by, at=at)
            return
        self._orders[order] = Order(order, str(record["action"]), by=by, at=at, target=_target(record))
        for old in list(self._orders)[:-KEPT]:
            del self._orders[old]

    def take(self, event: dict[str, Any]) -> None:
        """Take one event of the run, in its order."""
        match event.get("type"):
            case "run_started" if isinstance(event.get("resumed_from"), int):
                # What an earlier life was told does not concern this one.
                self._orders = {key: order for key, order in self._orders.items() if order.state == "pending"}
            case "order":
                self._answered(event)
            case "checkpoint":
                step = int(_number(event.get("step")) or 0)
                self._settle("save", step, _("checkpoint-{step} saved").format(step=step))
            case "eval" if not event.get("final"):
                self._settle("evaluate", int(_number(event.get("step")) or 0), _scored(event))
            case "run_finished":
                ended = _("the run has ended: {state}").format(state=formats.state(str(event.get("state"))))
                for action in ("stop", "abort"):
                    self._settle(action, None, ended)
                self._end()
            case "run_failed":
                self._end()

    def _answered(self, event: dict[str, Any]) -> None:
        action, step = str(event.get("action") or ""), int(_number(event.get("taken_at_step")) or 0)
        order = str(event.get("id") or "")
        if not order:
            self._own += 1
            order = f"own-{self._own}"
        known = self._orders.get(order) or Order(order, action, at=_number(event.get("ts")) or 0.0)
        by = known.by or {"signal": _("a signal"), "plan": _("the plan")}.get(str(event.get("by")), "")
        refused = event.get("refused")
        if refused:
            self._orders[order] = replace(known, state="refused", by=by, step=step, result=str(refused))
            return
        self._orders[order] = replace(known, state="taken", by=by, step=step, target=known.target or _target(event))
        if action == "stop_at":
            self._orders[order] = replace(self._orders[order], state="done", result=_target(event))
        if action == "continue":
            self._orders[order] = replace(self._orders[order], state="done", result=_("it goes on"))
            for key, one in self._orders.items():
                if one.action == "pause" and one.state == "taken":
                    self._orders[key] = replace(one, state="done", result=_("paused"))

    def _settle(self, action: str, step: int | None, result: str) -> None:
        for key, order in self._orders.items():
            # The run's state can be known as final before the event that tells how an order ended is read.
            open_still = order.state == "taken" or (order.state == "lapsed" and order.step is not None)
            if order.action == action and open_still and (step is None or step >= (order.step or 0)):
                self._orders[key] = replace(order, state="done", result=result)

    def _end(self) -> None:
        for key, order in self._orders.items():
            if not order.over:
                reason = _("the run ended first")
                self._orders[key] = replace(order, state="lapsed", result=reason)

    def follow(self, run: Run) -> None:
        """What the run's state says: a pause has come, or the run is over without a word."""
        if run.state == "paused":
            for key, order in self._orders.items():
                if order.action == "pause" and order.state == "taken":
                    self._orders[key] = replace(order, state="done", result=_("paused"))
        elif run.state in FINAL_STATES:
            self._end()

    def shown(self, run: Run, now: float, keep: float = 20.0) -> list[tuple[Order, str]]:
        """The orders to tell of now, newest first, with the word for their state.

        Those under way, the last one that ended, and those sent in the last `keep` seconds. While a run is paused, what
        it has taken waits.
        """
        every = self.orders[::-1]
        wanted = [order for index, order in enumerate(every) if index == 0 or not order.over or now - order.at < keep]
        return [(order, self._word(order, run)) for order in wanted]

    @staticmethod
    def _word(order: Order, run: Run) -> str:
        if order.state == "taken":
            if run.state == "paused" and order.action in ("save", "evaluate"):
                return _("waits for the end of the pause")
            return _("taken at step {step}").format(step=formats.count(order.step))
        if order.state == "done":
            return order.result
        if order.state == "refused":
            return _("refused: {reason}").format(reason=order.result)
        if order.state == "lapsed":
            return order.result
        return _("sent")


def _target(record: dict[str, Any]) -> str:
    """Where a `stop_at` order lets the run stop."""
    if record.get("action") != "stop_at":
        return ""
    parts = []
    step, epoch = _number(record.get("step")), _number(record.get("epoch"))
    if step is not None:
        parts.append(_("step {step}").format(step=formats.count(step)))
    if epoch is not None:
        parts.append(_("epoch {epoch}").format(epoch=f"{epoch:g}"))
    return ", ".join(parts) or _("taken back")


def _scored(event: dict[str, Any]) -> str:
    metrics = event.get("metrics")
    accuracy = _number(metrics.get("eval_accuracy")) if isinstance(metrics, dict) else None
    return _("{split} accuracy {value}").format(split=str(event.get("split") or "dev"), value=formats.number(accuracy))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
