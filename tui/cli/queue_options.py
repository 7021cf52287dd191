"""The options that say which reviews, in which order: Review's queue, for commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from core.i18n import gettext as _
from tui.cli.threshold_option import decision_of, threshold_option

if TYPE_CHECKING:
    import numpy as np

    from core.decision import Decision
    from core.predictions import Predictions
    from core.review_queue import ReviewTable
    from tui.cli import Context

KINDS = ("all", "errors", "fp", "fn", "tp", "tn", "near", "sure", "suspect", "correct", "any")
SORTS = ("loss", "confidence", "margin", "threshold", "suspect", "length", "id", "random")

Command = TypeVar("Command", bound=Callable[..., Any])


def queue_options(command: Command) -> Command:
    """Adds `--kind`, `--sort`, `--where`, `--split`, `--threshold`, `--seed`, `--limit`."""
    options = (
        click.option(
            "--kind",
            type=click.Choice(KINDS),
            default="all",
            show_default=True,
            help=_("near the threshold, sure and wrong, suspect: likely label errors, any review."),
        ),
        click.option("--sort", type=click.Choice(SORTS), default="loss", show_default=True),
        click.option(
            "--where",
            metavar="EXPR",
            default="",
            help=_("What has to hold, such as 'slice:negation loss>2 -judged text~/별로/'; see docs/review.md."),
        ),
        click.option("--split", default=None, help=_("test (default) or dev.")),
        threshold_option,
        click.option("--seed", type=int, default=0, show_default=True, help=_("For --sort random.")),
        click.option("--limit", type=click.IntRange(min=0), default=None, help=_("At most so many.")),
    )
    for option in reversed(options):
        command = option(command)
    return command


def queue_of(
    context: Context,
    predictions: Predictions,
    kind: str,
    sort: str,
    where: str,
    threshold: str | float,
    seed: int,
) -> tuple[ReviewTable, Decision, np.ndarray]:
    """The columns of `predictions` at the threshold, that threshold, and the row numbers of the queue in its order.

    Raises UsageError for an expression that cannot be understood, RunError for another run that is not there.
    """
    from core.review_query import parse
    from core.review_queue import ReviewTable
    from core.review_scores import read_verdicts

    run_dir = predictions.path.parent
    query, decision = parse(where), decision_of(run_dir, threshold)
    table = ReviewTable(predictions, read_verdicts(run_dir, predictions.split), decision.threshold, context.find)
    return table, decision, table.queue(kind, query, sort, seed)
