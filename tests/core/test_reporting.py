"""Reporters: refused when missing, their output in the run's directory, TensorBoard's really written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from core import config_file, needed_packages, reporting
from core.config import RunConfig
from core.errors import ConfigError
from core.launch import create_run
from tests.conftest import ROOT, SMALL_RUN


def config_of(report_to: object, **launch: object) -> RunConfig:
    return config_file.validate({"model": {"preset": "tiny"}, "train": {"report_to": report_to}, "launch": launch})


def test_every_reporter_has_an_extra_with_pinned_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(project) - {"dev", "bench"} == set(reporting.REPORTERS)
    pins = (ROOT / "constraints.txt").read_text().lower()
    for name in reporting.REPORTERS:
        for requirement in project[name]:
            package = re.split(r"[<>=]", requirement)[0]
            assert re.search(rf"^{re.escape(package)}==", pins, re.MULTILINE), package


def test_what_is_not_installed_is_refused_with_what_to_install() -> None:
    """In an interpreter that looks for further modules in the standard library only."""
    script = (
        "import sys, sysconfig\n"
        "from core import config_file, reporting\n"
        "from core.errors import ConfigError\n"
        "names = list(reporting.REPORTERS)\n"
        "configs = [config_file.validate({'model': {'preset': 'tiny'}, 'train': {'report_to': n}}) for n in names]\n"
        "sys.path = [sysconfig.get_path('stdlib')]\n"
        "for config in configs:\n"
        "    try:\n"
        "        reporting.check(config)\n"
        "    except ConfigError as error:\n"
        "        print(error.key, error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == [
        f'train.report_to pip install "nsmc-tui[{name}]"' for name in reporting.REPORTERS
    ]


def test_a_run_without_reporters_needs_none() -> None:
    for value in ("none", [], "all", "codecarbon"):
        reporting.check(config_of(value))
    assert reporting.environment_for(config_of("none"), Path("/runs/a"), {}) == {}
    assert reporting.environment_for(config_file.validate({}), Path("/runs/a"), {}) == {}


def test_output_goes_into_the_run_directory(tmp_path: Path) -> None:
    run = tmp_path / "20260101-000000-a"
    made = reporting.environment_for(config_of(["tensorboard", "wandb", "trackio", "mlflow"]), run, {})
    assert made["TENSORBOARD_LOGGING_DIR"] == str(run / "tensorboard")
    assert made["WANDB_DIR"] == str(run)
    assert made["WANDB_RUN_ID"] == run.name
    assert made["TRACKIO_DIR"] == str(run / "trackio")
    assert made["MLFLOW_TRACKING_URI"] == f"sqlite:///{run}/mlflow.db"
    assert "WANDB_MODE" not in made
    assert reporting.environment_for(config_of("wandb", offline=True), run, {})["WANDB_MODE"] == "offline"


def test_what_the_user_set_is_kept(tmp_path: Path) -> None:
    given = {"MLFLOW_TRACKING_URI": "https://mlflow.example", "WANDB_PROJECT": "mine"}
    made = reporting.environment_for(config_of(["wandb", "mlflow"]), tmp_path, given)
    assert not set(made) & set(given)
    assert "WANDB_DIR" in made


def test_tensorboard_reads_what_a_run_wrote(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    values = {
        **SMALL_RUN,
        "data": {"source": "sample", "train_limit": 320, "test_limit": 64, "dev_size": 0.1, "max_length": 32},
        "train": {**SMALL_RUN["train"], "num_train_epochs": 1, "logging_steps": 2, "report_to": "tensorboard"},
    }
    config = config_file.validate(values)
    reporting.check(config)
    run_dir = create_run(config, tmp_path)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "core.worker", str(run_dir)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **reporting.environment_for(config, run_dir)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    read = EventAccumulator(str(run_dir / "tensorboard"))
    read.Reload()
    tags = read.Tags()["scalars"]
    assert {"train/loss", "train/learning_rate", "eval/accuracy"} <= set(tags)
    steps = [event.step for event in read.Scalars("train/loss")]
    assert steps == sorted(set(steps))
    assert steps[-1] == 10
    (scored,) = [
        event["metrics"]["eval_accuracy"]
        for event in map(json.loads, (run_dir / "events.jsonl").read_text(encoding="utf-8").splitlines())
        if event["type"] == "eval" and event["split"] == "dev" and not event.get("final")
    ]
    assert read.Scalars("eval/accuracy")[0].value == pytest.approx(scored, abs=1e-6)


def test_trackio_gets_its_project_its_space_and_a_name_of_its_own(tmp_path: Path) -> None:
    """It takes a run of the same name for one that goes on; names of runs need not differ."""
    from core.training import build_arguments

    run_dir = tmp_path / "20260101-000000-a"
    arguments = build_arguments(config_of("trackio", name="a", device="cpu"), run_dir)
    assert (arguments.project, arguments.run_name) == (reporting.PROJECT, run_dir.name)
    values = {"project": "mine", "trackio_space_id": "me/space", "hub_private_repo": True, "run_name": "first"}
    config = config_file.validate(
        {"model": {"preset": "tiny"}, "train": {"report_to": "trackio", **values}, "launch": {"device": "cpu"}}
    )
    arguments = build_arguments(config, run_dir)
    assert {name: getattr(arguments, name) for name in values} == values


def test_trackio_holds_what_a_run_told_it(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    values = {
        **SMALL_RUN,
        "data": {"source": "sample", "train_limit": 320, "test_limit": 64, "dev_size": 0.1, "max_length": 32},
        "train": {
            **SMALL_RUN["train"], "num_train_epochs": 1, "logging_steps": 2, "report_to": "trackio", "project": "mine"
        },
    }  # fmt: skip
    config = config_file.validate(values)
    run_dir = create_run(config, tmp_path)
    environment = {**os.environ, **reporting.environment_for(config, run_dir)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "core.worker", str(run_dir)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (kept,) = (run_dir / "trackio").glob("mine*.db")
    with contextlib.closing(sqlite3.connect(kept)) as connection:
        rows = connection.execute("SELECT run_name, metrics FROM metrics").fetchall()
    assert {name for name, _metrics in rows} == {run_dir.name}
    assert any(b"train/loss" in metrics for _name, metrics in rows)


def test_refusals_name_the_reporter() -> None:
    with pytest.raises(ConfigError, match="tensorbord"):
        config_of("tensorbord")


@pytest.mark.parametrize(
    ("values", "key", "package"),
    [
        ({"optim": "paged_adamw_8bit"}, "train.optim", "bitsandbytes"),
        ({"optim": "schedule_free_adamw"}, "train.optim", "schedulefree"),
        ({"use_liger_kernel": True}, "train.use_liger_kernel", "liger-kernel"),
        ({"optim": "adamw_torch", "use_liger_kernel": False}, "", ""),
    ],
)
def test_what_a_setting_needs_is_looked_for_before_a_run_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, object], key: str, package: str
) -> None:
    """As on a machine that has none of these packages."""
    monkeypatch.setattr(needed_packages.importlib.util, "find_spec", lambda name: None)
    config = config_file.validate({"model": {"name": "some/model"}, "train": values})
    if not key:
        needed_packages.check(config)
        return
    with pytest.raises(ConfigError) as caught:
        needed_packages.check(config)
    assert (caught.value.key, caught.value.hint) == (key, f"pip install {package}")
    assert list(tmp_path.iterdir()) == []
