"""What the commands print: tables and lines for people, JSON for programs. Foreign text is never markup."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import NsmcTuiError
from core.events import jsonable
from core.i18n import gettext as _
from core.text import visible
from tui.command_hints import as_typed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from core.runs import Run

PIPE_WIDTH = 240


def console(stderr: bool = False) -> Console:
    """A console for stdout or stderr; wide when its output is piped, so that nothing is cut for a program."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)


def say(message: str) -> None:
    """A line of progress for people, on stderr."""
    print(visible(as_typed(message)), file=sys.stderr, flush=True)


def print_model_notes(document: dict[str, Any]) -> None:
    """What a reader should know of the model that gave `document` (a made-up head, classes turned round), on stderr."""
    for note in document["model_notes"]:
        say(f"{_('note')}: {note}")


def json_text(document: Any) -> str:
    """JSON for stdout: with its letters where the encoding has them all, else escaped."""
    whole = str(sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(document, ensure_ascii=not whole, allow_nan=False)


def print_json(document: Any) -> None:
    """One JSON document on stdout, NaN as null."""
    print(json_text(jsonable(document)), flush=True)


def print_error(error: NsmcTuiError) -> None:
    """What went wrong and the way out, on stderr."""
    place = visible(str(getattr(error, "file", "") or ""))
    prefix = f"{place}: " if place and place not in error.message else ""
    print(f"{_('error')}: {prefix}{visible(as_typed(error.message))}", file=sys.stderr)
    if error.hint:
        print(f"{_('hint')}: {visible(as_typed(error.hint))}", file=sys.stderr)


def cell(value: Any, style: str = "") -> Text:
    """A table cell of any value: foreign text made visible, never markup."""
    from rich.text import Text

    return Text("" if value is None else visible(str(value)), style=style)


def print_table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]]) -> None:
    """A table of `columns` (title, justification) on stdout, without lines around it."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title, justify in columns:
        table.add_column(title, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    out = console()
    out.soft_wrap = False
    out.print(table)


def report_end(run: Run) -> int:
    """Say why a run failed, if it did, on stderr; the exit code that goes with its end."""
    if run.state not in ("failed", "crashed"):
        return 0
    say(f"{_('error')}: {run.error}")
    if run.hint:
        say(f"{_('hint')}: {run.hint}")
    return 1
