"""The inspector for programs without an event loop: the headless commands ask it and wait.

The app uses `tui.inspector_client`. Both start the process of `core.inspector` and speak `core.inspector_protocol`.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, TypeVar

from core import inspector_protocol as protocol
from core import inspector_questions as questions
from core.inspector_protocol import Inspection, ModelInfo, Question

T = TypeVar("T")

_PATIENCE = 1.0


class InspectorSession:
    """One running inspector. Make it with `inspector_session`."""

    def __init__(self, process: subprocess.Popen[bytes], log: BinaryIO) -> None:
        self._process = process
        self._log = log
        self._number = 0

    def open(self, model: str | os.PathLike[str], device: str | None = None) -> ModelInfo:
        """Load `model` (a directory) and say what it is. Raises ModelError when it cannot be loaded."""
        header, _payload = self._ask(protocol.open_request(model, device))
        return protocol.model_info_from(header)

    def inspect(
        self,
        model: str | os.PathLike[str],
        text: str,
        max_length: int | None = None,
        *,
        attention: bool = True,
        device: str | None = None,
    ) -> Inspection:
        """Tokens, words, probabilities and attention of `text`, cut to `max_length` tokens (None: the model's window).

        Raises ModelError for a model that cannot be loaded or used, InspectorError when the process died.
        """
        return self.ask(questions.inspect(model, text, max_length, attention=attention), device)

    def ask(
        self,
        question: Question[T],
        device: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> T:
        """The answer to `question` (`core.inspector_questions`); `on_progress` gets (done, total) of a long op.

        Raises what the inspector refused it with, InspectorError when the process died.
        """
        header, payload = self._ask({**question.request, "device": device}, on_progress)
        return question.read(header, payload)

    def _ask(
        self, request: dict[str, Any], on_progress: Callable[[int, int], None] | None = None
    ) -> tuple[dict[str, Any], bytes]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._number += 1
        try:
            self._process.stdin.write(protocol.dump({"id": self._number, **request}))
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error
        while True:
            line = self._process.stdout.readline()
            header = protocol.parse_line(line)
            if not line or header is None:
                raise self._died()
            size = protocol.payload_size(header)
            payload = self._process.stdout.read(size)
            if len(payload) < size:
                raise self._died()
            if header.get("id") != self._number:
                continue
            if header.get("event") == protocol.PROGRESS:
                if on_progress is not None:
                    on_progress(int(header.get("done", 0)), int(header.get("total", 0)))
                continue
            if not header.get("ok"):
                raise protocol.error_from(header)
            return header, payload

    def _died(self) -> Exception:
        try:
            status = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return protocol.died(status, protocol.last_lines(self._log.fileno()))


@contextmanager
def inspector_session() -> Iterator[InspectorSession]:
    """An inspector for the length of a `with` block."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            protocol.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=protocol.environment(),
        )
        try:
            yield InspectorSession(process, log)
        finally:
            _end(process)


def inspect_once(
    model: str | os.PathLike[str],
    text: str,
    max_length: int | None = None,
    device: str | None = None,
    *,
    attention: bool = True,
) -> Inspection:
    """What `model` (a directory) makes of `text`: start an inspector, ask once, end it (some seconds).

    See `InspectorSession.inspect` for the arguments and errors.
    """
    with inspector_session() as session:
        return session.inspect(model, text, max_length, attention=attention, device=device)


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    # A broken pipe: it has ended already, with a request unread; there is nothing left to tell it.
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
