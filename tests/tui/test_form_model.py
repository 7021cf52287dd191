"""The form without widgets: values, edits, undo, validation, differences, search, files, figures."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from core import config_file
from core.config import RunConfig
from core.errors import ConfigError
from core.i18n import set_language
from tui import form_facts
from tui.form_fields import all_settings, assignment_value, format_value, parse_text
from tui.form_model import FormModel


@pytest.fixture(autouse=True)
def english() -> None:
    set_language("en")


@pytest.fixture
def model() -> FormModel:
    return FormModel()


def test_every_config_key_is_a_setting() -> None:
    settings = all_settings()
    for section, declared in config_file.section_models().items():
        for name in declared.model_fields:
            assert settings[f"{section}.{name}"].description
    assert settings["train.optim"].own is False
    assert "sgd" in settings["train.optim"].choices
    assert "cosine" in settings["train.lr_scheduler_type"].choices
    assert "train.output_dir" not in settings
    assert settings["train.learning_rate"].wanted == "number > 0, < 1"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("train.learning_rate", "1e-3", 1e-3),
        ("train.per_device_train_batch_size", "1,024", 1024),
        ("train.per_device_train_batch_size", "1.5", 1.5),
        ("train.num_train_epochs", "inf", "inf"),
        ("data.negative_label", "0", "0"),
        ("data.hub_revision", "", ""),
        ("data.train_limit", "", None),
        ("evaluate.splits", "dev, test", ["dev", "test"]),
        ("evaluate.splits", "none", []),
        ("model.preset", "none", None),
        ("model.config", "hidden_dropout_prob = 0.2", {"hidden_dropout_prob": 0.2}),
        ("model.config", "{a = 1, b = [1, 2]}", {"a": 1, "b": [1, 2]}),
        ("train.report_to", "tensorboard", "tensorboard"),
        ("train.optim_target_modules", '["q", "v"]', ["q", "v"]),
    ],
)
def test_what_is_typed(model: FormModel, key: str, text: str, value: object) -> None:
    assert parse_text(model.setting(key), text) == value


@pytest.mark.parametrize(
    ("value", "text"), [(5e-5, "5e-5"), (1.0, "1"), (0.01, "0.01"), (True, "true"), ([], "none"), (None, "")]
)
def test_how_values_look(value: object, text: str) -> None:
    assert format_value(value) == text


def test_defaults_are_the_guides(model: FormModel) -> None:
    assert model.config() == RunConfig()
    assert model.changed_keys() == []
    assert not model.dirty
    assert model.text("train.learning_rate") == "5e-5"


def test_edit_undo_redo_reset(model: FormModel) -> None:
    assert model.set_text("train.learning_rate", "1e-3")
    assert model.set_text("train.seed", "7")
    assert model.changed_keys() == ["train.learning_rate", "train.seed"]
    assert model.undo()
    assert model.text("train.seed") == "42"
    assert model.redo()
    assert model.text("train.seed") == "7"
    assert model.reset(["train.learning_rate"])
    assert model.changed_keys() == ["train.seed"]
    assert model.undo()
    assert model.text("train.learning_rate") == "0.001"
    assert not model.set_text("train.seed", "7"), "nothing changed: nothing to undo"


def test_typing_the_default_is_no_change(model: FormModel) -> None:
    assert not model.set_text("train.learning_rate", "0.00005")
    model.set_text("train.load_best_model_at_end", "false")
    model.set_text("train.load_best_model_at_end", "true")
    assert model.edits == {}


def test_bad_values_stay_and_are_explained(model: FormModel) -> None:
    model.set_text("train.learning_rate", "abc")
    model.set_text("train.weight_decay", "2")
    assert model.text("train.learning_rate") == "abc"
    assert set(model.errors) == {"train.learning_rate", "train.weight_decay"}
    assert "must be a number" in model.errors["train.learning_rate"].message
    assert "5e-5" in model.errors["train.learning_rate"].hint
    assert "must be below 1" in model.errors["train.weight_decay"].message
    with pytest.raises(ConfigError):
        model.config()
    model.reset(["train.learning_rate", "train.weight_decay"])
    assert model.errors == {}


def test_checked_while_typing(model: FormModel) -> None:
    error = model.check("data.max_length", "2")
    assert error is not None
    assert "at least 4" in error.message
    assert "esc" in error.hint
    assert model.check("data.max_length", "64") is None
    assert model.check("train.lr_scheduler_type", "linaer") is not None
    assert model.check("train.bf16", "7") is not None
    assert model.edits == {}


def test_errors_between_settings_are_at_one_of_them(model: FormModel) -> None:
    model.set_text("train.eval_strategy", "steps")
    model.set_text("train.load_best_model_at_end", "false")
    assert model.errors == {}
    model.set_text("data.dev_size", "0")
    assert list(model.errors) == ["train.eval_strategy"]


def test_what_follows_from_others_is_shown(model: FormModel) -> None:
    model.set_text("data.dev_size", "0")
    assert model.text("train.eval_strategy") == "no"
    assert model.follows("train.eval_strategy")
    assert model.config().train.eval_strategy == "no"
    model.reset(["data.dev_size"])
    assert model.text("train.eval_strategy") == "epoch"


def test_preset_and_name_exclude_each_other(model: FormModel) -> None:
    model.set_text("model.name", "klue/bert-base")
    model.set_text("model.preset", "tiny")
    assert model.text("model.name") == ""
    assert model.config().model.name is None
    model.set_text("model.name", "xlm-roberta-base")
    assert model.text("model.preset") == ""
    assert model.config() == RunConfig()
    model.turn("model.preset")
    assert model.text("model.preset") == "tiny"
    model.turn("model.preset", -1)
    assert model.text("model.name") == "xlm-roberta-base"


def test_turning_goes_round(model: FormModel) -> None:
    seen = []
    for _step in range(4):
        model.turn("train.eval_strategy")
        seen.append(model.text("train.eval_strategy"))
    assert seen == ["no", "steps", "epoch", "no"]
    assert not model.turn("train.learning_rate")


def test_search_finds_names_first(model: FormModel) -> None:
    rows = model.rows("warmup")
    assert rows[0].key == "train.warmup_steps"
    assert model.best_match("optim") == "train.optim"
    assert any(row.key == "train.adam_beta1" for row in model.rows("adam"))
    assert model.rows("no such thing") == []
    assert model.best_match("no such thing") == ""


def test_rows_fold_and_differences(model: FormModel) -> None:
    folded = [row.key for row in model.rows()]
    assert folded.count("train.learning_rate") == 1
    assert "train.optim" not in folded
    assert "train.optim" in [row.key for row in model.rows(more=True)]
    model.set_text("train.optim", "sgd")
    assert "train.optim" in [row.key for row in model.rows()]
    assert [row.key for row in model.rows(differences=True)] == ["train.optim"]


def test_save_keeps_comments_and_load_brings_back(model: FormModel, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\n[train]\nlearning_rate = 1e-4  # tried\n", encoding="utf-8")
    model.set_text("train.learning_rate", "2e-5")
    model.set_text("train.optim", "sgd")
    assert model.dirty
    assert model.save(path)
    assert not model.dirty
    text = path.read_text(encoding="utf-8")
    assert "# mine" in text
    assert "# tried" in text
    other = FormModel()
    other.load_file(path)
    assert other.edits == model.edits
    assert other.origin == "config.toml"
    other.undo()
    assert (other.edits, other.origin) == ({}, "")


def test_files_that_cannot_be_used_change_nothing(model: FormModel, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[train]\nlerning_rate = 1\n", encoding="utf-8")
    model.set_text("train.seed", "7")
    with pytest.raises(ConfigError) as caught:
        model.load_file(bad)
    assert caught.value.key == "train.lerning_rate"
    assert model.text("train.seed") == "7"
    bad.write_text("train = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError):
        model.save(bad)
    assert bad.read_text(encoding="utf-8") == "train = 3\n"


def test_command_line_means_the_same(model: FormModel) -> None:
    from tui.cli.train_commands import build_config

    for key, text in {
        "data.source": "/tmp/my data",
        "data.negative_label": "부정",
        "data.hub_revision": "",
        "data.encoding": "true",
        "model.preset": "tiny",
        "model.config": 'hidden_dropout_prob = 0.2, act = "gelu"',
        "train.learning_rate": "1e-3",
        "train.report_to": "tensorboard",
        "train.bf16": "true",
        "evaluate.splits": "dev",
        "launch.name": "a b",
    }.items():
        model.set_text(key, text)
    words = shlex.split(model.command())
    assert words[:2] == ["nsmc-tui", "train"]
    options = {"--data": None, "--model": None, "--preset": None, "--name": None}
    sets = []
    for name, value in zip(words[2::2], words[3::2], strict=True):
        if name == "--set":
            sets.append(value)
        else:
            options[name] = value
    built = build_config(
        None, options["--data"], options["--model"], options["--preset"], tuple(sets), options["--name"]
    )
    assert built.model_dump() == model.config().model_dump()


@pytest.mark.parametrize(
    "text", ["plain", "two words", "0", "true", "", " x ", 'quo"te', "\x1b]0;x\x07", "한글", "a=b"]
)
def test_assignments_are_read_back(text: str) -> None:
    assert config_file.parse_assignment(f"data.encoding={assignment_value(text)}")[1] == text


# -- figures ----------------------------------------------------------------------------------------------------


def _plan(**sections: dict[str, object]) -> form_facts.Plan:
    config = config_file.validate({"data": {"source": "sample"}, "model": {"preset": "tiny"}, **sections})
    return form_facts.plan(config, form_facts.Facts(4000, 1000))


def test_steps_are_counted_as_trainer_does() -> None:
    assert _plan().steps == 119
    assert _plan(train={"gradient_accumulation_steps": 2}).steps == 60
    assert _plan(train={"num_train_epochs": 0.5}).steps == 60
    assert _plan(train={"max_steps": 7}).steps == 7
    assert _plan(train={"dataloader_drop_last": True}).steps == 118
    assert _plan(data={"source": "sample", "dev_size": 0.1, "train_limit": 100}).steps == 4
    assert _plan(train={"warmup_steps": 0.1}).warmup == 12
    two = _plan(launch={"processes": 2})
    assert (two.batch, two.steps) == (64, 60)
    assert _plan(train={"max_tokens": 1024}).steps is None


def test_warnings() -> None:
    config = config_file.validate({"data": {"source": "sample"}, "model": {"preset": "tiny"}})
    found = form_facts.notices(config, form_facts.gather(config))
    warned = {notice.key for notice in found if notice.warning}
    assert warned == {"train.warmup_steps", "train.learning_rate"}
    assert any("never reaches" in notice.text for notice in found)


def test_directories_are_counted(tmp_path: Path) -> None:
    header = "id\tdocument\tlabel\n"
    (tmp_path / "ratings_train.txt").write_text(header + "1\ta\t0\n" * 10, encoding="utf-8")
    (tmp_path / "ratings_test.txt").write_text(header + "1\ta\t0\n2\tb\t1", encoding="utf-8")
    config = config_file.validate({"data": {"source": str(tmp_path)}})
    facts = form_facts.gather(config)
    assert (facts.train_rows, facts.test_rows) == (10, 2)
    config.data.source = str(tmp_path / "nowhere")
    config.model.name = "./no/model"
    assert set(form_facts.gather(config).problems) == {"data.source", "model.name"}
