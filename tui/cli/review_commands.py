"""`evaluate`: scores, and what commands about a run's model share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import ModelError, UsageError
from core.i18n import gettext as _
from core.i18n import ngettext
from tui.cli.threshold_option import threshold_option

if TYPE_CHECKING:
    from tui.cli import Context


def run_or_model(context: Context, name: str) -> tuple[Path, bool]:
    """The directory of a run or of a model, and whether it is a run."""
    from core.runs import is_run_dir

    direct = Path(name).expanduser()
    if (direct / "config.json").is_file():
        return direct.resolve(), False
    if direct.is_dir() and not is_run_dir(direct):
        raise ModelError(
            _("{path} is neither a run nor a model").format(path=name),
            _("A run has config.toml, a model config.json."),
        )
    return context.find(name), True


@click.command(help=_("Predict and score a split with a run's model or a model directory."))
@click.argument("target", metavar="RUN|MODEL_DIR")
@click.option("--data", metavar="D", help=_("Other data than the run's own."))
@click.option("--set", "sets", multiple=True, metavar="data.KEY=VALUE", help=_("How --data is read: columns, labels."))
@click.option("--split", default="test", show_default=True, type=click.Choice(("test", "dev", "train")))
@threshold_option
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def evaluate(
    context: Context,
    target: str,
    data: str | None,
    sets: tuple[str, ...],
    split: str,
    threshold: str | float,
    batch_size: int,
    as_json: bool,
) -> int:
    """Evaluate, in a process that may import torch."""
    from core.launch import absolute_source
    from tui.cli.config_commands import reading
    from tui.cli.heavy import call
    from tui.cli.printing import print_json

    path, is_run = run_or_model(context, target)
    if data is not None:
        data = absolute_source(data)
    if not is_run and data is None:
        raise UsageError(_("a model directory needs --data"), _("For example --data sample."))
    if sets and data is None:
        raise UsageError(
            _("--set needs --data: a run's own data is read as its config says"), _("For example --data reviews.csv.")
        )
    request: dict[str, Any] = {"path": str(path), "data": data, "split": split, "threshold": threshold}
    request |= {"batch_size": batch_size, "progress": "" if as_json else "words", "reading": reading(sets)}
    document = call("core.evaluation", request)
    if is_run and data is None:
        from tui.cli.run_commands import review_of

        document["review"] = review_of(path, split, document["threshold"])
    if as_json:
        print_json(document)
    else:
        print_report(document)
    return 0


def print_report(document: dict[str, Any]) -> None:
    """The scores with their intervals and the confusion matrix as text."""
    from core import formats
    from core.slices import BY_NAME
    from tui.cli.printing import print_table

    reviews = ngettext("{split}: {n} review", "{split}: {n} reviews", document["n"])
    print(reviews.format(split=document["split"], n=formats.count(document["n"])))
    if document["threshold"] != 0.5:
        print(about_threshold(document))
    rows = []
    for name, value in document["metrics"].items():
        interval = document["intervals"].get(name)
        span = f"[{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
        rows.append((name, f"{value:.5f}", span))
    print_table([(_("metric"), "left"), (_("value"), "right"), ("95%", "left")], rows)
    (tn, fp), (fn, tp) = document["confusion"]
    print_table(
        [(_("true \\ predicted"), "left"), (_("negative"), "right"), (_("positive"), "right")],
        [(_("negative"), f"{tn:,}", f"{fp:,}"), (_("positive"), f"{fn:,}", f"{tp:,}")],
    )
    print(_("calibration error (ECE) {value}").format(value=formats.number(document["calibration"]["ece"])))
    print_table(
        [(_("slice"), "left"), (_("accuracy"), "right"), (_("rest"), "right"), ("p", "right"), (_("reviews"), "right")],
        [
            (
                BY_NAME[part["name"]].shown,
                formats.number(part["accuracy"]),
                formats.number(part["rest"]),
                f"{part['p']:.3f}",
                formats.count(part["n"]),
            )
            for part in document["slices"]
        ],
    )


def about_threshold(document: dict[str, Any]) -> str:
    """The threshold of a document, and where it was chosen."""
    threshold = _("threshold {value}").format(value=f"{document['threshold']:g}")
    if document["threshold_from"] is None:
        return threshold
    chosen = _("the highest F1 on {split}").format(split=document["threshold_from"])
    return f"{threshold} ({chosen})"


def model_of(run_dir: Path) -> Path:
    """A run's model directory. Raises ModelError while there is none."""
    from core.evaluation import model_dir

    return model_dir(run_dir)


def run_max_length(run_dir: Path) -> int | None:
    """The longest input of a run in tokens, as its config says; None when it does not."""
    from core.config_file import read_values
    from core.runs import CONFIG_FILE

    if not (run_dir / CONFIG_FILE).is_file():
        return None
    value = read_values(run_dir / CONFIG_FILE).get("data", {}).get("max_length")
    return value if isinstance(value, int) else None


def print_first_error(run_dir: Path) -> None:
    """The mispredicted review with the highest loss and its attention, as text."""
    from core.attention import answer_json
    from core.inspector_client import inspect_once
    from core.predictions import Predictions
    from tui.cli.attention_command import print_attention

    predictions = Predictions(run_dir)
    chosen = predictions.select("all", "loss")
    print()
    if len(chosen) == 0:
        print(_("No mispredicted reviews."))
        return
    row = predictions.row(int(chosen[0]))
    names = (_("negative"), _("positive"))
    print(
        ngettext(
            "{n} mispredicted review:", "{n} mispredicted reviews; the one with the highest loss:", len(chosen)
        ).format(n=len(chosen))
        + f"\n#{row.id}  {_('true')} {names[row.label]}  {_('predicted')} {names[row.pred]}  {_('loss')} {row.loss:.2f}"
    )
    print_attention(answer_json(inspect_once(model_of(run_dir), row.document, run_max_length(run_dir))))


COMMANDS = (evaluate,)
