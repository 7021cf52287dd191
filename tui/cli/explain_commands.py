"""`explain`: what the screens All methods, All heads and What if find about one review, as JSON or lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from core import inspector_questions as questions
from core.attribution_methods import METHODS, method_of
from core.i18n import gettext as _
from tui.cli.asking import asked_about, asking_options

if TYPE_CHECKING:
    from core.inspector_protocol import Inspection, Question
    from tui.cli import Context

MODES = ("mask", "delete")


@click.group(help=_("Does attention explain an answer? Checks on one review, and what would turn its answer."))
def explain() -> None:
    """Group of commands about one review."""


def about_one_review(command: Callable[..., int]) -> Callable[..., int]:
    """The argument and options that say which model is asked about which text."""
    return click.argument("run", metavar="RUN|MODEL_DIR")(asking_options()(command))


target_option = click.option(
    "--target", type=int, default=None, help=_("The class to explain, 0 or 1; the predicted one.")
)


def about_methods(command: Callable[..., int]) -> Callable[..., int]:
    """The options of commands that compare methods."""
    for option in (
        click.option(
            "--steps", type=int, default=questions.STEPS, show_default=True, help=_("Points of integrated gradients.")
        ),
        click.option("--layer", type=int, default=None, help=_("Layer of attention from 0; left out, the mean.")),
        click.option(
            "--method", "methods", multiple=True, type=click.Choice(tuple(METHODS)), help=_("Only these; all.")
        ),
        target_option,
    ):
        command = option(command)
    return command


class _Asking:
    """The inspector for one command, about one text."""

    def __init__(self, context: Context, about: dict[str, Any]) -> None:
        review = about["reviews"]
        self.about = asked_about(
            context,
            about["run"],
            () if review is None else (review,),
            *(about[name] for name in ("text", "split", "max_length", "masked", "threshold")),
        )[0]

    def ask(self, *made: Callable[..., Question[Any]], **options: Any) -> list[Any]:
        """The answers to the questions that are `made` about this text, from an inspector for these alone.

        A `target` that is None stands for the class of the answer at the threshold.
        """
        from core.inspector_client import inspector_session
        from core.predictions import THRESHOLD, answer_at

        asked = self.about
        about: dict[str, Any] = {"model": asked.model, "text": asked.text, "max_length": asked.max_length}
        about["masked"] = asked.masked
        with inspector_session() as session:
            if options.get("target", 0) is None and asked.threshold != THRESHOLD:
                inspection = session.ask(questions.inspect(**about, attention=False))
                options = {**options, "target": answer_at(inspection, asked.threshold)}
            return [session.ask(make(**about, **options)) for make in made]

    def document(self, made: dict[str, Any], inspection: Inspection) -> dict[str, Any]:
        """`made` of answers about `inspection`, and the answer at the threshold."""
        from core.predictions import answer_at

        threshold = self.about.threshold
        return {**made, "pred": answer_at(inspection, threshold), "threshold": threshold}

    def print(self, document: dict[str, Any]) -> None:
        """The document as JSON."""
        from tui.cli.printing import print_json, print_model_notes

        print_model_notes(document)
        print_json({**document, "id": self.about.id, "model": str(self.about.model)})


@explain.command(help=_("How alike methods rank the words: Spearman's ρ and Kendall's τ-b."))
@about_one_review
@about_methods
@click.pass_obj
def agreement(
    context: Context,
    target: int | None,
    methods: tuple[str, ...],
    layer: int | None,
    steps: int,
    as_json: bool,
    **about: Any,
) -> int:
    """Rank agreement."""
    from core.explain_json import agreement_json
    from tui.cli.printing import print_table

    asking = _Asking(context, about)
    options = {"methods": methods or None, "target": target, "steps": steps, "layer": layer}
    found = asking.ask(questions.agreement, **options)[0]
    document = asking.document(agreement_json(found), found.inspection)
    if as_json:
        asking.print(document)
        return 0
    _print_answer(document, document["target"])
    names = list(document["weights"])
    columns = [document["weights"][name] for name in names]
    print_table(
        [(_("word"), "left"), *((_title(name), "right") for name in names)],
        [
            (word["text"], *("–" if column is None else f"{column[number]:+.4f}" for column in columns))
            for number, word in enumerate(document["words"])
        ],
    )
    print()
    print_table(
        [("ρ", "left"), *((_title(name), "right") for name in document["methods"])],
        [
            (_title(name), *(_number(value, "+.2f") for value in row))
            for name, row in zip(document["methods"], document["spearman"], strict=True)
        ],
    )
    _print_notes(document["notes"])
    return 0


@explain.command(help=_("How far the probability falls without the words of highest weight, against random words."))
@about_one_review
@about_methods
@click.option("--mode", type=click.Choice(MODES), default=None, help=_("Mask words, or leave them out."))
@click.option("--k", "most", type=int, default=questions.MOST, show_default=True, help=_("How many words at most."))
@click.option("--draws", type=int, default=questions.DRAWS, show_default=True, help=_("Random orders."))
@click.option("--seed", type=int, default=questions.SEED, show_default=True, help=_("Seed of the random orders."))
@click.pass_obj
def deletion(
    context: Context,
    target: int | None,
    methods: tuple[str, ...],
    layer: int | None,
    steps: int,
    mode: str | None,
    most: int,
    draws: int,
    seed: int,
    as_json: bool,
    **about: Any,
) -> int:
    """The deletion check."""
    from core.explain_json import deletion_json
    from tui.cli.printing import print_table

    asking = _Asking(context, about)
    options: dict[str, Any] = {"methods": methods or None, "target": target, "steps": steps, "layer": layer}
    options |= {"mode": mode, "most": most, "draws": draws, "seed": seed}
    found = asking.ask(questions.deletion, **options)[0]
    document = asking.document(deletion_json(found), found.inspection)
    if as_json:
        asking.print(document)
        return 0
    _print_answer(document, document["target"])
    drawn, whole = document["random"], document["probability"]
    rows = [
        (
            _title(name),
            *(_number(value - whole, "+.3f") for value in curve["probabilities"]),
            _number(-curve["area"], "+.3f"),
        )
        for name, curve in document["curves"].items()
        if curve is not None
    ]
    area = "" if drawn["area"] is None else _number(-drawn["area"], "+.3f")
    random = _("random ({n})").format(n=drawn["draws"])
    rows.append((random, *(_number(value - whole, "+.3f") for value in drawn["mean"]), area))
    print_table(
        [("", "left"), *((f"k={k}", "right") for k in range(1, len(drawn["mean"]) + 1)), (_("mean"), "right")], rows
    )
    _print_notes(document["notes"])
    return 0


@explain.command(help=_("Numbers about every head, and the probability without each head and each layer's attention."))
@about_one_review
@target_option
@click.pass_obj
def heads(context: Context, target: int | None, as_json: bool, **about: Any) -> int:
    """Heads, and heads switched off."""
    from core.explain_json import heads_json
    from core.head_stats import STATS
    from tui.cli.printing import print_table

    asking = _Asking(context, about)
    stats, knocked = asking.ask(questions.head_stats, questions.knock_out, target=target)
    document = asking.document(heads_json(stats, knocked), stats.inspection)
    if as_json:
        asking.print(document)
        return 0
    shown = document["target"]
    _print_answer(document, shown)
    before = document["probabilities"][shown]
    names = [name for name in STATS if name in document["stats"]]
    without, layers = document["without_head"], document["without_layer"]
    rows: list[tuple[Any, ...]] = []
    n_layers = len(without) if without is not None else len(document["stats"][names[0]]) if names else 0
    for layer in range(n_layers):
        if layers is not None:
            change = _number(layers[layer][shown] - before, "+.4f")
            rows.append((layer, _("all"), change, *("" for _name in names)))
        row = without[layer] if without is not None else document["stats"][names[0]][layer]
        for head in range(len(row)):
            change = _number(without[layer][head][shown] - before, "+.4f") if without is not None else "–"
            rows.append(
                (layer, head, change, *(_number(document["stats"][name][layer][head], ".3f") for name in names))
            )
    if rows:
        titles = [(_(STATS[name].title), "right") for name in names]
        print_table([(_("layer"), "right"), (_("head"), "right"), (_("Δp without"), "right"), *titles], rows)
    for note in document["notes"]:
        print(note)
    return 0


@explain.command(help=_("The fewest words without which the answer is another one."))
@about_one_review
@click.option(
    "--mode", type=click.Choice(MODES), default="delete", show_default=True, help=_("Mask words, or leave them out.")
)
@click.option("--evaluations", type=int, default=400, show_default=True, help=_("How many sets of words are tried."))
@click.pass_obj
def flip(context: Context, mode: str, evaluations: int, as_json: bool, **about: Any) -> int:
    """The search for a flip."""
    from core.explain_json import flip_json
    from core.text import visible

    asking = _Asking(context, about)
    options = {"mode": mode, "max_evaluations": evaluations, "threshold": asking.about.threshold}
    found = asking.ask(questions.flip, **options)[0]
    document = asking.document(flip_json(found), found.inspection)
    if as_json:
        asking.print(document)
        return 0
    _print_answer(document, document["pred"])
    if not document["found"]:
        print(
            _("No set of words was found without which the answer is another one ({n} tried).").format(
                n=document["evaluations"]
            )
        )
        return 0
    removed = [visible(document["words"][number]["text"]) for number in document["removed"]]
    proof = _("fewer do not do it") if document["minimal"] else _("perhaps fewer do it too")
    said = _("Without {n} words the answer is another one; {proof}.").format(n=len(removed), proof=proof)
    print(f"{said}  {' · '.join(removed)}")
    print(_names_and_probabilities(document, document["after"]))
    return 0


# -- printing ----------------------------------------------------------------------------------------------------------


def _title(name: str) -> str:
    return _(method_of(name).title)


def _number(value: float, form: str) -> str:
    return "–" if value != value else format(value, form)


def _classes(document: dict[str, Any]) -> list[str]:
    from core.text import visible

    if len(document["labels"]) == 2:
        return [_("negative"), _("positive")]
    return [visible(label) for label in document["labels"]]


def _names_and_probabilities(document: dict[str, Any], probabilities: list[float]) -> str:
    return "  ".join(f"p({name}) {p:.4f}" for name, p in zip(_classes(document), probabilities, strict=True))


def _print_answer(document: dict[str, Any], target: int) -> None:
    from core.text import visible
    from tui.cli.printing import print_model_notes

    print_model_notes(document)
    print(visible(document["text"]))
    print(f"{_names_and_probabilities(document, document['probabilities'])}  {_about(document, target)}")


def _about(document: dict[str, Any], target: int) -> str:
    return _("for {name}").format(name=_classes(document)[target])


def _print_notes(notes: dict[str, str]) -> None:
    for name, note in notes.items():
        print(f"{_title(name)}: {note}")


COMMANDS = (explain,)
