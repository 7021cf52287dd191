"""Wrong command lines: what is said of them, in both languages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from core.i18n import set_language
from tests.conftest import run_cli
from tests.tui.chart_runs import make_run
from tui.cli import cli
from tui.cli.usage import explained

GLOBAL = {
    "--runs": ["--runs", "my runs"],
    "--lang": ["--lang=ko"],
    "--ascii": ["--ascii"],
    "--debug": ["--debug"],
    "--version": ["--version"],
}


def paths(group: click.Group, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """All commands, those of groups as well."""
    context = click.Context(group)
    found: list[tuple[str, ...]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found += paths(command, (*before, name)) if isinstance(command, click.Group) else [(*before, name)]
    return found


def said_of(*arguments: str) -> str:
    with pytest.raises(click.ClickException) as caught:
        cli.main(args=list(arguments), prog_name="nsmc-tui", standalone_mode=False)
    return explained(caught.value, cli, arguments).format_message()


def test_all_global_options_are_tried() -> None:
    assert set(GLOBAL) == {name for option in cli.params for name in option.opts}


@pytest.mark.parametrize("option", GLOBAL)
def test_a_global_option_behind_any_command_is_told_where_it_belongs(option: str) -> None:
    commands = paths(cli)
    assert ("config", "show") in commands
    for command in commands:
        said = said_of(*command, *GLOBAL[option], "--json")
        shown = " ".join(GLOBAL[option]).replace("my runs", "'my runs'")
        rest = "" if option == "--version" else f" {' '.join(command)} --json"
        assert said.startswith(f"{option} is an option of all of nsmc-tui"), command
        assert said.endswith(f": nsmc-tui {shown}{rest}"), command


def test_others_stay_before_and_behind() -> None:
    said = said_of("--runs", "runs", "--lang", "en", "runs", "--json", "--lang", "ko", "--columns", "x")
    assert said.endswith(": nsmc-tui --runs runs --lang en --lang ko runs --json --columns x")
    assert "before the command" not in said_of("runs", "--bogus")
    assert "before the command" not in said_of("--bogus", "runs")


def test_click_speaks_our_language() -> None:
    set_language("ko")
    assert "명령 앞" in said_of("runs", "--ascii")
    assert said_of("runs", "--bogus").startswith("'--bogus' 옵션은 없습니다.")
    shown = click.Command("made", params=[click.Option(["--one"])]).get_help(click.Context(click.Command("made")))
    assert "사용법:" in shown
    assert "옵션:" in shown
    assert "이 도움말을" in shown


def test_commands_are_told_as_they_have_to_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "my runs"
    run = make_run(runs, "watched", state="running")
    done = run_cli("--runs", str(runs), "delete", run.name, "--yes")
    assert done.returncode == 1
    command = re.search(r"`(nsmc-tui .*? control .*?)`", done.stderr)
    assert command, done.stderr
    assert shlex.split(command[1]) == ["nsmc-tui", "--runs", str(runs), "control", run.name, "stop"]
    monkeypatch.setenv("NSMC_TUI_RUNS", str(runs))
    assert f"`nsmc-tui control {run.name} stop`" in run_cli("delete", run.name, "--yes").stderr
