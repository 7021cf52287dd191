"""Loading a saved classifier for the inspector: eager attention, float32, on a device that has room.

Needs torch and transformers, imported inside.
"""

from __future__ import annotations

import logging
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from core import inspector_protocol as protocol
from core.errors import ModelError, UsageError
from core.i18n import gettext as _
from core.inspector_models import LoadedModel
from core.model_directory import check_directory, loading_errors, needs_code, refused_pickle

log = logging.getLogger(__name__)

SAMPLED, MANY_UNKNOWN = 50, 0.2
"""Of how many built-in reviews a tokenizer is measured, and the share of unknown tokens that is told."""


def load(path: str, device: str | None = None) -> LoadedModel:
    """Load the classifier in directory `path` (or under that Hub name in the local cache) for inspection.

    `device` None takes a GPU that has room, else the CPU. Code of the model's own is never run. Raises ModelError when
    it cannot be loaded, UsageError for a device that is not there.
    """
    import inspect as signatures

    from core.label_order import is_reversed, turn_round
    from core.tokenization import window

    check_directory(path)
    stamp = protocol.fingerprint(path)
    tokenizer = _tokenizer(path)
    model, report = _model(path)
    # Gradients are wanted of inputs and attention only; those of the weights would cost as much again.
    model.eval().requires_grad_(False)
    chosen = _place(model, device)
    notes = []
    names = model.config.id2label
    if is_reversed(names):
        turn_round(model)
        model.config.id2label = {0: names[1], 1: names[0]}
        notes.append(_("The model counts {name} as class 0; here negative comes first.").format(name=names[0]))
    if report["missing_keys"]:
        notes.append(
            _("Weights are missing from the model and were made up: {names}. Its probabilities mean nothing.").format(
                names=", ".join(sorted(report["missing_keys"])[:4])
            )
        )
    notes += _unread(tokenizer)
    accepts = frozenset(signatures.signature(model.forward).parameters)
    return LoadedModel(path, model, tokenizer, window(tokenizer, model), chosen, stamp, notes, accepts)


def _tokenizer(path: str) -> Any:
    from core import saved_tokenizer

    try:
        return saved_tokenizer.load(path, local_files_only=True)
    except loading_errors() as error:
        log.exception("loading the tokenizer of %s", path)
        raise _unloadable(path, error, _("its tokenizer: {reason}")) from error


def _model(path: str) -> tuple[Any, dict[str, Any]]:
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    try:
        # A config may name an attention that is not installed here, and that name would win over the argument below.
        config = AutoConfig.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, attn_implementation="eager"
        )
        # dtype: a half precision checkpoint would round the attention; output_attentions stays a matter of each call,
        # because a config that has it does not bring the eager implementation along.
        model, report = AutoModelForSequenceClassification.from_pretrained(
            path,
            config=config,
            attn_implementation="eager",
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except UnpicklingError as error:
        raise refused_pickle(path) from error
    except loading_errors() as error:
        log.exception("loading %s", path)
        raise _unloadable(path, error) from error
    return model, report


def _unloadable(path: str, error: BaseException, part: str = "{reason}") -> ModelError:
    """The error for a model of which transformers could not load `part`, with the way out that fits what it said."""
    reason = part.format(reason=first_line(error) if not isinstance(error, KeyError) else f"KeyError: {error}")
    if not Path(path).exists():
        hint = _("There is no such directory, and no model of that name in the local cache.")
    else:
        hint = needs_code(reason) or _("A directory with config.json, model.safetensors and tokenizer.json is needed.")
    return ModelError(_("The model {path} cannot be loaded: {reason}").format(path=path, reason=reason), hint)


def _unread(tokenizer: Any) -> list[str]:
    """A note for a tokenizer that does not know much of the built-in reviews, with the cause where it shows."""
    from itertools import islice

    from core.sample import generate
    from core.unknown_tokens import cause, unknown_share_of_texts

    share = unknown_share_of_texts((text for _id, text, _label in islice(generate("test"), SAMPLED)), tokenizer)
    if share <= MANY_UNKNOWN:
        return []
    note = _("The tokenizer does not know {share:.0%} of what Korean reviews are made of.").format(share=share)
    return [" ".join(part for part in (note, *cause(tokenizer)) if part)]


def _place(model: Any, device: str | None) -> str:
    """Move `model` to `device`, or to a GPU with room to spare, and say where it is."""
    import torch

    if device is None:
        device = "cpu"
        if torch.cuda.is_available():
            size = sum(parameter.numel() for parameter in model.parameters()) * 4
            free, _total = torch.cuda.mem_get_info()
            # A run may be training on the same GPU: take a share that it will not miss.
            if free > 4 * size + (2 << 30):
                device = "cuda"
    try:
        model.to(device)
    except torch.cuda.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            _("The device {device} cannot be used: {reason}").format(device=device, reason=first_line(error)),
            _("cpu always works."),
        ) from error
    return device


def first_line(error: BaseException) -> str:
    """What `error` says, in one line."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
