"""Settings that `TrainingArguments` accepts and then ignores, turns into nothing, or trips over hours later.

Light. What each value does was read in, or tried on, transformers 5.17 to 5.23; combinations of settings are
in `core.config_rules`.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.config import RunConfig
from core.errors import ConfigError
from core.hf_args import training_arguments_source
from core.hf_choices import COMPILE_MODES, compile_backends
from core.i18n import N_
from core.i18n import gettext as _

# numpy and Python's `random` share it; torch alone would take more.
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Limit:
    """A value of one `[train]` field that is refused: `broken(value)`, why, and the way out."""

    field: str
    broken: Callable[[Any], bool]
    reason: str
    hint: str


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _no_interval(value: Any) -> bool:
    return _is_number(value) and (value <= 0 or (value > 1 and value != int(value)))


def _below(limit: float) -> Callable[[Any], bool]:
    return lambda value: _is_number(value) and value < limit


def _outside_share(value: Any) -> bool:
    return _is_number(value) and not 0 <= value < 1


def _no_seed(value: Any) -> bool:
    return _is_number(value) and not 0 <= value <= LARGEST_SEED


def _broken_warmup(value: Any) -> bool:
    return _is_number(value) and value > 1 and value != int(value)


_INTERVAL = N_("Give a whole number of steps, or a share of all steps below 1.")
_SEED = N_("Give a whole number from 0 to 4294967295.")
_COUNT = N_("Give a whole number above 0, or leave it out.")

_WHOLE = N_("evaluation, checkpoints and resuming take whole models")
_SEVERAL = N_("Leave it out: launch.processes trains on several GPUs, each with the whole model.")
_PUSH = N_("it would push the newest checkpoint, not the model that the run stands for")
NO_PUSH = N_("nothing is pushed to the Hub")
BY_HAND = N_("Leave it out; when the run is over: `hf upload NAME RUN/model`.")

LIMITS = (
    *(Limit(field, bool, _WHOLE, _SEVERAL) for field in ("fsdp", "fsdp_config", "deepspeed")),
    Limit("push_to_hub", bool, _PUSH, BY_HAND),
    *(
        Limit(field, bool, NO_PUSH, BY_HAND)
        for field in ("hub_model_id", "hub_strategy", "hub_always_push", "hub_revision")
    ),
    Limit(
        "save_on_each_node",
        bool,
        N_("the machines of a run share its directory and would write the same files"),
        N_("Leave it out."),
    ),
    Limit(
        "eval_use_gather_object",
        bool,
        N_("predictions of several processes are put in order in one way only"),
        N_("Leave it out."),
    ),
    Limit(
        "accelerator_config",
        lambda value: bool(value) and not (isinstance(value, dict) and set(value) <= {"gradient_accumulation_kwargs"}),
        N_("batches are made and dealt out by nsmc-tui"),
        N_("Leave it out; of its settings only gradient_accumulation_kwargs has an effect here."),
    ),
    Limit("logging_steps", _no_interval, N_("nothing would be logged, or the run would fail late"), _INTERVAL),
    Limit("save_steps", _no_interval, N_("no checkpoint would be saved, or the run would fail late"), _INTERVAL),
    Limit("eval_steps", _no_interval, N_("another interval would be taken, or the run would fail late"), _INTERVAL),
    Limit("eval_delay", _below(0), N_("it would be ignored"), N_("Give epochs or steps from 0 on, as eval_strategy.")),
    Limit(
        "eval_accumulation_steps",
        lambda value: True,
        N_("predictions here are two numbers a review, and leave the GPU once, at the end"),
        N_("Leave it out: no evaluation needs it."),
    ),
    Limit(
        "max_steps",
        lambda value: value == 0,
        N_("transformers takes one step and calls the run finished"),
        N_("Give a number above 0, or -1 to go by num_train_epochs."),
    ),
    Limit(
        "warmup_steps",
        _broken_warmup,
        N_("its fraction would be cut off"),
        N_("Give a whole number of steps, or a share of all steps below 1."),
    ),
    Limit("adam_beta1", _outside_share, N_("it must be at least 0 and below 1"), N_("The usual value is 0.9.")),
    Limit("adam_beta2", _outside_share, N_("it must be at least 0 and below 1"), N_("The usual value is 0.999.")),
    Limit(
        "adam_epsilon",
        lambda value: _is_number(value) and value <= 0,
        N_("steps would be divided by zero"),
        N_("The usual value is 1e-8."),
    ),
    Limit("seed", _no_seed, N_("numpy takes no such seed"), _SEED),
    Limit("data_seed", _no_seed, N_("numpy takes no such seed"), _SEED),
    Limit(
        "dataloader_num_workers",
        _below(0),
        N_("the run would fail when it makes its first batch"),
        N_("Give 0 to make batches in the training process, or a number of processes."),
    ),
    Limit("dataloader_prefetch_factor", _below(1), N_("the run would fail when it makes its first batch"), _COUNT),
    Limit(
        "neftune_noise_alpha",
        lambda value: _is_number(value) and value <= 0,
        N_("there would be no noise, or noise of a meaningless size"),
        N_("The paper's values are 5 to 15; leave it out for no noise."),
    ),
    Limit("torch_empty_cache_steps", _below(1), N_("transformers refuses it when the run starts"), _COUNT),
    Limit(
        "include_num_input_tokens_seen",
        lambda value: isinstance(value, str) and value not in ("all", "non_padding", "no"),
        N_("transformers takes any other word for all"),
        N_('Give "all", "non_padding" or "no".'),
    ),
    Limit(
        "auto_find_batch_size",
        lambda value: value is True,
        N_("it starts training over with weights that are already trained"),
        N_('launch.on_out_of_memory = "halve" goes on from the last state instead.'),
    ),
    Limit(
        "enable_jit_checkpoint",
        lambda value: value is True,
        N_("it takes the signals that nsmc-tui stops by"),
        N_("Leave it out: SIGTERM already saves, evaluates and ends the run."),
    ),
    Limit(
        "ignore_data_skip",
        lambda value: value is True,
        N_("a resumed run would see some reviews twice and others never"),
        N_("Leave it out: skipping to the place in the epoch costs no training."),
    ),
    Limit(
        "restore_callback_states_from_checkpoint",
        lambda value: value is True,
        N_("it would replace what watches the run"),
        N_("Leave it out: early stopping and the run's history are resumed anyway."),
    ),
    Limit(
        "skip_memory_metrics",
        lambda value: value is False,
        N_("it measures in a thread that keeps a core busy"),
        N_("Leave it out: nsmc-tui measures memory itself, see train_results.json."),
    ),
    Limit(
        "average_tokens_across_devices",
        lambda value: value is False,
        N_("the loss would depend on how reviews are spread over devices"),
        N_("Leave it out."),
    ),
    Limit(
        "eval_do_concat_batches",
        lambda value: value is False,
        N_("the predictions of a split could not be put in order"),
        N_("Leave it out."),
    ),
    Limit(
        "dataloader_in_order",
        lambda value: value is False,
        N_("batches would come in an order of chance, which no resumed run could follow"),
        N_("Leave it out."),
    ),
    Limit(
        "logging_nan_inf_filter",
        lambda value: value is True,
        N_("a loss that is not a number has to be seen"),
        N_("Leave it out; with launch.stop_on_nan = false the run goes on after one."),
    ),
    Limit(
        "use_cache",
        lambda value: value is True,
        N_("nothing is generated: a cache would take memory and never be read"),
        N_("Leave it out."),
    ),
    Limit(
        "debug",
        bool,
        N_("underflow_overflow fails on the masks of today's models, the other looks at TPUs"),
        N_("Leave it out: a loss or weights that are no numbers are told with their step."),
    ),
    Limit(
        "length_column_name",
        lambda value: value != "length",
        N_("lengths are those that nsmc-tui counted, in the column length"),
        N_("Leave it out."),
    ),
)


@functools.cache
def _keys_in_source(file: str, name: str) -> tuple[str, ...]:
    """The keys of the dict `name` in `file` of the installed transformers, not imported; empty when not found."""
    path = training_arguments_source()
    source = path.parent / file if path is not None else None
    if source is None or not source.is_file():
        return ()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
            and isinstance(node.value, ast.Dict)
        ):
            return tuple(str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))
    return ()


def reporters() -> tuple[str, ...]:
    """The names that `report_to` takes beside `all` and `none`; empty when transformers' source is not found."""
    return _keys_in_source("integrations/integration_utils.py", "INTEGRATION_TO_CALLBACK")


def log_levels() -> tuple[str, ...]:
    """The names that `log_level` takes; empty when transformers' source is not found."""
    levels = _keys_in_source("utils/logging.py", "log_levels")
    return (*levels, "passive") if levels else ()


def wanted_reporters(config: RunConfig) -> list[str]:
    """The reporters of `train.report_to` by name; `all` stays `all`, none is an empty list."""
    value = config.train.extra.get("report_to")
    names = value if isinstance(value, list) else [] if value is None else [value]
    return [str(name) for name in names if str(name) != "none"]


def check(config: RunConfig, file: str = "") -> None:
    """Refuse single `[train]` values that would have no effect, or not the one that they promise.

    Raises ConfigError with the field, the reason and the way out.
    """
    train = config.train.model_dump()
    _check_finite(config, file)
    for limit in LIMITS:
        value = train.get(limit.field)
        if value is not None and limit.broken(value):
            raise refusal(limit.field, value, _(limit.reason), _(limit.hint), file)
    for field, names, allowed in (
        ("report_to", wanted_reporters(config), (*reporters(), "all")),
        ("log_level", [train.get("log_level")], log_levels()),
        ("log_level_replica", [train.get("log_level_replica")], log_levels()),
        ("torch_compile_mode", [train.get("torch_compile_mode")], COMPILE_MODES),
        ("torch_compile_backend", _lowered(train.get("torch_compile_backend")), compile_backends()),
    ):
        for name in names:
            if name is not None and len(allowed) > 1 and name not in allowed:
                raise refusal(
                    field,
                    name,
                    _("transformers does not know it"),
                    _("It knows {names}.").format(names=", ".join(allowed)),
                    file,
                )


def _lowered(value: Any) -> list[Any]:
    return [value.lower() if isinstance(value, str) else value]


def refusal(field: str, value: Any, reason: str, hint: str, file: str = "", section: str = "train") -> ConfigError:
    """The error for a value that is refused; `reason` and `hint` are already in the user's language."""
    key = f"{section}.{field}"
    return ConfigError(
        _("{key} = {value!r} is refused: {reason}").format(key=key, value=value, reason=reason),
        hint,
        file=file,
        key=key,
    )


def _check_finite(config: RunConfig, file: str) -> None:
    """TOML knows `inf` and `nan`; no setting means anything by them."""
    for section, content in config.model_dump().items():
        for field, value in content.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise refusal(
                    field, value, _("it is not a number to train with"), _("Give a finite number."), file, section
                )
