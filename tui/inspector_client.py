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
from core import inspector_questions as questions
from core.errors import NsmcTuiError
from core.inspector_answers import Agreement, Attribution, Deletion, Flip, HeadStats, KnockOut
from core.inspector_protocol import Inspection, ModelInfo, Question
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

    Every method that asks (`explain` …) can be cancelled by cancelling its caller, shares the answer among those who
    ask the same at a time, keeps it, and calls `on_progress(done, total)` from the event loop where the op is a long
    one. All of them raise ModelError for a model that cannot be loaded or used, UsageError for a class, layer, head or
    method that is not there, InspectorError when the process died over it again and again. What each answer holds is
    told in `core.inspector_answers`, what the arguments mean in `core.inspector_questions`.
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
        """The answer to `question`, from the answers kept where possible."""
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
        """The answer to `question` if it is kept, without asking."""
        found = self._cache.get(question.key)
        if found is None:
            return None
        self._cache.move_to_end(question.key)
        answer: T = found[1]
        return answer

    async def inspect(
        self,
        model: Path,
        text: str,
        max_length: int | None = None,
        *,
        attention: bool = True,
        masked: Iterable[int] = (),
        knocked: Iterable[tuple[int, int | None]] = (),
    ) -> Inspection:
        """Tokens, words, probabilities and attention of `text`: `core.inspector_questions.inspect`."""
        return await self.ask(
            questions.inspect(model, text, max_length, attention=attention, masked=masked, knocked=knocked)
        )

    def cached(
        self, model: Path, text: str, max_length: int | None = None, *, attention: bool = True
    ) -> Inspection | None:
        """The answer if it is kept, without asking (for showing a prefetched review in the same frame)."""
        return self.kept(questions.inspect(model, text, max_length, attention=attention))

    async def explain(
        self,
        model: Path,
        text: str,
        max_length: int | None = None,
        *,
        method: str = "integrated_gradients",
        target: int | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> Attribution:
        """A weight for each token and word of `text`: `core.inspector_questions.explain`."""
        question = questions.explain(model, text, max_length, method=method, target=target, **options)
        return await self.ask(question, on_progress)

    async def agreement(
        self,
        model: Path,
        text: str,
        max_length: int | None = None,
        *,
        methods: Iterable[str] | None = None,
        target: int | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> Agreement:
        """How alike methods rank the words of `text`: `core.inspector_questions.agreement`."""
        question = questions.agreement(model, text, max_length, methods=methods, target=target, **options)
        return await self.ask(question, on_progress)

    async def deletion(
        self,
        model: Path,
        text: str,
        max_length: int | None = None,
        *,
        methods: Iterable[str] | None = None,
        target: int | None = None,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> Deletion:
        """How far the probability falls without the highest words: `core.inspector_questions.deletion`."""
        question = questions.deletion(model, text, max_length, methods=methods, target=target, **options)
        return await self.ask(question, on_progress)

    async def head_stats(
        self, model: Path, text: str, max_length: int | None = None, *, target: int | None = None
    ) -> HeadStats:
        """Numbers about every head (layers × heads): `core.inspector_questions.head_stats`."""
        return await self.ask(questions.head_stats(model, text, max_length, target=target))

    async def knock_out(
        self,
        model: Path,
        text: str,
        max_length: int | None = None,
        *,
        target: int | None = None,
        on_progress: Progress | None = None,
    ) -> KnockOut:
        """The probability with each head, and each layer's attention, switched off: `…questions.knock_out`."""
        return await self.ask(questions.knock_out(model, text, max_length, target=target), on_progress)

    async def flip(
        self,
        model: Path,
        text: str,
        max_length: int | None = None,
        *,
        mode: str = "delete",
        max_evaluations: int = 400,
        threshold: float | None = None,
        masked: Iterable[int] = (),
        on_progress: Progress | None = None,
    ) -> Flip:
        """The fewest words without which the answer is another one: `core.inspector_questions.flip`."""
        question = questions.flip(
            model, text, max_length, mode=mode, max_evaluations=max_evaluations, threshold=threshold, masked=masked
        )
        return await self.ask(question, on_progress)

    def prefetch(self, model: Path, texts: Iterable[str], max_length: int | None = None) -> asyncio.Task[None]:
        """Ask for `texts` one after the other in the background, instead of those of the call before.

        At most one of them is ever with the process, so that a question asked meanwhile waits for one at most. A
        text that fails is left to be asked, and reported, when it is wanted. The task need not be awaited.
        """
        return self.prefetch_questions([questions.inspect(model, text, max_length) for text in texts])

    def prefetch_questions(self, wanted: Iterable[Question[Any]]) -> asyncio.Task[None]:
        """`prefetch` for any questions."""
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
