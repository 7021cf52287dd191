"""What the inspector process and its clients say to each other, and the answer in Python terms.

Requests are JSON lines: `{"id": n, "op": …}` with one of `core.inspector_ops.OPS`, or `close`, or `{"op": "cancel",
"target": n}`, which takes request n back, also while it is being worked on. A request with a `slot` (any string) takes
those with the same slot back that came before it. Each answer is one JSON line `{"id": n, "ok": true, …, "payload":
nbytes}` followed by exactly `nbytes` raw bytes, the arrays that `"arrays": [{"name", "dtype", "shape"}, …]` describes
one after the other (little-endian, C order), or `{"id": n, "ok": false, "error": code, "message": …, "hint": …}`.
Before the answer of a long op there may be `{"id": n, "event": "progress", "done": …, "total": …}`.
`{"event": "ready", …}` comes once, when the imports are done. Needs numpy only.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from core.errors import InspectorError, NsmcTuiError
from core.i18n import gettext as _
from core.i18n import language
from core.tokenization import Token, Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

CANCELLED = "cancelled"
"""The error code of a request that was taken back or superseded."""

PROGRESS = "progress"
"""The event that tells how far a long op is."""


class RequestCancelledError(InspectorError):
    """The request was taken back, or superseded by a newer one in its slot."""

    code = CANCELLED


@dataclass(frozen=True)
class Question(Generic[T]):
    """Something to ask the inspector: the request, without `id` and `device`, and how its answer is read.

    `read` gets the answer's header and payload and raises InspectorError when they are not an answer. An answer that
    has `nbytes` is kept by the app's client, under `key`. Make those of the product with `core.inspector_questions`.
    """

    request: dict[str, Any]
    read: Callable[[dict[str, Any], bytes | bytearray], T]

    @property
    def key(self) -> str:
        """The same for the same question."""
        return json.dumps(self.request, sort_keys=True)

    @property
    def model(self) -> str:
        """The model that is asked."""
        return str(self.request.get("model", ""))


@dataclass(frozen=True)
class ModelInfo:
    """What the inspector says about a model it has opened.

    path: as asked for. labels: names of the classes in order. window: longest input in tokens, None when unbounded.
    device: `cpu` or `cuda…`. fingerprint: changes when the files of a model directory are replaced. notes: what a
    reader should know, in the interface's language (a classifier that was never trained).
    """

    path: str
    model_type: str
    labels: tuple[str, ...]
    window: int | None
    device: str
    parameters: int
    fingerprint: str
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Inspection:
    """One text as one model sees it.

    text: the text as asked for. tokens, words: see `core.tokenization`. cut: offset from which the text did not fit
    into the window, or None. logits, probabilities: one a class, in the order of `labels`. attention: float32 of
    shape (layers, heads, tokens, tokens), read-only, rows asking and columns answering, each row summing to 1; None
    when it was not asked for or the model gives none, which `note` then explains. notes: what a reader should know of
    the model, as in `ModelInfo`. cls: index of the token that the classifier reads. max_length: the limit in tokens
    that was in force. model: the path asked. seconds: duration of the forward pass.
    """

    model: str
    text: str
    tokens: tuple[Token, ...]
    words: tuple[Word, ...]
    cut: int | None
    logits: tuple[float, ...]
    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    cls: int
    max_length: int | None
    seconds: float
    note: str = ""
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    mean_pooled: bool = False
    attention: NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def n_layers(self) -> int | None:
        """Number of layers with attention, None without attention."""
        return None if self.attention is None else int(self.attention.shape[0])

    @property
    def n_heads(self) -> int | None:
        """Number of heads of each layer, None without attention."""
        return None if self.attention is None else int(self.attention.shape[1])

    @property
    def pred(self) -> int:
        """Index of the class with the highest probability."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)

    @property
    def special_mask(self) -> tuple[bool, ...]:
        """For each token whether the tokenizer added it."""
        return tuple(token.special for token in self.tokens)

    @property
    def token_words(self) -> tuple[int | None, ...]:
        """For each token the index of its word, None outside words."""
        return tuple(token.word for token in self.tokens)

    @property
    def masked(self) -> tuple[int, ...]:
        """Indexes of the words that were hidden from the model, of those that it got tokens of."""
        return tuple(sorted({token.word for token in self.tokens if token.masked and token.word is not None}))

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        attention = 0 if self.attention is None else self.attention.nbytes
        return attention + 4 * len(self.text) + 200 * (len(self.tokens) + len(self.words)) + 1000


def command() -> list[str]:
    """The command line that starts an inspector."""
    # -P: a `core` or `torch.py` in the user's current directory must not be imported instead of ours.
    return [sys.executable, "-P", "-m", "core.inspector"]


def environment() -> dict[str, str]:
    """The environment of an inspector: quiet libraries, never the network, the interface's language."""
    return {
        # Idle OpenMP threads spin by default, which beside a training run makes a review many times slower. Threads
        # that sleep at once are the quickest there, but a fifth slower on idle cores (docs/performance.md).
        "GOMP_SPINCOUNT": "2000",
        **os.environ,
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONUNBUFFERED": "1",
        "NSMC_TUI_LANG": language(),
    }


def open_request(path: str | os.PathLike[str], device: str | None = None) -> dict[str, Any]:
    """The request that loads a model (a directory, or a Hub name that is in the local cache)."""
    return {"op": "open", "path": os.fspath(path), "device": device}


def dump(message: dict[str, Any]) -> bytes:
    """`message` as one line."""
    return json.dumps(message).encode("ascii") + b"\n"


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The message in `line`, or None when it is not one."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def payload_size(header: dict[str, Any]) -> int:
    """Number of raw bytes that follow `header`. Raises InspectorError when it says nonsense."""
    size = header.get("payload", 0)
    if not isinstance(size, int) or size < 0:
        raise unreadable()
    return size


def error_from(header: dict[str, Any]) -> NsmcTuiError:
    """The exception that an answer with `"ok": false` stands for."""
    kinds = {cls.code: cls for cls in _subclasses(NsmcTuiError)}
    kind = kinds.get(str(header.get("error")), InspectorError)
    return kind(str(header.get("message", "")), str(header.get("hint", "")))


def model_info_from(header: dict[str, Any]) -> ModelInfo:
    """The answer to `open`. Raises InspectorError when it is not one."""
    try:
        return ModelInfo(
            path=header["path"],
            model_type=header["model_type"],
            labels=tuple(header["labels"]),
            window=header["window"],
            device=header["device"],
            parameters=header["parameters"],
            fingerprint=header["fingerprint"],
            notes=tuple(header["notes"]),
        )
    except (KeyError, TypeError) as error:
        raise unreadable() from error


def pack(arrays: Mapping[str, NDArray[np.generic]]) -> tuple[list[dict[str, Any]], list[memoryview]]:
    """`arrays` for the wire: what the header says of them, and their bytes, without a copy where they lie right."""
    import numpy as np

    described, bodies = [], []
    for name, array in arrays.items():
        body = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        described.append({"name": name, "dtype": body.dtype.str, "shape": list(array.shape)})
        bodies.append(body.reshape(-1).view(np.uint8).data)
    return described, bodies


def arrays_from(header: dict[str, Any], payload: bytes | bytearray) -> dict[str, NDArray[Any]]:
    """The arrays of an answer by name, read-only views of `payload`. Raises InspectorError when they are not there."""
    import numpy as np

    found: dict[str, NDArray[Any]] = {}
    offset = 0
    try:
        for described in header.get("arrays", ()):
            dtype = np.dtype(described["dtype"])
            count = int(np.prod(described["shape"], dtype=np.int64))
            # frombuffer refuses to make nothing of nothing.
            array = np.frombuffer(payload, dtype, count, offset) if count else np.empty(0, dtype)
            array = array.reshape(described["shape"])
            array.flags.writeable = False
            found[described["name"]] = array
            offset += array.nbytes
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable() from error
    return found


def unreadable() -> InspectorError:
    """The error for an answer that is none."""
    return InspectorError(_("The inspector gave an answer that cannot be read."))


def inspection_from(header: dict[str, Any], payload: bytes | bytearray = b"") -> Inspection:
    """The answer to `inspect`, its attention a read-only view of `payload`. Raises InspectorError when it is none."""
    try:
        return Inspection(
            model=header["model"],
            text=header["text"],
            tokens=tuple(Token(**token) for token in header["tokens"]),
            words=tuple(Word(**word) for word in header["words"]),
            cut=header["cut"],
            logits=tuple(header["logits"]),
            probabilities=tuple(header["probabilities"]),
            labels=tuple(header["labels"]),
            cls=header["cls"],
            max_length=header["max_length"],
            seconds=header["seconds"],
            note=header["note"],
            notes=tuple(header["notes"]),
            fingerprint=header["fingerprint"],
            mean_pooled=header["mean_pooled"],
            attention=arrays_from(header, payload).get("attention"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable() from error


def fingerprint_of(header: dict[str, Any]) -> str:
    """The fingerprint of the model that gave an answer, which has it itself or in its `inspection`."""
    inspection = header.get("inspection")
    inner = inspection.get("fingerprint", "") if isinstance(inspection, dict) else ""
    return str(header.get("fingerprint", inner))


def last_lines(descriptor: int, lines: int = 12, size: int = 8192) -> str:
    """The last `lines` lines of the open file `descriptor`, without moving the position that its writer shares."""
    end = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, size, max(0, end - size))
    return "\n".join(tail.decode("utf-8", "replace").strip().splitlines()[-lines:])


def died(status: int | None, log: str) -> InspectorError:
    """The error for a process that ended with `status` (negative: by that signal) before it had answered."""
    if status is not None and status < 0:
        import signal

        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = str(-status)
        message = _("The inspector was ended by {signal}.").format(signal=name)
        hint = _("Perhaps memory ran out.") if name == "SIGKILL" else ""
    else:
        message = _("The inspector ended with status {status}.").format(status=status)
        hint = ""
    return InspectorError(message, "\n".join(part for part in (hint, log) if part))


def fingerprint(path: str | os.PathLike[str]) -> str:
    """Something that changes when a model's files in directory `path` are replaced; empty for a name of the Hub."""
    directory = Path(path)
    if not directory.is_dir():
        return ""
    stamps = []
    for file in sorted(directory.iterdir()):
        if file.suffix in {".json", ".safetensors", ".bin", ".txt", ".model"} and file.is_file():
            stat = file.stat()
            stamps.append(f"{file.name}:{stat.st_mtime_ns}:{stat.st_size}")
    return "|".join(stamps)


def _subclasses(cls: type[NsmcTuiError]) -> list[type[NsmcTuiError]]:
    found = [cls]
    for sub in cls.__subclasses__():
        found += _subclasses(sub)
    return found
