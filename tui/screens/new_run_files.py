"""The form for a new run as a file or a command line: saved, loaded, copied."""

from __future__ import annotations

from pathlib import Path

from textual import on

from core.errors import ConfigError, NsmcTuiError
from core.i18n import gettext as _
from core.i18n import ngettext
from tui.form_model import FormModel
from tui.screens.base import BaseScreen
from tui.widgets.config_form import ConfigForm
from tui.widgets.path_prompt import PathPrompt

DEFAULT_FILE = "./config.toml"


class FormFiles(BaseScreen):
    """The part of the form that knows files. A screen below it shows the settings, and ends what is being typed."""

    def __init__(self) -> None:
        super().__init__()
        self.model = FormModel()

    def refresh_all(self) -> None:
        """Show all settings as they are."""
        raise NotImplementedError

    def finish_editing(self) -> None:
        """Take what is being typed as given."""
        raise NotImplementedError

    def report_at(self, error: NsmcTuiError, setting: str = "") -> None:
        """Tell of an error, and go to the setting it is about."""
        raise NotImplementedError

    def action_save(self) -> None:
        """Ask where to save."""
        self.finish_editing()
        self.query_one(PathPrompt).ask("save", _("save as"), str(self.model.file or DEFAULT_FILE))

    def action_load(self) -> None:
        """Ask what to load."""
        self.finish_editing()
        self.query_one(PathPrompt).ask("load", _("load"), str(self.model.file or DEFAULT_FILE))

    @on(PathPrompt.Closed)
    def _end_ask(self) -> None:
        self.query_one(PathPrompt).close()
        self.set_focus(self.query_one(ConfigForm))

    @on(PathPrompt.Given)
    def _path_given(self, event: PathPrompt.Given) -> None:
        try:
            if event.purpose == "save":
                self._save(event.path)
            else:
                self._load(event.path)
        except ConfigError as error:
            self.report_at(error)
            # A path that does not work stays to be mended; a setting that is wrong is gone to.
            if error.file:
                return
        self._end_ask()

    def _save(self, path: Path) -> None:
        if self.model.save(path):
            self.nsmc.say(_("saved over {file}; its comments are kept").format(file=path))
        else:
            self.nsmc.say(_("saved as {file}").format(file=path))
        self.refresh_all()

    def _load(self, path: Path) -> None:
        self.model.load_file(path)
        count = len(self.model.changed_keys())
        text = ngettext(
            "loaded {file}: {n} setting differs from the guide's",
            "loaded {file}: {n} settings differ from the guide's",
            count,
        )
        self.nsmc.say(text.format(file=path, n=count))
        self.refresh_all()

    def action_copy_command(self) -> None:
        """Copy the command line that starts the same run, and show it."""
        try:
            command = self.model.command(self.nsmc.runs_dir)
        except ConfigError as error:
            self.report_at(error)
            return
        self.app.copy_to_clipboard(command)
        self.nsmc.say(_("copied:") + "\n" + command)
