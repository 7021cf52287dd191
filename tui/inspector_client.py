"""The inspector for the app: asked from Textual's event loop, never blocking it.

One process (`core.inspector`) answers one request at a time. A question whose last caller was cancelled is taken back,
also while it is being worked on; a process that died is started anew; answers are kept, bounded in number and bytes,
so that going back to a review costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core import inspector_protocol as protocol
from core.errors import NsmcTuiError
from core.inspector_protocol import ModelInfo, Question
from tui.inspector_process import InspectorProcess

T = TypeVar("T")
Progress = Callable[[int, int], None]
Path = str | os.PathLike[str]


@dataclass
class _Shared:
    """A question several callers may wait for; it is taken back when the last of them gives up."""

    task: asyncio.Task[Any] | None = None
    waiters: int = 0
    watchers: list[Progress] = field(default_factory=list)

    def progress(self, done: int, total: int) -> None:
        for watcher in self.watchers:
            watcher(done, total)


class InspectorClient:
    """Asks an inspector process that it starts, restarts and ends.

    device: where models go (`cpu`, `cuda`, None: the inspector chooses). cache_items, cache_bytes: bounds of the
    answers kept. retries: how often a question is asked again of a new process after one died over it.

    Questions are made by `core.inspector_questions`; what their answers hold is told in `core.inspector_answers`.
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
        self._process = InspectorProcess(retries)
        self._cache: OrderedDict[str, tuple[str, Any]] = OrderedDict()
        self._cache_items = cache_items
        self._cache_bytes = cache_bytes
        self._fingerprints: dict[str, str] = {}
        self._shared: dict[str, _Shared] = {}
        self._prefetching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, None while there is none."""
        return self._process.pid

    async def start(self) -> None:
        """Start the process and wait until it is ready; nothing when it is. Raises InspectorError when it cannot."""
        await self._process.start()

    async def open(self, model: Path) -> ModelInfo:
        """Load `model` (a directory) ahead of questions and say what it is. Raises ModelError, InspectorError."""
        header, _payload = await self._process.ask(protocol.open_request(model, self._device))
        info = protocol.model_info_from(header)
        self._note_fingerprint(os.fspath(model), info.fingerprint)
        return info

    async def ping(self) -> list[str]:
        """The models that are open."""
        header, _payload = await self._process.ask({"op": "ping"})
        return [str(path) for path in header["models"]]

    async def ask(self, question: Question[T], on_progress: Progress | None = None) -> T:
        """The answer to `question`, from the answers kept where possible.

        Ends when its caller is cancelled, and shares the answer among those who ask the same at a time. Calls
        `on_progress(done, total)` from the event loop where the op is a long one. Raises ModelError for a model that
        cannot be loaded or used, UsageError for a class, layer, head or method that is not there, InspectorError when
        the process died over it again and again.
        """
        kept = self.kept(question)
        if kept is not None:
            return kept
        key = question.key
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = _Shared()
            shared.task = asyncio.create_task(self._ask(question, shared.progress))
        if on_progress is not None:
            shared.watchers.append(on_progress)
        shared.waiters += 1
        assert shared.task is not None
        try:
            answer: T = await asyncio.shield(shared.task)
            return answer
        finally:
            shared.waiters -= 1
            if on_progress is not None:
                shared.watchers.remove(on_progress)
            if shared.waiters == 0:
                if self._shared.get(key) is shared:
                    del self._shared[key]
                shared.task.cancel()

    def kept(self, question: Question[T]) -> T | None:
        """The answer to `question` if it is kept, without asking (for a picture in the same frame)."""
        found = self._cache.get(question.key)
        if found is None:
            return None
        self._cache.move_to_end(question.key)
        answer: T = found[1]
        return answer

    def prefetch(self, wanted: Iterable[Question[Any]]) -> asyncio.Task[None]:
        """Ask `wanted` one after the other in the background, instead of those of the call before.

        At most one of them is ever with the process, so that a question asked meanwhile waits for one at most. One
        that fails is left to be asked, and reported, when it is wanted. The task need not be awaited.
        """
        if self._prefetching is not None:
            self._prefetching.cancel()
        self._prefetching = asyncio.create_task(self._prefetch(list(wanted)))
        return self._prefetching

    async def aclose(self) -> None:
        """End the process, within a second. Questions under way are cancelled; none can be asked afterwards."""
        tasks = [shared.task for shared in self._shared.values()]
        for task in (*tasks, self._prefetching):
            if task is not None:
                task.cancel()
        await self._process.aclose()
        self._cache.clear()

    async def _prefetch(self, wanted: list[Question[Any]]) -> None:
        for question in wanted:
            # Whoever wants this asks again and gets the reason; a prefetch has nobody to tell.
            with contextlib.suppress(NsmcTuiError):
                await self.ask(question)

    async def _ask(self, question: Question[T], on_progress: Progress) -> T:
        header, payload = await self._process.ask({**question.request, "device": self._device}, on_progress)
        answer = question.read(header, payload)
        self._note_fingerprint(question.model, protocol.fingerprint_of(header))
        self._keep(question, answer)
        return answer

    def _note_fingerprint(self, model: str, fingerprint: str) -> None:
        """Forget the answers of a model whose files were replaced (a run that was resumed)."""
        if self._fingerprints.get(model, fingerprint) != fingerprint:
            for key in [key for key, (owner, _answer) in self._cache.items() if owner == model]:
                del self._cache[key]
        self._fingerprints[model] = fingerprint

    def _keep(self, question: Question[Any], answer: Any) -> None:
        if not hasattr(answer, "nbytes"):
            return
        self._cache[question.key] = (question.model, answer)
        self._cache.move_to_end(question.key)
        size = sum(kept.nbytes for _owner, kept in self._cache.values())
        # The newest stays even when it alone is over the bound: it is on screen.
        while len(self._cache) > 1 and (len(self._cache) > self._cache_items or size > self._cache_bytes):
            _key, (_owner, dropped) = self._cache.popitem(last=False)
            size -= dropped.nbytes
