"""Run configs in TOML: reading with exact complaints, writing with the user's comments kept, `--set KEY=VALUE`."""

from __future__ import annotations

import difflib
import re
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from core import config_rules, foreign_json, hf_limits, idle_settings
from core.config import ALLOWED, SECTIONS, RunConfig, TrainConfig
from core.errors import ConfigError
from core.hf_args import check_extra, nearest
from core.i18n import gettext as _
from core.paths import write_atomically


def section_models() -> dict[str, type[BaseModel]]:
    """The pydantic model of each section, by its name in the file."""
    found: dict[str, type[BaseModel]] = {}
    for name in SECTIONS:
        annotation = RunConfig.model_fields[name].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        found[name] = annotation
    return found


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return near[0] if near else ""


def _check_keys(values: dict[str, Any], file: str) -> None:
    models = section_models()
    for section, content in values.items():
        if section not in models:
            near = _nearest(section, list(models)) or _owner(section, models)
            raise ConfigError(
                _("unknown section or key {key}").format(key=section),
                _("Did you mean {near}?").format(near=near)
                if near
                else _("The sections are {names}.").format(names=", ".join(models)),
                file=file,
                key=section,
            )
        if not isinstance(content, dict):
            raise ConfigError(
                _("{key} must be a section").format(key=section),
                _("Write it as [{key}] with keys below it.").format(key=section),
                file=file,
                key=section,
            )
        known = list(models[section].model_fields)
        for name, value in content.items():
            if name == "lr_scheduler_type":
                check_extra(name, value, known, file)
            if name in known:
                continue
            if section == "train":
                check_extra(name, value, known, file)
                continue
            near = _nearest(name, known)
            full = f"{section}.{near}" if near else _owner(name, models)
            raise ConfigError(
                _("unknown key {key}").format(key=f"{section}.{name}"),
                _("Did you mean {near}?").format(near=full)
                if full
                else _("[{section}] knows {names}.").format(section=section, names=", ".join(known)),
                file=file,
                key=f"{section}.{name}",
            )


def _owner(name: str, models: dict[str, type[BaseModel]]) -> str:
    for section, model in models.items():
        if name in model.model_fields:
            return f"{section}.{name}"
    return ""


def _choices(error: Any) -> list[str]:
    """The values that a setting takes, of pydantic's error about another one; empty where they are no list."""
    return re.findall(r"'([^']*)'", error["ctx"]["expected"]) if error["type"] == "literal_error" else []


def _reason(key: str, error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return _("must be one of {choices}").format(choices=", ".join(_choices(error)))
    limits = {
        "greater_than": _("must be above {limit}"),
        "greater_than_equal": _("must be at least {limit}"),
        "less_than": _("must be below {limit}"),
        "less_than_equal": _("must be at most {limit}"),
    }
    if kind in limits:
        limit = context.get("gt", context.get("ge", context.get("lt", context.get("le"))))
        return limits[kind].format(limit=limit)
    if kind == "string_pattern_mismatch":
        return _(ALLOWED[key])
    kinds = {
        "int": _("must be a whole number"),
        "float": _("must be a number"),
        "bool": _("must be true or false"),
        "string": _("must be a text in quotes"),
        "list": _("must be a list"),
        "dict": _("must be a table"),
    }
    return kinds.get(kind.split("_")[0], str(error["msg"]))


def validate(values: dict[str, Any], file: str = "") -> RunConfig:
    """A RunConfig of plain values as TOML gives them.

    Raises ConfigError naming file, key, what is wrong and, for an unknown key, the nearest known one.
    """
    _check_keys(values, file)
    try:
        config = RunConfig.model_validate(values, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
        near = nearest(str(first["input"]), _choices(first))
        hint = _("`nsmc-tui config describe {key}` tells what it means.").format(key=key)
        raise ConfigError(
            _("{key} = {value!r} {reason}").format(key=key, value=first["input"], reason=_reason(key, first)),
            " ".join(part for part in (near and _("Did you mean {near}?").format(near=near), hint) if part),
            file=file,
            key=key,
        ) from error
    return resolve(config, file)


def resolve(config: RunConfig, file: str = "") -> RunConfig:
    """Settle what depends on other settings, and refuse combinations that `Trainer` would refuse late."""
    train, model = config.train, config.model
    if model.preset is not None and "name" not in model.model_fields_set:
        model.name = None
    if (model.preset is None) == (model.name is None):
        raise ConfigError(
            _("[model] needs either name or preset, not both"),
            _('For example name = "xlm-roberta-base", or preset = "tiny".'),
            file=file,
            key="model.name",
        )
    if config.data.dev_size == 0:
        for key, off in (("eval_strategy", "no"), ("load_best_model_at_end", False)):
            if key not in train.model_fields_set:
                setattr(train, key, off)
                train.model_fields_set.discard(key)
        if train.eval_strategy != "no":
            raise ConfigError(
                _("train.eval_strategy = {value!r} needs a dev split").format(value=train.eval_strategy),
                _('Set data.dev_size above 0, or train.eval_strategy to "no".'),
                file=file,
                key="train.eval_strategy",
            )
    matching = train.save_strategy == "best" or train.eval_strategy == train.save_strategy
    if train.load_best_model_at_end and (train.eval_strategy == "no" or not matching):
        if "load_best_model_at_end" in train.model_fields_set:
            raise ConfigError(
                _("train.load_best_model_at_end needs eval_strategy and save_strategy to be the same"),
                _('Set both to "epoch" or both to "steps".'),
                file=file,
                key="train.load_best_model_at_end",
            )
        train.load_best_model_at_end = False
        train.model_fields_set.discard("load_best_model_at_end")
    hf_limits.check(config, file)
    config_rules.check(config, file)
    idle_settings.check(config, file)
    return config


def load(path: Path | str) -> RunConfig:
    """The config in a TOML file. Raises ConfigError."""
    return validate(read_values(path), str(path))


def read_values(path: Path | str) -> dict[str, Any]:
    """The plain values of a TOML file. Raises ConfigError when it cannot be read."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            _("cannot read {file}: {reason}").format(file=path, reason=error.strerror or error),
            _("Give the path of a config in TOML; `nsmc-tui config show` prints one."),
            file=str(path),
        ) from error
    try:
        return foreign_json.parse_toml(raw.decode("utf-8-sig"))
    except ValueError as error:
        raise ConfigError(
            _("{file} is not valid TOML: {reason}").format(file=path, reason=error),
            _("Texts stand in quotes, sections in [brackets]."),
            file=str(path),
        ) from error


def parse_assignment(text: str) -> tuple[list[str], Any]:
    """`train.learning_rate=1e-3` as (path, value); the value as TOML reads it, else as text. Raises ConfigError."""
    key, equals, raw = text.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not equals or not all(path) or len(path) < 2:
        raise ConfigError(
            _("--set {text}: not KEY=VALUE").format(text=text),
            _("For example --set train.learning_rate=2e-5."),
            key=key,
        )
    value = parse_value(raw)
    if isinstance(value, bool | int | float) and _is_text(path):
        # `data.positive_label=1` means the text: nobody should have to quote for the shell and for TOML.
        value = raw.strip()
    return path, value


def _is_text(path: list[str]) -> bool:
    model = section_models().get(path[0])
    field = model.model_fields.get(path[1]) if model is not None and len(path) == 2 else None
    return field is not None and kind(field.annotation) in ("str", "str | none")


def parse_value(raw: str) -> Any:
    """What TOML makes of `raw`; `True`/`False`/`None` as Python writes them too; else the text itself."""
    raw = raw.strip()
    spoken = {"True": True, "False": False, "None": None, "null": None, "none": None}
    if raw in spoken and raw != "none":
        return spoken[raw]
    try:
        return foreign_json.parse_toml(f"value = {raw}")["value"]
    except ValueError:
        return raw


def assign(values: dict[str, Any], path: list[str], value: Any) -> None:
    """Set `values[a][b]… = value`, making sections on the way; None takes the key out (its default holds)."""
    target = values
    for part in path[:-1]:
        inner = target.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(_("{key} is not a section").format(key=part), key=".".join(path))
        target = inner
    if value is None and path[0] != "model":
        target.pop(path[-1], None)
    else:
        target[path[-1]] = value


def plain(config: RunConfig) -> dict[str, Any]:
    """All values of `config` as TOML can hold them: None is left out."""
    dumped = config.model_dump(mode="json")
    return {
        section: {key: value for key, value in content.items() if value is not None and value != {}}
        for section, content in dumped.items()
    }


def changed(config: RunConfig, base: RunConfig | None = None) -> dict[str, tuple[Any, Any]]:
    """Keys whose value differs from `base` (the guide's settings): `section.key` → (base value, value)."""
    before = (base or RunConfig()).model_dump(mode="json")
    after = config.model_dump(mode="json")
    return {
        f"{section}.{key}": (before[section].get(key), value)
        for section, content in after.items()
        for key, value in content.items()
        if before[section].get(key) != value
    }


def dumps(config: RunConfig, existing: str = "") -> str:
    """`config` as TOML. With `existing` TOML, its comments and order are kept and only values change."""
    import tomlkit

    document = tomlkit.parse(existing)
    for section, content in plain(config).items():
        if section not in document:
            document[section] = tomlkit.table()
        table: Any = document[section]
        for key in [key for key in table if key not in content]:
            del table[key]
        for key, value in content.items():
            if key not in table or table[key] != value or type(table[key]) is not type(value):
                table[key] = value
    return tomlkit.dumps(document)


def save(config: RunConfig, path: Path) -> None:
    """Write `config` to `path` atomically, keeping the comments of a file that is there. Raises ConfigError."""
    existing = ""
    if path.is_file():
        read_values(path)
        existing = path.read_text(encoding="utf-8-sig")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, dumps(config, existing))
    except OSError as error:
        raise ConfigError(
            _("cannot write {file}: {reason}").format(file=path, reason=error.strerror or error), file=str(path)
        ) from error


def kind(annotation: Any) -> str:
    """A field's type in words a user reads: `float`, `int or none`, `a | b` for choices."""
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return " | ".join(str(choice) for choice in typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        return " | ".join("none" if part is type(None) else kind(part) for part in typing.get_args(annotation))
    if origin is not None:
        return str(origin.__name__)
    return str(getattr(annotation, "__name__", annotation))


def one_line(text: str | None) -> str:
    """A description on one line, as the catalogue has it."""
    return " ".join((text or "").split())


def train_fields() -> list[str]:
    """The names of the hyper-parameters that nsmc-tui itself declares."""
    return list(TrainConfig.model_fields)
