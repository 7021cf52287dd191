"""Configs: the guide's defaults, exact complaints, comments kept, `--set`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core import config_file
from core.config import ALLOWED, RunConfig
from core.errors import ConfigError
from core.hf_args import check_extra, hf_fields


def test_defaults_are_the_guides() -> None:
    config = RunConfig()
    assert config.model.name == "xlm-roberta-base"
    train = config.train
    assert (train.per_device_train_batch_size, train.per_device_eval_batch_size) == (32, 64)
    assert (train.warmup_steps, train.weight_decay, train.num_train_epochs) == (500, 0.01, 1)
    assert train.learning_rate == 5e-5


@pytest.mark.parametrize(
    ("values", "key", "near"),
    [
        ({"train": {"learning_rte": 1e-3}}, "train.learning_rte", "train.learning_rate"),
        ({"train": {"logging_step": 10}}, "train.logging_step", "train.logging_steps"),
        ({"tain": {}}, "tain", "train"),
        ({"data": {"label_col": "x"}}, "data.label_col", "data.label_column"),
        ({"learning_rate": 1}, "learning_rate", "train.learning_rate"),
        ({"train": {"source": "x"}}, "train.source", ""),
        ({"train": {"warmup_ratio": 0.1}}, "train.warmup_ratio", "warmup_steps"),
        ({"train": {"evaluation_strategy": "epoch"}}, "train.evaluation_strategy", "eval_strategy"),
        ({"train": {"output_dir": "x"}}, "train.output_dir", ""),
    ],
)
def test_unknown_keys_are_named_with_the_nearest(values: dict, key: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.validate(values, "mine.toml")
    assert caught.value.key == key
    assert caught.value.file == "mine.toml"
    assert near in caught.value.hint


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"train": {"learning_rate": "fast"}}, "train.learning_rate"),
        ({"train": {"learning_rate": -1e-3}}, "train.learning_rate"),
        ({"train": {"num_train_epochs": 0}}, "train.num_train_epochs"),
        ({"train": {"gradient_accumulation_steps": -2}}, "train.gradient_accumulation_steps"),
        ({"train": {"per_device_train_batch_size": 2.5}}, "train.per_device_train_batch_size"),
        ({"train": {"train_sampling_strategy": "foo"}}, "train.train_sampling_strategy"),
        ({"train": {"bf16": "yes"}}, "train.bf16"),
        ({"train": {"lr_scheduler_type": "foo"}}, "train.lr_scheduler_type"),
        ({"train": {"optim": "adamm"}}, "train.optim"),
        ({"train": {"metric_for_best_model": "acc"}}, "train.metric_for_best_model"),
        ({"launch": {"device": "gpu"}}, "launch.device"),
        ({"train": {"logging_steps": "often"}}, "train.logging_steps"),
        ({"model": {"preset": "huge"}}, "model.preset"),
        ({"model": {"preset": "tiny", "name": "x"}}, "model.name"),
        ({"train": 3}, "train"),
    ],
)
def test_bad_values_are_refused_by_key(values: dict, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.validate(values)
    assert caught.value.key == key
    assert caught.value.message


@pytest.mark.parametrize(
    ("values", "near"),
    [
        ({"train": {"optim": "adamw"}}, "adamw_torch?"),
        ({"train": {"optim": "AdaFacter"}}, "adafactor?"),
        ({"train": {"lr_scheduler_type": "cosin"}}, "cosine?"),
        ({"train": {"metric_for_best_model": "acc"}}, "accuracy?"),
        ({"evaluate": {"splits": ["tset"]}}, "test?"),
    ],
)
def test_unknown_values_are_told_with_the_nearest(values: dict, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.validate(values)
    assert f"Did you mean {near}" in caught.value.hint
    assert "type" not in caught.value.message.split("=")[1]


def test_a_value_like_nothing_is_told_with_all_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.validate({"train": {"optim": "zzz"}})
    assert "Did you mean" not in caught.value.hint
    assert "adamw_torch_fused, " in caught.value.hint


def test_settings_with_a_pattern_are_told_in_words_with_an_example() -> None:
    """Every one of them, and the examples are values that they take."""
    patterned = {
        f"{section}.{name}"
        for section, model in config_file.section_models().items()
        for name, field in model.model_fields.items()
        if any(getattr(part, "pattern", None) for part in field.metadata)
    }
    assert patterned == ALLOWED.keys()
    for key, words in ALLOWED.items():
        section, name = key.split(".")
        with pytest.raises(ConfigError) as caught:
            config_file.validate({section: {name: "nonsense!"}})
        assert caught.value.message == f"{key} = 'nonsense!' {words}"
        for example in re.findall(r'"([^"]*)"', words):
            assert getattr(getattr(config_file.validate({section: {name: example}}), section), name) == example


def test_any_training_argument_is_accepted_and_kept() -> None:
    config = config_file.validate({"train": {"bf16": True, "logging_steps": 10, "optim": "adafactor"}})
    assert config.train.extra == {"bf16": True, "logging_steps": 10, "optim": "adafactor"}
    again = config_file.validate(config_file.plain(config))
    assert again == config


def test_fields_are_those_of_the_installed_transformers() -> None:
    from dataclasses import fields

    from transformers import TrainingArguments

    assert list(hf_fields()) == [field.name for field in fields(TrainingArguments)]


def test_every_default_of_transformers_passes_its_own_check() -> None:
    from core.hf_args import RESERVED

    for name, field in hf_fields().items():
        if name not in RESERVED and field.default is not None and not isinstance(field.default, str):
            check_extra(name, field.default, [])


def test_strategies_that_do_not_match_turn_best_model_off_unless_it_was_asked_for() -> None:
    assert config_file.validate({"train": {"eval_strategy": "no"}}).train.load_best_model_at_end is False
    with pytest.raises(ConfigError, match="load_best_model_at_end"):
        config_file.validate({"train": {"eval_strategy": "no", "load_best_model_at_end": True}})


def test_no_dev_split_means_no_evaluation_while_training() -> None:
    assert config_file.validate({"data": {"dev_size": 0}}).train.eval_strategy == "no"
    with pytest.raises(ConfigError, match="dev split"):
        config_file.validate({"data": {"dev_size": 0}, "train": {"eval_strategy": "epoch"}})


def test_comments_and_order_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('# for the paper\n[train] # hyper\nlearning_rate = 1e-5 # low\n\n[model]\nname = "a/b"\n')
    config = config_file.load(path)
    config.train.learning_rate = 3e-5
    config_file.save(config, path)
    text = path.read_text()
    assert "# for the paper" in text
    assert "# hyper" in text
    assert "learning_rate = 3e-05 # low" in text
    assert text.index("[train]") < text.index("[model]")
    assert config_file.load(path) == config


def test_whole_config_round_trips(tmp_path: Path) -> None:
    config = config_file.validate({"model": {"preset": "tiny", "config": {"hidden_dropout_prob": 0.2}}})
    config_file.save(config, tmp_path / "c.toml")
    assert config_file.load(tmp_path / "c.toml") == config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("train.learning_rate=1e-3", 1e-3),
        ("data.source=sample", "sample"),
        ("train.bf16=true", True),
        ("data.positive_label=2", "2"),
        ("launch.device=0", "0"),
        ("launch.name=2024", "2024"),
        ("train.bf16=True", True),
        ('evaluate.splits=["dev"]', ["dev"]),
        ("model.name=klue/roberta-base", "klue/roberta-base"),
    ],
)
def test_assignments(text: str, value: object) -> None:
    assert config_file.parse_assignment(text)[1] == value


@pytest.mark.parametrize("text", ["train.learning_rate", "=3", "train=3", "a..b=1"])
def test_bad_assignments(text: str) -> None:
    with pytest.raises(ConfigError):
        config_file.parse_assignment(text)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        config_file.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[train\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        config_file.load(tmp_path / "bad.toml")


def test_changed_lists_what_differs_from_the_guide() -> None:
    config = config_file.validate({"train": {"learning_rate": 2e-5, "bf16": True}})
    assert config_file.changed(config) == {"train.learning_rate": (5e-5, 2e-5), "train.bf16": (None, True)}
