"""The reviews a run was trained on, for a screen: their index is made in another process and read in threads."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core.errors import NsmcTuiError
from core.train_reviews import Alike, TrainReviews, fingerprint_of, index_dir
from tui.answers import Progress, ask


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
        document = await ask("core.train_index", {"path": str(self._run_dir), "progress": True}, progress)
        if "error" in document:
            raise NsmcTuiError(str(document["message"]), str(document.get("hint") or ""))
