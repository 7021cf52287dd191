"""`runs`, `show`, `watch`, `label`, `delete` as scripts and people call them."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pexpect
import pytest

from core.run_labels import read_labels
from core.runs import create_run_dir, process_start, write_status
from tests.conftest import run_cli
from tests.e2e.test_terminal import Terminal


def make(runs: Path, slug: str, **status: Any) -> Path:
    path = create_run_dir(runs, slug)
    write_status(
        path, {"state": "finished", "name": slug, "host": os.uname().nodename, "updated": time.time(), **status}
    )
    return path


def one_json(text: str) -> Any:
    """Exactly one document, nothing around it."""
    return json.loads(text)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    directory = tmp_path / "runs"
    for number, accuracy in enumerate((0.85, 0.92, 0.88)):
        path = make(
            directory, f"run-{number}", metrics={"test_accuracy": accuracy}, model="tiny", step=10, max_steps=10
        )
        (path / "config.toml").write_text(f"[train]\nlearning_rate = {number + 1}e-5\n")
    make(directory, "broken", state="failed", error="no room \x1b[2J", hint="buy a disk")
    return directory


def ids(*arguments: str, runs: Path) -> list[str]:
    done = run_cli("runs", *arguments, "--json", runs=runs)
    assert done.returncode == 0, done.stderr
    return [run["run_id"].split("-", 2)[2] for run in one_json(done.stdout)]


def test_runs_are_found_sorted_and_counted(runs: Path) -> None:
    assert ids("--where", "acc>0.86", "--sort", "accuracy", runs=runs) == ["run-1", "run-2"]
    assert ids("--sort", "acc", "--reverse", "--limit", "2", runs=runs) == ["run-0", "run-2"]
    assert ids("--where", "cfg.learning_rate>=2e-5 -run-1", runs=runs) == ["run-2"]
    assert ids("--where", "state:failed or acc<0.86", "--sort", "name", runs=runs) == ["broken", "run-0"]
    table = run_cli("runs", "--columns", "state,name,cfg.learning_rate,accuracy", "--sort", "lr", runs=runs)
    assert table.returncode == 0
    lines = table.stdout.splitlines()
    assert lines[0].split() == ["state", "run", "learning_rate", "accuracy"]
    assert [line.split()[-2] for line in lines[1:4]] == ["1e-05", "2e-05", "3e-05"]
    nothing = run_cli("runs", "--where", "acc>0.99", runs=runs)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "No run matches" in nothing.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--where", "acuracy>1"), "did you mean accuracy?"),
        (("--where", "acc>"), "(character 5)"),
        (("--sort", "acuracy"), "did you mean accuracy?"),
        (("--columns", "state,nme"), "did you mean name?"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_way_out(runs: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run_cli("runs", *arguments, "--json", runs=runs)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "hint:" in done.stderr


def test_labels_and_archive_from_a_script(runs: Path) -> None:
    name = next(path.name for path in runs.iterdir() if path.name.endswith("run-1"))
    done = run_cli("label", name, "--tag", "best,#lr", "--note", "keep [x]", "--name", "새 이름", "--json", runs=runs)
    document = one_json(done.stdout)
    assert (document["tags"], document["note"], document["name"]) == (["best", "lr"], "keep [x]", "새 이름")
    assert ids("--where", "tag:best", runs=runs) == ["run-1"]
    run_cli("label", name, "--untag", "lr", "--archive", runs=runs)
    assert read_labels(runs / name).tags == ("best",)
    assert "run-1" not in ids(runs=runs)
    assert "run-1" in ids("--all", runs=runs)
    assert ids("--where", "is:archived", runs=runs) == ["run-1"]
    shown = run_cli("show", name, runs=runs).stdout
    assert "새 이름" in shown
    assert "#best" in shown
    document = one_json(run_cli("show", name, "--json", runs=runs).stdout)
    assert (document["archived"], document["tags"]) == (True, ["best"])


def test_deleting_from_a_script_wants_a_word(runs: Path) -> None:
    me = os.getpid()
    live = make(runs, "live", state="running", pid=me, pid_start=process_start(me))
    broken = next(path for path in runs.iterdir() if path.name.endswith("broken"))
    assert run_cli("delete", broken.name, runs=runs).returncode == 2
    refused = run_cli("delete", broken.name, live.name, "--yes", runs=runs)
    assert refused.returncode == 1
    assert "not over" in refused.stderr
    assert broken.is_dir()
    assert run_cli("delete", broken.name, "--yes", runs=runs).returncode == 0
    assert not broken.exists()
    assert live.is_dir()


def test_other_programs_runs_by_their_path(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "checkpoint-20"
    folder.mkdir(parents=True)
    history = [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}, {"step": 20, "eval_accuracy": 0.75}]
    state = {"global_step": 20, "max_steps": 20, "log_history": history}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    out = str(tmp_path / "out")
    document = one_json(run_cli("show", out, "--json", runs=tmp_path / "none").stdout)
    assert (document["state"], document["source"], document["metrics"]) == (
        "foreign", "trainer_state", {"eval_accuracy": 0.75}
    )  # fmt: skip
    watched = run_cli("watch", out, runs=tmp_path / "none")
    assert watched.returncode == 0
    assert "20/20  loss 0.2500" in watched.stdout
    events = [json.loads(line) for line in run_cli("watch", out, "--json", runs=tmp_path / "none").stdout.splitlines()]
    assert [event["type"] for event in events] == ["run_started", "step", "step", "eval", "checkpoint"]
    assert run_cli("control", out, "stop", runs=tmp_path / "none").returncode == 1


def live_run(runs: Path) -> tuple[Path, dict[str, Any]]:
    me = os.getpid()
    status = {"state": "running", "pid": me, "pid_start": process_start(me), "phase": "training", "max_steps": 100}
    path = make(runs, "live", **status)
    with (path / "events.jsonl").open("w") as file:
        for step in range(1, 51):
            event = {"v": 1, "ts": 1.0, "type": "step", "step": step, "max_steps": 100, "loss": 1 / step}
            file.write(json.dumps({**event, "epoch": step / 100, "learning_rate": 1e-5}) + "\n")
    return path, status


def test_watch_in_a_terminal_draws_follows_the_window_and_leaves_the_run_alone(tmp_path: Path) -> None:
    path, _status = live_run(tmp_path)
    terminal = Terminal("--runs", str(tmp_path), "watch", "latest", columns=100, lines=30)
    text = terminal.until(lambda text: "50 / 100" in text and "loss 0.0200" in text)
    assert any("\u2801" <= character <= "\u28ff" for character in text)
    # What is on its way belongs to the larger window.
    terminal.read(0.5)
    terminal.child.setwinsize(20, 60)
    terminal.screen.resize(20, 60)
    terminal.until(lambda text: "50 / 100" in text and "ctrl+c" in text.split("\n")[-1])
    before = sorted(file.name for file in path.iterdir())
    terminal.press("\x03")
    assert terminal.end() == 130
    assert b"\x1b[?1049l" in terminal.raw
    assert sorted(file.name for file in path.iterdir()) == before


def test_watch_ends_with_the_run_and_leaves_its_figures(tmp_path: Path) -> None:
    path, status = live_run(tmp_path)
    terminal = Terminal("--runs", str(tmp_path), "watch", path.name)
    terminal.until(lambda text: "50 / 100" in text)
    write_status(path, {**status, "state": "failed", "error": "no room", "hint": "buy a disk", "updated": time.time()})
    terminal.until(lambda text: "hint: buy a disk" in text)
    assert b"\x1b[?1049l" in terminal.raw
    assert terminal.end() == 1


def test_watch_prints_lines_where_nothing_can_be_drawn(tmp_path: Path) -> None:
    live_run(tmp_path)
    for arguments, term in ((("watch", "--lines"), "xterm-256color"), (("watch",), "dumb")):
        child = pexpect.spawn(
            sys.executable,
            ["-P", "-m", "tui", "--runs", str(tmp_path), *arguments],
            env={**os.environ, "TERM": term, "LANG": "C.UTF-8"},
            timeout=240,
            encoding="utf-8",
        )
        child.expect_exact("1/100  loss 1.0000")
        # Where the run is, though steps have a line every few seconds only.
        child.expect_exact("50/100  loss 0.0200")
        child.kill(signal.SIGINT)
        child.expect(pexpect.EOF)
        assert "\x1b[?1049h" not in (child.before or "")
        child.close()
        assert child.exitstatus == 130
