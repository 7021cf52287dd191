"""`neighbours`: what train has of a review, how the model learned it, and the train reviews nearest for the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import UsageError
from core.i18n import gettext as _

if TYPE_CHECKING:
    from core.neighbours import Neighbours
    from core.train_reviews import TrainReview
    from tui.cli import Context


@click.command(help=_("Train reviews like a review: the same, nearly the same, and the nearest for the model."))
@click.argument("run")
@click.option("--id", "review", metavar="ID", help=_("A review of the run's predictions."))
@click.option("--text", metavar="T", help=_("Any text."))
@click.option("--split", default=None, help=_("Where --id is looked for: test (default) or dev."))
@click.option("--k", "k", default=10, show_default=True, type=click.IntRange(min=0), help=_("How many nearest ones."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def neighbours(
    context: Context, run: str, review: str | None, text: str | None, split: str | None, k: int, as_json: bool
) -> int:
    """Show the surroundings of one review."""
    from core import dynamics
    from core.predictions import Predictions
    from core.train_reviews import TrainReviews
    from tui.cli.heavy import call
    from tui.cli.printing import print_json

    if (review is None) == (text is None):
        raise UsageError(
            _("give either --id or --text"), _("`nsmc-tui errors RUN` lists the ids of mispredicted reviews.")
        )
    run_dir = context.find(run)
    history = None
    if review is not None:
        predictions = Predictions(run_dir, split)
        text, split = predictions.row(predictions.find_id(review)).document, predictions.split
        kept = dynamics.read(run_dir, split)
        history = kept.history(review) if kept is not None else None
    index = Path(call("core.train_index", {"path": str(run_dir), "progress": False})["directory"])
    exclude = review if split == "train" else None
    alike = TrainReviews(index).alike(text or "", limit=max(k, 5), exclude_id=exclude)
    nearest = _nearest(run_dir, text or "", index, k, exclude, quiet=as_json) if k else None
    if as_json:
        print_json(
            {
                "id": review,
                "split": split,
                "text": text,
                **alike.as_dict(),
                **(nearest.as_dict() if nearest is not None else {"neighbours": [], "counts": [0, 0]}),
                "history": history.as_dict() if history is not None else None,
            }
        )
        return 0
    if history is not None:
        print(f"{_('History over training')}: {dynamics.kind_name(history.kind)}")
    _print(_("The same text in train"), [(f"{one.similarity:.2f}", one) for one in alike.same])
    _print(_("Nearly the same"), [(f"{one.similarity:.2f}", one) for one in alike.near])
    if nearest is not None:
        _print(_("Nearest for the model"), [(f"{one.similarity:.4f}", one) for one in nearest.reviews])
    return 0


def _nearest(run_dir: Path, text: str, index: Path, k: int, exclude: str | None, quiet: bool) -> Neighbours:
    """Make what is missing of the vectors, then look."""
    from core import formats
    from core import neighbours as questions
    from core.inspector_client import inspector_session
    from tui.cli.printing import say
    from tui.cli.review_commands import model_of, run_max_length

    model, max_length = model_of(run_dir), run_max_length(run_dir)
    told = 0
    with inspector_session() as session:
        while True:
            progress = session.ask(questions.build(model, index, max_length))
            if progress.finished:
                break
            if not quiet and progress.done * 10 // progress.total > told:
                told = progress.done * 10 // progress.total
                say(f"{formats.count(progress.done)} / {formats.count(progress.total)}")
        excluded = [exclude] if exclude is not None else []
        return session.ask(questions.nearest(model, text, index, max_length, k=k, exclude=excluded))


def _print(title: str, found: list[tuple[str, TrainReview]]) -> None:
    from tui.cli.printing import print_table

    names = (_("neg"), _("pos"))
    print(f"{title}:" + ("" if found else f" {_('none')}"))
    if found:
        rows: list[tuple[Any, ...]] = [(value, names[one.label], one.id, one.document) for value, one in found]
        print_table([("", "right"), (_("label"), "left"), (_("id"), "right"), (_("review"), "left")], rows)


COMMANDS = (neighbours,)
