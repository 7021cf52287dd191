"""`attention`: where a model looked in a review, and what explains its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from core.attribution_methods import METHODS
from core.errors import UsageError
from core.i18n import gettext as _
from tui.cli.asking import Asked, asked_about, asking_options
from tui.cli.attention_files import export_options, wanted_files, write_files
from tui.terminal_wishes import ascii_wanted

if TYPE_CHECKING:
    from tui.cli import Context

MAPS = tuple(name for name, method in METHODS.items() if method.matrix)


class LayerNumber(click.ParamType):
    """A layer from 0, or `last`."""

    name = "layer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; `core.attention.LAST` for `last`."""
        from core.attention import LAST

        if value == "last":
            return LAST
        try:
            number = int(value)
        except ValueError:
            number = -1
        if number < 0:
            self.fail(_("{value} is neither a number from 0 nor last.").format(value=value), param, ctx)
        return number


@click.command(help=_("Where a model looks in a review, or what explains its answer: weights with their place in it."))
@click.argument("target", metavar="RUN|MODEL_DIR")
@asking_options(several=True)
@click.option("--method", type=click.Choice(tuple(METHODS)), default="attention", show_default=True)
@click.option("--target", "label", type=int, default=None, help=_("The class to explain, 0 or 1; the predicted one."))
@click.option(
    "--layer", type=LayerNumber(), metavar="N|last", default=None, help=_("Layer from 0, or last; left out, the mean.")
)
@click.option("--head", type=click.IntRange(min=0), default=None, help=_("Head from 0; left out, the mean."))
@click.option("--steps", type=int, default=32, show_default=True, help=_("Points of integrated gradients."))
@export_options
@click.pass_obj
def attention(
    context: Context,
    target: str,
    reviews: tuple[str, ...],
    text: str | None,
    split: str | None,
    threshold: str | float,
    masked: tuple[int, ...],
    max_length: int | None,
    as_json: bool,
    method: str,
    label: int | None,
    layer: int | None,
    head: int | None,
    steps: int,
    **files: Any,
) -> int:
    """Show attention or another method's weights for one review, or write them to files."""
    from tui.cli.printing import print_json, print_model_notes

    if method not in MAPS and not (layer is None and head is None):
        raise UsageError(
            _("{method} has no layers and heads to choose from.").format(method=method),
            _("--layer and --head belong to: {methods}").format(methods=", ".join(MAPS)),
        )
    wanted = wanted_files(files)
    if len(set(reviews)) > 1 and set(wanted) != {"html"}:
        raise UsageError(
            _("several reviews go on one page only"), _("Give --html, or one --id for each picture or table.")
        )
    asked = asked_about(context, target, reviews, text, split, max_length, masked, threshold)
    if wanted:
        from core.export_svg import View

        theme = "dark" if files["dark"] else "light"
        view = View(method, layer, head, files["special"], files["by"] == "words", theme)
        written = write_files(wanted, asked, view, label, force=files["force"])
        if as_json:
            print_json({"files": [str(path) for path in written]})
        else:
            print("\n".join(str(path) for path in written))
        return 0
    document = answer(asked[0], method, label, layer, head, steps)
    print_model_notes(document)
    if as_json:
        print_json({**document, "id": asked[0].id, "model": str(asked[0].model)})
    else:
        print_attention(document)
    return 0


def answer(
    asked: Asked, method: str, target: int | None, layer: int | None, head: int | None, steps: int
) -> dict[str, Any]:
    """The document of one text, from an inspector for it alone."""
    from core import inspector_questions as questions
    from core.attention import answer_json, attribution_json
    from core.inspector_client import inspector_session
    from core.predictions import THRESHOLD, answer_at

    about = (asked.model, asked.text, asked.max_length)
    with inspector_session() as session:
        if method in MAPS:
            inspection = session.ask(questions.inspect(*about, masked=asked.masked))
            return answer_json(inspection, method, layer, head, threshold=asked.threshold)
        if target is None and asked.threshold != THRESHOLD:
            inspection = session.ask(questions.inspect(*about, attention=False, masked=asked.masked))
            target = answer_at(inspection, asked.threshold)
        question = questions.explain(*about, method=method, target=target, steps=steps, masked=asked.masked)
        return attribution_json(session.ask(question), threshold=asked.threshold)


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
