"""Settings that would be ignored, turned into nothing or fail late are refused before anything is started."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from core import config_file, hf_choices, hf_limits, idle_settings
from core.errors import ConfigError
from core.hf_args import RESERVED, hf_fields
from tests.conftest import run_cli

BAD: list[tuple[str, Any]] = [
    ("logging_steps", 0),
    ("logging_steps", -5),
    ("logging_steps", 1.5),
    ("save_steps", 0),
    ("save_steps", -1),
    ("save_steps", 2.5),
    ("eval_steps", 0),
    ("eval_steps", -3),
    ("eval_steps", 10.5),
    ("eval_delay", -1),
    ("eval_accumulation_steps", 0),
    ("eval_accumulation_steps", 16),
    ("max_steps", 0),
    ("max_steps", -2),
    ("warmup_steps", 1.5),
    ("warmup_steps", -1),
    ("adam_beta1", 1.0),
    ("adam_beta1", -0.1),
    ("adam_beta2", 2),
    ("adam_epsilon", 0),
    ("adam_epsilon", -1e-8),
    ("adam_epsilon", "1e-8"),
    ("seed", -1),
    ("seed", None),
    ("seed", 2**32),
    ("data_seed", -1),
    ("data_seed", 2**32),
    ("dataloader_num_workers", -1),
    ("dataloader_prefetch_factor", 0),
    ("neftune_noise_alpha", -1.0),
    ("neftune_noise_alpha", 0),
    ("torch_empty_cache_steps", 0),
    ("torch_empty_cache_steps", -4),
    ("include_num_input_tokens_seen", "foo"),
    ("train_sampling_strategy", "foo"),
    ("report_to", "tensorbord"),
    ("report_to", ["tensorboard", "nothing"]),
    ("log_level", "loud"),
    ("log_level_replica", "quiet"),
    ("auto_find_batch_size", True),
    ("enable_jit_checkpoint", True),
    ("ignore_data_skip", True),
    ("restore_callback_states_from_checkpoint", True),
    ("skip_memory_metrics", False),
    ("average_tokens_across_devices", False),
    ("eval_do_concat_batches", False),
    ("length_column_name", "chars"),
    ("gradient_accumulation_steps", 0),
    ("gradient_accumulation_steps", -2),
    ("num_train_epochs", 0),
    ("num_train_epochs", -1),
    ("learning_rate", "fast"),
    ("learning_rate", 0),
    ("max_grad_norm", -1),
    ("weight_decay", -0.01),
    ("label_smoothing_factor", 5),
    ("per_device_train_batch_size", 0),
    ("save_total_limit", -1),
    ("class_weights", "1"),
    ("class_weights", "high, low"),
    ("layer_lr_decay", 0),
    ("layer_lr_decay", 1.1),
    ("num_train_epochs", math.inf),
    ("num_train_epochs", math.nan),
    ("learning_rate", math.nan),
    ("weight_decay", math.nan),
    ("max_grad_norm", math.inf),
    ("warmup_steps", math.inf),
    ("adam_epsilon", math.nan),
    ("logging_steps", math.inf),
    ("neftune_noise_alpha", math.nan),
    ("early_stopping_threshold", math.inf),
    ("fsdp", "full_shard"),
    ("fsdp_config", {"min_num_params": 1}),
    ("deepspeed", "ds.json"),
    ("push_to_hub", True),
    ("hub_model_id", "me/model"),
    ("hub_strategy", "every_save"),
    ("hub_private_repo", True),
    ("hub_always_push", True),
    ("hub_revision", "main"),
    ("save_on_each_node", True),
    ("eval_use_gather_object", True),
    ("accelerator_config", {"split_batches": True}),
    ("accelerator_config", "accelerate.json"),
    ("torch_compile_mode", "quickest"),
    ("torch_compile_backend", "gcc"),
    ("debug", "everything"),
    ("lr_scheduler_kwargs", {"num_cycles": 2}),
    ("optim_args", "rank=8"),
    ("optim_target_modules", "all-linear"),
    ("dataloader_in_order", False),
    ("logging_nan_inf_filter", True),
    ("use_cache", True),
    ("debug", "tpu_metrics_debug"),
    ("debug", ["underflow_overflow"]),
    ("accelerator_config", {"gradient_accumulation_kwargs": {"sync_each_batch": True}}),
    ("project", "mine"),
    ("trackio_space_id", "me/space"),
    ("trackio_bucket_id", "me/bucket"),
    ("trackio_static_space_id", "me/static"),
    ("run_name", "mine"),
    ("eval_steps", 100),
    ("save_steps", 100),
    ("ddp_find_unused_parameters", True),
    ("ddp_bucket_cap_mb", 50),
    ("ddp_broadcast_buffers", True),
    ("ddp_static_graph", True),
    ("ddp_backend", "gloo"),
    ("ddp_timeout", 60),
    ("log_level_replica", "info"),
    ("log_on_each_node", False),
    ("activation_checkpointing_kwargs", {"use_reentrant": False}),
    ("gradient_checkpointing_kwargs", {"use_reentrant": False}),
    ("liger_kernel_config", {"rope": True}),
]
GOOD: list[tuple[str, Any]] = [
    ("fsdp", ""),
    ("fsdp_config", ""),
    ("deepspeed", ""),
    ("push_to_hub", False),
    ("hub_model_id", ""),
    ("hub_private_repo", False),
    ("hub_always_push", False),
    ("hub_revision", ""),
    ("save_on_each_node", False),
    ("eval_use_gather_object", False),
    ("accelerator_config", ""),
    ("torch_compile_mode", "reduce-overhead"),
    ("torch_compile_backend", "inductor"),
    ("debug", ""),
    ("debug", []),
    ("logging_steps", 1),
    ("logging_steps", 0.1),
    ("logging_steps", 50.0),
    ("save_steps", 500),
    ("dataloader_in_order", True),
    ("logging_nan_inf_filter", False),
    ("use_cache", False),
    ("log_on_each_node", True),
    ("project", "huggingface"),
    ("ddp_timeout", 1800),
    ("eval_delay", 0),
    ("max_steps", -1),
    ("max_steps", 1),
    ("warmup_steps", 0),
    ("warmup_steps", 0.06),
    ("warmup_steps", 500.0),
    ("adam_beta1", 0),
    ("adam_beta2", 0.98),
    ("adam_epsilon", 1e-6),
    ("seed", 2**32 - 1),
    ("data_seed", 0),
    ("dataloader_num_workers", 0),
    ("dataloader_num_workers", 2),
    ("neftune_noise_alpha", 5),
    ("torch_empty_cache_steps", 100),
    ("include_num_input_tokens_seen", "non_padding"),
    ("include_num_input_tokens_seen", True),
    ("report_to", "none"),
    ("report_to", "tensorboard"),
    ("report_to", ["tensorboard", "wandb"]),
    ("report_to", "all"),
    ("log_level", "info"),
    ("auto_find_batch_size", False),
    ("enable_jit_checkpoint", False),
    ("ignore_data_skip", False),
    ("restore_callback_states_from_checkpoint", False),
    ("skip_memory_metrics", True),
    ("average_tokens_across_devices", True),
    ("eval_do_concat_batches", True),
    ("length_column_name", "length"),
    ("learning_rate", "2e-5"),
    ("save_only_model", True),
    ("dataloader_drop_last", True),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_values_without_their_effect_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.validate({"train": {field: value}}, "mine.toml")
    assert caught.value.key == f"train.{field}"
    assert caught.value.file == "mine.toml"
    assert field in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(("field", "value"), GOOD)
def test_values_with_an_effect_are_taken(field: str, value: Any) -> None:
    config = config_file.validate({"train": {field: value}})
    assert config_file.validate(config_file.plain(config)) == config


def test_every_limit_has_a_bad_and_a_good_value_above() -> None:
    fields = {limit.field for limit in hf_limits.LIMITS}
    assert fields <= {field for field, _value in BAD}
    # These are good for nothing, or only together with another setting.
    without = {"dataloader_prefetch_factor", "hub_strategy", "eval_accumulation_steps", "eval_steps"}
    assert fields - without <= {field for field, _value in GOOD}


def test_of_every_field_is_known_what_becomes_of_it() -> None:
    """A field that comes with a new transformers has to be looked at before it is let through."""
    limited = {limit.field for limit in hf_limits.LIMITS}
    idle = {field for rule in idle_settings.IDLE for field in rule.fields}
    known = HONOURED | limited | idle | set(RESERVED)
    assert known - NEWER <= set(hf_fields()) <= known
    assert not HONOURED & (limited | idle | set(RESERVED))
    assert idle <= {field for field, _value in BAD} | {key.removeprefix("train.") for _values, key in TOGETHER}


def test_a_token_is_refused_and_never_shown(tmp_path: Path) -> None:
    for value in ("hf_secret", ["hf_secret"], {"a": "hf_secret"}):
        with pytest.raises(ConfigError) as caught:
            config_file.validate({"train": {"hub_token": value}})
        assert caught.value.key == "train.hub_token"
        assert "hf_secret" not in caught.value.message + caught.value.hint
        assert "HF_TOKEN" in caught.value.hint
    done = run_cli("train", "--data", "sample", "--preset", "tiny", "--set", "train.hub_token=hf_secret", runs=tmp_path)
    assert done.returncode == 2
    assert "train.hub_token" in done.stderr
    assert "hf_secret" not in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


def test_reporters_are_those_of_the_installed_transformers() -> None:
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    assert hf_limits.reporters() == tuple(INTEGRATION_TO_CALLBACK)


def test_compile_backends_are_those_of_the_installed_accelerate() -> None:
    from accelerate.utils import DynamoBackend

    assert hf_choices.compile_backends() == tuple(name.lower() for name in DynamoBackend.list() if name != "NO")


def test_compile_modes_are_those_of_the_installed_torch() -> None:
    from torch._inductor import list_mode_options

    assert set(list_mode_options()) <= set(hf_choices.COMPILE_MODES)


def test_schedules_take_what_their_functions_take() -> None:
    """Each setting that is let through is taken by transformers, and so are schedules that cannot be looked into."""
    assert hf_choices.schedule_settings("polynomial") == ("lr_end", "power")
    assert hf_choices.schedule_settings("linear") == ()
    assert hf_choices.schedule_settings("constant") == ()
    assert hf_choices.schedule_settings("reduce_lr_on_plateau") is None
    kwargs = {"num_cycles": 3}
    config_file.validate({"train": {"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": kwargs}})
    config_file.validate(
        {"train": {"lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"patience": 3}}}
    )


def test_log_levels_are_those_of_the_installed_transformers() -> None:
    from transformers.training_args import trainer_log_levels

    assert hf_limits.log_levels() == tuple(trainer_log_levels)


def test_other_sections_take_no_infinity() -> None:
    for section, field in (("launch", "stop_at_epoch"), ("launch", "device_interval")):
        with pytest.raises(ConfigError) as caught:
            config_file.validate({section: {field: math.inf}})
        assert caught.value.key == f"{section}.{field}"


STEPS = {"eval_strategy": "steps", "save_strategy": "steps", "load_best_model_at_end": True}
TOGETHER: list[tuple[dict[str, dict[str, Any]], str]] = [
    ({"train": {"fp16": True, "bf16": True}}, "train.fp16"),
    ({"train": {"fp16_full_eval": True, "bf16_full_eval": True}}, "train.fp16_full_eval"),
    ({"train": {"fp16": True}, "launch": {"device": "cpu"}}, "train.fp16"),
    ({"train": {"tf32": True}, "launch": {"device": "cpu"}}, "train.tf32"),
    ({"train": {"ddp_backend": "nccl"}, "launch": {"device": "cpu"}}, "train.ddp_backend"),
    ({"train": {"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"power": 2}}}, "train.lr_scheduler_kwargs"),
    ({"train": {"optim": "adafactor", "optim_args": "scale=1"}}, "train.optim_args"),
    ({"train": {"optim": "sgd", "optim_args": "momentun=0.9"}}, "train.optim_args"),
    ({"train": {"optim": "sgd", "optim_args": "momentum"}}, "train.optim_args"),
    ({"train": {"optim": "sgd", "adam_beta1": 0.8}}, "train.adam_beta1"),
    ({"train": {"optim": "adafactor", "adam_beta2": 0.9}}, "train.adam_beta2"),
    ({"train": {"optim": "rmsprop", "adam_epsilon": 1e-6}}, "train.adam_epsilon"),
    ({"train": {"optim": "lion_32bit", "adam_epsilon": 1e-6}}, "train.adam_epsilon"),
    ({"train": {"eval_strategy": "epoch", "eval_steps": 50}}, "train.eval_steps"),
    ({"train": {"save_strategy": "best", "save_steps": 50}}, "train.save_steps"),
    ({"train": {"logging_strategy": "epoch", "logging_steps": 50}}, "train.logging_steps"),
    ({"train": {"report_to": "tensorboard", "project": "mine"}}, "train.project"),
    ({"train": {"report_to": "trackio", "trackio_static_space_id": "me/s"}}, "train.trackio_static_space_id"),
    ({"train": {"report_to": "trackio", "trackio_bucket_id": "me/b"}}, "train.trackio_bucket_id"),
    ({"train": {"report_to": "trackio", "hub_private_repo": True}}, "train.hub_private_repo"),
    (
        {"train": {"report_to": "trackio", "trackio_space_id": "me/s"}, "launch": {"offline": True}},
        "train.trackio_space_id",
    ),
    ({"train": {"ddp_timeout": 60}, "launch": {"processes": 2, "device": "cpu"}}, "train.ddp_timeout"),
    ({"train": {"torch_empty_cache_steps": 10}, "launch": {"device": "cpu"}}, "train.torch_empty_cache_steps"),
    ({"train": {"use_liger_kernel": True}, "launch": {"device": "cpu"}}, "train.use_liger_kernel"),
    ({"train": {"use_liger_kernel": True}, "model": {"preset": "tiny"}}, "train.use_liger_kernel"),
    ({"train": {"data_seed": 3, "train_sampling_strategy": "sequential"}}, "train.data_seed"),
    ({"train": {"use_cpu": True}, "launch": {"device": "cuda"}}, "train.use_cpu"),
    ({"train": {**STEPS, "eval_steps": 200, "save_steps": 300}}, "train.save_steps"),
    ({"train": {**STEPS, "eval_steps": 300}}, "train.save_steps"),
    ({"train": {**STEPS, "logging_steps": 300}}, "train.save_steps"),
    ({"train": {**STEPS, "eval_steps": 0.1, "save_steps": 0.25}}, "train.save_steps"),
    ({"train": {"metric_for_best_model": "accuracy", "greater_is_better": False}}, "train.greater_is_better"),
    ({"train": {"metric_for_best_model": "loss", "greater_is_better": True}}, "train.greater_is_better"),
    ({"train": {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "no"}}, "train.lr_scheduler_type"),
    ({"train": {"dataloader_prefetch_factor": 4}}, "train.dataloader_prefetch_factor"),
    ({"train": {"dataloader_persistent_workers": True}}, "train.dataloader_persistent_workers"),
    ({"train": {"dataloader_multiprocessing_context": "fork"}}, "train.dataloader_multiprocessing_context"),
    ({"train": {"max_tokens": 4096, "train_sampling_strategy": "random"}}, "train.max_tokens"),
    ({"train": {"max_tokens": 64}, "data": {"max_length": 128}}, "train.max_tokens"),
    ({"train": {"early_stopping_patience": 2, "eval_strategy": "no"}}, "train.early_stopping_patience"),
    ({"train": {"early_stopping_patience": 2}, "data": {"dev_size": 0}}, "train.early_stopping_patience"),
    ({"train": {"early_stopping_threshold": 0.01}}, "train.early_stopping_threshold"),
    ({"train": {"layer_lr_decay": 0.9, "optim": "galore_adamw"}}, "train.layer_lr_decay"),
    ({"train": {"layer_lr_decay": 0.9}, "model": {"freeze": "encoder"}}, "train.layer_lr_decay"),
    ({"data": {"negative_label": "1"}}, "data.positive_label"),
    ({"data": {"negative_label": "neg", "positive_label": " neg"}}, "data.positive_label"),
    ({"model": {"preset": "tiny", "config": {"num_labels": 3}}}, "model.config.num_labels"),
    ({"train": {"class_weights": "0, 0.0"}}, "train.class_weights"),
    ({"train": {"lr_scheduler_type": "cosine_with_min_lr"}}, "train.lr_scheduler_type"),
    ({"train": {"lr_scheduler_type": "warmup_stable_decay"}}, "train.lr_scheduler_type"),
    ({"launch": {"nodes": 2}}, "launch.nodes"),
    ({"launch": {"processes": 3, "device": "0,1"}}, "launch.processes"),
]
FITTING: list[dict[str, dict[str, Any]]] = [
    {"train": {"bf16": True, "tf32": True}},
    {"train": {"bf16": True}, "launch": {"device": "cpu"}},
    {"train": {"use_cpu": True}},
    {"train": {**STEPS, "eval_steps": 100, "save_steps": 300}},
    {"train": {**STEPS, "eval_steps": 0.1, "save_steps": 0.3}},
    {"train": {**STEPS, "save_steps": 500}},
    {"train": {**STEPS, "save_strategy": "best", "eval_steps": 300}},
    {"train": {"eval_strategy": "steps", "save_strategy": "steps", "load_best_model_at_end": False, "eval_steps": 300}},
    {"train": {"metric_for_best_model": "loss", "greater_is_better": False}},
    {"train": {"metric_for_best_model": "f1", "greater_is_better": True}},
    {"train": {"dataloader_prefetch_factor": 4, "dataloader_num_workers": 2}},
    {"train": {"max_tokens": 128}, "data": {"max_length": 128}},
    {"train": {"early_stopping_patience": 2, "early_stopping_threshold": 0.01}},
    {"train": {"layer_lr_decay": 0.9}, "model": {"freeze": "2"}},
    {"train": {"class_weights": "0, 1"}},
    {"train": {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 1e-6}}},
    {"train": {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 10}}},
    {"launch": {"nodes": 2, "rdzv_endpoint": "gpu1:29500"}},
    {"launch": {"processes": 2, "device": "0,1"}},
    {"launch": {"processes": 2, "device": "cpu"}},
    {"train": {"optim": "sgd", "optim_args": "momentum=0.9, nesterov=true"}},
    {"train": {"optim": "schedule_free_adamw", "adam_beta1": 0.95, "optim_args": "r=0.5"}},
    {"train": {"eval_strategy": "no", "eval_steps": 50, "save_strategy": "no", "save_steps": 50}},
    {"train": {"logging_strategy": "no", "logging_steps": 50}},
    {
        "train": {
            "report_to": ["trackio", "tensorboard"],
            "project": "mine",
            "trackio_space_id": "me/space",
            "trackio_bucket_id": "me/bucket",
            "trackio_static_space_id": "me/static",
            "hub_private_repo": True,
            "run_name": "mine",
        }
    },
    {"train": {"report_to": "all", "project": "mine"}},
    {"train": {"ddp_timeout": 60, "log_level_replica": "info"}, "launch": {"processes": 2}},
    {
        "train": {
            "ddp_bucket_cap_mb": 50,
            "log_on_each_node": False,
            "accelerator_config": {"gradient_accumulation_kwargs": {"sync_each_batch": True}},
        },
        "launch": {"nodes": 2, "rdzv_endpoint": "gpu1:29500"},
    },
    # The older names of `activation_checkpointing`, which all versions take.
    {"train": {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}},
    {"train": {"use_liger_kernel": True, "liger_kernel_config": {"rope": False}}},
]
# Fields of `TrainingArguments` that reach training, evaluation, checkpoints or reporters as they are, or by a way of
# our own; neither reserved nor refused, whatever their value.
HONOURED = {
    *("per_device_train_batch_size", "num_train_epochs", "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs"),
    *("optim", "weight_decay", "gradient_accumulation_steps", "max_grad_norm", "label_smoothing_factor"),
    *("bf16", "fp16", "bf16_full_eval", "fp16_full_eval", "tf32", "activation_checkpointing"),
    *("gradient_checkpointing", "torch_compile", "torch_compile_backend", "torch_compile_mode"),
    *("logging_strategy", "logging_first_step", "log_level", "report_to", "eval_strategy"),
    *("per_device_eval_batch_size", "eval_on_start", "save_only_model", "save_strategy", "save_total_limit"),
    *("load_best_model_at_end", "metric_for_best_model", "greater_is_better", "full_determinism", "use_cpu"),
    *("dataloader_drop_last", "dataloader_pin_memory", "train_sampling_strategy"),
    # Refused without loading processes (`core.config_rules`).
    *("dataloader_persistent_workers", "dataloader_multiprocessing_context"),
}


# Fields that the oldest transformers allowed has not yet.
NEWER = {"activation_checkpointing", "activation_checkpointing_kwargs"}


@pytest.mark.parametrize(("values", "key"), TOGETHER)
def test_settings_that_do_not_go_together_are_refused(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.validate(values, "mine.toml")
    assert caught.value.key == key
    assert caught.value.file == "mine.toml"
    assert caught.value.hint


@pytest.mark.parametrize("values", FITTING)
def test_settings_that_go_together_are_taken(values: dict[str, Any]) -> None:
    config_file.validate(values)


@pytest.mark.parametrize("evaluate", [100, 300, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("save", [100, 300, 450, 0.3, 0.25, 0.5])
def test_intervals_are_refused_just_where_transformers_refuses_them(evaluate: float, save: float) -> None:
    from transformers import TrainingArguments

    values = {**STEPS, "eval_steps": evaluate, "save_steps": save}

    def takes(build: Any) -> bool:
        try:
            build()
        except (ValueError, ConfigError):
            return False
        return True

    theirs = takes(lambda: TrainingArguments(use_cpu=True, **values))
    assert takes(lambda: config_file.validate({"train": values})) is theirs
