"""`train --dry-run`: a forecast for people or as JSON, with its progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core import formats
from core.i18n import gettext as _
from core.i18n import ngettext
from core.text import visible

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
        words = {"counting": _("counting tokens"), "probing": _("trying some steps")}
        text = words.get(phase) or formats.phase(phase)
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

    print_table([(_("forecast"), "left"), ("", "left")], _lines(forecast))
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


def _lines(forecast: Forecast) -> Iterator[tuple[str, str]]:
    count, size = formats.count, formats.size
    parameters, data, steps, memory, disk = (
        forecast.parameters,
        forecast.data,
        forecast.steps,
        forecast.memory,
        forecast.disk,
    )
    yield (
        _("parameters"),
        _("{all}, {trainable} of them trained").format(
            all=count(parameters.total), trainable=count(parameters.trainable)
        ),
    )
    yield _("reviews"), "  ".join(f"{name} {count(number)}" for name, number in data.splits.items())
    yield (
        _("tokens an epoch"),
        _("{tokens}, with padding {padded} ({share:.1%} of them padding)").format(
            tokens=count(data.tokens), padded=count(data.padded_tokens), share=data.padding
        ),
    )
    yield (
        _("reviews cut"),
        _("{n} ({share:.2%}) at {length} tokens").format(
            n=count(data.cut_reviews), share=data.cut, length=data.max_length
        ),
    )
    yield (
        _("tokenizer"),
        _("{share:.2%} unknown tokens, {n:.2f} tokens a character").format(
            share=data.unknown, n=data.tokens_per_character
        ),
    )
    yield (
        _("steps"),
        _("{steps} in all, {epoch} an epoch, {warmup} of warm-up").format(
            steps=count(steps.total), epoch=count(steps.per_epoch), warmup=count(steps.warmup)
        )
        + ("" if steps.planned == steps.total else "; " + _("stop after {n}").format(n=count(steps.planned))),
    )
    yield (
        _("batch"),
        _(
            "{batch} reviews a step ({device} × accumulation {accumulation} × processes {processes} × nodes {nodes})"
        ).format(
            batch=f"{steps.effective_batch:,.0f}",
            device=f"{steps.batch_per_device:,.0f}",
            accumulation=steps.accumulation,
            processes=steps.processes,
            nodes=steps.nodes,
        ),
    )
    yield (
        _("memory"),
        _("weights {weights}, gradients {gradients}, optimizer {optimizer}").format(
            weights=size(memory.weights), gradients=size(memory.gradients), optimizer=size(memory.optimizer)
        ),
    )
    yield (
        "",
        _("{needed} needed at the longest batches, {free} of {total} free ({device})").format(
            needed=size(memory.needed), free=size(memory.free), total=size(memory.total), device=memory.device
        ),
    )
    yield (
        _("disk"),
        ngettext(
            "{needed} needed ({n} checkpoint of {checkpoint} and the model), {free} free",
            "{needed} needed ({n} checkpoints of {checkpoint} and the model), {free} free",
            disk.checkpoints,
        ).format(needed=size(disk.needed), n=disk.checkpoints, checkpoint=size(disk.checkpoint), free=size(disk.free)),
    )
    yield from _time(forecast)


def _time(forecast: Forecast) -> Iterator[tuple[str, str]]:
    duration, seconds = formats.duration, forecast.seconds
    if seconds is None:
        yield _("time"), _("unknown: the trial steps ran out of memory")
        return
    yield (
        _("time"),
        _(
            "about {total}: start {start}, training {training}, evaluating {evaluating}, saving {saving}, "
            "scoring {scoring}"
        ).format(
            total=duration(seconds.total),
            start=duration(seconds.start),
            training=duration(seconds.training),
            evaluating=duration(seconds.evaluating),
            saving=duration(seconds.saving),
            scoring=duration(seconds.scoring),
        ),
    )
    yield (
        "",
        _("{step:.3f} s a step, from {n} tried").format(step=seconds.step, n=seconds.measured),
    )
