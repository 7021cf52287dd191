"""A forecast in words: what the run learns from, and what it takes; for the command line and the form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core import formats
from core.i18n import gettext as _
from core.i18n import ngettext

if TYPE_CHECKING:
    from core.forecast import Forecast

Line = tuple[str, str]
"""A title, empty where the line goes on, and what there is to say."""


def phase_words(phase: str) -> str:
    """What a forecast is doing."""
    words = {"counting": _("counting tokens"), "probing": _("trying some steps")}
    return words.get(phase) or formats.phase(phase)


def what_it_learns(forecast: Forecast) -> Iterator[Line]:
    """Parameters, reviews, tokens, steps, batch."""
    count, parameters, data, steps = formats.count, forecast.parameters, forecast.data, forecast.steps
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


def memory_and_disk(forecast: Forecast) -> Iterator[Line]:
    """What has to fit."""
    size, memory, disk = formats.size, forecast.memory, forecast.disk
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


def time_taken(forecast: Forecast) -> Iterator[Line]:
    """How long the whole run takes, and its parts."""
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
    yield "", _("{step:.3f} s a step, from {n} tried").format(step=seconds.step, n=seconds.measured)
