"""`export`: a run's model, tables, errors, verdicts and attention as files for others."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.i18n import gettext as _

if TYPE_CHECKING:
    from core.export_attention import ReviewExport
    from core.predictions import Prediction
    from tui.cli import Context


KINDS = ("all", "fp", "fn", "near", "sure", "suspect", "correct", "any")
"""Kinds of reviews, as `errors` has them."""


@click.command(help=_("Write a run's model, tables, errors, verdicts and variants to a directory for others."))
@click.argument("run")
@click.option("--to", "target", metavar="DIR", required=True, type=click.Path(path_type=Path), help=_("Where to."))
@click.option(
    "--what",
    metavar="PART,…",
    multiple=True,
    help=_("model, tables, errors, verdicts, variants, labelstudio, argilla, cleanlab, attention, or all."),
)
@click.option("--split", default=None, help=_("test (default) or dev."))
@click.option("--kind", type=click.Choice(KINDS), default="all", help=_("Which reviews; the errors."))
@click.option("--where", metavar="EXPR", default="", help=_("Only reviews that meet this, as in `errors --where`."))
@click.option("--id", "ids", metavar="ID", multiple=True, help=_("Only these reviews."))
@click.option("--limit", type=click.IntRange(min=1), default=None, help=_("At most so many reviews."))
@click.option(
    "--excel", is_flag=True, help=_("CSV for looking at in Excel: with a byte order mark, formulas disarmed.")
)
@click.option("--force", is_flag=True, help=_("Replace an export that is there."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def export(
    context: Context,
    run: str,
    target: Path,
    what: tuple[str, ...],
    split: str | None,
    kind: str,
    where: str,
    ids: tuple[str, ...],
    limit: int | None,
    excel: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Export a run."""
    from core import formats
    from core.export_run import Request, export_run, parts_of
    from tui.cli.printing import print_json, say

    run_dir = context.find(run)
    parts = parts_of(what)
    rows, chosen = _chosen(context, run_dir, split, kind, where, ids, limit)

    def progress(name: str, done: int, total: int) -> None:
        if not as_json:
            say(f"{name} {done}/{total}")

    with ExitStack() as stack:
        asker = _asker(run_dir, stack) if "attention" in parts else None
        request = Request(
            parts,
            split,
            rows,
            chosen,
            excel,
            force,
            asker,
            limit or max(len(ids), 10),
        )
        manifest = export_run(run_dir, target.expanduser(), request, progress)
    path = str(target.expanduser().resolve())
    if as_json:
        print_json({**manifest, "path": path})
        return 0
    size = sum(file["bytes"] for file in manifest["files"])
    print(_("{path}: {n} files, {size}").format(path=path, n=len(manifest["files"]), size=formats.size(size)))
    for part, reason in manifest["missing"].items():
        say(f"{part}: {reason}")
    return 0


def _chosen(
    context: Context,
    run_dir: Path,
    split: str | None,
    kind: str,
    where: str,
    ids: tuple[str, ...],
    limit: int | None,
) -> tuple[Any, str]:
    """Row numbers of the reviews asked for, and how they were chosen in words; None without predictions."""
    import numpy as np

    from core.predictions import Predictions, splits
    from core.review_query import parse
    from core.review_queue import ReviewTable
    from core.review_scores import read_verdicts

    query = parse(where)
    if not splits(run_dir):
        return None, ""
    predictions = Predictions(run_dir, split)
    if ids:
        return np.array([predictions.find_id(review) for review in ids]), _("chosen ones")
    table = ReviewTable(predictions, read_verdicts(run_dir, predictions.split), find_run=context.find)
    rows = table.queue(kind, query, "loss", 0)[:limit]
    words = " ".join(part for part in (_("all errors") if kind == "all" else kind, where) if part)
    return rows, words if limit is None else _("{kind}, the {n} with the highest loss").format(kind=words, n=len(rows))


def _asker(run_dir: Path, stack: ExitStack) -> Any:
    """Asks the run's model about reviews, through one inspector that ends with `stack`."""
    from core.export_review import EXTRA, answered, asking
    from core.inspector_client import inspector_session
    from tui.cli.review_commands import model_of, run_max_length

    model, max_length = model_of(run_dir), run_max_length(run_dir)
    session = stack.enter_context(inspector_session())

    def ask(review: Prediction) -> ReviewExport:
        about = {"id": review.id, "label": review.label, "loss": review.loss, "model": run_dir.name}
        return answered(asking(model, review.document, max_length, EXTRA, about=about), session.ask)

    return ask


COMMANDS = (export,)
