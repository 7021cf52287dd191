"""`errors`: the queue of Review as a table or JSON, with the same kinds, orders and expressions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from core.i18n import gettext as _
from tui.cli.threshold_option import decision_json, decision_of, threshold_option

if TYPE_CHECKING:
    from core.review_queue import ReviewTable
    from tui.cli import Context

KINDS = ("all", "fp", "fn", "near", "sure", "suspect", "correct", "any")
SORTS = ("loss", "confidence", "margin", "threshold", "suspect", "length", "id", "random")


@click.command(help=_("List mispredicted reviews."))
@click.argument("run")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="all",
    show_default=True,
    help=_("near the threshold, sure and wrong, suspect: likely label errors, any review."),
)
@click.option("--sort", type=click.Choice(SORTS), default="loss", show_default=True)
@click.option(
    "--where",
    metavar="EXPR",
    default="",
    help=_("What has to hold, such as 'slice:negation loss>2 -judged text~/별로/'; see docs/review.md."),
)
@click.option("--split", default=None, help=_("test (default) or dev."))
@threshold_option
@click.option("--seed", type=int, default=0, show_default=True, help=_("For --sort random."))
@click.option("--limit", type=click.IntRange(min=0), default=None, help=_("At most so many."))
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
    as_json: bool,
) -> int:
    """List errors of a run."""
    from core.metrics import from_confusion
    from core.predictions import Predictions
    from core.review_query import parse
    from core.review_queue import ReviewTable
    from core.review_scores import read_verdicts
    from tui.cli.printing import print_json

    query = parse(where)
    path = context.find(run)
    predictions = Predictions(path, split)
    decision = decision_of(path, threshold)
    table = ReviewTable(predictions, read_verdicts(path, predictions.split), decision.threshold, context.find)
    chosen = table.queue(kind, query, sort, seed)
    if limit is None and not as_json:
        limit = 20 if sys.stdout.isatty() else None
    items = [item(table, int(row)) for row in chosen[:limit]]
    if as_json:
        document = {"total": len(chosen), "split": predictions.split, "kind": kind, "sort": sort, "where": where}
        matrix = table.confusion()
        document |= {**decision_json(decision), "confusion": matrix, "metrics": from_confusion(matrix)}
        print_json({**document, "items": items})
    else:
        print_items(items, len(chosen))
    return 0


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
