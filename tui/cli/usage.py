"""What click says about a command line, in the language in use, and a way out where a global option stands too late."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import click

from core.i18n import N_, gettext
from core.i18n import gettext as _
from core.text import visible

# Texts of click's, for the catalogue; one that a release of click writes otherwise is seen in English.
CLICK = (
    N_("Usage:"),
    N_("Options"),
    N_("Commands"),
    N_("Positional arguments"),
    N_("Show this message and exit."),
    N_("Show the version and exit."),
    N_("Error: {message}"),
    N_("Try '{command} {option}' for help."),
    N_("No such option {name!r}."),
    N_("No such command {name!r}."),
    N_("Missing command."),
    N_("Missing argument"),
    N_("Missing option"),
    N_("Invalid value: {message}"),
    N_("Invalid value for {param_hint}: {message}"),
    N_("Option {name!r} does not take a value."),
    N_("{value!r} is not a valid {number_type}."),
    N_("{value} is not in the range {range}."),
    N_("{name} {filename!r} does not exist."),
    N_("{name} {filename!r} is a file."),
    N_("{name} {filename!r} is a directory."),
    N_("file"),
    N_("directory"),
    N_("path"),
    N_("default: {default}"),
    N_("required"),
    # click's forms for one and for several are texts of their own here: they do not hold the same fields.
    N_("Did you mean {possibility}?"),
    N_("(Did you mean one of: {possibilities}?)"),
    N_("Option {name!r} requires an argument."),
    N_("{value!r} is not {choice}."),
    N_("{value!r} is not one of {choices}."),
    N_("Got unexpected extra argument ({args})"),
    N_("Got unexpected extra arguments ({args})"),
)


def speak() -> None:
    """Let click speak our language. It asks the standard library, which knows one catalogue a process: its own."""
    for module in (click.core, click.decorators, click.exceptions, click.formatting, click.parser, click.types):
        for name, translate in (("_", gettext), ("ngettext", _form)):
            if hasattr(module, name):
                setattr(module, name, translate)


def _form(one: str, several: str, count: int) -> str:
    return gettext(one if count == 1 else several)


def explained(error: click.ClickException, root: click.Group, arguments: Sequence[str]) -> click.ClickException:
    """The error to show for `error` at `arguments`: a global option behind the command is told where it belongs."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None or error.ctx.command is root:
        return error
    options = {name: option for option in root.params if isinstance(option, click.Option) for name in option.opts}
    if error.option_name not in options:
        return error
    wanted = ["nsmc-tui", *_moved(arguments, error.option_name, options)]
    if options[error.option_name].is_eager:
        # It says something instead of running a command.
        wanted = ["nsmc-tui", error.option_name]
    message = _("{option} is an option of all of nsmc-tui and stands before the command: {command}")
    text = message.format(option=error.option_name, command=visible(shlex.join(wanted)))
    return click.UsageError(text, error.ctx)


def _moved(arguments: Sequence[str], name: str, options: Mapping[str, click.Option]) -> list[str]:
    """`arguments` with the last option `name` right before the command."""

    def behind(place: int) -> int:
        option = options.get(arguments[place])
        return place + (1 if option is None or option.is_flag else 2)

    command = 0
    while arguments[command].startswith("-"):
        command = behind(command)
    first = max(place for place, word in enumerate(arguments) if word == name or word.startswith(f"{name}="))
    end = behind(first)
    return [*arguments[:command], *arguments[first:end], *arguments[command:first], *arguments[end:]]
