"""The inspector for the app: asked from Textual's event loop, never blocking it.

One process (`core.inspector`) answers one request at a time. A request whose caller was cancelled is taken back
before its turn, or its answer is read and dropped; a process that died is started anew; answers are kept, bounded in
number and bytes, so that going back to a review costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from core import inspector_protocol as protocol
from core.errors import InspectorError
from core.i18n import gettext as _
from core.inspector_protocol import Inspection, ModelInfo

T = TypeVar("T")
Key = tuple[str, str, int | None, bool]

START_SECONDS = 120.0
"""Patience with the process's imports: some seconds on a disk, far more on a busy network file system."""


class _DiedError(Exception):
    """The process ended before it answered."""


@dataclass
class _Shared:
    """A question several callers may wait for; it is taken back when the last of them gives up."""

    task: asyncio.Task[Inspection]
    waiters: int = 0


class InspectorClient:
    """Asks an inspector process that it starts, restarts and ends.

    device: where models go (`cpu`, `cuda`, None: the inspector chooses). cache_items, cache_bytes: bounds of the
    answers kept. retries: how often a question is asked again of a new process after one died over it.
    """

    def __init__(
        self,
        device: str | None = None,
        *,
        cache_items: int = 64,
        cache_bytes: int = 64 << 20,
        retries: int = 2,
    ) -> None:
        self._device = device
        self._cache: OrderedDict[Key, Inspection] = OrderedDict()
        self._cache_items = cache_items
        self._cache_bytes = cache_bytes
        self._retries = retries
        self._fingerprints: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._log: BinaryIO | None = None
        self._reader: asyncio.Task[None] | None = None
        self._pending: dict[int, asyncio.Future[tuple[dict[str, Any], bytes]]] = {}
        self._shared: dict[Key, _Shared] = {}
        self._prefetching: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._ready: asyncio.Future[None] | None = None
        self._number = 0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process's id, None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the process and wait until it is ready; nothing when it is. Raises InspectorError when it cannot."""
        async with self._starting:
            if self._closed:
                raise InspectorError(_("The inspector has been closed."))
            if self.pid is None or self._reader is None or self._reader.done():
                await self._spawn()
            assert self._ready is not None
            try:
                await asyncio.wait_for(asyncio.shield(self._ready), START_SECONDS)
            except _DiedError as error:
                raise await self._why_died() from error
            except TimeoutError as error:
                raise InspectorError(_("The inspector did not start within {n} s.").format(n=START_SECONDS)) from error

    async def open(self, model: str | os.PathLike[str]) -> ModelInfo:
        """Load `model` (a directory) ahead of questions and say what it is. Raises ModelError, InspectorError."""
        info = protocol.model_info_from((await self._ask(protocol.open_request(model, self._device)))[0])
        self._note_fingerprint(os.fspath(model), info.fingerprint)
        return info

    async def ping(self) -> list[str]:
        """The models that are open."""
        header, _payload = await self._ask({"op": "ping"})
        return [str(path) for path in header["models"]]

    async def inspect(
        self, model: str | os.PathLike[str], text: str, max_length: int | None = None, *, attention: bool = True
    ) -> Inspection:
        """Tokens, words, probabilities and attention of `text`, cut to `max_length` tokens (None: the model's window).

        From the answers kept where possible. Cancelling the caller takes the question back. Raises ModelError for a
        model that cannot be loaded or used, InspectorError when the process died over it again and again.
        """
        key = (os.fspath(model), text, max_length, attention)
        kept = self.cached(model, text, max_length, attention=attention)
        if kept is not None:
            return kept
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = _Shared(asyncio.create_task(self._inspect(key)))
        shared.waiters += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiters -= 1
            if shared.waiters == 0:
                if self._shared.get(key) is shared:
                    del self._shared[key]
                shared.task.cancel()

    def cached(
        self, model: str | os.PathLike[str], text: str, max_length: int | None = None, *, attention: bool = True
    ) -> Inspection | None:
        """The answer if it is kept, without asking (for showing a prefetched review in the same frame)."""
        key = (os.fspath(model), text, max_length, attention)
        kept = self._cache.get(key)
        if kept is not None:
            self._cache.move_to_end(key)
        return kept

    def prefetch(
        self, model: str | os.PathLike[str], texts: Iterable[str], max_length: int | None = None
    ) -> asyncio.Task[None]:
        """Ask for `texts` one after the other in the background, instead of those of the call before.

        At most one of them is ever with the process, so that a question asked meanwhile waits for one at most. A
        text that fails is left to be asked, and reported, when it is wanted. The task need not be awaited.
        """
        if self._prefetching is not None:
            self._prefetching.cancel()
        self._prefetching = asyncio.create_task(self._prefetch(os.fspath(model), list(texts), max_length))
        return self._prefetching

    async def aclose(self) -> None:
        """End the process, within a second. Questions under way are cancelled; none can be asked afterwards."""
        self._closed = True
        tasks = [shared.task for shared in self._shared.values()]
        if self._prefetching is not None:
            tasks_too: list[asyncio.Task[Any]] = [self._prefetching]
        else:
            tasks_too = []
        for task in (*tasks, *tasks_too):
            task.cancel()
        await self._end()
        self._cache.clear()

    async def _prefetch(self, model: str, texts: list[str], max_length: int | None) -> None:
        from core.errors import NsmcTuiError

        for text in texts:
            # Whoever wants this text asks again and gets the reason; a prefetch has nobody to tell.
            with contextlib.suppress(NsmcTuiError):
                await self.inspect(model, text, max_length)

    async def _inspect(self, key: Key) -> Inspection:
        model, text, max_length, attention = key
        request = protocol.inspect_request(model, text, max_length, attention, self._device)
        header, payload = await self._ask(request)
        inspection = protocol.inspection_from(header, payload)
        self._note_fingerprint(model, inspection.fingerprint)
        self._keep(key, inspection)
        return inspection

    def _note_fingerprint(self, model: str, fingerprint: str) -> None:
        """Forget the answers of a model whose files were replaced (a run that was resumed)."""
        if self._fingerprints.get(model, fingerprint) != fingerprint:
            for key in [key for key in self._cache if key[0] == model]:
                del self._cache[key]
        self._fingerprints[model] = fingerprint

    def _keep(self, key: Key, inspection: Inspection) -> None:
        self._cache[key] = inspection
        self._cache.move_to_end(key)
        size = sum(kept.nbytes for kept in self._cache.values())
        # The newest stays even when it alone is over the bound: it is on screen.
        while len(self._cache) > 1 and (len(self._cache) > self._cache_items or size > self._cache_bytes):
            _key, dropped = self._cache.popitem(last=False)
            size -= dropped.nbytes

    async def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The answer to `request` and its payload. Raises what the inspector refused it with, or InspectorError."""
        for _attempt in range(self._retries + 1):
            await self.start()
            try:
                header, payload = await self._exchange(request)
            except _DiedError:
                continue
            if not header.get("ok"):
                raise protocol.error_from(header)
            return header, payload
        raise await self._why_died()

    async def _exchange(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        self._number += 1
        number = self._number
        answer: asyncio.Future[tuple[dict[str, Any], bytes]] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        try:
            await self._send({"id": number, **request})
            return await answer
        except asyncio.CancelledError:
            self._take_back(number)
            raise
        finally:
            self._pending.pop(number, None)

    async def _send(self, message: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None or self._process.returncode is not None:
            raise _DiedError
        try:
            self._process.stdin.write(protocol.dump(message))
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _DiedError from error

    def _take_back(self, number: int) -> None:
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None or process.stdin.is_closing():
            return
        # Without drain: a few bytes, and the caller that is being cancelled must not wait.
        process.stdin.write(protocol.dump({"op": "cancel", "target": number}))

    async def _spawn(self) -> None:
        await self._end()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process; closed in _end
        try:
            self._process = await asyncio.create_subprocess_exec(
                *protocol.command(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=self._log,
                env=protocol.environment(),
                limit=16 << 20,
            )
        except OSError as error:
            raise InspectorError(_("The inspector cannot be started: {reason}").format(reason=error)) from error
        self._ready = asyncio.get_running_loop().create_future()
        # Its exception is for those who wait in start(); nobody need be waiting.
        self._ready.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._reader = asyncio.create_task(self._read(self._process, self._ready))

    async def _read(self, process: asyncio.subprocess.Process, ready: asyncio.Future[None]) -> None:
        """Hand answers to those who asked until the process says no more, or nonsense."""
        assert process.stdout is not None
        try:
            while True:
                header = protocol.parse_line(await process.stdout.readline())
                if header is None:
                    break
                payload = await process.stdout.readexactly(protocol.payload_size(header))
                if header.get("event") == "ready" and not ready.done():
                    ready.set_result(None)
                # Answers to questions that were taken back are read and dropped.
                answer = self._pending.get(header.get("id", 0))
                if answer is not None and not answer.done():
                    answer.set_result((header, payload))
        except (asyncio.IncompleteReadError, ValueError, InspectorError):
            # Cut off in the middle, a line beyond the limit, or not the protocol: this process is of no use any more.
            pass
        finally:
            # A process whose output ended is ending by itself: killing it now would lose its exit status.
            if not await _within(0.5, process.wait()):
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            if not ready.done():
                ready.set_exception(_DiedError())
            for answer in self._pending.values():
                if not answer.done():
                    answer.set_exception(_DiedError())

    async def _why_died(self) -> InspectorError:
        status = None
        if self._process is not None:
            with contextlib.suppress(TimeoutError):
                status = await asyncio.wait_for(self._process.wait(), 1.0)
        return protocol.died(status, protocol.last_lines(self._log.fileno()) if self._log is not None else "")

    async def _end(self) -> None:
        """End the process if there is one: by closing its stdin, then by force."""
        process, self._process = self._process, None
        reader, self._reader = self._reader, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            for force in (process.terminate, process.kill):
                if await _within(0.3, process.wait()):
                    break
                with contextlib.suppress(ProcessLookupError):
                    force()
            else:
                await _within(0.3, process.wait())
        if reader is not None:
            reader.cancel()
            await asyncio.wait([reader], timeout=0.1)
        if self._log is not None:
            self._log.close()
            self._log = None


async def _within(seconds: float, wait: Coroutine[Any, Any, T]) -> bool:
    try:
        await asyncio.wait_for(wait, seconds)
    except TimeoutError:
        return False
    return True
