"""What is said of a warm-up that cannot do what it is for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from core import warmup
from core.config import TrainConfig


def trainer(warmup_steps: float, max_steps: int = -1) -> Any:
    """Two batches a step, ten steps an epoch."""
    args = SimpleNamespace(
        max_steps=max_steps, gradient_accumulation_steps=2, num_train_epochs=3, warmup_steps=warmup_steps
    )
    return SimpleNamespace(args=args, plan=lambda: range(20))


@pytest.mark.parametrize(
    ("steps", "max_steps", "told"), [(29, -1, False), (30, -1, True), (0.1, -1, False), (9, 9, True)]
)
def test_a_warmup_as_long_as_the_run_is_told(steps: float, max_steps: int, told: bool) -> None:
    found = warmup.problem(trainer(steps, max_steps), TrainConfig(warmup_steps=steps))
    assert (found is not None) is told
    if found is not None:
        assert str(30 if max_steps < 0 else max_steps) in found[0]


@pytest.mark.parametrize("schedule", warmup.WITHOUT_WARMUP)
def test_a_schedule_without_warmup_says_so_where_one_was_asked_for(schedule: str) -> None:
    for steps, told in ((0.1, True), (20, True), (0, False), (500, False)):
        train = TrainConfig(lr_scheduler_type=schedule, warmup_steps=steps)
        found = warmup.problem(trainer(steps), train)
        assert (found is not None) is told, steps


def test_schedules_without_warmup_are_those_of_transformers() -> None:
    """Seen from their first rates: one that warms up begins at nothing."""
    import torch
    from transformers import SchedulerType, get_scheduler

    from core.config_rules import SCHEDULE_NEEDS

    without = []
    for schedule in SchedulerType:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        given = {"num_decay_steps": 5, "min_lr_rate": 0.1}
        needed = {name: given[name] for name in SCHEDULE_NEEDS.get(schedule.value, ()) if name in given}
        get_scheduler(
            schedule, optimizer, num_warmup_steps=10, num_training_steps=40, scheduler_specific_kwargs=needed or None
        )
        if optimizer.param_groups[0]["lr"] == 1.0:
            without.append(schedule.value)
    assert sorted(without) == sorted(warmup.WITHOUT_WARMUP)
