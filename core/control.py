"""Orders to a running worker: `control.jsonl`, appended by anyone who may write the run directory."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

from core import formats
from core.errors import ControlError
from core.events import EVENTS_FILE, VERSION, append_line
from core.failures import is_disk_full
from core.i18n import gettext as _
from core.launch import CONTROL_FILE
from core.runs import FINAL_STATES, load_run, read_status
from core.tail import JsonlTail

ACTIONS = ("stop", "stop_at", "abort", "save", "evaluate", "pause", "continue")


def send_order(run_dir: Path, action: str, **fields: Any) -> str:
    """Append the order `action` (one of `ACTIONS`) for the run's worker; returns the order's id.

    `stop_at` takes `step` or `epoch`, the place where the run is to stop; without either it runs to its end.

    Raises ControlError when the run is over, so that no order waits for ever.
    """
    if action not in ACTIONS:
        raise ControlError(
            _("unknown order {action}").format(action=action), _("Orders are {names}.").format(names=", ".join(ACTIONS))
        )
    run = load_run(run_dir)
    if run.state in FINAL_STATES:
        raise ControlError(
            _("{run} is not running: {state}").format(run=run.id, state=formats.state(run.state)),
            _("Only a running worker takes orders."),
        )
    order = uuid.uuid4().hex[:12]
    record = {
        "v": VERSION,
        "ts": round(time.time(), 3),
        "id": order,
        "action": action,
        "by": os.environ.get("USER", ""),
        **fields,
    }
    try:
        append_line(run_dir / CONTROL_FILE, record)
    except OSError as error:
        raise ControlError(
            _("cannot write the order: {reason}").format(reason=error.strerror or error),
            _("Free room on that disk; SIGTERM to the worker stops it, too.")
            if is_disk_full(error)
            else _("You need write access to {path}.").format(path=run_dir),
        ) from error
    return order


def order_and_wait(run_dir: Path, action: str, timeout: float = 60.0, **fields: Any) -> dict[str, Any]:
    """Send the order and return the `order` event by which the worker took it.

    Raises ControlError when the worker refuses it, when the run ends first, or when nothing happens within
    `timeout` seconds.
    """
    events = JsonlTail(run_dir / EVENTS_FILE)
    while events.read() or events.pending:
        pass
    order = send_order(run_dir, action, **fields)
    deadline = time.monotonic() + timeout
    while True:
        ended = load_run(run_dir).state in FINAL_STATES
        for event in events.read():
            if event.get("type") == "order" and event.get("id") == order:
                if event.get("refused"):
                    raise ControlError(
                        _("the worker refused the order: {reason}").format(reason=event["refused"]),
                        _("`nsmc-tui show {run}` tells what it is doing.").format(run=run_dir.name),
                    )
                return event
        if ended and not events.pending:
            raise ControlError(
                _("the run ended before it took the order"),
                _("`nsmc-tui show {run}` tells how it ended.").format(run=run_dir.name),
            )
        if time.monotonic() > deadline:
            raise ControlError(
                _("the worker has not taken the order within {seconds:.0f} s").format(seconds=timeout),
                _("It takes orders between steps; `nsmc-tui watch {run}` shows whether it moves.").format(
                    run=run_dir.name
                ),
            )
        time.sleep(0.1)


class OrderReader:
    """The worker's side: gives the orders that came since the last call, for the price of a `stat`.

    A run that has lived before leaves the orders of that life alone (its status says where they end); a new one
    takes all, also those that were sent before its worker could read them.
    """

    def __init__(self, run_dir: Path) -> None:
        begin = read_status(run_dir).get("orders_from")
        self._tail = JsonlTail(run_dir / CONTROL_FILE, begin if isinstance(begin, int) else 0)

    def read(self) -> list[dict[str, Any]]:
        """New orders, unknown actions left out."""
        return [record for record in self._tail.read() if record.get("action") in ACTIONS]
