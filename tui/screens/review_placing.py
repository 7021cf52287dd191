"""Where one is in the queue, kept for coming back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work
from textual.timer import Timer

from core.review_place import Place, save_place
from tui import collecting
from tui.review_session import Opened, ReviewSession

if TYPE_CHECKING:
    from tui.screens.base import RunScreen as Base
else:
    Base = object

PLACE_DELAY = 0.7
"""Seconds at one place after which it is kept."""


class PlaceKeeping(Base):
    """The part of the Review screen that keeps the place."""

    session: ReviewSession | None
    _opened: Opened | None
    _place: Place | None = None
    _place_timer: Timer | None = None

    def place_moved(self) -> None:
        """Keep the place soon, unless one goes on."""
        if self._place_timer is not None:
            self._place_timer.stop()
        self._place_timer = self.set_timer(PLACE_DELAY, self._keep_place)

    def _keep_place(self) -> None:
        # The first time, Review has just been opened.
        collecting.settle()
        if self.session is not None and not self.session.stale and self.session.place != self._place:
            self._place = self.session.place
            self._save_place_aside(self._place)

    @work(thread=True, exclusive=True, group="place")
    def _save_place_aside(self, place: Place) -> None:
        # Until it is synced to the disk keys would wait.
        self._save_place(place)

    def _save_place(self, place: Place) -> None:
        assert self._opened is not None
        assert self._opened.predictions is not None
        try:
            save_place(self.run_dir, self._opened.predictions.split, place)
        except OSError as error:
            self.log.warning(f"the place in the queue could not be kept: {error}")

    def keep_last_place(self) -> None:
        """Keep the place at once: the screen is being left."""
        if self.session is not None and self.session.place != self._place:
            self._save_place(self.session.place)
