"""The thresholds of runs as this app has them: the same on every screen at once, and kept a moment later."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from core.decision import Decision, load_decision, save_decision
from core.i18n import gettext as _

if TYPE_CHECKING:
    from tui.app import NsmcTuiApp

PAUSE = 0.3
"""Seconds without another one before a threshold is kept: waiting for the disk at each key would be slow."""


class Decisions:
    """The user's threshold of each run."""

    def __init__(self, app: NsmcTuiApp) -> None:
        self._app = app
        self._unsaved: dict[Path, Decision] = {}
        self._saving = Lock()

    def of(self, run_dir: Path) -> Decision:
        """The threshold of a run, as put here or kept before."""
        found = self._unsaved.get(run_dir)
        return load_decision(run_dir) if found is None else found

    def put(self, run_dir: Path, decision: Decision) -> None:
        """Take another threshold, and keep it soon."""
        self._unsaved[run_dir] = decision
        self._app.run_worker(self._keep(), group="decision", exclusive=True)

    def close(self) -> None:
        """Keep at once what is not kept yet."""
        # The app is going: nobody is left to be told.
        with suppress(OSError):
            self._save()

    async def _keep(self) -> None:
        await asyncio.sleep(PAUSE)
        try:
            await asyncio.to_thread(self._save)
        except OSError as error:
            said = _("the threshold holds until you leave, it could not be kept: {reason}")
            self._app.say(said.format(reason=error.strerror or error))

    def _save(self) -> None:
        with self._saving:
            for run_dir, decision in list(self._unsaved.items()):
                save_decision(run_dir, decision)
                # It may have been moved on meanwhile.
                if self._unsaved.get(run_dir) is decision:
                    del self._unsaved[run_dir]
