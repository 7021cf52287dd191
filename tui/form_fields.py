"""What can be set in a run: every setting with its type, limits, choices and meaning, and how people write it."""

from __future__ import annotations

import json
import math
import re
import tomllib
import types
import typing
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from core import config_file
from core.config import RunConfig
from core.hf_args import RESERVED, HfField, choices_of, hf_fields
from core.i18n import N_
from core.i18n import gettext as _

ESSENTIALS = (
    "data.source",
    "data.max_length",
    "model.name",
    "model.preset",
    "train.per_device_train_batch_size",
    "train.num_train_epochs",
    "train.learning_rate",
    "train.lr_scheduler_type",
    "train.warmup_steps",
    "train.weight_decay",
    "train.seed",
    "launch.name",
)
GROUPS = {
    "essentials": N_("Essentials"),
    "data": N_("Data"),
    "model": N_("Model"),
    "train": N_("Training"),
    "evaluate": N_("Evaluation"),
    "launch": N_("Launch"),
    "more": N_("All other TrainingArguments"),
}
NONE = "none"
SPLITS = ("dev, test", "dev", "test", NONE)
# Where the worker's own default is not transformers' (core.training.build_arguments); None: it depends on the machine.
WORKER_DEFAULTS: dict[str, Any] = {
    "report_to": "none",
    "logging_nan_inf_filter": False,
    "dataloader_pin_memory": None,
}
_BOUNDS = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))


@dataclass(frozen=True)
class Setting:
    """One setting. `kind` is how it is typed in: bool, int, float, str, list, dict or any (as TOML).

    `choices` are texts; NONE among them takes the value out. `own` is false for the fields of `TrainingArguments`
    that nsmc-tui does not declare itself.
    """

    key: str
    group: str
    kind: str
    default: Any
    wanted: str
    description: str = ""
    hf_help: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False
    own: bool = True

    @property
    def section(self) -> str:
        """The section of the config file it stands in."""
        return self.key.split(".", 1)[0]

    @property
    def name(self) -> str:
        """Its name within the section."""
        return self.key.split(".", 1)[1]

    def matches(self, words: list[str]) -> int:
        """How well it fits a search: 0 not at all, 1 by its description, 2 within its name, 3 its name begins so."""
        key = self.key.lower()
        rest = f"{self.description} {self.hf_help} {_(GROUPS[self.group])} {' '.join(self.choices)}".lower()
        if not all(word in key or word in rest for word in words):
            return 0
        if any(self.name.lower().startswith(word) for word in words):
            return 3
        return 2 if all(word in key for word in words) else 1


def _parts(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return list(typing.get_args(annotation))
    return [annotation]


def _own(section: str, name: str, field: FieldInfo, default: Any) -> Setting:
    parts = _parts(field.annotation)
    optional = type(None) in parts
    core = next(part for part in parts if part is not type(None))
    choices: tuple[str, ...] = ()
    if typing.get_origin(core) is typing.Literal:
        choices = tuple(str(choice) for choice in typing.get_args(core))
    hf = hf_fields().get(name) if section == "train" else None
    if hf is not None and not choices:
        choices = choices_of(hf)
    if optional and choices:
        choices = (NONE, *choices)
    key = f"{section}.{name}"
    kind = str(getattr(typing.get_origin(core) or core, "__name__", "any"))
    if key == "evaluate.splits":
        kind, choices = "list", SPLITS
    kind = "str" if choices and kind not in ("list",) else kind
    bounds = [
        f"{sign} {getattr(item, attribute):,}"
        for item in field.metadata
        for attribute, sign in _BOUNDS
        if getattr(item, attribute, None) is not None
    ]
    wanted = " | ".join(choices) if choices else ", ".join([" ".join([_kind_word(kind), *bounds[:1]]), *bounds[1:]])
    description = " ".join((field.description or "").split())
    return Setting(
        key,
        section,
        kind,
        default,
        wanted,
        _(description) if description else "",
        "" if hf is None else hf.help,
        choices,
        optional,
    )


def _kind_word(kind: str) -> str:
    words = {
        "int": _("whole number"),
        "float": _("number"),
        "str": _("text"),
        "bool": _("true or false"),
        "dict": _("table: key = value, …"),
    }
    return words.get(kind, kind)


def _more(field: HfField) -> Setting:
    parts = {part.strip() for part in field.annotation.split("|")}
    optional = "None" in parts
    names = parts - {"None"}
    choices = choices_of(field)
    kind = next(iter(names)) if len(names) == 1 and names <= {"bool", "int", "float", "str"} else "any"
    if names and all(name.startswith("dict") or name == "str" for name in names) and names != {"str"}:
        kind = "dict"
    default = WORKER_DEFAULTS.get(field.name, field.default)
    if choices:
        kind = "str"
        # Some defaults are names of variables in transformers' source, which say nothing here.
        default = default if default in choices else None
        choices = (NONE, *choices) if default is None else choices
    elif kind == "bool":
        optional = optional or default is None
    wanted = " | ".join(choices) or (_kind_word(kind) if kind in ("int", "float", "str", "bool") else field.annotation)
    return Setting(
        f"train.{field.name}",
        "more",
        kind,
        default,
        wanted,
        "",
        field.help,
        choices,
        optional or default is None,
        False,
    )


def all_settings() -> dict[str, Setting]:
    """Every setting by its key, in the order of the config file; transformers' further fields come last.

    Texts are in the language in use at the time of the call.
    """
    defaults = RunConfig().model_dump(mode="json")
    found = {
        f"{section}.{name}": _own(section, name, field, defaults[section][name])
        for section, model in config_file.section_models().items()
        for name, field in model.model_fields.items()
    }
    for field in hf_fields().values():
        if field.name not in RESERVED and f"train.{field.name}" not in found:
            found[f"train.{field.name}"] = _more(field)
    return found


def translatable() -> list[str]:
    """The descriptions that are translated when they are shown (they are written in `core.config`)."""
    return [
        " ".join((field.description or "").split())
        for model in config_file.section_models().values()
        for field in model.model_fields.values()
        if field.description
    ]


# -- values as texts -------------------------------------------------------------------------------------------


def format_value(value: Any) -> str:
    """A value as it is shown and typed in: `5e-5`, `true`, `dev, test`, `key = 0.2`; empty for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
            return str(int(value))
        return re.sub(r"e([+-])0(\d)$", r"e\1\2", repr(value))
    if isinstance(value, list):
        return ", ".join(format_value(item) for item in value) or NONE
    if isinstance(value, dict):
        return ", ".join(f"{_toml_key(name)} = {toml_value(item)}" for name, item in value.items())
    return str(value)


def parse_text(setting: Setting, text: str) -> Any:
    """What `text` means for `setting`; the text itself where it means nothing, which validation will then say.

    None stands for "not set".
    """
    text = text.strip()
    if setting.key == "evaluate.splits":
        return [] if text in ("", NONE) else [part.strip() for part in text.split(",")]
    if text == "" and (setting.optional or not setting.own):
        return None
    if setting.choices:
        return None if text == NONE and NONE in setting.choices else text
    if setting.kind == "bool":
        return {"true": True, "false": False}.get(text.lower(), text)
    if setting.kind in ("int", "float"):
        return _number(setting.kind, text)
    if setting.kind == "dict":
        return _table(text)
    return config_file.parse_value(text) if setting.kind == "any" else text


def _number(kind: str, text: str) -> Any:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return text
    if not math.isfinite(value):
        return text
    return int(value) if kind == "int" and value == int(value) else value


def _table(text: str) -> Any:
    inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    try:
        return tomllib.loads(f"value = {{{inner}}}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def toml_value(value: Any) -> str:
    """`value` as TOML writes it on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_key(str(name))} = {toml_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def assignment_value(value: Any) -> str:
    """`value` as `--set KEY=VALUE` wants it: texts without quotes where that is read back as the same text."""
    if isinstance(value, str) and value and value == value.strip() and config_file.parse_value(value) == value:
        return value
    return toml_value(value)
