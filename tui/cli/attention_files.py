"""The options of `attention` that write files, and what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from core.i18n import gettext as _

if TYPE_CHECKING:
    from core.export_svg import View
    from tui.cli.asking import Asked

FILES = ("html", "svg", "png", "csv", "npz", "bertviz")
SPECIAL = ("hidden", "renormalised", "shown")

Command = TypeVar("Command", bound=Callable[..., Any])


def export_options(command: Command) -> Command:
    """Adds an option for each kind of file, and what pictures look like, to a command."""
    kinds = {
        "html": _("A page that opens offline, with all layers, heads and methods."),
        "svg": _("A picture."),
        "png": _("The same as PNG, where a converter is installed."),
        "csv": _("A line a weight; all layers and heads unless they are chosen."),
        "npz": _("All weights, for numpy."),
        "bertviz": _("The same with the lines that show it in bertviz beside it."),
    }
    options = [
        click.option(
            "--by",
            type=click.Choice(("words", "tokens")),
            default="words",
            show_default=True,
            help=_("Pictures by word (어절) or by token."),
        ),
        click.option(
            "--special",
            type=click.Choice(SPECIAL),
            default=SPECIAL[0],
            show_default=True,
            help=_("What pictures do with the tokens that the tokenizer added."),
        ),
        click.option("--dark", is_flag=True, help=_("Pictures on a dark ground.")),
        click.option("--force", is_flag=True, help=_("Replace files that are there.")),
    ]
    files = [
        click.option(f"--{kind}", metavar="F", type=click.Path(path_type=Path), help=kinds[kind]) for kind in FILES
    ]
    for option in (*reversed(options), *reversed(files)):
        command = option(command)
    return command


def wanted_files(files: Mapping[str, Any]) -> dict[str, Path]:
    """The kinds of files that are asked for, and where each goes."""
    return {kind: files[kind].expanduser() for kind in FILES if files[kind] is not None}


def write_files(
    wanted: Mapping[str, Path], asked: Sequence[Asked], view: View, target: int | None, *, force: bool
) -> list[Path]:
    """Ask what is needed of one inspector and write the files asked for; their paths."""
    from core.export_files import check_free
    from core.export_review import answered, asking, methods_for, save
    from core.inspector_client import inspector_session

    for path in wanted.values():
        # Nobody should wait for a model to learn that a file is in the way.
        check_free(path, force)
    methods = methods_for(list(wanted), view.method, len(asked))
    with inspector_session() as session:
        found = [
            answered(
                asking(one.model, one.text, one.max_length, methods, target, about_review(one), one.masked), session.ask
            )
            for one in asked
        ]
    written = []
    for kind, path in wanted.items():
        written += save(kind, path, found, view, force=force)
    return written


def about_review(asked: Asked) -> dict[str, Any]:
    """What a file says of a review besides its text."""
    names = ("id", "label", "loss", "split", "threshold")
    return {**{name: getattr(asked, name) for name in names}, "model": asked.name}
