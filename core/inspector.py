"""The inspector process (`python -m core.inspector`): models in memory, asked for one text at a time over pipes.

It exists because attention needs a model with eager attention in memory, while the app must not import torch and
training wants SDPA. The protocol is in `core.inspector_protocol`, what can be asked in `core.inspector_ops`. It ends
when its stdin does, so it never outlives the program that started it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from core import inspector_protocol as protocol
from core.errors import InspectorError, NsmcTuiError, OutOfMemoryError
from core.failures import explain
from core.i18n import gettext as _
from core.inspector_ops import Answer, Task, find
from core.inspector_protocol import RequestCancelledError
from core.inspector_shelf import MAX_MODELS, ModelShelf

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)


class Server:
    """Answers requests one at a time; a thread reads them, so that one can be cancelled while it is worked on.

    `source` gives request lines, `sink` takes answers. max_models, max_bytes: see `ModelShelf`.
    """

    def __init__(
        self, source: BinaryIO, sink: BinaryIO, max_models: int = MAX_MODELS, max_bytes: int | None = None
    ) -> None:
        self._source = source
        self._sink = sink
        self._shelf = ModelShelf(max_models, max_bytes)
        self._queue: deque[dict[str, Any]] = deque()
        self._current: dict[str, Any] | None = None
        self._unwanted = threading.Event()
        self._waiting = threading.Condition()
        self._writing = threading.Lock()

    def listen(self) -> None:
        """Start reading requests; the process ends at once when there can be no more."""
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def event(self, **message: Any) -> None:
        """Tell the client something that it did not ask for."""
        self._write(message, {})

    def serve(self) -> None:
        """Answer requests until told to close."""
        while True:
            with self._waiting:
                while not self._queue:
                    self._waiting.wait()
                request = self._current = self._queue.popleft()
                self._unwanted.clear()
            if request.get("op") == "close":
                self._write({"id": request.get("id"), "ok": True}, {})
                return
            self._answer(request)

    def _read(self) -> None:
        for line in self._source:
            request = protocol.parse_line(line)
            if request is None:
                if line.strip():
                    self._refuse(None, InspectorError(_("This is not a request.")))
            elif request.get("op") == "cancel":
                self._cancel("id", request.get("target"))
            else:
                if request.get("slot") is not None:
                    self._cancel("slot", request["slot"])
                with self._waiting:
                    self._queue.append(request)
                    self._waiting.notify()
        # Nobody is left to read an answer; the model's memory, perhaps a GPU's, is wanted elsewhere. A normal exit
        # would wait for the forward pass of the main thread.
        os._exit(0)

    def _cancel(self, field: str, value: Any) -> None:
        """Take back the requests whose `field` is `value`: those waiting at once, that under way at its next check."""
        with self._waiting:
            found = [request for request in self._queue if request.get(field) == value]
            for request in found:
                self._queue.remove(request)
            if self._current is not None and self._current.get(field) == value:
                self._unwanted.set()
        for request in found:
            self._refuse(request.get("id"), RequestCancelledError(""))

    def _check(self) -> None:
        if self._unwanted.is_set():
            raise RequestCancelledError("")

    def _answer(self, request: dict[str, Any]) -> None:
        number = request.get("id")
        try:
            answer = self._do(request)
        except NsmcTuiError as error:
            self._refuse(number, error)
        except MemoryError:
            self._refuse(number, OutOfMemoryError(_("There is not enough memory for the model and this text.")))
        except Exception as error:
            # The boundary of the process: whatever goes wrong with one request must not take the others along.
            log.exception("request %s", number)
            if type(error).__name__ == "OutOfMemoryError":
                self._shelf.clear()
                self._refuse(
                    number,
                    OutOfMemoryError(_("The GPU has no room for the model and this text."), _("Use the device cpu.")),
                )
            else:
                hint = _("The model's code cannot take this text, perhaps because of its length; others can be asked.")
                self._refuse(number, explain(error, unknown=hint))
        else:
            self._write({"id": number, "ok": True, **answer.header}, answer.arrays)

    def _do(self, request: dict[str, Any]) -> Answer:
        number = request.get("id")

        def progress(done: int, total: int) -> None:
            self._write({"id": number, "event": protocol.PROGRESS, "done": done, "total": total}, {})

        return find(request.get("op"))(Task(self._shelf, self._check, progress), request)

    def _refuse(self, number: Any, error: NsmcTuiError) -> None:
        header = {"id": number, "ok": False, "error": error.code, "message": error.message, "hint": error.hint}
        self._write(header, {})

    def _write(self, header: dict[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> None:
        described, bodies = protocol.pack(arrays)
        if described:
            header = {**header, "arrays": described}
        with self._writing:
            self._sink.write(protocol.dump({**header, "payload": sum(body.nbytes for body in bodies)}))
            for body in bodies:
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
