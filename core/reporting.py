"""`train.report_to`: TensorBoard, W&B, trackio and MLflow, checked before a run and kept in its directory. Light."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.config import RunConfig
from core.errors import ConfigError
from core.hf_limits import refusal, wanted_reporters
from core.i18n import gettext as _
from core.idle_settings import TRACKIO

# What runs are reported under where the user names nothing else.
PROJECT = "nsmc-tui"


@dataclass(frozen=True)
class Reporter:
    """A reporter that has an extra of its own: the modules that it needs, by the name they are imported with."""

    modules: tuple[str, ...]


# The names are those of `report_to` and of the extras in pyproject.toml.
REPORTERS = {
    "tensorboard": Reporter(("tensorboard",)),
    "wandb": Reporter(("wandb",)),
    "trackio": Reporter(("trackio",)),
    # MLflow keeps its runs in SQLite; its plain files are no longer accepted (mlflow 3.17).
    "mlflow": Reporter(("mlflow", "sqlalchemy", "alembic")),
}


def is_installed(name: str) -> bool:
    """Whether the reporter `name` (a key of `REPORTERS`) can be used here; nothing is imported."""
    return all(importlib.util.find_spec(module) is not None for module in REPORTERS[name].modules)


def check(config: RunConfig) -> None:
    """Refuse a run whose `train.report_to` names a reporter that is not installed, before its worker starts.

    Reporters without an extra of ours are left to transformers. Raises ConfigError with what to install.
    """
    names = wanted_reporters(config)
    if any(config.train.extra.get(field) for field in TRACKIO):
        # Among all that are installed, somebody counts on this one.
        names.append("trackio")
    for name in names:
        if name in REPORTERS and not is_installed(name):
            raise missing(name)


def missing(name: str) -> ConfigError:
    """The error for a reporter that is not installed."""
    return refusal("report_to", name, _("it is not installed"), _('pip install "nsmc-tui[{name}]"').format(name=name))


def environment_for(config: RunConfig, run_dir: Path, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables that keep the reporters' output of a run in its directory.

    Only for the reporters that `train.report_to` wants, and only what is not set in `given` (by default the
    process's environment): who has a tracking server keeps it. A resumed run goes on in the same W&B run.
    """
    given = os.environ if given is None else given
    names = wanted_reporters(config)
    if "all" in names:
        names = [name for name in REPORTERS if is_installed(name)]
    run_dir = run_dir.absolute()
    wanted: dict[str, str] = {}
    if "tensorboard" in names:
        wanted["TENSORBOARD_LOGGING_DIR"] = str(run_dir / "tensorboard")
    if "wandb" in names:
        # W&B makes the directory `wandb` in it.
        wanted |= {
            "WANDB_DIR": str(run_dir),
            "WANDB_PROJECT": PROJECT,
            "WANDB_RUN_ID": run_dir.name,
            "WANDB_RESUME": "allow",
        }
        if config.launch.offline:
            wanted["WANDB_MODE"] = "offline"
    if "trackio" in names:
        wanted["TRACKIO_DIR"] = str(run_dir / "trackio")
    if "mlflow" in names:
        wanted |= {
            "MLFLOW_TRACKING_URI": f"sqlite:///{run_dir / 'mlflow.db'}",
            "MLFLOW_EXPERIMENT_NAME": PROJECT,
        }
    return {key: value for key, value in wanted.items() if key not in given}
