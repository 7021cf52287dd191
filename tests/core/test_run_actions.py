"""Labels, archiving, deleting: what is kept, what is refused."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from core.errors import RunError
from core.run_actions import change, delete, extent, set_archived
from core.run_labels import LABELS_FILE, Labels, clean_tags, read_labels, write_labels
from core.runs import create_run_dir, find_run, list_runs, load_run, process_start, write_status


def make(runs: Path, slug: str, **status: object) -> Path:
    path = create_run_dir(runs, slug)
    write_status(path, {"state": "finished", "updated": time.time(), "host": os.uname().nodename, **status})
    return path


def live(runs: Path, name: str = "live", **status: object) -> Path:
    me = os.getpid()
    return make(runs, name, state="running", pid=me, pid_start=process_start(me), **status)


def test_labels_are_kept_apart_from_the_status(tmp_path: Path) -> None:
    path = make(tmp_path, "x", name="own name")
    before = change(path, name=" 새 이름 ", tags=("a", "b"), note=" [x] \x1b note ")
    assert before == Labels()
    run = load_run(path)
    assert (run.name, run.label, run.tags, run.note) == ("새 이름", "새 이름", ("a", "b"), "[x] \x1b note")
    assert change(path, note="") == Labels("새 이름", ("a", "b"), "[x] \x1b note")
    assert load_run(path).tags == ("a", "b")
    write_labels(path, before)
    assert not (path / LABELS_FILE).exists()
    assert load_run(path).name == "own name"


@pytest.mark.parametrize(
    "text", ["", "{half", "[]", '{"tags": "x", "name": 3, "archived": 1}', '{"tags": [1, "", null]}']
)
def test_odd_labels_are_none(tmp_path: Path, text: str) -> None:
    path = make(tmp_path, "x")
    (path / LABELS_FILE).write_text(text)
    assert read_labels(path) == Labels()


def test_tags_are_single_words() -> None:
    assert clean_tags(["#a", " b,c ", "a", "##", "한글 태그"]) == ("a", "b", "c", "한글", "태그")
    with pytest.raises(RunError, match="longer than 40"):
        clean_tags(["x" * 41])


def test_archived_runs_are_not_the_latest(tmp_path: Path) -> None:
    old, new = make(tmp_path, "old"), make(tmp_path, "new")
    newest = list_runs(tmp_path)[0].path
    set_archived(newest, True)
    assert find_run(tmp_path, "latest") == ({old, new} - {newest}).pop()
    assert find_run(tmp_path, newest.name) == newest
    set_archived(newest, False)
    assert find_run(tmp_path, "latest") == newest


def test_deleting_takes_everything_and_no_more(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    path = make(tmp_path / "runs", "x")
    (path / "checkpoints" / "checkpoint-1").mkdir(parents=True)
    (path / "checkpoints" / "checkpoint-1" / "model").write_bytes(b"0" * 1000)
    (path / "link").symlink_to(outside)
    found = extent(path)
    assert found.files == 2
    assert 1000 < found.size < 2000
    delete(path)
    assert list((tmp_path / "runs").iterdir()) == []
    assert (outside / "kept").is_file()
    target = make(tmp_path / "else", "y")
    linked = tmp_path / "runs" / target.name
    linked.symlink_to(target)
    delete(linked)
    assert not linked.exists()
    assert target.is_dir()


def test_live_runs_are_neither_deleted_nor_archived(tmp_path: Path) -> None:
    path = live(tmp_path)
    silent = make(tmp_path, "silent", state="running", host="node7", pid=1, updated=time.time() - 500)
    for refused in (path, silent):
        for act in (delete, lambda run_dir: set_archived(run_dir, True)):
            with pytest.raises(RunError, match="not over") as caught:
                act(refused)
            assert caught.value.hint
        assert refused.is_dir()
    # A note on a live run harms nobody.
    change(path, note="look at this")
    assert json.loads((path / LABELS_FILE).read_text())["note"] == "look at this"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = make(tmp_path, "x")
    path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(RunError, match="cannot label") as caught:
            change(path, note="x")
    finally:
        path.chmod(stat.S_IRWXU)
    assert str(path) in caught.value.hint


def test_other_programs_runs_are_only_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "foreign"
    path.mkdir()
    (path / "trainer_state.json").write_text('{"log_history": [], "global_step": 1, "max_steps": 1}')
    for act in (delete, lambda run_dir: set_archived(run_dir, True), lambda run_dir: change(run_dir, note="x")):
        with pytest.raises(RunError, match="another program"):
            act(path)
    assert [file.name for file in path.iterdir()] == ["trainer_state.json"]
