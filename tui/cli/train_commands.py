"""`train`, `demo`: starting runs from the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import UsageError
from core.i18n import N_
from core.i18n import gettext as _

if TYPE_CHECKING:
    from core.config import RunConfig
    from tui.cli import Context

# A model of 1.4 M parameters on 3,800 short reviews: enough to learn from, short enough to watch.
DEMO = {
    "data": {"source": "sample", "dev_size": 0.1, "max_length": 64},
    "model": {"preset": "tiny"},
    "train": {
        "num_train_epochs": 4,
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 32,
        "warmup_steps": 0.1,
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "save_total_limit": 1,
    },
    "launch": {"name": "demo"},
}
INTERRUPTED = N_(
    "left; the run goes on. `nsmc-tui watch {run}` follows it again, `nsmc-tui control {run} stop` ends it"
)


def build_config(
    file: str | None, data: str | None, model: str | None, preset: str | None, sets: tuple[str, ...], name: str | None
) -> RunConfig:
    """The config of a run from a file and the command line's own wishes, which win. Raises ConfigError."""
    from core import config_file

    values: dict[str, Any] = config_file.read_values(file) if file else {}
    for section, key, value in (
        ("data", "source", data),
        ("model", "name", model),
        ("model", "preset", preset),
        ("launch", "name", name),
    ):
        if value is not None:
            config_file.assign(values, [section, key], value)
    if data is not None:
        # The tests that a file names are those of its own data; `--set data.test_file=…` names those of these.
        values["data"].pop("test_file", None)
    if preset and not model:
        values["model"].pop("name", None)
    if model and not preset:
        values["model"].pop("preset", None)
    for text in sets:
        path, value = config_file.parse_assignment(text)
        config_file.assign(values, path, value)
    return config_file.validate(values, file or "")


def finish(run_dir: Path, as_json: bool, offset: int = 0) -> int:
    """Follow a run from byte `offset` of its log to its end; the exit code that goes with it."""
    from tui.cli.follow import follow
    from tui.cli.printing import report_end, say

    try:
        run = follow(run_dir, as_json=as_json, stream=sys.stderr, offset=offset)
    except KeyboardInterrupt:
        say(_(INTERRUPTED).format(run=run_dir.name))
        return 130
    return report_end(run)


@click.command(help=_("Start a run and follow it; leaving the follower never ends the run."))
@click.argument("config", required=False, metavar="[CONFIG.toml]")
@click.option("--data", metavar="D", help=_("sample, hub, a directory with ratings_*.txt, or a train file."))
@click.option("--model", metavar="M", help=_("A model on the Hub or a directory."))
@click.option("--preset", type=click.Choice(("tiny", "small")), help=_("Train a small BERT from nothing."))
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help=_("Any config key, as often as needed."))
@click.option("--name", metavar="N", help=_("The run's name."))
@click.option("--detach", is_flag=True, help=_("Return at once with the run's id."))
@click.option("--dry-run", is_flag=True, help=_("Start nothing: tell tokens, steps, memory, minutes and disk."))
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help=_("Events as JSON lines (with --detach: id and path; with --dry-run: the forecast)."),
)
@click.pass_obj
def train(
    context: Context,
    config: str | None,
    data: str | None,
    model: str | None,
    preset: str | None,
    sets: tuple[str, ...],
    name: str | None,
    detach: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Start a run, or tell what it would take."""
    from core.launch import launch
    from tui.cli.printing import print_json, say

    if dry_run:
        if detach:
            raise UsageError(
                _("--dry-run starts nothing that --detach could leave"), _("Give one of the two, not both.")
            )
        from tui.cli import forecast

        return forecast.dry_run(build_config(config, data, model, preset, sets, name), context.runs, as_json)
    run_dir = launch(build_config(config, data, model, preset, sets, name), context.runs)
    if detach:
        if as_json:
            print_json({"run_id": run_dir.name, "path": str(run_dir)})
        else:
            print(run_dir.name)
        return 0
    code = finish(run_dir, as_json)
    if code == 0 and not as_json:
        from core.runs import load_run
        from tui.cli.run_commands import print_summary

        print_summary(load_run(run_dir))
        say(_("`nsmc-tui open {run}` shows its errors.").format(run=run_dir.name))
    return code


@click.command(help=_("Train a tiny model on the built-in sample and review one of its errors (under a minute)."))
@click.pass_obj
def demo(context: Context) -> int:
    """The whole path on built-in data, without network or GPU."""
    from core import config_file
    from core.launch import launch
    from core.runs import load_run
    from tui.cli.review_commands import print_first_error
    from tui.cli.run_commands import print_summary

    run_dir = launch(config_file.validate(DEMO), context.runs)
    if sys.stdin.isatty() and sys.stdout.isatty():
        from tui.cli.app_commands import run_app

        return run_app(context, run=run_dir, screen="monitor", demo=True)
    code = finish(run_dir, as_json=False)
    if code == 0:
        print_summary(load_run(run_dir))
        print_first_error(run_dir)
    return code


COMMANDS = (train, demo)
