"""`train --dry-run`: a forecast for people or as JSON, with its progress on stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from core import formats
from core.i18n import gettext as _
from core.text import visible
from tui.forecast_lines import memory_and_disk, phase_words, time_taken, what_it_learns

if TYPE_CHECKING:
    from core.config import RunConfig
    from core.forecast import Forecast


class ProgressLine:
    """Progress on stderr: one line that changes in a terminal, else a line for each phase."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown = ""

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Show one report."""
        text = phase_words(phase)
        if self._terminal and total:
            text += f" {formats.count(done)}/{formats.count(total)}"
        if text == self._shown:
            return
        self._shown = text
        if self._terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the line away."""
        if self._terminal and self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def dry_run(config: RunConfig, runs: Path, as_json: bool) -> int:
    """Forecast the run of `config` and print it; nothing is started."""
    from core.forecast import forecast
    from tui.cli.printing import print_json

    line = ProgressLine()
    try:
        made = forecast(config, line, runs)
    finally:
        line.close()
    if as_json:
        print_json(made.as_document())
    else:
        print_forecast(made)
    return 0


def print_forecast(forecast: Forecast) -> None:
    """The forecast as tables and lines on stdout."""
    from tui.cli.printing import print_table

    lines = (*what_it_learns(forecast), *memory_and_disk(forecast), *time_taken(forecast))
    print_table([(_("forecast"), "left"), ("", "left")], lines)
    print()
    print_table(
        [("data.max_length", "right"), (_("reviews cut"), "right"), (_("tokens an epoch"), "right")],
        [
            (
                f"{row.max_length}{' *' if row.max_length == forecast.data.max_length else '  '}",
                f"{row.cut:.2%}",
                formats.count(row.tokens),
            )
            for row in forecast.data.lengths
        ],
    )
    for caution in forecast.warnings:
        print(visible(f"! {caution.message}" + (f" — {caution.hint}" if caution.hint else "")))
