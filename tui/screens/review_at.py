"""Review opened from Patterns: with a filter, or with the heat of a layer and head."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from textual import work

from core.review_place import Place
from core.review_query import Term, written
from tui.review_session import open_run
from tui.screens.review import ReviewScreen


def word_filter(word: str) -> str:
    """The filter for reviews with `word`, in the language of `core.review_query`."""
    return written((Term("text", (word,)),))


def reviewed_filter(part: str) -> str:
    """The filter for the reviews of a slice that `core.patterns.verdicts_by_slice` counts."""
    return written((Term("slice", (part,)), Term("reviewed")))


class ReviewAt(ReviewScreen):
    """Review of `split` that begins with the reviews of `kind` for which `where` holds, whatever one looked at last.

    layer_head: those whose heat is drawn, on the first review's text; None begins in the list, with the usual ones.
    """

    def __init__(
        self, run_dir: Path, split: str, kind: str, where: str = "", layer_head: tuple[int, int] | None = None
    ) -> None:
        super().__init__(run_dir, None, split, reading=layer_head is not None)
        self._begin = (split, kind, where)
        self._layer_head = layer_head

    def on_mount(self) -> None:
        """Choose the heat before there is one to be drawn."""
        super().on_mount()
        if self._layer_head is not None:
            layer, head = self._layer_head
            pane = self.attention
            pane.choice = replace(pane.choice, method="attention", layer=layer, head=head)

    @work(exclusive=True, group="load")
    async def _load(self) -> None:
        split, kind, where = self._begin
        opened = await asyncio.to_thread(open_run, self.run_dir, split)
        place = replace(opened.place or Place(), kind=kind, where=where, search="", review="", position=0)
        self.post_message(self.Loaded(replace(opened, place=place)))
