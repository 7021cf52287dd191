"""The vectors of the train reviews that the nearest are looked for among: made while nobody waits for the model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.binding import BindingType

from core import neighbours
from core.errors import NsmcTuiError
from core.i18n import N_
from core.settings import load_settings, save_setting
from tui import idle_time
from tui.keymap import key
from tui.train_lookup import TrainLookup

if TYPE_CHECKING:
    from textual.widget import Widget as Base

    from tui.app import NsmcTuiApp
else:
    Base = object

SETTING = "neighbours_in_background"


class VectorBuilding(Base):
    """The part of the pane around a review that has the vectors made.

    building: whether they are to be made at all, a choice that is kept. working: whether they are being made.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        key(
            "enter", "toggle_building", N_("Make or stop"), N_("Make the model's vectors of the train reviews, or stop")
        )
    ]

    building: bool
    working: bool
    Found: Any
    _model: Path | None
    _max_length: int | None
    _lookup: TrainLookup | None

    # What the pane gives.
    @property
    def nsmc(self) -> NsmcTuiApp:
        """The app, typed."""
        raise NotImplementedError

    @property
    def _built(self) -> bool:
        raise NotImplementedError

    def _draw(self) -> None:
        raise NotImplementedError

    def _tell(self, name: str, done: int, total: int) -> None:
        raise NotImplementedError

    def start_building(self) -> None:
        """What the user chose last."""
        self.building = load_settings().get(SETTING) is not False
        self.working = False

    def build_later(self) -> None:
        """Once it is quiet; what was being made waits until then."""
        self.workers.cancel_group(self, "build")
        if self.building and not self._built and self._model is not None:
            self._build(idle_time.IDLE)

    @work(exclusive=True, group="build")
    async def _build(self, wait: float) -> None:
        """Make the vectors, a tenth of a second at a time; other questions have their turn in between."""
        assert self._lookup is not None
        await asyncio.sleep(wait)
        while wait and idle_time.machine_busy():
            await asyncio.sleep(wait)
        self.working = True
        try:
            reviews = await self._lookup.open(self._tell)
            if self._model is None:
                return
            question = neighbours.build(self._model, reviews.directory, self._max_length)
            while True:
                progress = await self.nsmc.inspector.ask(question)
                self.post_message(self.Found("progress", progress))
                if progress.finished:
                    return
                # The next question would be in the queue before anyone else's.
                await asyncio.sleep(0.02)
                while not self.screen.is_current:
                    await asyncio.sleep(idle_time.IDLE)
        except NsmcTuiError as error:
            self.post_message(self.Found("progress", error))
        finally:
            self.working = False

    def action_toggle_building(self) -> None:
        """Stop making vectors, or go on at once; what is made is kept, and so is the choice."""
        self.building = not self.working
        self.workers.cancel_group(self, "build")
        if self.building and not self._built:
            self._build(0)
        self._draw()
        self._remember(self.building)

    @work(thread=True, exclusive=True, group="setting")
    def _remember(self, building: bool) -> None:
        try:
            save_setting(SETTING, None if building else False)
        except OSError as error:
            self.log.warning(f"the setting could not be kept: {error}")
