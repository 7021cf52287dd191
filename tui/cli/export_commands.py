"""`export`: a run's model, tables, errors, verdicts and attention as files for others."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.export_rows import FORMATS
from core.i18n import gettext as _
from tui.cli.queue_options import queue_of, queue_options
from tui.cli.threshold_option import decision_of

if TYPE_CHECKING:
    from core.export_attention import ReviewExport
    from core.predictions import Prediction
    from tui.cli import Context


@click.command(help=_("Write a run's model, tables, errors, verdicts and variants to a directory for others."))
@click.argument("run")
@click.option("--to", "target", metavar="DIR", required=True, type=click.Path(path_type=Path), help=_("Where to."))
@click.option(
    "--what",
    metavar="PART,…",
    multiple=True,
    help=_("model, tables, errors, verdicts, variants, labelstudio, argilla, cleanlab, attention, or all."),
)
@queue_options
@click.option("--id", "ids", metavar="ID", multiple=True, help=_("Only these reviews."))
@click.option(
    "--format",
    "formats_",
    type=click.Choice(FORMATS),
    multiple=True,
    help=_("Of the tables of reviews only this kind of file; several times. Left out, all of them."),
)
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
    kind: str,
    sort: str,
    where: str,
    split: str | None,
    threshold: str | float,
    seed: int,
    limit: int | None,
    ids: tuple[str, ...],
    formats_: tuple[str, ...],
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
    at = decision_of(run_dir, threshold).threshold
    rows, chosen = _chosen(context, run_dir, split, (kind, sort, where, at, seed), ids, limit)

    def progress(name: str, done: int, total: int) -> None:
        if not as_json:
            say(f"{name} {done}/{total}")

    with ExitStack() as stack:
        asker = _asker(run_dir, split, at, stack) if "attention" in parts else None
        request = Request(
            parts,
            split,
            rows,
            chosen,
            excel,
            force,
            asker,
            limit or max(len(ids), 10),
            formats_ or FORMATS,
            at,
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
    queue: tuple[str, str, str, float, int],
    ids: tuple[str, ...],
    limit: int | None,
) -> tuple[Any, str]:
    """Row numbers of the reviews asked for, and how they were chosen in words; None without predictions.

    queue: kind, sort, where, threshold, seed.
    """
    import numpy as np

    from core.predictions import Predictions, splits
    from core.review_query import parse

    kind, sort, where, _threshold, _seed = queue
    parse(where)
    if not splits(run_dir):
        return None, ""
    predictions = Predictions(run_dir, split)
    if ids:
        return np.array([predictions.find_id(review) for review in ids]), _("chosen ones")
    _table, _decision, rows = queue_of(context, predictions, *queue)
    rows = rows[:limit]
    words = " ".join(part for part in (_("all errors") if kind in ("all", "errors") else kind, where) if part)
    if limit is None:
        return rows, words
    if sort == "loss":
        return rows, _("{kind}, the {n} with the highest loss").format(kind=words, n=len(rows))
    return rows, _("{kind}, the first {n} by {sort}").format(kind=words, n=len(rows), sort=sort)


def _asker(run_dir: Path, split: str | None, threshold: float, stack: ExitStack) -> Any:
    """Asks the run's model about reviews, through one inspector that ends with `stack`."""
    from core.export_review import EXTRA, answered, asking
    from core.inspector_client import inspector_session
    from core.predictions import splits
    from tui.cli.review_commands import model_of, run_max_length

    model, max_length = model_of(run_dir), run_max_length(run_dir)
    split = split or next(iter(splits(run_dir)), "")
    session = stack.enter_context(inspector_session())

    def ask(review: Prediction) -> ReviewExport:
        about = {name: getattr(review, name) for name in ("id", "label", "loss")}
        about |= {"model": run_dir.name, "split": split, "threshold": threshold}
        return answered(asking(model, review.document, max_length, EXTRA, about=about), session.ask)

    return ask


COMMANDS = (export,)
