"""`patterns`: what many errors of a run have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.attribution_methods import METHODS
from core.errors import UsageError
from core.i18n import gettext as _
from tui.cli.threshold_option import decision_of, threshold_option

if TYPE_CHECKING:
    from core.patterns import Patterns, WordPattern
    from tui.cli import Context


FILES = ("json", "words", "tokens", "heads", "slices")
"""What can be written to a file: the document of `--json`, or one table as CSV."""


@click.command(help=_("Words under heat in FP against FN, and heads that differ between right and wrong."))
@click.argument("run")
@click.option("--split", default=None, help=_("test (default) or dev."))
@click.option(
    "--sample", "each", default=100, show_default=True, type=click.IntRange(min=2), help=_("Reviews of each kind.")
)
@threshold_option
@click.option("--method", type=click.Choice(tuple(METHODS)), default="attention", show_default=True)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help=_("Seed of the sample."))
@click.option(
    "--to", "target", metavar="FILE", type=click.Path(path_type=Path), help=_("Write them to this file instead.")
)
@click.option(
    "--as",
    "what",
    type=click.Choice(FILES),
    default=None,
    help=_("What goes into the file: all as JSON (left out for a name that ends so), or one table as CSV."),
)
@click.option("--force", is_flag=True, help=_("Replace a file that is there."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def patterns(
    context: Context,
    run: str,
    split: str | None,
    each: int,
    threshold: str | float,
    method: str,
    seed: int,
    target: Path | None,
    what: str | None,
    force: bool,
    as_json: bool,
) -> int:
    """Find patterns."""
    from core import patterns as finding
    from core.export_files import check_free, write
    from core.inspector_client import inspector_session
    from core.predictions import Predictions
    from core.review_scores import read_verdicts
    from tui.cli.printing import print_json, say
    from tui.cli.review_commands import model_of, run_max_length

    file = None if target is None else (target.expanduser(), _what_of(target, what))
    if file is not None:
        # Before minutes of counting.
        check_free(file[0], force)
    run_dir = context.find(run)
    predictions = Predictions(run_dir, split)
    model, max_length = model_of(run_dir), run_max_length(run_dir)
    at = decision_of(run_dir, threshold).threshold
    place = finding.cache_file(model, predictions, max_length, each, method, seed, at)
    found = finding.kept(place)
    if found is None:
        told = 0
        with inspector_session() as session:

            def ask(step: finding.Step) -> Any:
                nonlocal told
                done, total, question = step
                if done * 10 // total > told and not as_json:
                    told = done * 10 // total
                    say(f"{done} / {total}")
                return session.ask(question)

            steps = finding.asking(model, predictions, max_length, each, method, seed, at)
            found = finding.answered(steps, ask)
        finding.keep(place, found)
    slices = finding.verdicts_by_slice(predictions, read_verdicts(run_dir, predictions.split))
    if file is not None:
        from tui import pattern_tables as tables

        json_wanted = file[1] == "json"
        text = tables.as_json(run_dir.name, found, slices) if json_wanted else tables.as_csv(file[1], found, slices)
        written = write(file[0], text, force)
        if as_json:
            print_json({"run_id": run_dir.name, "path": str(written)})
        else:
            print(written)
    elif as_json:
        print_json({"run_id": run_dir.name, **found.as_dict(), "slices": slices})
    else:
        print_patterns(found)
        for name, counts in slices.items():
            print(f"{name}  " + "  ".join(f"{what} {count}" for what, count in counts.items()))
    return 0


def _what_of(target: Path, asked: str | None) -> str:
    """What is to be written. Raises UsageError where neither says it."""
    if asked is None and target.suffix.lower() != ".json":
        raise UsageError(
            _("{name} does not say what is to go into it").format(name=target.name),
            _("It ends with .json, or --as says which table: words, tokens, heads, slices."),
        )
    return asked or "json"


def print_patterns(found: Patterns) -> None:
    """Words, tokens and heads as tables."""
    from core.head_stats import STATS
    from tui import pattern_tables as tables
    from tui.cli.printing import print_table

    print(tables.threshold_part(found.threshold) + tables.sample_line(found))
    if found.note:
        print(found.note)
    for title, words in ((_("Words under heat"), found.words), (_("Tokens under heat"), found.tokens)):
        print(f"\n{title}")
        print_table(word_columns(), [word_row(word) for word in words])
    print(
        "\n"
        + _("Heads, wrong against right (the {n} largest of {total})").format(n=len(found.heads), total=found.compared)
    )
    print_table(
        [
            (_("layer"), "right"),
            (_("head"), "right"),
            ("", "left"),
            (_("wrong"), "right"),
            (_("right"), "right"),
            ("d", "right"),
            ("95%", "left"),
        ],
        [
            (
                one.layer,
                one.head,
                _(STATS[one.stat].title) if one.stat in STATS else one.stat,
                f"{one.wrong:.3f}",
                f"{one.right:.3f}",
                f"{one.d:+.2f}",
                f"[{one.low:+.2f}, {one.high:+.2f}]",
            )
            for one in found.heads
        ],
    )


def word_columns() -> list[tuple[str, str]]:
    """Titles of a table of words."""
    return [
        (_("word"), "left"), ("z", "right"), (_("hot in FP"), "right"), (_("of"), "right"), (_("hot in FN"), "right"),
        (_("of"), "right"),
    ]  # fmt: skip


def word_row(word: WordPattern) -> tuple[Any, ...]:
    """A line of that table."""
    return word.word, f"{word.z:+.2f}", word.hot_fp, word.in_fp, word.hot_fn, word.in_fn


COMMANDS = (patterns,)
