"""`model list`, `model show`, `tokenize`: what models and their tokenizers are, without loading weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.i18n import gettext as _
from core.i18n import ngettext

if TYPE_CHECKING:
    from tui.cli import Context


def _model_name(context: Context, name: str) -> str:
    """A model's name or directory; a run stands for its model."""
    from core.evaluation import model_dir
    from core.runs import is_run_dir, list_runs

    path = Path(name).expanduser()
    if path.is_dir() and is_run_dir(path):
        return str(model_dir(path))
    if name == "latest" or any(run.id == name for run in list_runs(context.runs)):
        return str(model_dir(context.find(name)))
    return name


@click.group(help=_("Look at models."))
def model() -> None:
    """Group of model commands."""


@model.command(name="list", help=_("Encoders that read Korean, with what has been published of them."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
def list_models(as_json: bool) -> int:
    """List the catalogue, marking what the local cache holds."""
    from core.catalogue import CATALOGUE, SOURCES, is_cached
    from tui.cli.printing import print_json, print_table, say

    here = {encoder.name: is_cached(encoder.name) for encoder in CATALOGUE}
    if as_json:
        models = [{**encoder.as_dict(), "cached": here[encoder.name]} for encoder in CATALOGUE]
        print_json({"models": models, "sources": SOURCES})
        return 0
    print_table(
        [
            (_("name"), "left"),
            (_("offline"), "left"),
            (_("parameters"), "right"),
            (_("tokenizer"), "left"),
            (_("NSMC accuracy (source)"), "left"),
            (_("remarks"), "left"),
        ],
        [
            (
                encoder.name,
                _("yes") if here[encoder.name] else "",
                f"{encoder.parameters / 1e6:.0f} M" if encoder.parameters else "–",
                encoder.tokenizer or "–",
                " · ".join(f"{item.accuracy:.2f} ({item.source})" for item in encoder.published) or "–",
                _(encoder.note) if encoder.note else "",
            )
            for encoder in CATALOGUE
        ],
    )
    say(_("Protocols differ between sources: gaps below half a point mean nothing. Sources: `model list --json`."))
    return 0


@model.command(name="show", help=_("A model's config, size, window and tokenizer."))
@click.argument("name", metavar="M")
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def show(context: Context, name: str, as_json: bool) -> int:
    """Show a model."""
    from core import formats
    from core.text import visible
    from tui.cli.heavy import call
    from tui.cli.printing import print_json

    document = call("core.model_info", {"do": "show", "model": _model_name(context, name)})
    if as_json:
        print_json(document)
        return 0
    tokenizer = document["tokenizer"]
    print(f"{visible(document['model'])}  {visible(str(document['model_type']))}")
    print(_("{n} parameters").format(n=formats.count(document["parameters"])))
    print(_("window: {n} tokens").format(n=formats.count(document["window"])))
    print(_("vocabulary: {n} pieces").format(n=formats.count(tokenizer["vocab_size"])))
    print(_("unknown tokens: {share:.1%} of the built-in reviews").format(share=tokenizer["unknown_share"]))
    if tokenizer["unknown_reason"]:
        print(f"{tokenizer['unknown_reason']} {tokenizer['unknown_hint']}")
    print("  ".join(f"{key} {visible(str(value))}" for key, value in tokenizer["special_tokens"].items()))
    for key, value in sorted(document["config"].items()):
        print(f"  {visible(key)} = {visible(str(value))}")
    return 0


@click.command(help=_("How a model's tokenizer cuts a text."))
@click.argument("name", metavar="M")
@click.argument("text")
@click.option("--max-length", type=click.IntRange(min=4), default=None, help=_("Longest input in tokens."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def tokenize(context: Context, name: str, text: str, max_length: int | None, as_json: bool) -> int:
    """Tokenize a text."""
    from tui.cli.heavy import call
    from tui.cli.printing import print_json, print_table, say

    request = {"do": "tokenize", "model": _model_name(context, name), "text": text, "max_length": max_length}
    document = call("core.model_info", request)
    if as_json:
        print_json(document)
        return 0
    print_table(
        [("#", "right"), ("id", "right"), (_("token"), "left"), (_("in the text"), "left"), (_("place"), "left")],
        [
            (
                index,
                token["id"],
                token["piece"],
                token["text"] + (f"  {_('unknown')}" if token["unk"] else ""),
                "" if token["special"] else f"{token['start']}–{token['end']}",
            )
            for index, token in enumerate(document["tokens"])
        ],
    )
    if document["unknown_share"]:
        say(_("{share:.0%} of the tokens are unknown to the tokenizer").format(share=document["unknown_share"]))
    if document["cut"] is not None:
        say(ngettext("cut after {n} character", "cut after {n} characters", document["cut"]).format(n=document["cut"]))
    return 0


COMMANDS = (model, tokenize)
