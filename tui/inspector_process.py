"""The inspector process on Textual's event loop: started, asked, restarted when it dies, ended.

What is asked and kept is `tui.inspector_client`'s business. A request whose caller was cancelled is taken back, or its
answer is read and dropped; a process that died is started anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any, BinaryIO, TypeVar

from core import inspector_protocol as protocol
from core.errors import InspectorError
from core.i18n import gettext as _

T = TypeVar("T")

START_SECONDS = 120.0
"""Patience with the process's imports: some seconds on a disk, far more on a busy network file system."""


class _DiedError(Exception):
    """The process ended before it answered."""


class InspectorProcess:
    """One inspector process at a time; retries: how often a request is made again of a new one after one died."""

    def __init__(self, retries: int = 2) -> None:
        self._retries = retries
        self._process: asyncio.subprocess.Process | None = None
        self._log: BinaryIO | None = None
        self._reader: asyncio.Task[None] | None = None
        self._pending: dict[int, asyncio.Future[tuple[dict[str, Any], bytes]]] = {}
        self._watched: dict[int, Callable[[int, int], None]] = {}
        self._starting = asyncio.Lock()
        self._ready: asyncio.Future[None] | None = None
        self._number = 0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process's id, None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def idle(self) -> bool:
        """Whether nobody waits for an answer."""
        return not self._pending

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

    async def aclose(self) -> None:
        """End the process, within a second; nothing can be asked afterwards."""
        self._closed = True
        await self._end()

    async def ask(
        self, request: dict[str, Any], on_progress: Callable[[int, int], None] | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """The answer to `request` and its payload; `on_progress` gets (done, total) of a long op meanwhile.

        Cancelling the caller takes the request back. Raises what the inspector refused it with, or InspectorError.
        """
        for _attempt in range(self._retries + 1):
            await self.start()
            try:
                header, payload = await self._exchange(request, on_progress)
            except _DiedError:
                continue
            if not header.get("ok"):
                raise protocol.error_from(header)
            return header, payload
        raise await self._why_died()

    async def _exchange(
        self, request: dict[str, Any], on_progress: Callable[[int, int], None] | None
    ) -> tuple[dict[str, Any], bytes]:
        self._number += 1
        number = self._number
        answer: asyncio.Future[tuple[dict[str, Any], bytes]] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        if on_progress is not None:
            self._watched[number] = on_progress
        try:
            await self._send({"id": number, **request})
            return await answer
        except asyncio.CancelledError:
            self._take_back(number)
            raise
        finally:
            self._pending.pop(number, None)
            self._watched.pop(number, None)

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
                if header.get("event") == protocol.PROGRESS:
                    watcher = self._watched.get(header.get("id", 0))
                    if watcher is not None:
                        watcher(int(header.get("done", 0)), int(header.get("total", 0)))
                    continue
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
