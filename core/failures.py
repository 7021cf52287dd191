"""Turning whatever ends a run into one line with a reason and a way out."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from core.errors import DiskFullError, ModelError, NanLossError, NsmcTuiError, OutOfMemoryError, TrainingError
from core.i18n import gettext as _


def _not_numbers(message: str) -> NanLossError:
    return NanLossError(
        message,
        _(
            "Start a new run with a lower train.learning_rate, a longer train.warmup_steps, or bf16 instead of fp16: "
            "going on with this one repeats the same steps."
        ),
    )


def nan_loss(step: int, loss: float) -> NanLossError:
    """The loss stopped being a number at `step`."""
    return _not_numbers(_("the loss is {loss} at step {step}").format(loss=loss, step=step))


def nan_dev_loss(step: int, loss: float) -> NanLossError:
    """The dev split was scored after `step`, and its loss is no number."""
    return _not_numbers(_("the dev loss is {loss} after step {step}").format(loss=loss, step=step))


def nan_weights(step: int) -> NanLossError:
    """Weights stopped being numbers in the step `step`, whose own loss may still have been one."""
    return _not_numbers(
        _("weights are no longer numbers after step {step}: no checkpoint is made of them").format(step=step)
    )


def no_model(step: int) -> NanLossError:
    """The run ends after `step` without weights that are numbers, and without a checkpoint from before."""
    return NanLossError(
        _("weights are no longer numbers after step {step}, and there is no checkpoint: the run has no model").format(
            step=step
        ),
        _("Lower train.learning_rate, lengthen train.warmup_steps, or use bf16 instead of fp16."),
    )


def _mentions(text: str, *marks: str) -> bool:
    lowered = text.lower()
    return any(mark in lowered for mark in marks)


def is_disk_full(error: BaseException, folder: Path | None = None) -> bool:
    """Whether `error` came of a full disk; torch does not say so itself, then the room left in `folder` tells."""
    if isinstance(error, DiskFullError):
        return True
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error)
    if _mentions(text, "no space left on device", "disk quota exceeded"):
        return True
    writing = _mentions(text, "inline_container", "pytorchstreamwriter", "file write failed")
    return writing and folder is not None and shutil.disk_usage(folder).free < 1024 * 1024


def explain(error: BaseException, batch_size: int | None = None, unknown: str = "") -> NsmcTuiError:
    """The error of our own tree that `error` stands for, its cause kept.

    `unknown` is the hint for one that nothing is known of; left out, the way to the run's log.
    """
    if isinstance(error, NsmcTuiError):
        return error
    text = str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    known = _known(error, text, first, batch_size, unknown)
    known.__cause__ = error
    return known


def _known(error: BaseException, text: str, first: str, batch_size: int | None, unknown: str) -> NsmcTuiError:
    if type(error).__name__ == "OutOfMemoryError" or _mentions(
        text, "out of memory", "can't allocate memory", "cannot allocate memory"
    ):
        half = max(1, (batch_size or 2) // 2)
        return OutOfMemoryError(
            _("out of memory: {reason}").format(reason=first),
            _(
                "Set train.per_device_train_batch_size to {half} and double train.gradient_accumulation_steps, or "
                "lower data.max_length. `nsmc-tui doctor` shows who else is on the GPU."
            ).format(half=half),
        )
    if isinstance(error, MemoryError):
        return OutOfMemoryError(
            _("this machine's memory is full"), _("Close other programs or choose a smaller model.")
        )
    if is_disk_full(error):
        return DiskFullError(
            _("the disk is full: {reason}").format(reason=first),
            _("Free room or lower train.save_total_limit; the last whole checkpoint is kept."),
        )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return TrainingError(
            _("no permission: {reason}").format(reason=first), _("Choose another directory with --runs.")
        )
    if isinstance(error, TypeError) and "TrainingArguments" in text:
        return TrainingError(
            _("transformers refuses [train]: {reason}").format(reason=first),
            _("`nsmc-tui config describe` lists the fields of the installed version."),
        )
    if isinstance(error, ImportError) or _mentions(text, "to be installed", "is not installed", "pip install"):
        return TrainingError(
            _("a package is missing: {reason}").format(reason=first), _("Install it into the same environment.")
        )
    if isinstance(error, IndexError) and "index out of range in self" in text:
        return ModelError(
            _("a token or position is outside the model's embeddings"),
            _("Tokenizer and model do not belong together, or data.max_length is above the model's window."),
        )
    if "same number of <eos> tokens" in text:
        return ModelError(
            _("a review holds the model's end mark as text, or was cut before it"),
            _("Encoder-decoders classify by it. Take out the reviews that spell it (</s>), or choose an encoder."),
        )
    if _mentions(text, "cuda error", "cublas", "nccl", "device-side assert"):
        return TrainingError(
            _("the GPU reported an error: {reason}").format(reason=first),
            _("Run again with CUDA_LAUNCH_BLOCKING=1 to see where; `nsmc-tui doctor` checks the driver."),
        )
    return TrainingError(
        f"{type(error).__name__}: {first}" if text else type(error).__name__,
        unknown or _("worker.log in the run's directory has the whole traceback."),
    )
