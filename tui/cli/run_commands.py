"""`runs`, `show`, `watch`, `control`: looking at runs and steering them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from core.i18n import gettext as _

if TYPE_CHECKING:
    from pathlib import Path

    from core.run_values import Facts
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
        "loss": run.loss,
        "model": run.model,
        "data": run.data,
        "host": run.host,
        "pid": run.pid,
        "created": run.created,
        "updated": run.updated,
        "silent": run.silent,
        "stale": run.stale,
        "metrics": run.metrics,
        "error": run.error,
        "hint": run.hint,
        "tags": list(run.tags),
        "note": run.note,
        "archived": run.archived,
        "source": run.source,
        "earlier_model": run.earlier_model,
    }


@click.command(name="runs", help=_("List the runs."))
@click.option("--where", "where", metavar="EXPR", default="", help=_("Only runs that match: state:running acc>0.88"))
@click.option("--sort", "sort", metavar="KEY", default="", help=_("By a field, a metric or a setting, best first."))
@click.option("--reverse", is_flag=True, help=_("Turn the order round."))
@click.option("--columns", metavar="A,B,…", default="", help=_("Columns: state,name,accuracy,cfg.learning_rate"))
@click.option("--all", "everything", is_flag=True, help=_("Archived runs too."))
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help=_("At most so many."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON list."))
@click.pass_obj
def list_command(
    context: Context,
    where: str,
    sort: str,
    reverse: bool,
    columns: str,
    everything: bool,
    limit: int | None,
    as_json: bool,
) -> int:
    """List the runs, newest first unless asked otherwise."""
    from core.run_index import RunIndex
    from core.run_marks import RunMarks
    from core.run_query import check_names, parse
    from core.run_values import Facts, canonical, sort_runs
    from tui.cli.printing import print_json, say

    index, marks = RunIndex(context.runs), RunMarks(context.runs)
    known = index.refresh().runs
    facts = Facts(index.settings_of, frozenset(marks.marked), marks.baseline)
    names = [canonical(name.strip()) for name in columns.split(",") if name.strip()]
    check_names([canonical(sort)] if sort else [], known, facts)
    check_names(names, known, facts, ("id", "f1", "data"))
    found = parse(where, known).keep(known, facts, archived=everything)
    if sort:
        found = sort_runs(found, sort, reverse, facts)
    elif reverse:
        found.reverse()
    found = found[:limit]
    if as_json:
        print_json([as_document(run) for run in found])
        return 0
    if not known:
        say(_("No runs in {path}. `nsmc-tui demo` makes the first one.").format(path=context.runs))
    elif not found:
        say(_("No run matches."))
    else:
        _print_runs(found, names, facts, next((run for run in known if run.path == facts.baseline), None))
    return 0


def _print_runs(runs: list[Run], names: list[str], facts: Facts, baseline: Run | None) -> None:
    from core.run_values import SETTING, value
    from tui.cli.printing import print_table
    from tui.run_columns import column, text_of, title

    shown = [column(name) for name in names or ("state", "id", "model", "data", "step", "accuracy", "f1", "eta", "age")]
    settings = [one.name for one in shown if one.name.startswith(SETTING)]
    rows = []
    for run in runs:
        values = {name: value(run, name, facts) for name in settings}
        rows.append([text_of(run, one.name, values, baseline) for one in shown])
    print_table([(title(one), "right" if one.right else "left") for one in shown], rows)


def print_summary(run: Run) -> None:
    """A run's state and its metrics as text on stdout."""
    from core import formats
    from core.text import visible

    quiet = run.condition if run.condition != run.state else ""
    state = formats.state(run.state)
    if quiet:
        state += f" ({formats.state(quiet)}, {_('for {time}').format(time=formats.ago(run.updated))})"
    step = f"{run.step:,} / {run.max_steps:,}" if run.max_steps else f"{run.step:,}"
    lines = [(_("run"), run.id), (_("state"), state)]
    lines += [(_("name"), run.label)] if run.label else []
    lines += [(_("host"), run.host)] if run.elsewhere else []
    lines += [(_("read from"), run.source)] if run.source else []
    lines += [(_("model"), run.model), (_("data"), run.data), (_("step"), step)]
    if run.live and run.eta is not None:
        lines.append((_("ETA"), formats.duration(run.eta)))
    if run.loss is not None:
        lines.append((_("train loss"), formats.number(run.loss)))
    if run.tags:
        lines.append((_("tags"), " ".join(f"#{tag}" for tag in run.tags)))
    if run.note:
        lines.append((_("note"), run.note))
    if run.archived:
        lines.append((_("archived"), _("yes")))
    if run.earlier_model is not None:
        lines.append((_("saved model"), _("as of step {step}, before the run went on").format(step=run.earlier_model)))
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
    from core.errors import ConfigError
    from core.predictions import splits
    from core.runs import CONFIG_FILE, load_run, read_results
    from tui.cli.printing import print_error, print_json

    path = context.find(run)
    found = load_run(path)
    if found.source == "tensorboard":
        from core.foreign import read_whole

        found = read_whole(path)
    if not as_json:
        print_summary(found)
        return 0
    config: dict[str, Any] | None = {}
    if (path / CONFIG_FILE).is_file() and not found.source:
        try:
            config = read_values(path / CONFIG_FILE)
        except ConfigError as error:
            # Edited by hand since: the rest of the run can be read all the same.
            config = None
            print_error(error)
    document = {"results": read_results(path), "predictions": splits(path), "config": config}
    print_json({**as_document(found), **document, "review": review_of(path)})
    return 0


def review_of(run_dir: Path, split: str | None = None, threshold: float = 0.5) -> dict[str, Any] | None:
    """What reviewers found in a run's split; None where there are no verdicts, or no predictions that they are on."""
    from core.errors import RunError
    from core.review_scores import review_summary

    try:
        return review_summary(run_dir, split, threshold)
    except RunError:
        return None


@click.command(
    help=_("Follow a run until it ends: a view in a terminal, lines elsewhere. ctrl+c leaves the run alone.")
)
@click.argument("run", default="latest")
@click.option("--lines", "as_lines", is_flag=True, help=_("Lines in a terminal too."))
@click.option("--json", "as_json", is_flag=True, help=_("Events as JSON lines."))
@click.pass_obj
def watch(context: Context, run: str, as_lines: bool, as_json: bool) -> int:
    """Follow a run."""
    from tui.cli.follow import follow
    from tui.cli.live_view import can_draw, watch_live
    from tui.cli.printing import report_end

    path = context.find(run)
    if as_json or as_lines or not can_draw():
        return report_end(follow(path, as_json=as_json))
    ended = watch_live(path)
    print_summary(ended)
    return report_end(ended)


@click.command(help=_("Name, tag, annotate, archive a run; without options show what is there."))
@click.argument("run")
@click.option("--name", help=_("The name to show; empty: its own."))
@click.option("--tag", "add", multiple=True, metavar="TAG", help=_("Add a tag."))
@click.option("--untag", "remove", multiple=True, metavar="TAG", help=_("Take a tag away."))
@click.option("--note", help=_("The note; empty: none."))
@click.option("--archive/--unarchive", "archived", default=None, help=_("Leave it out of lists, or take it back."))
@click.option("--json", "as_json", is_flag=True, help=_("The labels as one JSON document."))
@click.pass_obj
def label(
    context: Context,
    run: str,
    name: str | None,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    note: str | None,
    archived: bool | None,
    as_json: bool,
) -> int:
    """Change the labels of a run."""
    from dataclasses import asdict

    from core.run_actions import change, set_archived
    from core.run_labels import clean_tags, read_labels
    from tui.cli.printing import print_json

    path = context.find(run)
    if any(value is not None for value in (name, note)) or add or remove:
        gone = set(clean_tags(remove))
        tags = [tag for tag in clean_tags((*read_labels(path).tags, *add)) if tag not in gone]
        change(path, name=name, tags=tags, note=note)
    if archived is not None:
        set_archived(path, archived)
    labels = read_labels(path)
    if as_json:
        print_json({"run_id": path.name, **asdict(labels)})
    else:
        from core.text import visible

        print(visible(" ".join([path.name, labels.name, *(f"#{tag}" for tag in labels.tags), labels.note]).strip()))
    return 0


@click.command(help=_("Delete runs that are over, with everything in their directories. Asks first."))
@click.argument("runs", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help=_("Do not ask."))
@click.pass_obj
def delete(context: Context, runs: tuple[str, ...], yes: bool) -> int:
    """Delete runs."""
    from core.errors import UsageError
    from core.run_actions import check_over, delete_question, extent
    from core.run_actions import delete as delete_run
    from core.run_marks import RunMarks
    from core.runs import load_run
    from tui.cli.printing import say

    paths = list(dict.fromkeys(context.find(run) for run in runs))
    for path in paths:
        check_over(load_run(path))
    extents = [extent(path) for path in paths]
    question = delete_question(len(paths), sum(one.files for one in extents), sum(one.size for one in extents))
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(_("nobody is there to be asked"), _("Say --yes in a script."))
        for path in paths:
            say(str(path))
        if not click.confirm(question, err=True):
            return 0
    marks = RunMarks(context.runs)
    for path in paths:
        delete_run(path)
        marks.forget([path])
    if any(path.is_relative_to(context.runs) for path in paths) and (context.runs / ".nsmc-tui.json").exists():
        marks.save()
    say(_("deleted: {n}").format(n=len(paths)))
    return 0


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
@click.option("--lost", is_flag=True, help=_("The machine that it ran on is gone: go on although it never said so."))
@click.option("--detach", is_flag=True, help=_("Return at once with the run's id."))
@click.option("--json", "as_json", is_flag=True, help=_("Events as JSON lines (with --detach: id and path)."))
@click.pass_obj
def resume_command(
    context: Context, run: str, sets: tuple[str, ...], step: int | None, lost: bool, detach: bool, as_json: bool
) -> int:
    """Go on with a run."""
    from core import config_file
    from core.events import EVENTS_FILE
    from core.resume import resume
    from core.runs import load_run
    from tui.cli.printing import print_json, say
    from tui.cli.train_commands import finish

    path = context.find(run)
    events = path / EVENTS_FILE
    seen = events.stat().st_size if events.is_file() else 0
    begun = resume(path, [config_file.parse_assignment(text) for text in sets], step, lost=lost)
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
        print_summary(load_run(path))
    return code


COMMANDS = (list_command, show, watch, label, delete, control, resume_command)
