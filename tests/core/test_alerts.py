"""Rules over events, one alert for one trouble."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import alert_settings
from core.alert_settings import AlertSettings, Thresholds
from core.alerts import AlertRules, alert_of

GIB = 1 << 30


def codes(rules: AlertRules, *events: dict[str, Any], now: float = 0.0) -> list[str]:
    return [alert.code for event in events for alert in rules.take(event, now)]


def step(loss: float | None, number: int = 1) -> dict[str, Any]:
    return {"type": "step", "step": number, "loss": loss}


def evaluation(value: float, number: int, **more: Any) -> dict[str, Any]:
    return {"type": "eval", "split": "dev", "step": number, "metrics": {"eval_accuracy": value}, **more}


def noisy(count: int, level: float = 0.3) -> list[dict[str, Any]]:
    return [step(level + 0.05 * math.sin(1.7 * n), n) for n in range(count)]


def test_a_spike_is_told_once_and_again_after_calm() -> None:
    rules = AlertRules(Thresholds())
    assert codes(rules, *noisy(60)) == []
    high = [step(3.0, 60), step(4.0, 61), step(2.9, 62)]
    assert codes(rules, *high) == ["loss_spike"]
    assert codes(rules, *noisy(10), *high) == []
    assert codes(rules, *noisy(60), *high) == ["loss_spike"]


CURVES: dict[str, list[float]] = json.loads(Path(__file__).with_name("loss_curves.json").read_text())


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(
    ("curve", "step_of_jump"), [("usual", None), ("two a batch", None), ("by heart", 104), ("rate too high", 401)]
)
def test_the_losses_of_real_runs_raise_an_alert_only_where_they_jump(
    curve: str, step_of_jump: int | None, steps: int
) -> None:
    """Losses of each step of small runs on NSMC, alone or as the mean of some: an event has what fits into its time.

    "usual" is three epochs over 6,000 reviews in batches of 16, "two a batch" four over 400. "by heart" sees 300 forty
    times: its loss is next to nothing, but for single batches, and once comes off for 25 steps. The learning rate of
    "rate too high" is a hundredfold for twenty steps from 400 on.
    """
    losses = CURVES[curve]
    means = [sum(losses[at : at + steps]) / steps for at in range(0, len(losses) - steps + 1, steps)]
    rules = AlertRules(Thresholds())
    told = [at * steps for at, loss in enumerate(means) if codes(rules, step(loss, at))]
    if step_of_jump is None:
        assert told == []
    elif steps == 1 or curve == "rate too high":
        assert len(told) == 1
        assert step_of_jump <= told[0] <= step_of_jump + 5 * steps + 5
    else:
        # In means of several steps it is not long enough to be told from single batches.
        assert len(told) <= 1


def test_a_new_level_of_the_loss_is_told_once() -> None:
    rules = AlertRules(Thresholds())
    assert codes(rules, *noisy(60), *noisy(300, level=3.0)) == ["loss_spike"]


def test_a_falling_loss_a_flat_one_and_few_steps_are_no_spike() -> None:
    falling = [step(0.7 * 0.99**n, n) for n in range(300)]
    assert codes(AlertRules(Thresholds()), *falling) == []
    assert codes(AlertRules(Thresholds()), *[step(0.5)] * 60, step(0.6)) == []
    assert codes(AlertRules(Thresholds()), *[step(0.5)] * 10, step(50.0)) == []
    assert codes(AlertRules(Thresholds(loss_spike=0)), *noisy(60), step(50.0)) == []


def test_a_plateau_counts_evaluations_without_a_better_one() -> None:
    rules = AlertRules(Thresholds(plateau=3))
    values = [0.80, 0.85, 0.85, 0.84, 0.85, 0.83, 0.86, 0.86, 0.85, 0.85]
    told = [codes(rules, evaluation(value, n)) for n, value in enumerate(values)]
    assert [n for n, one in enumerate(told) if one] == [4, 9]
    assert codes(rules, evaluation(0.1, 11, final=True)) == []


def test_the_plateau_is_of_the_metric_that_selects_the_model() -> None:
    rules = AlertRules(Thresholds(plateau=2))
    rules.take({"type": "run_started", "config": {"train": {"metric_for_best_model": "loss"}}}, 0)
    losses = [0.5, 0.4, 0.41, 0.42]
    events = [{"type": "eval", "split": "dev", "step": n, "metrics": {"eval_loss": v}} for n, v in enumerate(losses)]
    assert codes(rules, *events) == ["plateau"]


def test_no_progress_is_told_once_and_not_in_a_pause() -> None:
    rules = AlertRules(Thresholds(no_progress_minutes=1))
    assert rules.tick(10_000.0) == []
    rules.take(step(0.1, 1), 0.0)
    assert rules.tick(59.0) == []
    assert [alert.code for alert in rules.tick(61.0)] == ["no_progress"]
    assert rules.tick(500.0) == []
    rules.take({"type": "phase", "name": "evaluating", "done": 3}, 600.0)
    rules.take({"type": "phase", "name": "evaluating", "done": 3}, 659.0)
    assert [alert.code for alert in rules.tick(661.0)] == ["no_progress"]
    rules.take({"type": "order", "action": "pause"}, 700.0)
    rules.take(step(0.1, 2), 700.0)
    assert rules.tick(9_000.0) == []
    rules.take({"type": "order", "action": "continue"}, 9_000.0)
    assert rules.tick(9_030.0) == []
    assert len(rules.tick(9_061.0)) == 1


def test_memory_and_disk_are_told_when_they_fill_and_again_after_they_were_empty() -> None:
    rules = AlertRules(Thresholds())

    def gpu(used: float) -> dict[str, Any]:
        return {"type": "device", "index": 1, "memory_used": used * GIB, "memory_total": 100 * GIB, "processes": []}

    assert codes(rules, gpu(90), gpu(97.5), gpu(96), gpu(98), gpu(93), gpu(98)) == ["gpu_memory"]
    assert codes(rules, gpu(50), gpu(98)) == ["gpu_memory"]

    def host(used: float, free: float) -> dict[str, Any]:
        return {"type": "host", "memory_used": used, "memory_total": 100, "disk_free": free * GIB}

    assert codes(rules, host(96, 10), host(97, 10)) == ["host_memory"]
    assert codes(rules, host(10, 1.5), host(10, 2.5), host(10, 1.5)) == ["disk"]
    assert codes(rules, host(10, 4), host(10, 1)) == ["disk"]


def test_another_user_is_told_once_until_gone() -> None:
    rules = AlertRules(Thresholds())
    mine = {"pid": 1, "user": "lee", "memory": 1, "ours": True}
    own = {"pid": 2, "user": "lee", "memory": 1, "ours": False}
    other = {"pid": 3, "user": "kim", "memory": 3 * GIB, "ours": False}

    def device(*processes: dict[str, Any]) -> dict[str, Any]:
        return {"type": "device", "index": 0, "memory_used": 1, "memory_total": 100, "processes": list(processes)}

    assert codes(rules, device(mine, own)) == []
    assert codes(rules, device(mine, other), device(mine), device(mine, other)) == ["gpu_shared"]
    assert codes(rules, *[device(mine)] * 8, device(mine, other)) == ["gpu_shared"]
    assert codes(AlertRules(Thresholds(other_users=False)), device(mine, other)) == []


def test_ends_of_runs_are_alerts() -> None:
    ended = alert_of({"type": "run_finished", "state": "finished", "ts": 5.0, "metrics": {"test_accuracy": 0.9}})
    assert ended is not None
    assert (ended.code, ended.level, ended.ts) == ("finished", "info", 5.0)
    assert "0.9000" in ended.message
    failed = alert_of({"type": "run_failed", "error": "data", "message": "no file", "hint": "make one"})
    assert failed is not None
    assert (failed.code, failed.level, failed.message, failed.hint) == ("failed", "error", "no file", "make one")
    assert alert_of({"type": "step"}) is None


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ("step", "loss", "metrics", "split", "config", "processes", "memory_used", "memory_total", "index", "done")
TYPES = ("step", "eval", "device", "host", "run_started", "phase", "order", "run_finished", "run_failed", "alert")


@given(st.lists(st.fixed_dictionaries({"type": st.sampled_from(TYPES)}, optional=dict.fromkeys(KEYS, anything))))
def test_no_event_however_odd_breaks_the_rules(events: list[dict[str, Any]]) -> None:
    rules = AlertRules(Thresholds())
    for moment, event in enumerate(events):
        rules.take(event, float(moment))
        rules.tick(float(moment))
        alert_of(event)


def test_settings_are_read_and_bad_ones_told() -> None:
    settings, problems = alert_settings.read({})
    assert settings == AlertSettings()
    assert not problems
    assert settings.command == ()
    assert settings.webhook == ""
    table = {"command": "notify-me --to 'a b' $HOME", "plateau": 2, "webhook": "file:///etc/passwd", "nonsense": 1}
    settings, problems = alert_settings.read({"alerts": {**table, "gpu_memory": "much"}})
    assert settings.command == ("notify-me", "--to", "a b", "$HOME")
    assert settings.plateau == 2
    assert settings.webhook == ""
    assert settings.gpu_memory == AlertSettings().gpu_memory
    assert len(problems) == 3
    assert alert_settings.read({"alerts": 3})[1]


@pytest.mark.parametrize(
    ("level", "code", "sent"), [("info", "checkpoint", False), ("warning", "x", True), ("info", "finished", True)]
)
def test_which_alerts_are_sent(level: str, code: str, sent: bool) -> None:
    assert AlertSettings().sends(level, code) is sent
