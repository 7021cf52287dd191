"""The fields of the installed `transformers.TrainingArguments`, read from its source.

Importing `TrainingArguments` costs seconds and torch, which a form or `--help` cannot pay; the dataclass's source
says the same things in milliseconds and is always the installed version's. The worker builds the real object,
which has the last word.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ConfigError
from core.i18n import N_
from core.i18n import gettext as _

# Fields that the worker decides, so that a run directory keeps its shape.
RESERVED = {
    "output_dir": N_("the run's own directory is used"),
    "do_train": N_("nsmc-tui trains, evaluates and predicts by [evaluate]"),
    "do_eval": N_("nsmc-tui trains, evaluates and predicts by [evaluate]"),
    "do_predict": N_("nsmc-tui trains, evaluates and predicts by [evaluate]"),
    "resume_from_checkpoint": N_(
        "`nsmc-tui resume RUN` goes on with a run; model.name takes a checkpoint to start from its weights"
    ),
    "local_rank": N_("set by the launcher"),
    "disable_tqdm": N_("progress is shown by nsmc-tui"),
    "batch_eval_metrics": N_("nsmc-tui scores whole splits"),
    "prediction_loss_only": N_("predictions are what is reviewed"),
    "label_names": N_("the label column is set in [data]"),
    "remove_unused_columns": N_("nsmc-tui hands over just what the model takes"),
    "include_for_metrics": N_("nsmc-tui computes losses a review itself"),
    "parallelism_config": N_("every process holds the whole model; launch.processes says how many there are"),
    # Never shown or kept, not even in an error.
    "hub_token": N_(
        "a token has no place in a run's files, and nothing is pushed to the Hub; `hf auth login` or HF_TOKEN gives "
        "it to whatever loads from there"
    ),
}

# Fields of transformers 4 that are gone, and what takes their place (transformers 5 migration notes and source).
GONE = {
    "evaluation_strategy": "eval_strategy",
    "warmup_ratio": N_("warmup_steps (a share below 1)"),
    "group_by_length": 'train_sampling_strategy = "group_by_length"',
    "no_cuda": "use_cpu",
    "adafactor": 'optim = "adafactor"',
    "logging_dir": N_("the environment variable TENSORBOARD_LOGGING_DIR"),
    "overwrite_output_dir": N_("nothing: every run has a directory of its own"),
    "save_safetensors": N_("nothing: always on"),
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "half_precision_backend": N_("nothing: torch's own is used"),
    "fp16_backend": N_("nothing: torch's own is used"),
    "fp16_opt_level": N_("nothing: torch's own is used"),
    "include_inputs_for_metrics": N_("nothing: nsmc-tui keeps the inputs"),
    "use_mps_device": N_("nothing: found by torch"),
    "sharded_ddp": "launch.processes",
    "torchdynamo": "torch_compile_backend",
    "push_to_hub_model_id": "hub_model_id",
    "push_to_hub_token": N_("nothing: `hf auth login` or HF_TOKEN gives it"),
    "batch_size": "per_device_train_batch_size",
    "epochs": "num_train_epochs",
    "lr": "learning_rate",
    "max_length": "data.max_length",
}


@dataclass(frozen=True)
class HfField:
    """One field of `TrainingArguments`: its annotation and default as written, its help, its choices."""

    name: str
    annotation: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()


def training_arguments_source() -> Path | None:
    """The installed `training_args.py`, found without importing transformers; None where it is not installed."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / "training_args.py"
    return path if path.is_file() else None


def _literal(node: ast.expr | None) -> Any:
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _field(node: ast.AnnAssign) -> HfField | None:
    if not isinstance(node.target, ast.Name) or not isinstance(node.value, ast.Call):
        return None
    keywords = {k.arg: k.value for k in node.value.keywords if k.arg}
    metadata: dict[str, Any] = {}
    if isinstance(keywords.get("metadata"), ast.Dict):
        pairs = keywords["metadata"]
        assert isinstance(pairs, ast.Dict)
        metadata = {_literal(k): _literal(v) for k, v in zip(pairs.keys, pairs.values, strict=True) if k is not None}
    help_text = str(metadata.get("help", "")).replace("%%", "%")
    choices = metadata.get("choices")
    return HfField(
        node.target.id,
        ast.unparse(node.annotation),
        _literal(keywords.get("default")),
        " ".join(help_text.split()),
        tuple(str(c) for c in choices) if isinstance(choices, list | tuple) else (),
    )


@functools.cache
def hf_fields() -> dict[str, HfField]:
    """All fields of the installed `TrainingArguments` by name, in its order; empty without transformers."""
    path = training_arguments_source()
    if path is None:
        return {}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "TrainingArguments":
            found = [_field(item) for item in node.body if isinstance(item, ast.AnnAssign)]
            return {field.name: field for field in found if field is not None}
    return {}


@functools.cache
def enum_values() -> dict[str, tuple[str, ...]]:
    """The values of the enums that `TrainingArguments` names, read from the installed source, not imported."""
    path = training_arguments_source()
    found: dict[str, tuple[str, ...]] = {}
    if path is None:
        return found
    for file in (path.with_name("trainer_utils.py"), path):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (OSError, SyntaxError):
            continue
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases):
                values = [item.value for item in node.body if isinstance(item, ast.Assign)]
                texts = [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)]
                if texts:
                    found[node.name] = tuple(texts)
    return found


def choices_of(field: HfField) -> tuple[str, ...]:
    """The values that a field takes when they can be listed: its declared choices, or its enum's."""
    if field.choices:
        return field.choices
    for part in field.annotation.split("|"):
        if part.strip() in enum_values():
            return enum_values()[part.strip()]
    return ()


def _parts(annotation: str) -> set[str]:
    flat = annotation.replace("typing.", "").replace("Optional[", "None | ")
    return {part.strip().rstrip("]") for part in flat.replace("Union[", "").replace(",", "|").split("|")}


def _accepts(field: HfField, value: Any) -> bool:
    parts = _parts(field.annotation)
    choices = choices_of(field)
    if choices and isinstance(value, str):
        return value in choices
    if isinstance(value, bool):
        return "bool" in parts or field.annotation.startswith("dict")
    if isinstance(value, int):
        return bool(parts & {"int", "float"})
    if isinstance(value, float):
        return "float" in parts
    if isinstance(value, str):
        return "str" in parts or any(part.startswith("Literal") for part in parts)
    if isinstance(value, dict):
        return any(part.startswith("dict") for part in parts)
    if isinstance(value, list):
        return any(part.startswith("list") for part in parts)
    return value is None and "None" in parts


def check_extra(name: str, value: Any, known: list[str], file: str = "") -> None:
    """Refuse a `[train]` key that the installed `TrainingArguments` would not take.

    `known` are the names that nsmc-tui itself declares, for the nearest match. Raises ConfigError.
    """
    fields = hf_fields()
    key = f"train.{name}"
    if name in RESERVED:
        raise ConfigError(
            _("{key} cannot be set").format(key=key),
            _("It is decided by nsmc-tui: {reason}.").format(reason=_(RESERVED[name])),
            file=file,
            key=key,
        )
    if name in fields:
        if not _accepts(fields[name], value):
            raise _unfit(fields[name], key, value, file)
        return
    if name in GONE:
        hint = _("transformers 5 has no such field. Instead: {new}.").format(new=_(GONE[name]))
    else:
        near = difflib.get_close_matches(name, [*known, *fields], n=1, cutoff=0.5)
        hint = (
            _("Did you mean train.{near}?").format(near=near[0])
            if near
            else _("`nsmc-tui config describe` lists all keys.")
        )
    raise ConfigError(_("unknown key {key}").format(key=key), hint, file=file, key=key)


def _unfit(field: HfField, key: str, value: Any, file: str) -> ConfigError:
    choices = choices_of(field)
    if not choices or not isinstance(value, str):
        return ConfigError(
            _("{key} = {value!r} has the wrong type").format(key=key, value=value),
            _("transformers wants {wanted}.").format(wanted=" | ".join(choices) or field.annotation),
            file=file,
            key=key,
        )
    near = nearest(value, choices)
    return ConfigError(
        _("{key} = {value!r} is not one of the values that transformers knows").format(key=key, value=value),
        " ".join(
            part
            for part in (
                near and _("Did you mean {near}?").format(near=near),
                _("It knows {names}.").format(names=", ".join(choices)),
            )
            if part
        ),
        file=file,
        key=key,
    )


def nearest(value: str, choices: Sequence[str]) -> str:
    """Which of `choices` was most likely meant by `value`, the first of those that begin like it; empty if none.

    `adamw` is the beginning of several optimizers, none of which difflib finds near enough as a whole.
    """
    given = value.strip().casefold()
    meant = {choice[: len(given)].casefold(): choice for choice in reversed(choices)}
    meant.update((choice.casefold(), choice) for choice in choices)
    near = difflib.get_close_matches(given, meant, n=1)
    return meant[near[0]] if near else ""
