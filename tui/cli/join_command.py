"""`join`: another machine takes part in a run that was started elsewhere."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.i18n import gettext as _

if TYPE_CHECKING:
    from core.errors import RunError
    from tui.cli import Context

POLL = 0.5


def find_started(context: Context, run: str, timeout: float) -> Path:
    """The directory of `run` once its head has started: on a shared file system that shows late on other machines.

    Raises RunError for a run that cannot be joined, or that has not started within `timeout` seconds.
    """
    from core import config_file
    from core.errors import RunError
    from core.runs import CONFIG_FILE
    from core.supervisor import check_joinable, head_of

    deadline = time.monotonic() + timeout
    while True:
        problem: RunError | None = None
        path = None
        try:
            path = context.find(run)
        except RunError as error:
            problem = error
        if path is not None and (path / CONFIG_FILE).is_file():
            check_joinable(path, config_file.load(path / CONFIG_FILE))
            if head_of(path):
                return path
        if time.monotonic() > deadline:
            raise problem or RunError(
                _("{run} has not been started within {seconds:.0f} s").format(run=run, seconds=timeout),
                _("Start it on its first machine with `nsmc-tui train` or `resume`; --timeout waits longer."),
            )
        time.sleep(POLL)


@click.command(help=_("Take part in a run of several machines from this one; the run directory is shared."))
@click.argument("run")
@click.option("--timeout", default=60.0, show_default=True, help=_("Seconds to wait until the run has started."))
@click.pass_obj
def join(context: Context, run: str, timeout: float) -> int:
    """Run this machine's ranks until the run ends."""
    import os

    from core import config_file, formats
    from core.launch import worker_environment
    from core.runs import CONFIG_FILE, load_run
    from core.supervisor import head_of, join_log, supervise
    from tui.cli.printing import say

    path = find_started(context, run, timeout)
    config = config_file.load(path / CONFIG_FILE)
    head = head_of(path)
    say(
        _("{run}: {processes} of {total} processes here, the head is {host}; meeting at {endpoint}").format(
            run=path.name,
            processes=config.launch.processes,
            total=config.launch.processes * config.launch.nodes,
            host=head.get("host"),
            endpoint=config.launch.rdzv_endpoint,
        )
    )
    say(_("log: {path}; ctrl+c asks the whole run to stop").format(path=join_log(path)))
    # The end of the terminal or of the connection is not the end of the run.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.environ.update(worker_environment(config))
    code = supervise(path, config, [str(argument) for argument in head.get("args", [])], head=False)
    say(_("run {run}").format(run=path.name) + ": " + formats.state(load_run(path).state))
    return code


COMMANDS = (join,)
