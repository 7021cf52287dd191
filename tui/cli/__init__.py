"""The command line: each screen has a headless twin here. Only click is imported to show `--help`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from core import __version__
from core.i18n import LANGUAGES
from core.i18n import gettext as _
from tui.cli.usage import speak
from tui.command_hints import remember_runs

# Before the first command is declared: some texts are asked for there.
speak()


class Context:
    """Global options, handed to every command."""

    def __init__(self, runs: str | None, lang: str | None, debug: bool) -> None:
        self.runs_option = runs
        self.lang = lang
        self.debug = debug

    @property
    def runs(self) -> Path:
        """The runs directory."""
        from core.paths import runs_dir

        return runs_dir(self.runs_option)

    def find(self, run: str) -> Path:
        """The directory of a run named on the command line."""
        from core.runs import find_run

        return find_run(self.runs, run)


class Commands(click.Group):
    """The commands, imported when one of them is asked for; the app's start does without all others."""

    _complete = False

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, if there is one."""
        if cmd_name == "open":
            from tui.cli.app_commands import open_command

            return open_command
        self._complete_commands()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, for the help."""
        self._complete_commands()
        return super().list_commands(ctx)

    def _complete_commands(self) -> None:
        if not self._complete:
            self._complete = True
            _register(self)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=_("Train, watch, evaluate and review Korean sentiment classifiers in the terminal.")
    + "\n\n"
    + _("Without a command the app opens on the runs directory."),
)
@click.option("--runs", metavar="DIR", help=_("The runs directory (NSMC_TUI_RUNS; ./runs)."))
@click.option("--lang", type=click.Choice(LANGUAGES), help=_("Language of the interface."))
@click.option("--ascii", "ascii_only", is_flag=True, help=_("Draw bars and maps without block characters."))
@click.option("--debug", is_flag=True, help=_("Show tracebacks."))
@click.version_option(__version__, prog_name="nsmc-tui")
@click.pass_context
def cli(ctx: click.Context, runs: str | None, lang: str | None, ascii_only: bool, debug: bool) -> int | None:
    """The group behind all commands."""
    if ascii_only:
        os.environ["NSMC_TUI_ASCII"] = "1"
    if debug:
        os.environ["NSMC_TUI_DEBUG"] = "1"
    remember_runs(runs)
    ctx.obj = Context(runs, lang, debug)
    if ctx.invoked_subcommand is None:
        from tui.cli.app_commands import run_app

        return run_app(ctx.obj)
    return None


def _register(group: click.Group) -> None:
    from tui.cli import (
        app_commands,
        attention_command,
        config_commands,
        context_commands,
        errors_command,
        explain_commands,
        export_commands,
        join_command,
        model_commands,
        pattern_commands,
        review_commands,
        run_commands,
        train_commands,
        verdict_commands,
    )

    for module in (
        app_commands,
        train_commands,
        run_commands,
        join_command,
        review_commands,
        context_commands,
        export_commands,
        pattern_commands,
        attention_command,
        explain_commands,
        errors_command,
        verdict_commands,
        config_commands,
        model_commands,
    ):
        for command in module.COMMANDS:
            group.add_command(command)
