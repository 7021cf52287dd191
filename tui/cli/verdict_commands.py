"""`review` and `relabel`: what reviewers found, and the data with the labels they put right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.i18n import gettext as _
from core.i18n import ngettext
from tui.cli.threshold_option import decision_json, decision_of, threshold_option

if TYPE_CHECKING:
    from tui.cli import Context


@click.command(help=_("What reviewers found in a run: verdicts, tags, and the accuracy without the disputed labels."))
@click.argument("run")
@click.option("--split", default=None, help=_("test (default) or dev."))
@threshold_option
@click.option("--items", is_flag=True, help=_("Each judged review too."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def review(context: Context, run: str, split: str | None, threshold: str | float, items: bool, as_json: bool) -> int:
    """Summarise verdicts."""
    from core.predictions import Predictions
    from core.review_queue import ReviewTable
    from core.review_scores import after_review, read_verdicts
    from tui.cli.errors_command import item, print_items
    from tui.cli.printing import print_json

    path = context.find(run)
    predictions = Predictions(path, split)
    log = read_verdicts(path, predictions.split)
    decision = decision_of(path, threshold)
    found_in = after_review(predictions, log, decision.threshold)
    document = {"run_id": path.name, **decision_json(decision), **found_in}
    found: list[dict[str, Any]] = []
    if items:
        table = ReviewTable(predictions, log, decision.threshold)
        rows = sorted(row for review_id in log.held() for row in table.rows_of_id.get(review_id, ()))
        found = [item(table, row) for row in rows]
    if as_json:
        print_json({**document, "items": found} if items else document)
        return 0
    print_summary(document)
    if found:
        print()
        print_items(found, len(found))
    return 0


def print_summary(document: dict[str, Any]) -> None:
    """The figures of `core.review_scores.after_review` as text."""
    from core import formats
    from core.review_log import verdict_name
    from tui.cli.printing import print_table, say

    print(
        ngettext(
            "{split}: {judged} of {n} review judged ({errors} of {all_errors} errors)",
            "{split}: {judged} of {n} reviews judged ({errors} of {all_errors} errors)",
            document["n"],
        ).format(
            split=document["split"],
            judged=formats.count(document["judged"]),
            n=formats.count(document["n"]),
            errors=formats.count(document["judged_errors"]),
            all_errors=formats.count(document["errors"]),
        )
    )
    rows = [(verdict_name(name), formats.count(n)) for name, n in document["verdicts"].items() if n]
    rows += [(f"#{tag}", formats.count(n)) for tag, n in document["tags"].items()]
    if document["conflicts"]:
        rows.append((_("reviewers disagree"), formats.count(document["conflicts"])))
    if rows:
        print_table([(_("verdict"), "left"), (_("reviews"), "right")], rows)
    titles = {
        "as_labelled": _("as labelled"),
        "without_disputed": _("without disputed labels"),
        "corrected": _("labels corrected"),
    }
    scores = []
    for name, title in titles.items():
        score = document["accuracy"][name]
        low, high = score["interval"]
        span = f"[{low:.4f}, {high:.4f}]"
        scores.append((title, formats.number(score["accuracy"]), span, formats.count(score["n"])))
    print_table([(_("accuracy"), "left"), (_("value"), "right"), ("95%", "left"), ("n", "right")], scores)
    if document["disputed"] and not document["judged_correct"]:
        say(_("Only errors were judged: the accuracies after review can only be too high."))
    if document["skipped_lines"]:
        text = ngettext(
            "{n} line of review.jsonl could not be read.",
            "{n} lines of review.jsonl could not be read.",
            document["skipped_lines"],
        )
        say(text.format(n=document["skipped_lines"]))


@click.command(help=_("Write a run's data with the labels that reviewers called wrong put right, for the next run."))
@click.argument("run")
@click.option("--to", "target", required=True, metavar="DIR", type=click.Path(path_type=Path), help=_("Where to."))
@click.option(
    "--test",
    is_flag=True,
    help=_("Correct the test file too: its scores can then not be compared with anyone else's."),
)
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def relabel(context: Context, run: str, target: Path, test: bool, as_json: bool) -> int:
    """Write corrected data."""
    from core import formats
    from core.relabel import relabel as write
    from tui.cli.printing import print_json, say

    done = write(context.find(run), target, test=test)
    if as_json:
        print_json(
            {
                "path": str(done.directory),
                "changed": done.changed,
                "not_found": done.not_found,
                "test_verdicts_left": done.test_verdicts,
                "data": done.settings,
                "notes": done.notes,
            }
        )
        return 0
    print(done.data_section(), end="")
    say(
        _("{train} labels changed in {path}, {test} in the test file").format(
            train=formats.count(done.changed["train"]),
            path=done.directory / "ratings_train.txt",
            test=formats.count(done.changed["test"]),
        )
    )
    if done.test_verdicts:
        say(
            ngettext(
                "{n} label of test was called wrong and left as it is; --test corrects it too.",
                "{n} labels of test were called wrong and left as they are; --test corrects them too.",
                done.test_verdicts,
            ).format(n=done.test_verdicts)
        )
    if done.not_found:
        text = ngettext(
            "{n} of the reviews is no longer in the data",
            "{n} of the reviews are no longer in the data",
            done.not_found,
        )
        say(text.format(n=done.not_found))
    for note in done.notes:
        say(note)
    return 0


COMMANDS = (review, relabel)
