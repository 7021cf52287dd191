"""Settings that nothing reads, given what the others say: refused before anything is started.

Light. Read in transformers 5.17 to 5.23: `trainer.py`, `trainer_optimizer.py`, `training_args.py` and the reporters.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.config import RunConfig
from core.hf_args import hf_fields
from core.hf_limits import BY_HAND, NO_PUSH, refusal, wanted_reporters
from core.i18n import N_
from core.i18n import gettext as _


@dataclass(frozen=True)
class Idle:
    """`[train]` fields of which nothing is read where `idle(config)`, why, and the way out."""

    fields: tuple[str, ...]
    idle: Callable[[RunConfig], bool]
    reason: str
    hint: str


TRACKIO = ("project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id")
# Optimizers whose settings transformers makes without Adam's.
_NO_ADAM = ("adafactor", "sgd", "adagrad", "rmsprop*", "galore_*", "*lomo", "grokadamw", "schedule_free_sgd")
_NO_EPSILON = (*_NO_ADAM, "lion_*", "paged_lion_*")
# Those that read nothing of `optim_args`.
_NO_ARGUMENTS = (
    *("adamw_torch", "adamw_torch_fused", "adamw_torch_xla", "adamw_torch_npu_fused", "adafactor", "*lomo"),
    *("adamw_bnb_8bit", "adamw_8bit", "paged_adamw*", "lion_*", "paged_lion_*"),
)
# And what torch's own read of it.
_ARGUMENTS = {
    "sgd": ("momentum", "dampening", "weight_decay", "nesterov"),
    "adagrad": ("lr_decay", "weight_decay", "eps"),
    "rmsprop": ("momentum", "alpha", "eps", "weight_decay", "centered"),
}
# Those that look for the modules named by `optim_target_modules`.
_TARGETED = ("galore_*", "apollo_*")


def reports_to(config: RunConfig, name: str) -> bool:
    """Whether the reporter `name` may be among those of `train.report_to`."""
    return bool({name, "all"} & set(wanted_reporters(config)))


def optimizer(config: RunConfig) -> str:
    """The optimizer's name."""
    return str(config.train.extra.get("optim") or "adamw_torch_fused")


def _optimizer_is(*patterns: str) -> Callable[[RunConfig], bool]:
    return lambda config: any(fnmatch.fnmatchcase(optimizer(config), pattern) for pattern in patterns)


def _other_strategy(field: str) -> Callable[[RunConfig], bool]:
    """Whether the strategy `field` counts neither steps nor anything at all."""
    return lambda config: config.train.model_dump().get(field, "steps") not in ("steps", "no")


def _has_space(config: RunConfig) -> bool:
    return bool(config.train.extra.get("trackio_space_id") or os.environ.get("TRACKIO_SPACE_ID"))


def _alone(config: RunConfig) -> bool:
    return config.launch.processes * config.launch.nodes == 1


def _checkpointing(config: RunConfig) -> bool:
    extra = config.train.extra
    return bool(extra.get("activation_checkpointing") or extra.get("gradient_checkpointing"))


_LEAVE_OUT = N_("Leave it out.")
_BY_STEPS = N_('Set the strategy to "steps", or leave it out.')
_ONE = N_("there is one process")
_CPU = N_("there is no GPU")

IDLE = (
    Idle(
        TRACKIO,
        lambda config: not reports_to(config, "trackio"),
        N_("only trackio reads it, and train.report_to does not name it"),
        N_('Set train.report_to to "trackio", or leave it out.'),
    ),
    Idle(
        ("trackio_space_id",),
        lambda config: config.launch.offline,
        N_("launch.offline keeps the run off the Hub"),
        N_("Leave one of the two out: without a Space, trackio writes into the run's directory."),
    ),
    Idle(
        ("trackio_bucket_id", "trackio_static_space_id"),
        lambda config: not _has_space(config),
        N_("there is no Space that it would belong to"),
        N_("Set train.trackio_space_id, or leave it out."),
    ),
    Idle(("hub_private_repo",), lambda config: not _has_space(config), NO_PUSH, BY_HAND),
    Idle(
        ("run_name",),
        lambda config: not wanted_reporters(config),
        N_("only reporters read it, and train.report_to names none"),
        N_("launch.name is the run's name here."),
    ),
    Idle(("eval_steps",), _other_strategy("eval_strategy"), N_("train.eval_strategy does not count steps"), _BY_STEPS),
    Idle(("save_steps",), _other_strategy("save_strategy"), N_("train.save_strategy does not count steps"), _BY_STEPS),
    Idle(
        ("logging_steps",),
        _other_strategy("logging_strategy"),
        N_("train.logging_strategy does not count steps"),
        _BY_STEPS,
    ),
    Idle(
        ("adam_beta1", "adam_beta2"),
        _optimizer_is(*_NO_ADAM),
        N_("the chosen optimizer reads nothing of it"),
        N_("Leave it out, or take an Adam for train.optim."),
    ),
    Idle(
        ("adam_epsilon",),
        _optimizer_is(*_NO_EPSILON),
        N_("the chosen optimizer reads nothing of it"),
        N_("Leave it out, or take an Adam for train.optim."),
    ),
    Idle(
        ("optim_args",),
        _optimizer_is(*_NO_ARGUMENTS),
        N_("the chosen optimizer reads nothing of it"),
        N_("Its settings are train.adam_beta1, adam_beta2, adam_epsilon and weight_decay."),
    ),
    Idle(
        ("optim_target_modules",),
        lambda config: not _optimizer_is(*_TARGETED)(config),
        N_("the chosen optimizer treats all modules alike"),
        N_("Leave it out, or choose a galore or apollo optimizer."),
    ),
    Idle(
        (
            *("ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_static_graph"),
            *("ddp_backend", "ddp_timeout", "log_level_replica", "accelerator_config"),
        ),
        _alone,
        _ONE,
        N_("Leave it out, or set launch.processes above 1."),
    ),
    Idle(("log_on_each_node",), lambda config: config.launch.nodes == 1, N_("there is one machine"), _LEAVE_OUT),
    Idle(
        ("ddp_timeout",),
        lambda config: config.launch.device == "cpu",
        N_("transformers sets it for GPUs only"),
        _LEAVE_OUT,
    ),
    Idle(("torch_empty_cache_steps",), lambda config: config.launch.device == "cpu", _CPU, _LEAVE_OUT),
    Idle(
        ("activation_checkpointing_kwargs", "gradient_checkpointing_kwargs"),
        lambda config: not _checkpointing(config),
        # The name that every version allowed has.
        N_("train.gradient_checkpointing is off"),
        N_("Set train.gradient_checkpointing to true, or leave it out."),
    ),
    Idle(
        ("liger_kernel_config",),
        lambda config: not config.train.extra.get("use_liger_kernel"),
        N_("train.use_liger_kernel is off"),
        _LEAVE_OUT,
    ),
    Idle(("use_liger_kernel",), lambda config: config.launch.device == "cpu", _CPU, _LEAVE_OUT),
    Idle(
        ("use_liger_kernel",),
        lambda config: config.model.preset is not None,
        N_("Liger has no kernels for BERT, which presets are"),
        _LEAVE_OUT,
    ),
    Idle(
        ("data_seed",),
        lambda config: config.train.train_sampling_strategy == "sequential",
        N_("reviews are taken in their order"),
        _LEAVE_OUT,
    ),
)


def check(config: RunConfig, file: str = "") -> None:
    """Refuse settings that would have no effect. Raises ConfigError with the field, the reason and the way out."""
    extra = config.train.extra
    for rule in IDLE:
        for field in rule.fields:
            if field in extra and not _is_default(field, extra[field]) and rule.idle(config):
                raise refusal(field, extra[field], _(rule.reason), _(rule.hint), file)
    _check_optimizer_arguments(config, file)


def _is_default(field: str, value: Any) -> bool:
    known = hf_fields().get(field)
    default = known.default if known is not None else None
    return value == default or (value in (None, False, "", {}, []) and not default)


def _check_optimizer_arguments(config: RunConfig, file: str) -> None:
    given = config.train.extra.get("optim_args")
    if not given:
        return
    parts = [part.split("=") for part in str(given).replace(" ", "").split(",")]
    known = _ARGUMENTS.get(optimizer(config))
    example = _("Write it as {example}.").format(example='"momentum=0.9, nesterov=true"')
    if any(len(part) != 2 or not all(part) for part in parts):
        raise refusal("optim_args", given, _("it is no list of NAME=VALUE"), example, file)
    for name, _value in parts:
        if known is not None and name not in known:
            raise refusal(
                "optim_args",
                given,
                _("the optimizer {name} has no setting {setting}").format(name=optimizer(config), setting=name),
                _("It knows {names}.").format(names=", ".join(known)),
                file,
            )
