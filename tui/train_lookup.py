"""The reviews a run was trained on, for a screen: their index is made in another process and read in threads."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

from core.errors import NsmcTuiError
from core.i18n import environment
from core.i18n import gettext as _
from core.train_reviews import Alike, TrainReviews, fingerprint_of, index_dir

Progress = Callable[[str, int, int], None]


class TrainLookup:
    """Train reviews of one run. Calls share one making of the index; cancelling all of them ends its process."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._reviews: TrainReviews | None = None
        self._opening = asyncio.Lock()

    @property
    def directory(self) -> Path | None:
        """Where the index is, None before it has been opened."""
        return None if self._reviews is None else self._reviews.directory

    async def open(self, progress: Progress | None = None) -> TrainReviews:
        """The index, made first where there is none (some seconds). Raises RunError or DataError when it cannot be."""
        async with self._opening:
            if self._reviews is None:
                try:
                    self._reviews = await asyncio.to_thread(self._open)
                except FileNotFoundError:
                    await self._make(progress)
                    self._reviews = await asyncio.to_thread(self._open)
        return self._reviews

    async def alike(self, text: str, exclude_id: str | None = None, progress: Progress | None = None) -> Alike:
        """What train has of `text`. Raises as `open` does."""
        reviews = await self.open(progress)
        return await asyncio.to_thread(reviews.alike, text, exclude_id=exclude_id)

    def _open(self) -> TrainReviews:
        return TrainReviews(index_dir(fingerprint_of(self._run_dir)))

    async def _make(self, progress: Progress | None) -> None:
        request = json.dumps({"path": str(self._run_dir), "progress": True})
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "core.train_index",
            request,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            last = ""
            async for line in process.stderr:
                last = line.decode("utf-8", "replace").strip() or last
                told = _told(line)
                if told is not None and progress is not None:
                    progress(*told)
            output = await process.stdout.read()
            await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if not output.strip():
            raise NsmcTuiError(
                _("{module} ended with code {code}").format(module="core.train_index", code=process.returncode), last
            )
        document = json.loads(output)
        if "error" in document:
            raise NsmcTuiError(str(document["message"]), str(document.get("hint") or ""))


def _told(line: bytes) -> tuple[str, int, int] | None:
    """The progress in a line of the process; None for what a library printed."""
    try:
        message = json.loads(line)
        return str(message["phase"]), int(message["done"]), int(message["total"])
    except (ValueError, KeyError, TypeError):
        return None
