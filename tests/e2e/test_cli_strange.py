"""The command line where paths, files and arguments are strange: a reason, a way out, a code, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core import config_file
from core.runs import create_run_dir
from tests.conftest import run_cli
from tui.cli.train_commands import build_config

LONG = "n" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", LONG),
        ("control", LONG, "stop"),
        ("evaluate", LONG),
        ("train", "--data", LONG, "--preset", "tiny"),
        ("train", "--data", "sample", "--model", f"/{LONG}"),
        ("errors", LONG),
    ],
)
def test_names_that_no_file_can_have(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run_cli(*arguments, runs=tmp_path)
    assert done.returncode in (1, 2), done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_what_nobody_foresaw_is_told_in_a_line_and_with_debug_whole(tmp_path: Path) -> None:
    script = (
        "import sys, tui.cli, tui.__main__\n"
        "def broken(**options): raise KeyError('gone')\n"
        "tui.cli.cli.main = broken\n"
        "tui.__main__.main()"
    )
    for more, whole in (([], False), (["--debug"], True)):
        done = subprocess.run(
            [sys.executable, "-c", script, *more, "runs"], capture_output=True, text=True, check=False, cwd=Path.cwd()
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert "error: KeyError: 'gone'" in done.stderr
        assert "hint: `nsmc-tui --debug`" in done.stderr
        assert ("Traceback" in done.stderr) is whole


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A run that is over, with a config that was broken since and events that others wrote."""
    run_dir = create_run_dir(tmp_path, "strange")
    (run_dir / "status.json").write_text(json.dumps({"state": "finished", "name": "strange"}))
    (run_dir / "config.toml").write_text("[train\n")
    events = [
        '{"v": 1, "ts": 1.0, "type": "step", "step": 1, "loss": NaN, "grad_norm": Infinity}',
        '{"v": 1, "ts": 2.0, "type": "eval", "split": "dev", "metrics": [1]}',
        "[" * 200_000,
        '{"v": 1, "ts": 3.0, "type": "run_finished", "state": "finished", "metrics": {}}',
    ]
    (run_dir / "events.jsonl").write_text("\n".join(events) + "\n")
    return run_dir


def test_a_run_that_others_wrote_to_is_followed_and_shown(strange: Path) -> None:
    watched = run_cli("watch", strange.name, "--json", runs=strange.parent)
    assert watched.returncode == 0, watched.stderr
    events: list[dict[str, Any]] = [json.loads(line) for line in watched.stdout.splitlines()]
    assert [event["type"] for event in events] == ["step", "eval", "run_finished"]
    assert (events[0]["loss"], events[0]["grad_norm"]) == (None, None)
    assert run_cli("watch", strange.name, "--lines", runs=strange.parent).returncode == 0
    shown = run_cli("show", strange.name, "--json", runs=strange.parent)
    assert shown.returncode == 0, shown.stderr
    document = json.loads(shown.stdout)
    assert (document["state"], document["config"]) == ("finished", None)
    assert "is not valid TOML" in shown.stderr


def test_other_data_has_tests_of_its_own(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text('[data]\nsource = "/there/train.tsv"\ntest_file = "/there/test.tsv"\n')
    assert build_config(str(config), None, None, None, (), None).data.test_file == "/there/test.tsv"
    assert build_config(str(config), "sample", None, None, (), None).data.test_file is None
    named = build_config(str(config), "/here/a.tsv", None, None, ("data.test_file=/here/b.tsv",), None)
    assert (named.data.source, named.data.test_file) == ("/here/a.tsv", "/here/b.tsv")


def test_config_commands_take_a_file_or_none(tmp_path: Path) -> None:
    assert json.loads(run_cli("config", "check", "--json").stdout) == {"ok": True, "changed": {}}
    assert "the default config is fine" in run_cli("config", "check").stdout
    path = tmp_path / "run.toml"
    path.write_text("[train]\nlearning_rate = 3e-4\n")
    told = {item["key"]: item for item in json.loads(run_cli("config", "describe", str(path), "--json").stdout)}
    assert told["train.learning_rate"]["value"] == 3e-4
    assert told["train.learning_rate"]["default"] == config_file.validate({}).train.learning_rate
    assert set(told) >= {"data.source", "model.freeze", "launch.name"}
    assert "= 0.0003  (" in run_cli("config", "describe", str(path)).stdout
    unknown = run_cli("config", "describe", os.devnull + "x")
    assert unknown.returncode == 2
    assert "hint: " in unknown.stderr
