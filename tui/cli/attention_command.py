"""`attention`: where a model looked in a review, and what explains its answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.attribution_methods import METHODS
from core.errors import UsageError
from core.i18n import gettext as _
from tui.cli.attention_files import about_review, export_options, wants_files, write_files
from tui.terminal_wishes import ascii_wanted

if TYPE_CHECKING:
    from core.inspector_answers import Attribution
    from tui.cli import Context

MAPS = tuple(name for name, method in METHODS.items() if method.matrix)


@click.command(help=_("Where a model looks in a review, or what explains its answer: weights with their place in it."))
@click.argument("target", metavar="RUN|MODEL_DIR")
@click.option("--id", "review", metavar="ID", help=_("A review of the run's predictions."))
@click.option("--text", metavar="T", help=_("Any text."))
@click.option("--split", default=None, help=_("Where --id is looked for: test (default) or dev."))
@click.option("--method", type=click.Choice(tuple(METHODS)), default="attention", show_default=True)
@click.option("--target", "label", type=int, default=None, help=_("The class to explain, 0 or 1; the predicted one."))
@click.option("--layer", type=int, default=None, help=_("Layer from 0; left out, the mean."))
@click.option("--head", type=int, default=None, help=_("Head from 0; left out, the mean."))
@click.option("--steps", type=int, default=32, show_default=True, help=_("Points of integrated gradients."))
@click.option("--max-length", type=click.IntRange(min=4), default=None, help=_("Longest input in tokens."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@export_options
@click.pass_obj
def attention(
    context: Context,
    target: str,
    review: str | None,
    text: str | None,
    split: str | None,
    method: str,
    label: int | None,
    layer: int | None,
    head: int | None,
    steps: int,
    max_length: int | None,
    as_json: bool,
    **files: Any,
) -> int:
    """Show attention or another method's weights for one review, or write them to files."""
    from core.attention import answer_json, attribution_json
    from core.inspector_client import inspect_once
    from tui.cli.printing import print_json

    if method not in MAPS and not (layer is None and head is None):
        raise UsageError(
            _("{method} has no layers and heads to choose from.").format(method=method),
            _("--layer and --head belong to: {methods}").format(methods=", ".join(MAPS)),
        )
    directory, text, max_length = subject(context, target, review, text, split, max_length)
    if wants_files(files):
        about = about_review(context, target, review, split)
        written = write_files(files, directory, text, max_length, about, method, label, layer, head)
        if as_json:
            print_json({"files": [str(path) for path in written]})
        else:
            print("\n".join(str(path) for path in written))
        return 0
    if method in MAPS:
        document = answer_json(inspect_once(directory, text, max_length), method, layer, head)
    else:
        document = attribution_json(explain_once(directory, text, max_length, method, label, steps))
    if as_json:
        print_json({**document, "id": review, "model": str(directory)})
    else:
        print_attention(document)
    return 0


def subject(
    context: Context, target: str, review: str | None, text: str | None, split: str | None, max_length: int | None
) -> tuple[Path, str, int | None]:
    """The model, the text and its limit in tokens that `target`, `--id` or `--text` and `--max-length` name.

    Raises UsageError unless there is exactly one of `review` and `text`, RunError, ModelError and DataError as the
    readers of runs do.
    """
    from core.predictions import Predictions
    from tui.cli.review_commands import model_of, run_max_length, run_or_model

    if (review is None) == (text is None):
        raise UsageError(
            _("give either --id or --text"), _("`nsmc-tui errors RUN` lists the ids of mispredicted reviews.")
        )
    path, is_run = run_or_model(context, target)
    if review is not None:
        if not is_run:
            raise UsageError(_("--id needs a run"), _("A model directory has no reviews; use --text."))
        predictions = Predictions(path, split)
        text = predictions.row(predictions.find_id(review)).document
    if is_run and max_length is None:
        max_length = run_max_length(path)
    return model_of(path) if is_run else path, text or "", max_length


def explain_once(
    directory: Path, text: str, max_length: int | None, method: str, target: int | None, steps: int
) -> Attribution:
    """The weights of `text` by `method`, from an inspector for this one question."""
    from core import inspector_questions as questions
    from core.inspector_client import inspector_session

    with inspector_session() as session:
        return session.ask(questions.explain(directory, text, max_length, method=method, target=target, steps=steps))


def print_attention(document: dict[str, Any]) -> None:
    """The words of a review with a bar for each weight, and the probabilities; bars of weights below 0 are `░`."""
    from rich.cells import cell_len

    from core.text import visible

    print(visible(document["text"]))
    names: tuple[str, ...] = (_("negative"), _("positive"))
    probabilities = [float(p) for p in document["probabilities"]]
    if len(probabilities) != len(names):
        names = tuple(visible(label) for label in document["labels"])
    print("  ".join(f"p({name}) {p:.4f}" for name, p in zip(names, probabilities, strict=True)))
    print(" · ".join(_description(document, names)))
    if document["weights"] is None:
        print(visible(document["note"]))
        return
    words = document["words"]
    weights = [float(word["weight"]) for word in words]
    highest = max((abs(weight) for weight in weights), default=0.0) or 1.0
    width = min(30, max((cell_len(visible(word["text"])) for word in words), default=0))
    digits = "7.4f" if not document.get("signed") else "+8.4f"
    positive, negative = ("#", "-") if ascii_wanted() else ("█", "░")
    for word, weight in zip(words, weights, strict=True):
        shown = visible(word["text"])
        bar = (positive if weight >= 0 else negative) * round(24 * abs(weight) / highest)
        print(f"  {shown}{' ' * max(0, width - cell_len(shown))}  {weight:{digits}}  {bar}".rstrip())


def _description(document: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    """How the weights were made, in short phrases."""
    method = METHODS[document["method"]]
    if method.matrix:
        layer = _("mean") if document["layer"] is None else document["layer"]
        through = document["method"] == "rollout" and document["layer"] is None
        return [
            _(method.title),
            _("through all layers") if through else _("layer {n}").format(n=layer),
            _("head {n}").format(n=_("mean") if document["head"] is None else document["head"]),
            _("mean of all tokens") if document["mean_pooled"] else _("from the classification token"),
        ]
    parts = [_(method.title), _("for {label}").format(label=names[document["target"]])]
    if document["gap"] is not None:
        parts.append(_("{n} steps, gap {gap}").format(n=document["steps"], gap=f"{document['gap']:+.4f}"))
    baselines = {"mask": _("words hidden by the mask token"), "delete": _("words left out")}
    if document["baseline"] in baselines:
        parts.append(baselines[document["baseline"]])
    return parts


COMMANDS = (attention,)
