"""The inspector process (`python -m core.inspector`): models in memory, asked for one text at a time over pipes.

It exists because attention needs a model with eager attention in memory, while the app must not import torch and
training wants SDPA. The protocol is in `core.inspector_protocol`. It ends when its stdin does, so it never outlives
the program that started it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections import OrderedDict, deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from core import inspector_protocol as protocol
from core.errors import InspectorError, ModelError, NsmcTuiError, OutOfMemoryError, UsageError
from core.failures import explain
from core.i18n import gettext as _

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

MAX_MODELS = 2
"""How many models stay open."""


@dataclass
class LoadedModel:
    """A model ready to be asked: on `device`, float32, eager attention, evaluation mode."""

    path: str
    model: Any
    tokenizer: Any
    window: int | None
    device: str
    fingerprint: str
    notes: list[str]
    accepts: frozenset[str]

    @property
    def labels(self) -> list[str]:
        """The names of the classes in order."""
        config = self.model.config
        return [str(config.id2label.get(index, index)) for index in range(config.num_labels)]

    def describe(self) -> dict[str, Any]:
        """The body of the answer to `open`."""
        return {
            "path": self.path,
            "model_type": self.model.config.model_type,
            "labels": self.labels,
            "window": self.window,
            "device": self.device,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "fingerprint": self.fingerprint,
            "notes": self.notes,
        }

    def inspect(
        self, text: str, max_length: int | None, attention: bool
    ) -> tuple[dict[str, Any], NDArray[np.float32] | None]:
        """The body of the answer to `inspect`, and the attention (layers × heads × tokens × tokens).

        Raises ModelError when the model cannot take the text or answers with something that is not a number.
        """
        import torch

        from core import attention as attentions
        from core.tokenization import encode

        limit = min((n for n in (max_length, self.window) if n is not None), default=None)
        encoded = encode(self.tokenizer, text, limit)
        note = ""
        if attention and self._attention_bytes(len(encoded.tokens)) > attentions.MAX_BYTES:
            attention, note = False, _("The text is too long for its attention to be kept; the answer is without it.")
        inputs = {
            name: torch.tensor([values], device=self.device)
            for name, values in encoded.inputs.items()
            if name in self.accepts
        }
        started = time.perf_counter()
        with torch.inference_mode():
            outputs = self.model(**inputs, output_attentions=attention, return_dict=True)
            logits = outputs.logits[0].float()
            # What transformers.pipeline("text-classification") does with the logits.
            if self.model.config.problem_type == "multi_label_classification" or logits.numel() == 1:
                probabilities = logits.sigmoid()
            else:
                probabilities = logits.softmax(-1)
            array = attentions.capture(outputs) if attention else None
        seconds = time.perf_counter() - started
        if not bool(torch.isfinite(logits).all()):
            raise ModelError(
                _("The model's answer is not a number."),
                _("Its weights are damaged, perhaps by training on a NaN loss."),
            )
        if attention and array is None:
            note = _("Models of type {type} give no attention from token to token.").format(
                type=self.model.config.model_type
            )
        header = {
            "model": self.path,
            "text": text,
            "tokens": [asdict(token) for token in encoded.tokens],
            "words": [asdict(word) for word in encoded.words],
            "cut": encoded.cut,
            "logits": logits.tolist(),
            "probabilities": probabilities.tolist(),
            "labels": self.labels,
            "cls": self._cls(encoded.inputs["input_ids"]),
            "max_length": limit,
            "seconds": seconds,
            "note": note,
            "fingerprint": self.fingerprint,
            "shape": None if array is None else list(array.shape),
        }
        return header, array

    def _attention_bytes(self, tokens: int) -> int:
        config = self.model.config
        layers = getattr(config, "num_hidden_layers", 1) or 1
        heads = getattr(config, "num_attention_heads", 1) or 1
        return 4 * int(layers) * int(heads) * tokens * tokens

    def _cls(self, ids: list[int]) -> int:
        """Index of the token that the classifier reads."""
        # Left-to-right models (their head is called `score`) classify by the last token.
        if hasattr(self.model, "score"):
            return len(ids) - 1
        name = self.tokenizer.cls_token_id
        return ids.index(name) if name is not None and name in ids else 0


def load(path: str, device: str | None = None) -> LoadedModel:
    """Load the classifier in directory `path` (or under that Hub name in the local cache) for inspection.

    `device` None takes a GPU that has room, else the CPU. Raises ModelError when it cannot be loaded.
    """
    import inspect as signatures

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from core.tokenization import window

    stamp = protocol.fingerprint(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        # dtype: a half precision checkpoint would round the attention; output_attentions stays a matter of each call,
        # because a config that has it does not bring the eager implementation along.
        model, report = AutoModelForSequenceClassification.from_pretrained(
            path,
            attn_implementation="eager",
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError) as error:
        log.exception("loading %s", path)
        missing = not Path(path).exists()
        raise ModelError(
            _("The model {path} cannot be loaded: {reason}").format(path=path, reason=first_line(error)),
            _("There is no such directory, and no model of that name in the local cache.")
            if missing
            else _("A directory with config.json, model.safetensors and tokenizer.json is needed."),
        ) from error
    model.eval()
    chosen = _place(model, device)
    notes = []
    if report["missing_keys"]:
        notes.append(
            _("Weights are missing from the model and were made up: {names}. Its probabilities mean nothing.").format(
                names=", ".join(sorted(report["missing_keys"])[:4])
            )
        )
    accepts = frozenset(signatures.signature(model.forward).parameters)
    return LoadedModel(path, model, tokenizer, window(tokenizer, model), chosen, stamp, notes, accepts)


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


class Server:
    """Answers requests one at a time; a thread reads them, so that one can be cancelled while another is worked on.

    `source` gives request lines, `sink` takes answers.
    """

    def __init__(self, source: BinaryIO, sink: BinaryIO, max_models: int = MAX_MODELS) -> None:
        self._source = source
        self._sink = sink
        self._max_models = max_models
        self._models: OrderedDict[tuple[str, str | None], LoadedModel] = OrderedDict()
        self._queue: deque[dict[str, Any]] = deque()
        self._waiting = threading.Condition()
        self._writing = threading.Lock()

    def listen(self) -> None:
        """Start reading requests; the process ends at once when there can be no more."""
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def event(self, **message: Any) -> None:
        """Tell the client something that it did not ask for."""
        self._write(message, None)

    def serve(self) -> None:
        """Answer requests until told to close."""
        while True:
            with self._waiting:
                while not self._queue:
                    self._waiting.wait()
                request = self._queue.popleft()
            if request.get("op") == "close":
                self._write({"id": request.get("id"), "ok": True}, None)
                return
            self._answer(request)

    def _read(self) -> None:
        for line in self._source:
            request = protocol.parse_line(line)
            if request is None:
                if line.strip():
                    self._refuse(None, InspectorError(_("This is not a request.")))
            elif request.get("op") == "cancel":
                self._cancel(request.get("target"))
            else:
                with self._waiting:
                    self._queue.append(request)
                    self._waiting.notify()
        # Nobody is left to read an answer; the model's memory, perhaps a GPU's, is wanted elsewhere. A normal exit
        # would wait for the forward pass of the main thread.
        os._exit(0)

    def _cancel(self, target: Any) -> None:
        with self._waiting:
            found = [request for request in self._queue if request.get("id") == target]
            for request in found:
                self._queue.remove(request)
        for request in found:
            message = {"id": request.get("id"), "ok": False, "error": protocol.CANCELLED, "message": "", "hint": ""}
            self._write(message, None)

    def _answer(self, request: dict[str, Any]) -> None:
        number = request.get("id")
        try:
            header, array = self._do(request)
        except NsmcTuiError as error:
            self._refuse(number, error)
        except MemoryError:
            self._refuse(number, OutOfMemoryError(_("There is not enough memory for the model and this text.")))
        except Exception as error:
            # The boundary of the process: whatever goes wrong with one request must not take the others along.
            log.exception("request %s", number)
            if type(error).__name__ == "OutOfMemoryError":
                self._models.clear()
                self._refuse(
                    number,
                    OutOfMemoryError(_("The GPU has no room for the model and this text."), _("Use the device cpu.")),
                )
            else:
                self._refuse(number, explain(error))
        else:
            self._write({"id": number, "ok": True, **header}, array)

    def _do(self, request: dict[str, Any]) -> tuple[dict[str, Any], NDArray[np.float32] | None]:
        match request:
            case {"op": "ping"}:
                return {"models": [path for path, _device in self._models]}, None
            case {"op": "open", "path": str(path)}:
                return self._model(path, request.get("device")).describe(), None
            case {"op": "inspect", "model": str(path), "text": str(text)}:
                length = request.get("max_length")
                if length is not None and not (isinstance(length, int) and length > 0):
                    raise UsageError(_("max_length must be a positive whole number, not {value}.").format(value=length))
                loaded = self._model(path, request.get("device"))
                return loaded.inspect(text, length, bool(request.get("attention", True)))
        raise InspectorError(_("The inspector does not know this request."))

    def _model(self, path: str, device: str | None) -> LoadedModel:
        """The model from memory, or loaded, with the one unused longest put out; loaded anew when its files changed."""
        key = (path, device)
        loaded = self._models.get(key)
        if loaded is not None and loaded.fingerprint == protocol.fingerprint(path):
            self._models.move_to_end(key)
            return loaded
        self._models.pop(key, None)
        while len(self._models) >= self._max_models:
            self._models.popitem(last=False)
        loaded = self._models[key] = load(path, device)
        return loaded

    def _refuse(self, number: Any, error: NsmcTuiError) -> None:
        header = {"id": number, "ok": False, "error": error.code, "message": error.message, "hint": error.hint}
        self._write(header, None)

    def _write(self, header: dict[str, Any], array: NDArray[np.float32] | None) -> None:
        body = memoryview(b"") if array is None else array.astype("<f4", order="C", copy=False).data.cast("B")
        with self._writing:
            self._sink.write(protocol.dump({**header, "payload": body.nbytes}))
            self._sink.write(body)
            self._sink.flush()


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The real stdin and stdout, on descriptors that nobody else knows.

    Afterwards prints, warnings from C++ and child processes reach stderr instead of the protocol.
    """
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if sys.platform == "linux":
        import fcntl

        # A larger pipe moves 10 MB of attention in fewer wake-ups; it is fine without (not a pipe, over the quota).
        with contextlib.suppress(OSError):
            fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, 1 << 20)
    return open(source, "rb"), open(sink, "wb")


def main() -> int:
    """Serve the requests on stdin until it ends."""
    source, sink = _own_pipes()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # Ctrl+C in a terminal reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = Server(source, sink)
    server.listen()
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: F401 - imported for later

    server.event(event="ready", pid=os.getpid(), torch=torch.__version__, cuda=torch.cuda.is_available())
    # A broken pipe means that the client is gone: as good a reason to end as being told to.
    with contextlib.suppress(BrokenPipeError):
        server.serve()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Not sys.exit: the thread that waits for requests holds the lock of its stream, which a normal exit wants.
    os._exit(status)
