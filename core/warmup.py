"""What is wrong with a run's warm-up, told once its steps can be counted. Light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import TrainConfig
from core.i18n import gettext as _

if TYPE_CHECKING:
    from core.trainer import ReviewTrainer

# What transformers gives to the functions of these schedules does not hold warmup_steps.
WITHOUT_WARMUP = ("constant", "reduce_lr_on_plateau", "greedy")


def problem(trainer: ReviewTrainer, train: TrainConfig) -> tuple[str, str] | None:
    """Message and hint where the schedule has no warm-up, or one as long as the run; None where all is well."""
    if train.lr_scheduler_type in WITHOUT_WARMUP:
        # Whether somebody has asked for the usual number cannot be told any more.
        if train.warmup_steps in (0, TrainConfig().warmup_steps):
            return None
        return (
            _("the schedule {schedule} has no warm-up: train.warmup_steps has no effect").format(
                schedule=train.lr_scheduler_type
            ),
            _("constant_with_warmup, linear and cosine have one."),
        )
    arguments = trainer.args
    steps = arguments.max_steps
    if steps <= 0:
        batches = len(trainer.plan())
        steps = int(-(-batches // arguments.gradient_accumulation_steps) * arguments.num_train_epochs)
    if not 0 < steps <= arguments.warmup_steps:
        return None
    return (
        _("warm-up takes {warmup:.0f} steps, the whole run {steps}").format(warmup=arguments.warmup_steps, steps=steps),
        _("The learning rate never reaches its highest; try train.warmup_steps = 0.1."),
    )
