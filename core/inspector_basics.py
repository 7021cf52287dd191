"""The inspector's plain ops: which models are open, open one, and one text as one model sees it."""

from __future__ import annotations

from typing import Any

from core.errors import UsageError
from core.i18n import gettext as _
from core.inspector_ops import Answer, Request, Task, masked_of, max_length_of, text_of


def ping(task: Task, request: Request) -> Answer:
    """`models`: paths of the open models, the one used last at the end; `bytes`: what their weights take."""
    return Answer({"models": task.shelf.paths, "bytes": task.shelf.nbytes})


def open_model(task: Task, request: Request) -> Answer:
    """Load the model at `path` and describe it (`core.inspector_protocol.ModelInfo`)."""
    return Answer(task.model(request).describe())


def inspect(task: Task, request: Request) -> Answer:
    """Tokens, probabilities and, unless `attention` is false, the attention of `text`, with words and heads missing."""
    text, max_length = text_of(request), max_length_of(request)
    header, attention = task.model(request).inspect(
        text,
        max_length,
        bool(request.get("attention", True)),
        masked_of(request),
        [_head(pair) for pair in request.get("knocked", ())],
    )
    return Answer(header, {} if attention is None else {"attention": attention})


def _head(pair: Any) -> tuple[int | None, int | None]:
    match pair:
        case [int(layer), int() | None as head]:
            return layer, head
    raise UsageError(_("A head is a pair of a layer and a head or null."))
