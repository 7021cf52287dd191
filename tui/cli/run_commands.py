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
@click.option("--at-step", type=click.IntRange(min=0), metavar="N", help=_("Stop after step N, not now; 0: never."))
@click.option(
    "--at-epoch", type=click.FloatRange(min=0), metavar="X", help=_("Stop after X epochs, not now; 0: never.")
)
@click.option("--timeout", default=60.0, show_default=True, help=_("Seconds to wait until the order is taken."))
@click.option("--json", "as_json", is_flag=True, help=_("The order's event as JSON."))
@click.pass_obj
def control(
    context: Context,
    run: str,
    action: str,
    at_step: int | None,
    at_epoch: float | None,
    timeout: float,
    as_json: bool,
) -> int:
    """Send an order and wait until it is taken."""
    from core.control import order_and_wait
    from core.errors import UsageError
    from tui.cli.printing import print_json

    later = at_step is not None or at_epoch is not None
    if later and action != "stop":
        raise UsageError(_("--at-step and --at-epoch belong to stop"), _("`nsmc-tui control RUN stop --at-step 500`."))
    path = context.find(run)
    if later:
        event = order_and_wait(path, "stop_at", timeout, step=at_step or None, epoch=at_epoch or None)
    else:
        event = order_and_wait(path, action, timeout)
    if as_json:
        print_json(event)
    else:
        print(
            _("order {action} taken at step {step}").format(action=event.get("action"), step=event.get("taken_at_step"))
        )
    return 0


@click.command(
    name="resume", help=_("Go on with a run from its last whole checkpoint; leaving the follower never ends the run.")
)
@click.argument("run")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help=_("A key that may change, such as epochs."))
@click.option("--from", "step", type=int, metavar="STEP", help=_("Go on from this checkpoint instead of the last."))
@click.option("--detach", is_flag=True, help=_("Return at once with the run's id."))
@click.option("--json", "as_json", is_flag=True, help=_("Events as JSON lines (with --detach: id and path)."))
@click.pass_obj
def resume_command(
    context: Context, run: str, sets: tuple[str, ...], step: int | None, detach: bool, as_json: bool
) -> int:
    """Go on with a run."""
    from core import config_file
    from core.events import EVENTS_FILE
    from core.resume import resume
    from tui.cli.printing import print_json, say
    from tui.cli.train_commands import finish

    path = context.find(run)
    events = path / EVENTS_FILE
    seen = events.stat().st_size if events.is_file() else 0
    begun = resume(path, [config_file.parse_assignment(text) for text in sets], step)
    if detach:
        if as_json:
            print_json({"run_id": path.name, "path": str(path), "resumed_from": begun})
        else:
            print(path.name)
        return 0
    if not as_json:
        say(_("{run} goes on from step {step}").format(run=path.name, step=begun))
    code = finish(path, as_json, seen)
    if code == 0 and not as_json:
        print_summary(path)
    return code


COMMANDS = (list_command, show, watch, control, resume_command)
