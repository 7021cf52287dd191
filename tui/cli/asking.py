"""Which text a command asks which model about: the options that say it, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from core.errors import UsageError
from core.i18n import gettext as _
from tui.cli.threshold_option import decision_of, threshold_option

if TYPE_CHECKING:
    from tui.cli import Context

Command = TypeVar("Command", bound=Callable[..., Any])

max_length_option = click.option(
    "--max-length", type=click.IntRange(min=4), default=None, help=_("Longest input in tokens.")
)
mask_option = click.option(
    "--mask",
    "masked",
    metavar="N",
    multiple=True,
    type=click.IntRange(min=0),
    help=_("Hide this word (어절), counted from 0, behind the mask token; several times."),
)


def asking_options(*, several: bool = False) -> Callable[[Command], Command]:
    """Adds `--id` (`several` times, if so), `--text`, `--split`, `--threshold`, `--mask`, `--max-length`, `--json`."""
    options = [
        click.option("--id", "reviews", metavar="ID", multiple=several, help=_("A review of the run's predictions.")),
        click.option("--text", metavar="T", help=_("Any text.")),
        click.option("--split", default=None, help=_("Where --id is looked for: test (default) or dev.")),
        threshold_option,
        mask_option,
        max_length_option,
        click.option("--json", "as_json", is_flag=True, help=_("One JSON document.")),
    ]

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@dataclass(frozen=True)
class Asked:
    """A text and the model that is asked about it.

    id, label, loss: of the review in the run's predictions of `split`, None for any other text. name: the model's, for
    a title. masked: words that are hidden. threshold: p(positive) from which an answer is positive.
    """

    model: Path
    text: str
    max_length: int | None
    name: str
    threshold: float
    masked: tuple[int, ...] = ()
    id: str | None = None
    label: int | None = None
    loss: float | None = None
    split: str = ""

    def check_masked(self) -> None:
        """Raises UsageError for a word that the text has not got."""
        from core.tokenization import split_words

        count = len(split_words(self.text))
        for word in self.masked:
            if word >= count:
                raise UsageError(
                    _("There is no {name} {number}.").format(name=_("word"), number=word),
                    _("Counted from 0: {first} to {last}.").format(first=0, last=count - 1),
                )


def asked_about(
    context: Context,
    target: str,
    reviews: Sequence[str],
    text: str | None,
    split: str | None,
    max_length: int | None,
    masked: Sequence[int],
    threshold: str | float,
) -> list[Asked]:
    """What `target`, `--id` (of each of `reviews`) or `--text`, and the other options name: at least one.

    Raises UsageError unless there is either a text or a review, RunError, ModelError and DataError as the readers of
    runs do.
    """
    from core.predictions import Predictions
    from tui.cli.review_commands import model_of, run_max_length, run_or_model

    if (not reviews) == (text is None):
        raise UsageError(
            _("give either --id or --text"), _("`nsmc-tui errors RUN` lists the ids of mispredicted reviews.")
        )
    path, is_run = run_or_model(context, target)
    if reviews and not is_run:
        raise UsageError(_("--id needs a run"), _("A model directory has no reviews; use --text."))
    if not is_run and isinstance(threshold, str):
        raise UsageError(
            _("--threshold dev needs a run"), _("A model directory has no dev predictions; give a number.")
        )
    at = decision_of(path, threshold).threshold
    if is_run and max_length is None:
        max_length = run_max_length(path)
    model = model_of(path) if is_run else path
    common: dict[str, Any] = {"threshold": at, "masked": tuple(sorted(set(masked)))}
    if text is not None:
        found = [Asked(model, text, max_length, path.name, **common)]
    else:
        predictions = Predictions(path, split)
        rows = [predictions.row(predictions.find_id(review)) for review in reviews]
        found = [
            Asked(
                model,
                row.document,
                max_length,
                path.name,
                **common,
                id=row.id,
                label=row.label,
                loss=row.loss,
                split=predictions.split,
            )
            for row in rows
        ]
    for asked in found:
        asked.check_masked()
    return found
