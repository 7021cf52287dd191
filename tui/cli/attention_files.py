"""The options of `attention` that write files, and what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from core.i18n import gettext as _

if TYPE_CHECKING:
    from tui.cli import Context

FILES = ("html", "svg", "png", "csv", "npz")

Command = TypeVar("Command", bound=Callable[..., Any])


def export_options(command: Command) -> Command:
    """Adds an option for each kind of file, and `--force`, `--dark` to a command."""
    kinds = {
        "html": _("A page that opens offline, with all layers, heads and methods."),
        "svg": _("A picture."),
        "png": _("The same as PNG, where a converter is installed."),
        "csv": _("A line a weight; all layers and heads unless they are chosen."),
        "npz": _("All weights, for numpy and bertviz."),
    }
    options = [
        click.option("--dark", is_flag=True, help=_("Pictures on a dark ground.")),
        click.option("--force", is_flag=True, help=_("Replace files that are there.")),
    ]
    files = [
        click.option(f"--{kind}", metavar="F", type=click.Path(path_type=Path), help=kinds[kind]) for kind in FILES
    ]
    for option in (*options, *reversed(files)):
        command = option(command)
    return command


def wants_files(files: Mapping[str, Any]) -> bool:
    """Whether any kind of file is asked for."""
    return any(files[kind] is not None for kind in FILES)


def about_review(context: Context, target: str, review: str | None, split: str | None) -> dict[str, Any]:
    """What a file says of a review besides its text."""
    from core.predictions import Predictions
    from tui.cli.review_commands import run_or_model

    path, _is_run = run_or_model(context, target)
    if review is None:
        return {"model": path.name}
    predictions = Predictions(path, split)
    row = predictions.row(predictions.find_id(review))
    return {"id": row.id, "label": row.label, "loss": row.loss, "split": predictions.split, "model": path.name}


def write_files(
    files: Mapping[str, Any],
    model: Path,
    text: str,
    max_length: int | None,
    about: Mapping[str, Any],
    method: str,
    target: int | None,
    layer: int | None,
    head: int | None,
) -> list[Path]:
    """Ask what is needed of one inspector and write the files asked for; their paths."""
    from core.export_files import check_free
    from core.export_review import answered, asking, methods_for, save
    from core.export_svg import View
    from core.inspector_client import inspector_session

    wanted = {kind: files[kind].expanduser() for kind in FILES if files[kind] is not None}
    for path in wanted.values():
        # Nobody should wait for a model to learn that a file is in the way.
        check_free(path, files["force"])
    view = View(method, layer, head, theme="dark" if files["dark"] else "light")
    with inspector_session() as session:
        steps = asking(model, text, max_length, methods_for(list(wanted), method), target, about)
        review = answered(steps, session.ask)
    written = []
    for kind, path in wanted.items():
        written += save(kind, path, [review], view, force=files["force"])
    return written
