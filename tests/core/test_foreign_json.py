"""Files that anyone may have written: what is no JSON, or nested too deeply for Python's reader, ends no reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import checkpoints, config_file, control, environment, foreign_json, review_place, run_labels, supervisor
from core.errors import ConfigError
from core.events import append_line
from core.run_index import RunIndex
from core.runs import create_run_dir, read_results, read_status
from core.tail import JsonlTail

DEEP = "[" * 200_000


@pytest.mark.parametrize("text", [DEEP, '{"a":' * 100_000, "", "{", "\x00", "NaN }"])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        foreign_json.parse(text)
    with pytest.raises(ValueError, match=r"."):
        foreign_json.parse_toml(f"a = {text}")


def test_a_log_is_read_on_behind_a_line_that_is_nested_too_deeply(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_text(f'{{"type": "a"}}\n{DEEP}\n{{"type": "b"}}\n')
    tail = JsonlTail(log)
    found: list[dict[str, Any]] = []
    while tail.pending:
        found += tail.read()
    assert [event["type"] for event in found] == ["a", "b"]
    assert tail.skipped == 1


def test_orders_behind_what_others_left_are_taken(tmp_path: Path) -> None:
    """A line nested too deeply, and half a line, which the next order would else be glued to."""
    run_dir = create_run_dir(tmp_path, "ordered")
    reader = control.OrderReader(run_dir)
    path = run_dir / control.CONTROL_FILE
    path.write_text(f'{DEEP}\n{{"v":1,"action":"save"}}\n{{"v":1,"action":"ev')
    append_line(path, {"v": 1, "action": "stop"})
    append_line(path, {"v": 1, "action": "abort"})
    assert [order["action"] for order in reader.read()] == ["save", "stop", "abort"]
    assert path.read_text().count("\n") == 5


READERS: list[tuple[str, Callable[[Path], Any], Any]] = [
    ("status.json", read_status, {}),
    ("all_results.json", read_results, {}),
    ("labels.json", run_labels.read_labels, run_labels.Labels()),
    ("environment.json", environment.run_devices, {}),
    (supervisor.SUPERVISOR_FILE, supervisor.head_of, {}),
]


@pytest.mark.parametrize("deep", [DEEP, "{", '{"a": 1}'[:-2]])
@pytest.mark.parametrize(("name", "read", "empty"), READERS, ids=[name for name, _read, _empty in READERS])
def test_a_file_of_a_run_that_is_no_json_counts_as_missing(
    tmp_path: Path, name: str, read: Callable[[Path], Any], empty: Any, deep: str
) -> None:
    run_dir = create_run_dir(tmp_path, "strange")
    (run_dir / name).write_text(deep)
    assert read(run_dir) == empty


def test_one_strange_run_hides_no_other(tmp_path: Path) -> None:
    for name in ("status.json", "labels.json", "config.toml"):
        run_dir = create_run_dir(tmp_path, f"strange-{name.split('.')[0]}")
        (run_dir / "status.json").write_text(json.dumps({"state": "finished"}))
        (run_dir / name).write_text(f"a = {DEEP}" if name.endswith("toml") else DEEP)
    whole = create_run_dir(tmp_path, "whole")
    (whole / "status.json").write_text(json.dumps({"state": "finished"}))
    assert len(RunIndex(tmp_path).refresh().runs) == 4


def test_a_checkpoint_whose_state_is_nested_too_deeply_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint-5"
    path.mkdir()
    (path / checkpoints.STATE_FILE).write_text(DEEP)
    assert checkpoints.inspect(path).broken


def test_a_config_that_is_nested_too_deeply_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"a = {DEEP}")
    with pytest.raises(ConfigError, match=r"config\.toml is not valid TOML"):
        config_file.load(path)
    assert config_file.parse_value(DEEP) == DEEP


def test_what_was_kept_of_a_review_is_given_up_where_it_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NSMC_TUI_STATE", str(tmp_path / "state"))
    place = review_place.place_file(tmp_path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(DEEP)
    assert review_place.kept(tmp_path) == {}
