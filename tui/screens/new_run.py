"""New run: a form over every setting, what the run will be like, and its start."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input

from core.config import RunConfig
from core.errors import ConfigError, NsmcTuiError
from core.i18n import N_, ngettext
from core.i18n import gettext as _
from tui.form_facts import Facts, gather
from tui.form_model import FormModel
from tui.form_start import FactsGathered
from tui.keymap import key
from tui.screens.new_run_start import StartingForm
from tui.widgets.config_form import ConfigForm
from tui.widgets.form_head import FormHead
from tui.widgets.form_input import Choices, FormInput, SearchInput
from tui.widgets.path_prompt import PathPrompt
from tui.widgets.run_plan import RunLine, RunPlan, all_notices
from tui.widgets.setting_detail import SettingDetail

# Keys that mean something only while nothing is typed; hidden from the footer until then.
LIST_ACTIONS = ("edit", "search", "forecast", "differences", "undo", "redo", "reset", "reset_all", "copy_command")


class NewRunScreen(StartingForm):
    """The form. `start_from` is a run's directory whose settings fill it; else the guide's, or what was left here."""

    CSS_PATH = "new_run.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("ctrl+r", "start", N_("Start"), N_("Start the run and go to its monitor"), show=True, display="ctrl+r"),
        key("enter", "edit", N_("Edit"), N_("Change the setting: type, choose, or switch"), show=True),
        key("slash", "search", N_("Search"), N_("Search all settings by name and meaning"), show=True, display="/"),
        key("f", "forecast", N_("Forecast"), N_("Try some steps: time, memory and disk that the run takes"), show=True),
        key("ctrl+s", "save", N_("Save"), N_("Save as a config in TOML"), display="ctrl+s"),
        key("d", "differences", N_("Differences"), N_("Only what differs from the guide's settings"), show=True),
        key("ctrl+o", "load", N_("Load"), N_("Load a config in TOML"), display="ctrl+o"),
        key("u", "undo", N_("Undo"), N_("Take the last change back")),
        key("ctrl+y", "redo", N_("Redo"), N_("Make it again"), display="ctrl+y"),
        key("r", "reset", N_("Reset"), N_("The guide's value for this setting")),
        key("R", "reset_all", N_("Reset all"), N_("The guide's values for all settings (u takes it back)")),
        key("y", "copy_command", N_("Copy command"), N_("Copy the command line that starts the same run")),
        key("tab", "pane", N_("Other pane"), N_("From the list to the explanation and back")),
        key("q", "back", N_("Back"), N_("Back; what is set stays for the session")),
    ]

    def __init__(self, start_from: Path | None = None) -> None:
        super().__init__()
        self._start_from = start_from
        self._query = ""
        self._differences = False
        self._more = False
        self._facts: tuple[RunConfig, Facts] | None = None

    # -- making ------------------------------------------------------------------------------------------------

    def compose_body(self) -> Iterable[Widget]:
        """Header, search, list and detail, a line for paths."""
        yield FormHead(id="head")
        yield RunLine(id="short", classes="caption")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield SearchInput(id="search", placeholder=_("search settings"))
                yield ConfigForm(self.model, id="form")
            with Vertical(id="right"):
                yield SettingDetail(self.model, id="detail")
                yield RunPlan(id="plan")
        yield PathPrompt()

    def on_mount(self) -> None:
        """Fill the form: from the run asked for, else from what was left here."""
        super().on_mount()
        self.set_top(_("New run"))
        self.query_one("#search").display = False
        draft = getattr(self.app, "new_run_draft", None)
        if self._start_from is not None:
            try:
                self.model.load_run(self._start_from)
            except NsmcTuiError as error:
                self.nsmc.report(error)
        elif isinstance(draft, FormModel):
            self.model = draft
        self.refresh_all()
        self.set_focus(self.query_one(ConfigForm))

    def on_resize(self) -> None:
        """Gaps between groups only where there is room."""
        if self.is_mounted:
            self._show_rows()
            self._show_head()

    # -- showing -----------------------------------------------------------------------------------------------

    def refresh_all(self) -> None:
        self._show_rows()
        self._show_head()
        self._show_detail()
        self._look()

    def _show_rows(self) -> None:
        rows = self.model.rows(self._query, self._differences, self._more, gaps=self.size.height >= 30)
        if self._query.strip():
            empty = _("No setting matches. esc shows all.")
        else:
            empty = _("Nothing differs from the guide's settings. d shows all.")
        self.query_one(ConfigForm).show(rows, self.model, empty)

    def _show_head(self) -> None:
        self.query_one(FormHead).show(self.model, self._query, self._differences, self.query_one(ConfigForm).has_focus)

    def _show_detail(self) -> None:
        form, detail = self.query_one(ConfigForm), self.query_one(SettingDetail)
        hint = ""
        if form.row is not None and form.row.kind == "more":
            hint = _("Every other field of transformers.TrainingArguments. enter opens the list, / searches it.")
        detail.show(self.model, form.chosen, hint)

    @on(ConfigForm.Moved)
    def _moved(self) -> None:
        detail = self.query_one(SettingDetail)
        if self.query_one(ConfigForm).chosen != detail.setting:
            detail.leave()
        self._show_detail()

    def on_descendant_focus(self) -> None:
        """The focused pane's title carries the accent; keys that would be typed leave the footer."""
        self._show_head()
        self.refresh_bindings()

    # -- what the run will be like -----------------------------------------------------------------------------

    def _look(self) -> None:
        try:
            config = self.model.config()
        except ConfigError:
            self._show_plan()
            return
        if self._facts is not None and self._facts[0] == config:
            self._show_plan()
            return
        if self._facts is None:
            self._show_plan()
        self._gather(config)

    @work(thread=True, exclusive=True, group="facts")
    def _gather(self, config: RunConfig) -> None:
        self.post_message(FactsGathered(config, gather(config)))

    @on(FactsGathered)
    def _take_facts(self, event: FactsGathered) -> None:
        try:
            if self.model.config() != event.config:
                # A slow look at what was set before; the one for what is set now is on its way.
                return
        except ConfigError:
            return
        self._facts = (event.config, event.facts)
        if event.facts.problems != self.model.outside:
            self.model.outside = event.facts.problems
            self.query_one(ConfigForm).refresh()
            self._show_head()
            self._show_detail()
        self._show_plan()

    def _show_plan(self) -> None:
        found = all_notices(self.model, self._facts)
        self.query_one(RunPlan).show(found)
        self.query_one(RunLine).show(found, self._facts)

    # -- editing -----------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No list keys while something is typed or chosen."""
        return not (action in LIST_ACTIONS and isinstance(self.focused, FormInput | Choices))

    def _edited(self, changed: bool) -> None:
        if changed:
            self.refresh_all()

    @on(ConfigForm.Edit)
    def action_edit(self) -> None:
        """Change the setting under the cursor, or fold the further ones open and shut."""
        form, detail = self.query_one(ConfigForm), self.query_one(SettingDetail)
        if form.row is not None and form.row.kind == "more":
            self._more = not self._more
            self._show_rows()
            return
        setting = form.chosen
        if not setting:
            return
        options = self.model.options(setting)
        if options == ["true", "false"]:
            self._edited(self.model.turn(setting))
            return
        if setting == "launch.device":
            self._pick_device()
            return
        detail.show(self.model, setting)
        detail.edit()

    def _pick_device(self) -> None:
        from tui.screens.gpu_picker import GpuPicker

        def take(device: str | None) -> None:
            if device is not None:
                self._commit("launch.device", device)

        self.app.push_screen(GpuPicker(self.model.text("launch.device")), take)

    @on(ConfigForm.Turn)
    def _turn(self, event: ConfigForm.Turn) -> None:
        setting = self.query_one(ConfigForm).chosen
        if setting:
            self._edited(self.model.turn(setting, event.step))

    @on(SettingDetail.Committed)
    def _committed(self, event: SettingDetail.Committed) -> None:
        self._commit(event.setting, event.text)

    def _commit(self, setting: str, text: str) -> None:
        if isinstance(self.focused, FormInput | Choices) or self.focused is None:
            self.set_focus(self.query_one(ConfigForm))
        self._edited(self.model.set_text(setting, text))

    @on(SettingDetail.Left)
    def _left(self) -> None:
        self.set_focus(self.query_one(ConfigForm))

    def finish_editing(self) -> None:
        # A key like ctrl+r while something is typed means: with what is typed. Messages would come too late.
        detail = self.query_one(SettingDetail)
        setting, text = detail.setting, detail.typed
        if detail.editing:
            detail.close()
            self.set_focus(self.query_one(ConfigForm))
        if text is not None:
            self._commit(setting, text)

    def action_forecast(self) -> None:
        """What the run will take."""
        from tui.screens.forecast import ForecastScreen

        try:
            config = self.model.config()
        except ConfigError as error:
            self.report_at(error, next(iter(self.model.errors)))
            return
        self.app.push_screen(ForecastScreen(config, self.nsmc.runs_dir))

    def action_undo(self) -> None:
        """Take the last change back."""
        if not self.model.undo():
            self.nsmc.say(_("nothing to undo"))
        self.refresh_all()

    def action_redo(self) -> None:
        """Make it again."""
        self._edited(self.model.redo())

    def action_reset(self) -> None:
        """The guide's value for this setting."""
        self._edited(self.model.reset([self.query_one(ConfigForm).chosen]))

    def action_reset_all(self) -> None:
        """The guide's values for all settings."""
        count = len(self.model.edits)
        if self.model.reset(list(self.model.edits)):
            self.model.origin = ""
            text = ngettext(
                "{n} setting is the guide's again; u takes it back",
                "{n} settings are the guide's again; u takes it back",
                count,
            )
            self.nsmc.say(text.format(n=count))
            self.refresh_all()

    def action_pane(self) -> None:
        """From the list to the explanation and back."""
        if isinstance(self.focused, FormInput) and self.focused.id == "search":
            self.set_focus(self.query_one(ConfigForm))
        elif self.query_one(ConfigForm).has_focus:
            self.set_focus(self.query_one("#text"))
        elif not self.query_one(SettingDetail).editing:
            self.set_focus(self.query_one(ConfigForm))

    # -- search and differences --------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Search all settings."""
        search = self.query_one("#search", SearchInput)
        search.display = True
        self.set_focus(search)

    @on(Input.Changed, "#search")
    def _search(self, event: Input.Changed) -> None:
        self._query = event.value
        self._show_rows()
        best = self.model.best_match(self._query)
        if best:
            self.query_one(ConfigForm).go_to(best)
        self._show_head()

    @on(Input.Submitted, "#search")
    def _searched(self) -> None:
        self.set_focus(self.query_one(ConfigForm))
        if not self._query.strip():
            self._clear_search()

    @on(SearchInput.Cancelled, "#search")
    def _clear_search(self) -> None:
        search = self.query_one("#search", SearchInput)
        search.value = ""
        search.display = False
        self._query = ""
        form = self.query_one(ConfigForm)
        chosen = form.chosen
        # The setting that was found may lie among those folded away.
        if chosen and self.model.setting(chosen).group == "more":
            self._more = True
        self._show_rows()
        self._show_head()
        self.set_focus(form)

    def action_differences(self) -> None:
        """Only what differs from the guide's settings, or all again."""
        self._differences = not self._differences
        self._show_rows()
        self._show_head()
        self._show_detail()

    def report_at(self, error: NsmcTuiError, setting: str = "") -> None:
        self.nsmc.report(error)
        wanted = setting or (error.key if isinstance(error, ConfigError) and not error.file else "")
        if wanted not in self.model.settings:
            return
        self._query, self._differences = "", False
        self.query_one("#search", SearchInput).value = ""
        self.query_one("#search").display = False
        self._more = self._more or self.model.setting(wanted).group == "more"
        self._show_rows()
        self._show_head()
        self.query_one(ConfigForm).go_to(wanted)

    # -- leaving -----------------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Out of the search, then out of the form; what is set stays for the session."""
        if self.starting:
            return
        if self._query or self.query_one("#search").display:
            self._clear_search()
            return
        if not self.query_one(ConfigForm).has_focus:
            self.set_focus(self.query_one(ConfigForm))
            return
        if self._differences:
            self.action_differences()
            return
        self.leave_draft()
        self.nsmc.go_back()
