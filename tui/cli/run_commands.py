"""`runs`, `show`, `watch`, `control`: looking at runs and steering them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.i18n import gettext as _

if TYPE_CHECKING:
    from core.runs import Run
    from tui.cli import Context


def as_document(run: Run) -> dict[str, Any]:
    """A run as `runs --json` and `show --json` give it."""
    return {
        "run_id": run.id,
        "path": str(run.path),
        "name": run.name,
        "state": run.state,
        "step": run.step,
        "max_steps": run.max_steps,
        "epoch": run.epoch,
        "phase": run.phase,
        "eta": run.eta,
        "model": run.model,
        "data": run.data,
        "host": run.host,
        "pid": run.pid,
        "created": run.created,
        "updated": run.updated,
        "silent": run.silent,
        "metrics": run.metrics,
        "error": run.error,
        "hint": run.hint,
    }


@click.command(name="runs", help=_("List the runs."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON list."))
@click.pass_obj
def list_command(context: Context, as_json: bool) -> int:
    """List the runs, newest first."""
    from core import formats
    from core.runs import list_runs
    from tui.cli.printing import print_json, print_table, say

    found = list_runs(context.runs)
    if as_json:
        print_json([as_document(run) for run in found])
        return 0
    if not found:
        say(_("No runs in {path}. `nsmc-tui demo` makes the first one.").format(path=context.runs))
        return 0
    columns = [
        (_("state"), "left"),
        (_("run"), "left"),
        (_("model"), "left"),
        (_("data"), "left"),
        (_("step"), "right"),
        (_("accuracy"), "right"),
        ("F1", "right"),
        (_("age"), "right"),
    ]
    rows = [
        (
            formats.state(run.state),
            run.id,
            Path(run.model).name,
            run.data,
            f"{run.step:,}/{run.max_steps:,}",
            formats.number(run.metric("accuracy")),
            formats.number(run.metric("f1")),
            formats.ago(run.created),
        )
        for run in found
    ]
    print_table(columns, rows)
    return 0


def print_summary(run_dir: Path) -> None:
    """A run's state and its metrics as text on stdout."""
    from core import formats
    from core.runs import load_run
    from core.text import visible

    run = load_run(run_dir)
    silent = f" ({_('silent')})" if run.silent else ""
    lines = [
        (_("run"), run.id),
        (_("state"), formats.state(run.state) + silent),
        (_("model"), run.model),
        (_("data"), run.data),
        (_("step"), f"{run.step:,} / {run.max_steps:,}"),
    ]
    if run.error:
        lines += [(_("error"), run.error), (_("hint"), run.hint)]
    lines += [
        (key, formats.number(value, 5))
        for key, value in sorted(run.metrics.items())
        if key.split("_", 1)[-1] in ("accuracy", "f1", "precision", "recall", "macro_f1", "loss")
    ]
    from rich.cells import cell_len

    width = max(cell_len(name) for name, _value in lines) + 2
    for name, value in lines:
        print(name + " " * (width - cell_len(name)) + visible(str(value)))


@click.command(help=_("Show one run: state, results, config."))
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def show(context: Context, run: str, as_json: bool) -> int:
    """Show one run."""
    from core.config_file import read_values
    from core.predictions import splits
    from core.runs import CONFIG_FILE, load_run, read_results
    from tui.cli.printing import print_json

    path = context.find(run)
    if not as_json:
        print_summary(path)
        return 0
    config = read_values(path / CONFIG_FILE) if (path / CONFIG_FILE).is_file() else {}
    print_json(
        {**as_document(load_run(path)), "results": read_results(path), "predictions": splits(path), "config": config}
    )
    return 0


@click.command(help=_("Follow a run as text until it ends."))
@click.argument("run", default="latest")
@click.option("--json", "as_json", is_flag=True, help=_("Events as JSON lines."))
@click.pass_obj
def watch(context: Context, run: str, as_json: bool) -> int:
    """Follow a run."""
    from tui.cli.follow import follow
    from tui.cli.printing import report_end

    ended = follow(context.find(run), as_json=as_json)
    return report_end(ended)


@click.command(
    help=_("Ask a running worker: stop (finish the step, save, evaluate), abort, save, evaluate, pause, continue.")
)
@click.argument("run")
@click.argument("action", type=click.Choice(("stop", "abort", "save", "evaluate", "pause", "continue")))
@click.option("--timeout", default=60.0, show_default=True, help=_("Seconds to wait until the order is taken."))
@click.option("--json", "as_json", is_flag=True, help=_("The order's event as JSON."))
@click.pass_obj
def control(context: Context, run: str, action: str, timeout: float, as_json: bool) -> int:
    """Send an order and wait until it is taken."""
    from core.control import order_and_wait
    from tui.cli.printing import print_json

    event = order_and_wait(context.find(run), action, timeout)
    if as_json:
        print_json(event)
    else:
        print(
            _("order {action} taken at step {step}").format(action=event.get("action"), step=event.get("taken_at_step"))
        )
    return 0


COMMANDS = (list_command, show, watch, control)
