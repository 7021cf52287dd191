"""The form's way out: the run starts and is gone to, or the form is left and kept for the session."""

from __future__ import annotations

from typing import Protocol, cast

from textual import on, work

from core.config import RunConfig
from core.errors import ConfigError
from core.i18n import gettext as _
from tui.form_model import FormModel
from tui.form_start import NotStarted, Started, try_launch
from tui.screens.new_run_files import FormFiles


class DraftHolder(Protocol):
    """The app, as far as it keeps the form between two visits."""

    new_run_draft: FormModel | None
    new_run_draft_told: bool


class StartingForm(FormFiles):
    """The part of the form that starts the run. While it starts the form cannot be left, nor started again."""

    def __init__(self) -> None:
        super().__init__()
        self.starting = False

    def action_start(self) -> None:
        """Start the run; a second time while it starts changes nothing."""
        if self.starting:
            return
        self.finish_editing()
        try:
            config = self.model.config()
        except ConfigError as error:
            self.report_at(error, next(iter(self.model.errors)))
            return
        self.starting = True
        self.set_top(_("New run"), state="starting")
        self._launch(config)

    @work(thread=True, group="launch")
    def _launch(self, config: RunConfig) -> None:
        self.post_message(try_launch(config, self.nsmc.runs_dir))

    @on(NotStarted)
    def _not_started(self, event: NotStarted) -> None:
        self.starting = False
        self.set_top(_("New run"))
        self.report_at(event.error, event.key)

    @on(Started)
    def _started(self, event: Started) -> None:
        self.model.keep()
        cast("DraftHolder", self.app).new_run_draft = None
        # Whatever lies over the form (help, palette) goes with it: the runs list must be below the monitor.
        while self in self.app.screen_stack:
            self.app.pop_screen()
        self.nsmc.show_run(event.run_dir, "monitor")

    def leave_draft(self) -> None:
        """Keep what is set for the next visit, and tell so once."""
        app = cast("DraftHolder", self.app)
        app.new_run_draft = self.model if self.model.dirty else None
        if self.model.dirty and not getattr(self.app, "new_run_draft_told", False):
            app.new_run_draft_told = True
            self.nsmc.say(_("What you set stays here until you leave the app; ctrl+s on the form saves it."))
