"""What becomes of orders: pending, taken, done; and those of others, of earlier lives, of runs that end first."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from core import control
from core.order_log import OrderLog
from core.orders import Aborted, Orders
from core.recorder import Recorder
from core.runs import Run, create_run_dir, load_run, process_start, write_status
from core.tail import JsonlTail


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    path = create_run_dir(tmp_path, "ordered")
    me = os.getpid()
    write_status(path, {"state": "running", "pid": me, "pid_start": process_start(me), "host": os.uname().nodename})
    return path


class Story:
    """A run's worker side (real orders and recorder) and a reader of it."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.recorder = Recorder(run_dir)
        self.recorder.set_state("running")
        self.orders = Orders(run_dir, self.recorder)
        self.log = OrderLog(run_dir)
        self._tail = JsonlTail(run_dir / "events.jsonl")

    @property
    def run(self) -> Run:
        return load_run(self.run_dir)

    def look(self) -> list[tuple[str, str, str]]:
        self.log.read()
        for event in self._tail.read():
            self.log.take(event)
        self.log.follow(self.run)
        shown = {order.id: word for order, word in self.log.shown(self.run, time.time())}
        return [(order.action, order.state, shown.get(order.id, "")) for order in self.log.orders]


def test_a_save_goes_from_pending_over_taken_to_done(run_dir: Path) -> None:
    story = Story(run_dir)
    control.send_order(run_dir, "save")
    assert story.look() == [("save", "pending", "sent")]
    story.orders.take(7)
    assert story.look() == [("save", "taken", "taken at step 7")]
    story.recorder.emit("checkpoint", step=7, path="x", metric=None, best=False)
    assert story.look() == [("save", "done", "checkpoint-7 saved")]


def test_an_evaluation_waits_while_paused_and_then_has_a_score(run_dir: Path) -> None:
    story = Story(run_dir)
    control.send_order(run_dir, "pause")
    control.send_order(run_dir, "evaluate")
    story.orders.take(3)
    assert story.look() == [
        ("pause", "done", "paused"),
        ("evaluate", "taken", "waits for the end of the pause"),
    ]
    control.send_order(run_dir, "continue")
    story.orders.take(3)
    assert story.look()[1:] == [("evaluate", "taken", "taken at step 3"), ("continue", "done", "it goes on")]
    story.recorder.emit("eval", step=3, split="dev", metrics={"eval_accuracy": 0.875})
    assert story.look()[1] == ("evaluate", "done", "dev accuracy 0.8750")


def test_an_order_without_effect_is_refused_with_the_reason(run_dir: Path) -> None:
    story = Story(run_dir)
    story.orders.can_evaluate = False
    control.send_order(run_dir, "evaluate")
    story.orders.take(3)
    assert story.look() == [("evaluate", "refused", "refused: there is no dev split to score")]
    control.send_order(run_dir, "stop")
    control.send_order(run_dir, "pause")
    story.orders.take(4)
    assert story.look()[1:] == [
        ("stop", "taken", "taken at step 4"),
        ("pause", "refused", "refused: the run is stopping"),
    ]
    story.recorder.set_state("stopped")
    story.recorder.emit("run_finished", state="stopped", metrics={})
    assert story.look()[1] == ("stop", "done", "the run has ended: stopped")


def test_an_abort_by_a_second_signal_is_told_as_an_order(run_dir: Path) -> None:
    story = Story(run_dir)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    story.orders.listen()
    try:
        story.orders.take(7)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Aborted):
            signal.raise_signal(signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    story.orders.tell_abort()
    assert story.look() == [("abort", "taken", "taken at step 7")]
    assert story.log.orders[-1].by == "a signal"


def test_a_first_stop_after_the_plans_own_aborts_nothing(run_dir: Path) -> None:
    story = Story(run_dir)
    story.orders.stop_at_step = 6
    story.orders.reached(6, 0.1)
    control.send_order(run_dir, "stop")
    story.orders.take(6)
    assert [(action, word) for action, _state, word in story.look()] == [("stop", "taken at step 6")] * 2
    control.send_order(run_dir, "stop")
    with pytest.raises(Aborted):
        story.orders.take(6)


def test_an_abort_by_an_order_is_told_once(run_dir: Path) -> None:
    story = Story(run_dir)
    control.send_order(run_dir, "abort")
    with pytest.raises(Aborted):
        story.orders.take(7)
    story.orders.tell_abort()
    assert story.look() == [("abort", "taken", "taken at step 7")]


def test_stop_at_tells_where(run_dir: Path) -> None:
    story = Story(run_dir)
    control.send_order(run_dir, "stop_at", step=3000)
    story.orders.take(5)
    assert story.look() == [("stop_at", "done", "step 3,000")]
    control.send_order(run_dir, "stop_at")
    story.orders.take(6)
    assert story.look()[1] == ("stop_at", "done", "taken back")
    story.orders.stop_at_step = 6
    story.orders.reached(6, 0.1)
    (last,) = story.look()[2:]
    assert last == ("stop", "taken", "taken at step 6")
    assert story.log.orders[-1].by == "the plan"


def test_orders_of_others_are_seen_with_their_names(run_dir: Path) -> None:
    story = Story(run_dir)
    with (run_dir / "control.jsonl").open("a") as file:
        file.write('{"v":1,"ts":1.0,"id":"x","action":"save","by":"kim"}\n{"action":"dance"}\nno json\n')
    assert story.look() == [("save", "pending", "sent")]
    assert story.log.orders[0].by == "kim"


def test_a_run_that_ends_first_leaves_orders_untaken(run_dir: Path) -> None:
    story = Story(run_dir)
    control.send_order(run_dir, "save")
    story.recorder.set_state("failed")
    story.recorder.emit("run_failed", message="x")
    assert story.look() == [("save", "lapsed", "the run ended first")]


def test_a_state_known_before_the_event_does_not_hide_how_an_order_ended(run_dir: Path) -> None:
    story = Story(run_dir)
    control.send_order(run_dir, "stop")
    story.orders.take(7)
    story.recorder.set_state("stopped")
    assert story.look() == [("stop", "lapsed", "the run ended first")]
    story.recorder.emit("run_finished", state="stopped")
    assert story.look() == [("stop", "done", "the run has ended: stopped")]


def test_orders_of_an_earlier_life_are_forgotten(run_dir: Path) -> None:
    story = Story(run_dir)
    control.send_order(run_dir, "save")
    story.orders.take(3)
    story.look()
    story.recorder.emit("run_started", run_id="x", config={}, environment={}, resumed_from=2)
    assert story.look() == []


def test_a_refused_order_fails_the_command(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(run_dir)
    story.orders.can_evaluate = False
    sent: list[Any] = []
    send = control.send_order

    def send_and_take(*arguments: Any, **fields: Any) -> str:
        sent.append(send(*arguments, **fields))
        story.orders.take(1)
        return str(sent[-1])

    monkeypatch.setattr(control, "send_order", send_and_take)
    with pytest.raises(control.ControlError, match="no dev split"):
        control.order_and_wait(run_dir, "evaluate", timeout=10)


@pytest.mark.parametrize(
    "place", [{"step": "12"}, {"step": [1]}, {"step": True}, {"step": 0}, {"step": 2.5}, {"epoch": "x"}, {"epoch": -1}]
)
def test_a_place_to_stop_that_is_none_is_refused_and_the_run_goes_on(run_dir: Path, place: dict[str, Any]) -> None:
    """Anyone may write the file."""
    story = Story(run_dir)
    control.append_line(run_dir / control.CONTROL_FILE, {"id": "a", "action": "stop_at", **place})
    story.orders.take(7)
    story.orders.reached(8, 0.9)
    assert not story.orders.stop
    (event,) = JsonlTail(run_dir / "events.jsonl").read()
    assert event["refused"]


def test_places_to_stop_are_taken(run_dir: Path) -> None:
    story = Story(run_dir)
    control.send_order(run_dir, "stop_at", epoch=0.5)
    story.orders.take(7)
    assert story.orders.stop_at_epoch == 0.5
    control.send_order(run_dir, "stop_at", step=9)
    story.orders.take(8)
    assert (story.orders.stop_at_step, story.orders.stop_at_epoch) == (9, None)
    control.send_order(run_dir, "stop_at")
    story.orders.take(9)
    assert (story.orders.stop_at_step, story.orders.stop_at_epoch) == (None, None)
