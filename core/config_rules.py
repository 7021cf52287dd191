"""Settings that are fine one by one and do not go together: refused before anything is started.

Light. Single values are in `core.hf_limits`, settings that the others leave without effect in `core.idle_settings`.
"""

from __future__ import annotations

from typing import Any

from core.config import RunConfig
from core.errors import ConfigError
from core.hf_choices import schedule_settings
from core.hf_limits import refusal
from core.i18n import gettext as _

# Optimizers of transformers that choose their own parameter groups (`Trainer.get_optimizer_cls_and_kwargs`).
OWN_GROUPS = ("galore", "apollo", "lomo", "adalomo", "muon", "dion")
DEFAULT_STEPS = 500.0
# The task is ours: two classes, negative and positive, and their logits.
OWN_SETTINGS = ("num_labels", "id2label", "label2id", "problem_type", "output_attentions", "output_hidden_states")
# Schedules that cannot do without one of these in `lr_scheduler_kwargs` (transformers/optimization.py).
SCHEDULE_NEEDS = {
    "cosine_with_min_lr": ("min_lr", "min_lr_rate"),
    "cosine_warmup_with_min_lr": ("min_lr", "min_lr_rate"),
    "warmup_stable_decay": ("num_decay_steps",),
}


def check(config: RunConfig, file: str = "") -> None:
    """Refuse combinations in which a setting would have no effect, or fail late. Raises ConfigError."""
    rules = (
        *(_labels, _architecture, _precision, _intervals, _best, _scheduler, _workers, _batches, _weights, _stopping),
        *(_layers, _processes, _schedule_settings, _backend),
    )
    for rule in rules:
        found = rule(config)
        if found is not None:
            found.file = file
            raise found


def _labels(config: RunConfig) -> ConfigError | None:
    data = config.data
    if data.negative_label.strip() == data.positive_label.strip():
        return refusal(
            "positive_label",
            data.positive_label,
            _("data.negative_label is the same"),
            _("Give the two values that stand in the label column."),
            section="data",
        )
    return None


def _architecture(config: RunConfig) -> ConfigError | None:
    for key, value in config.model.config.items():
        if key in OWN_SETTINGS:
            return refusal(
                f"config.{key}",
                value,
                _("a model here has two classes and gives their logits"),
                _("The classes are negative and positive; data.negative_label and data.positive_label map yours."),
                section="model",
            )
    return None


def _weights(config: RunConfig) -> ConfigError | None:
    weights = config.train.class_weights
    if weights not in ("none", "balanced") and not any(float(weight) for weight in weights.split(",")):
        return refusal(
            "class_weights",
            weights,
            _("every train review would weigh nothing"),
            _("Give two numbers of which at least one is above zero, such as 1, 2.5."),
        )
    return None


def _precision(config: RunConfig) -> ConfigError | None:
    extra = config.train.extra
    for first, second in (("fp16", "bf16"), ("fp16_full_eval", "bf16_full_eval")):
        if extra.get(first) and extra.get(second):
            return refusal(
                first,
                True,
                _("{other} is set as well").format(other=second),
                _("Choose one; bf16 where the GPU has it."),
            )
    if config.launch.device == "cpu":
        for field in ("fp16", "fp16_full_eval", "tf32"):
            if extra.get(field):
                return refusal(field, True, _("it needs a GPU"), _("Leave it out, or leave launch.device out."))
    elif config.launch.device is not None and extra.get("use_cpu"):
        return refusal(
            "use_cpu",
            True,
            _("launch.device = {device!r} asks for a GPU").format(device=config.launch.device),
            _('Leave it out; launch.device = "cpu" is how to train without a GPU.'),
        )
    return None


def _steps(extra: dict[str, Any], field: str) -> float:
    logging = float(extra.get("logging_steps", DEFAULT_STEPS))
    default = logging if field == "eval_steps" else DEFAULT_STEPS
    return float(extra.get(field) or default)


def _intervals(config: RunConfig) -> ConfigError | None:
    train = config.train
    if not (train.load_best_model_at_end and train.eval_strategy == train.save_strategy == "steps"):
        return None
    evaluate, save = _steps(train.extra, "eval_steps"), _steps(train.extra, "save_steps")
    # transformers compares shares as millionths.
    scale = 1_000_000 if evaluate < 1 and save < 1 else 1
    mixed = (evaluate < 1) != (save < 1)
    if (mixed and save % evaluate) or (not mixed and (save * scale) % (evaluate * scale)):
        return refusal(
            "save_steps",
            save if save < 1 else int(save),
            _("load_best_model_at_end needs a multiple of eval_steps, which is {n:g}").format(n=evaluate),
            _("Give eval_steps and save_steps the same value."),
        )
    return None


def _best(config: RunConfig) -> ConfigError | None:
    train = config.train
    greater = train.extra.get("greater_is_better")
    right = train.metric_for_best_model != "loss"
    if greater is not None and greater is not right:
        return refusal(
            "greater_is_better",
            greater,
            _("the worst checkpoint by {metric} would count as the best").format(metric=train.metric_for_best_model),
            _("Leave it out: it follows from train.metric_for_best_model."),
        )
    return None


def _scheduler(config: RunConfig) -> ConfigError | None:
    train = config.train
    if train.lr_scheduler_type in ("reduce_lr_on_plateau", "greedy") and train.eval_strategy == "no":
        return refusal(
            "lr_scheduler_type",
            train.lr_scheduler_type,
            _("it goes by evaluations, and there are none"),
            _('Set train.eval_strategy to "epoch" or "steps".'),
        )
    needed = SCHEDULE_NEEDS.get(train.lr_scheduler_type, ())
    given = train.extra.get("lr_scheduler_kwargs") or {}
    if needed and isinstance(given, dict) and not any(name in given for name in needed):
        return refusal(
            "lr_scheduler_type",
            train.lr_scheduler_type,
            _("it needs {names} in lr_scheduler_kwargs").format(names=" / ".join(needed)),
            _("For example: --set train.lr_scheduler_kwargs.{name}={value}").format(
                name=needed[-1], value=0.1 if needed[-1] == "min_lr_rate" else 100
            ),
        )
    return None


def _schedule_settings(config: RunConfig) -> ConfigError | None:
    train = config.train
    given = train.extra.get("lr_scheduler_kwargs")
    known = schedule_settings(train.lr_scheduler_type)
    if not isinstance(given, dict) or known is None:
        return None
    for name in given:
        if name not in known:
            return refusal(
                "lr_scheduler_kwargs",
                given,
                _("the schedule {schedule} has no setting {name}").format(schedule=train.lr_scheduler_type, name=name),
                _("It knows {names}.").format(names=", ".join(known))
                if known
                else _("It has none: leave lr_scheduler_kwargs out."),
            )
    return None


def _backend(config: RunConfig) -> ConfigError | None:
    backend = config.train.extra.get("ddp_backend")
    if config.launch.device != "cpu" or backend in (None, "gloo", "mpi", "ccl"):
        return None
    return refusal(
        "ddp_backend",
        backend,
        _("processes without a GPU cannot talk by it"),
        _("Leave it out: on CPUs gloo is used, on GPUs nccl."),
    )


def _workers(config: RunConfig) -> ConfigError | None:
    extra = config.train.extra
    if extra.get("dataloader_num_workers", 0) != 0:
        return None
    for field in ("dataloader_prefetch_factor", "dataloader_persistent_workers", "dataloader_multiprocessing_context"):
        if extra.get(field):
            return refusal(
                field,
                extra[field],
                _("there are no loading processes"),
                _("Leave it out, or set train.dataloader_num_workers above 0."),
            )
    return None


def _batches(config: RunConfig) -> ConfigError | None:
    train = config.train
    if train.max_tokens is None:
        return None
    if train.train_sampling_strategy != "group_by_length":
        return refusal(
            "max_tokens",
            train.max_tokens,
            _("batches by tokens are made of reviews of about the same length"),
            _('Set train.train_sampling_strategy to "group_by_length", or leave max_tokens out.'),
        )
    if train.max_tokens < config.data.max_length:
        return refusal(
            "max_tokens",
            train.max_tokens,
            _("a single review may have data.max_length = {n} tokens").format(n=config.data.max_length),
            _("Raise max_tokens (2048 is a start), or lower data.max_length."),
        )
    return None


def _stopping(config: RunConfig) -> ConfigError | None:
    train = config.train
    if train.early_stopping_patience and train.eval_strategy == "no":
        return refusal(
            "early_stopping_patience",
            train.early_stopping_patience,
            _("it counts evaluations, and there are none"),
            _('Set train.eval_strategy to "epoch" or "steps", or the patience to 0.'),
        )
    if train.early_stopping_threshold and not train.early_stopping_patience:
        return refusal(
            "early_stopping_threshold",
            train.early_stopping_threshold,
            _("train.early_stopping_patience is 0: nothing stops early"),
            _("Set the patience to a number of evaluations, or leave the threshold out."),
        )
    return None


def _layers(config: RunConfig) -> ConfigError | None:
    train = config.train
    if train.layer_lr_decay == 1:
        return None
    optimizer = str(train.extra.get("optim", ""))
    if optimizer.startswith(OWN_GROUPS):
        return refusal(
            "layer_lr_decay",
            train.layer_lr_decay,
            _("the optimizer {name} sets its own rates").format(name=optimizer),
            _("Take adamw_torch_fused, or set layer_lr_decay to 1."),
        )
    if config.model.freeze == "encoder":
        return refusal(
            "layer_lr_decay",
            train.layer_lr_decay,
            _('model.freeze = "encoder" leaves only the head to learn'),
            _("Set layer_lr_decay to 1, or freeze less."),
        )
    return None


def _processes(config: RunConfig) -> ConfigError | None:
    launch = config.launch
    if launch.nodes > 1 and launch.rdzv_endpoint is None:
        return refusal(
            "nodes",
            launch.nodes,
            _("the machines do not know where to meet"),
            _('Set launch.rdzv_endpoint to a host and a port of one of them, such as "gpu1:29500".'),
            section="launch",
        )
    devices = launch.device.count(",") + 1 if launch.device and launch.device[0].isdigit() else None
    if devices is not None and launch.processes > devices:
        return refusal(
            "processes",
            launch.processes,
            _("launch.device = {device!r} names fewer GPUs").format(device=launch.device),
            _("Name a GPU for each process, or start fewer processes."),
            section="launch",
        )
    return None
