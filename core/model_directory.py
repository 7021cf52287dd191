"""What is wrong with a directory that is to be a model, said before transformers says it its way. Light."""

from __future__ import annotations

from pathlib import Path

from core import foreign_json
from core.errors import ModelError
from core.i18n import gettext as _

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
"""Patterns of the files that hold a model's weights."""

ADAPTER_CONFIG = "adapter_config.json"


def loading_errors() -> tuple[type[Exception], ...]:
    """What transformers, torch and safetensors raise for files that are no model or tokenizer they can read."""
    from safetensors import SafetensorError

    return OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, SafetensorError


def refused_pickle(path: str) -> ModelError:
    """The error for weights that torch does not open because they are more than weights."""
    return ModelError(
        _("The weights in {path} are a pickle with more in it than weights; it was not opened.").format(path=path),
        _("Have it saved as safetensors: `model.save_pretrained(DIR)` where it was made."),
    )


def needs_code(reason: str) -> str:
    """The way out where transformers' `reason` is that a model comes with code of its own; empty for another one."""
    if "custom code" not in reason and "trust_remote_code" not in reason:
        return ""
    return _("Code that comes with a model is never run here: save it as an architecture of transformers.")


def check_directory(name: str) -> None:
    """Refuse `name` where it is meant to be a directory and is not one that a model can be in.

    A name without dots, a leading slash or `~`, and with at most one slash may be one of the Hub unless there is such
    a directory. Raises ModelError.
    """
    path = Path(name).expanduser()
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_like_path and not path.is_dir():
        raise ModelError(
            _("no such directory: {path}").format(path=name),
            _("Give a directory with config.json, tokenizer and weights, or a model's name on the Hub."),
        )
    if not path.is_dir():
        return
    if (path / ADAPTER_CONFIG).is_file() and not _own_weights(path):
        raise ModelError(
            _("{path} is a PEFT adapter for {base}, not a whole model").format(path=name, base=_base_of(path)),
            _(
                "Merge it where peft is installed, and give that directory: "
                '`AutoPeftModelForSequenceClassification.from_pretrained("{path}").merge_and_unload()'
                '.save_pretrained("merged")`; save the tokenizer there too.'
            ).format(path=name),
        )
    if not (path / "config.json").is_file():
        inner = sorted(path.glob("*/config.json"), key=lambda file: file.stat().st_mtime)
        near = _("Perhaps {path}?").format(path=inner[-1].parent) if inner else ""
        raise ModelError(_("{path} has no config.json: it is not a model").format(path=name), near)


def _own_weights(path: Path) -> bool:
    return any(not file.name.startswith("adapter_") for pattern in WEIGHTS for file in path.glob(pattern))


def _base_of(path: Path) -> str:
    try:
        settings = foreign_json.parse((path / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        settings = None
    base = settings.get("base_model_name_or_path") if isinstance(settings, dict) else None
    return base if isinstance(base, str) and base else _("another model")
