"""What the inspector can be asked, and how to add to it: the table `OPS` and what an op is given.

An op is a function in a module of its own, named in `OPS` as `"module:function"` and imported when it is first asked
for:

    def neighbours(task: Task, request: Request) -> Answer:
        loaded = task.model(request)                    # the model of request["model"] on request["device"]
        for batch in batches:
            task.check()                                # raises when the question was taken back: call it often
            task.progress(done, total)                  # optional; reaches `on_progress` of the clients
        return Answer({"found": 3}, {"vectors": array})

The request is the client's JSON object; every one has `op`, those about a model `model` (its path), `device` (None:
the inspector chooses) and mostly `text` and `max_length`. The answer's header must be JSON, with the model's
`fingerprint` in it so that clients forget the answers of replaced files; arrays go behind it as raw bytes and come back
by name from `core.inspector_protocol.arrays_from(header, payload)`. Whatever is raised from `core.errors.NsmcTuiError`
reaches the client as the same error. Ops run in the main thread, one at a time; torch is imported by then. A model's
`memo` keeps what an op wants to have again for as long as the model is open.

On the client's side a `core.inspector_protocol.Question` says what to send and how to read the answer; both clients ask
it with `ask(question)`, and the app's keeps the answer as it keeps those to `inspect`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from core.errors import InspectorError, UsageError
from core.i18n import gettext as _

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_models import LoadedModel
    from core.inspector_shelf import ModelShelf

Request = dict[str, Any]

OPS = {
    "ping": "core.inspector_basics:ping",
    "open": "core.inspector_basics:open_model",
    "inspect": "core.inspector_basics:inspect",
    "explain": "core.attribution_ops:explain",
    "agreement": "core.attribution_ops:agreement",
    "deletion": "core.attribution_ops:deletion",
    "head_stats": "core.attribution_ops:head_stats",
    "knock_out": "core.attribution_ops:knock_out",
    "flip": "core.attribution_ops:flip",
    "neighbours": "core.neighbour_ops:neighbours",
    "neighbours_build": "core.neighbour_ops:neighbours_build",
}
"""Name of each op and the function that answers it."""


@dataclass
class Answer:
    """What an op says: `header` (JSON; `id` and `ok` are added), and arrays by name, sent as little-endian bytes."""

    header: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[np.generic]] = field(default_factory=dict)


class Task:
    """What an op may use while it works on one request.

    check: raises RequestCancelledError once the request has been taken back or superseded. progress: tells the client
    `done` of `total` (any unit). shelf: the open models.
    """

    def __init__(self, shelf: ModelShelf, check: Callable[[], None], progress: Callable[[int, int], None]) -> None:
        self.shelf = shelf
        self.check = check
        self.progress = progress

    def model(self, request: Request) -> LoadedModel:
        """The model that `request` names, loaded if it is not. Raises ModelError, UsageError."""
        path = request.get("model", request.get("path"))
        if not isinstance(path, str):
            raise InspectorError(_("The inspector does not know this request."))
        return self.shelf.get(path, request.get("device"))


def text_of(request: Request) -> str:
    """The text that `request` is about. Raises InspectorError when it has none."""
    text = request.get("text")
    if not isinstance(text, str):
        raise InspectorError(_("The inspector does not know this request."))
    return text


def max_length_of(request: Request) -> int | None:
    """The limit in tokens of `request`, None for the model's own. Raises UsageError when it is no length."""
    length = request.get("max_length")
    if length is not None and not (isinstance(length, int) and length > 0):
        raise UsageError(_("max_length must be a positive whole number, not {value}.").format(value=length))
    return length


def masked_of(request: Request) -> list[int]:
    """The indexes of the words that are hidden from the model in `request`. Raises UsageError for what is no index."""
    words = request.get("masked") or []
    if not isinstance(words, list) or not all(isinstance(word, int) and word >= 0 for word in words):
        raise UsageError(_("The text has no such word."))
    return words


def find(name: Any) -> Callable[[Task, Request], Answer]:
    """The function of the op `name`. Raises InspectorError for one that is not in OPS."""
    place = OPS.get(name) if isinstance(name, str) else None
    if place is None:
        raise InspectorError(_("The inspector does not know this request."))
    module, _colon, function = place.partition(":")
    found: Callable[[Task, Request], Answer] = getattr(import_module(module), function)
    return found
