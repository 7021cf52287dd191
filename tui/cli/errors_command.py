"""`errors`: the queue of Review as a table, JSON or a file, with the same kinds, orders and expressions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import UsageError
from core.i18n import gettext as _
from tui.cli.queue_options import queue_of, queue_options
from tui.cli.threshold_option import decision_json

if TYPE_CHECKING:
    from core.review_queue import ReviewTable
    from tui.cli import Context

FORMATS = ("csv", "jsonl", "parquet", "labelstudio", "argilla")
"""Kinds of files; the first three are told by the ending of a name."""


@click.command(help=_("List mispredicted reviews, or write them to a file."))
@click.argument("run")
@queue_options
@click.option(
    "--to", "target", metavar="FILE", type=click.Path(path_type=Path), help=_("Write them to this file instead.")
)
@click.option(
    "--as", "format_", type=click.Choice(FORMATS), default=None, help=_("Kind of file; left out, as its name ends.")
)
@click.option("--force", is_flag=True, help=_("Replace a file that is there."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def errors(
    context: Context,
    run: str,
    kind: str,
    sort: str,
    where: str,
    split: str | None,
    threshold: str | float,
    seed: int,
    limit: int | None,
    target: Path | None,
    format_: str | None,
    force: bool,
    as_json: bool,
) -> int:
    """List errors of a run."""
    from core.metrics import from_confusion
    from core.predictions import Predictions
    from tui.cli.printing import print_json

    file = None if target is None else (target.expanduser(), _format_of(target, format_))
    path = context.find(run)
    predictions = Predictions(path, split)
    table, decision, chosen = queue_of(context, predictions, kind, sort, where, threshold, seed)
    document = {"total": len(chosen), "split": predictions.split, "kind": kind, "sort": sort, "where": where}
    if file is not None:
        from core.export_tables import write_rows

        rows = chosen[:limit]
        written = write_rows(file[1], file[0], predictions, rows, path, force, threshold=decision.threshold)
        if as_json:
            print_json({**document, **decision_json(decision), "written": len(rows), "path": str(written)})
        else:
            print(written)
        return 0
    if limit is None and not as_json:
        limit = 20 if sys.stdout.isatty() else None
    items = [item(table, int(row)) for row in chosen[:limit]]
    if as_json:
        matrix = table.confusion()
        document |= {**decision_json(decision), "confusion": matrix, "metrics": from_confusion(matrix)}
        print_json({**document, "items": items})
    else:
        print_items(items, len(chosen))
    return 0


def _format_of(target: Path, asked: str | None) -> str:
    """The kind of file to write. Raises UsageError where neither says it."""
    ending = target.suffix.lower().removeprefix(".")
    if asked is None and ending not in FORMATS[:3]:
        raise UsageError(
            _("{name} does not say which kind of file").format(name=target.name),
            _("It ends with .csv, .jsonl or .parquet, or --as says what it is."),
        )
    return asked or ending


def item(table: ReviewTable, row: int) -> dict[str, Any]:
    """One review: the columns of the predictions, its slices, and the verdict if there is one."""
    found = table.predictions.row(row).as_dict()
    found["pred"] = int(table.pred[row])
    found["slices"] = [part.name for part in table.slices.of_row(row)]
    opinion = table.log.shown(found["id"]) if table.log is not None else None
    if opinion is not None and not opinion.empty:
        found |= {
            "verdict": opinion.verdict,
            "new_label": opinion.new_label,
            "tags": list(opinion.tags),
            "note": opinion.note,
        }
    return found


def print_items(items: list[dict[str, Any]], total: int) -> None:
    """The reviews as a table on stdout, how many there are on stderr."""
    from core.review_log import verdict_name
    from tui.cli.printing import console, print_table

    names = (_("neg"), _("pos"))
    judged = any(found.get("verdict") for found in items)
    columns = [(_("loss"), "right"), (_("p(pos)"), "right"), (_("true"), "left"), (_("pred"), "left")]
    columns += [(_("id"), "right"), *([(_("verdict"), "left")] if judged else []), (_("review"), "left")]
    rows = []
    for found in items:
        verdict = verdict_name(found["verdict"], found["new_label"]) if found.get("verdict") else ""
        rows.append(
            (
                f"{found['loss']:.2f}",
                f"{found['prob_1']:.3f}",
                names[found["label"]],
                names[found["pred"]],
                found["id"],
                *([verdict] if judged else []),
                found["document"],
            )
        )
    print_table(columns, rows)
    console(stderr=True).print(_("{shown} of {total}").format(shown=len(rows), total=total))


COMMANDS = (errors,)
