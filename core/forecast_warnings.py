"""What a forecast gives reason to warn of, each with a way out. Light."""

from __future__ import annotations

from core import formats
from core.config import RunConfig
from core.forecast import Caution, Forecast
from core.i18n import gettext as _

# From this share of reviews on, being cut matters for the scores.
MUCH_CUT = 0.01
MUCH_UNKNOWN = 0.05


def cautions(forecast: Forecast, config: RunConfig) -> list[Caution]:
    """The warnings that follow from the figures, the ones that stop a run first."""
    found = [_memory(forecast), _disk(forecast), _warmup(forecast), *_tokenizer(forecast), _cut(forecast)]
    if config.launch.processes * config.launch.nodes > 1:
        found.append(
            Caution(
                "processes",
                _("the minutes are those of one process with its share of the reviews, without their communication"),
                _("A first epoch on all of them shows what the network costs."),
            )
        )
    return [caution for caution in found if caution is not None]


def _memory(forecast: Forecast) -> Caution | None:
    memory, batch = forecast.memory, forecast.steps.batch_per_device
    if memory.fits:
        return None
    return Caution(
        "memory",
        _("the run needs {needed} of memory, {free} are free on {device}").format(
            needed=formats.size(memory.needed), free=formats.size(memory.free), device=memory.device
        ),
        _(
            "Set train.per_device_train_batch_size to {half} and double train.gradient_accumulation_steps, lower "
            "data.max_length, or choose a smaller model. `nsmc-tui doctor` shows who else is on the GPU."
        ).format(half=max(1, int(batch) // 2)),
    )


def _disk(forecast: Forecast) -> Caution | None:
    disk = forecast.disk
    if disk.needed <= disk.free:
        return None
    return Caution(
        "disk",
        _("checkpoints and model need {needed}, {free} are free in {path}").format(
            needed=formats.size(disk.needed), free=formats.size(disk.free), path=disk.path
        ),
        _("Lower train.save_total_limit, save less often, or choose another directory with --runs."),
    )


def _warmup(forecast: Forecast) -> Caution | None:
    steps = forecast.steps
    if steps.warmup < steps.total:
        return None
    return Caution(
        "warmup",
        _("warm-up takes {warmup:.0f} steps, the whole run {steps}").format(warmup=steps.warmup, steps=steps.total),
        _("The learning rate never reaches its highest; try train.warmup_steps = 0.1."),
    )


def _tokenizer(forecast: Forecast) -> list[Caution]:
    data, found = forecast.data, []
    hint = _("Choose a model that was trained on Korean, or --preset small for a tokenizer made from the reviews.")
    if data.unknown > MUCH_UNKNOWN:
        found.append(Caution("unknown", _("{share:.1%} of the tokens are unknown").format(share=data.unknown), hint))
    if data.tokens_per_character > 1:
        found.append(
            Caution(
                "pieces",
                _("the tokenizer makes {n:.1f} tokens of a character: it does not know Hangul").format(
                    n=data.tokens_per_character
                ),
                hint,
            )
        )
    return found


def _cut(forecast: Forecast) -> Caution | None:
    data = forecast.data
    if data.cut <= MUCH_CUT:
        return None
    message = _("{share:.1%} of the reviews are cut at {length} tokens").format(share=data.cut, length=data.max_length)
    enough = [row.max_length for row in data.lengths if row.cut <= MUCH_CUT]
    if enough:
        hint = _("data.max_length = {length} cuts {share:.1%}, if the model takes that many.").format(
            length=enough[0], share=next(row.cut for row in data.lengths if row.max_length == enough[0])
        )
    else:
        hint = _("Raise data.max_length as far as the model's window goes; `nsmc-tui model show M` tells it.")
    return Caution("cut", message, hint)
