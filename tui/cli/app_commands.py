"""`open` and `doctor`, and the way from the command line into the app."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import click

from core.errors import NsmcTuiError, UsageError
from core.i18n import gettext as _

if TYPE_CHECKING:
    from core.run_index import RunIndex
    from tui.cli import Context
    from tui.feed import RunFeed

# Longer than the import of the app takes there is no head start to be had.
EARLY = 0.5
SCREENS = ("runs", "new", "monitor", "evaluation", "review")


def _look_early(runs: Path) -> tuple[RunIndex, Thread]:
    """An index of `runs`, and the thread that begins to read it."""
    from core.run_index import RunIndex

    index = RunIndex(runs)

    def look() -> None:
        # Only a head start: the screen reads again, and tells what is wrong with the directory.
        with suppress(NsmcTuiError):
            index.refresh(EARLY)

    looking = Thread(target=look, daemon=True)
    looking.start()
    return index, looking


def _read_early(run: Path) -> RunFeed | None:
    """The feed of `run`, which begins to read; None where the screen has to say that it cannot be read."""
    from tui.feed import RunFeed

    with suppress(NsmcTuiError):
        feed = RunFeed(run)
        feed.begin()
        return feed
    return None


def run_app(context: Context, run: Path | None = None, screen: str = "", demo: bool = False) -> int:
    """Open the app and return its exit code. Raises UsageError where there is no terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            _("the app needs a terminal"),
            _("In a script use the commands: `nsmc-tui runs`, `watch`, `errors` … (`nsmc-tui --help`)."),
        )
    # Small matrices only: BLAS threads that wait for each other on busy cores cost more than they give.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # What is made while starting stays; looking through it again and again delays the first picture.
    gc.disable()
    index, feed = None, None
    if run is None and screen in ("", "runs"):
        # The list is what is shown first.
        index, looking = _look_early(context.runs)
        from tui.app import NsmcTuiApp

        looking.join(0.05)
    else:
        if run is not None and screen in ("", "monitor"):
            feed = _read_early(run)
        from tui.app import NsmcTuiApp
    app = NsmcTuiApp(context.runs, run=run, screen=screen, demo=demo, index=index, feed=feed)
    app.run()
    return app.return_code or 0


@click.command(name="open", help=_("Open the app on a run."))
@click.argument("run", required=False)
@click.option("--screen", type=click.Choice(SCREENS), default=None, help=_("The screen to open."))
@click.pass_obj
def open_command(context: Context, run: str | None, screen: str | None) -> int:
    """Open the app there."""
    if run is None and screen in ("monitor", "evaluation", "review"):
        run = "latest"
    return run_app(context, context.find(run) if run else None, screen or "")


@click.command(help=_("What this machine and terminal can do."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def doctor(context: Context, as_json: bool) -> int:
    """Check torch, GPU, drivers, disk, terminal, offline state."""
    from tui.cli.doctor import examine, print_findings
    from tui.cli.printing import print_json

    findings = examine(context.runs)
    if as_json:
        print_json(findings)
    else:
        print_findings(findings)
    return 0


COMMANDS = (open_command, doctor)
