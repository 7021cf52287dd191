"""Packages that some `[train]` settings need beside ours, looked for before a run starts. Light: imports none."""

from __future__ import annotations

import fnmatch
import importlib.util
from dataclasses import dataclass
from typing import Any

from core.config import RunConfig
from core.hf_limits import refusal
from core.i18n import gettext as _


@dataclass(frozen=True)
class Need:
    """Values of a `[train]` field (`fnmatch` patterns; empty: any that is set) that need `module`, of `package`."""

    field: str
    values: tuple[str, ...]
    module: str
    package: str


# Read in transformers/trainer_optimizer.py and training_args.py.
NEEDS = (
    Need("optim", ("*_bnb*", "paged_*", "lion_*", "ademamix*", "adamw_8bit"), "bitsandbytes", "bitsandbytes"),
    Need("optim", ("adamw_torch_4bit", "adamw_torch_8bit"), "torchao", "torchao"),
    Need("optim", ("galore_*",), "galore_torch", "galore-torch"),
    Need("optim", ("apollo_*",), "apollo_torch", "apollo-torch"),
    Need("optim", ("lomo", "adalomo"), "lomo_optim", "lomo-optim"),
    Need("optim", ("grokadamw",), "grokadamw", "grokadamw"),
    Need("optim", ("schedule_free_*",), "schedulefree", "schedulefree"),
    Need("optim", ("stable_adamw",), "optimi", "torch-optimi"),
    Need("optim", ("adamw_anyprecision",), "torchdistx", "torchdistx"),
    Need("use_liger_kernel", (), "liger_kernel", "liger-kernel"),
)


def missing(field: str, value: Any) -> str:
    """The package that `value` of `field` needs and that is not installed; empty when nothing is missing."""
    for need in NEEDS:
        wanted = bool(value) if not need.values else any(fnmatch.fnmatch(str(value), name) for name in need.values)
        if need.field == field and wanted and importlib.util.find_spec(need.module) is None:
            return need.package
    return ""


def check(config: RunConfig) -> None:
    """Refuse a run whose settings need a package that is not installed. Raises ConfigError with what to install."""
    for field in dict.fromkeys(need.field for need in NEEDS):
        value = config.train.extra.get(field)
        package = missing(field, value)
        if package:
            raise refusal(
                field,
                value,
                _("it needs a package that is not installed"),
                _("pip install {package}").format(package=package),
            )
