"""One setting in full: value, default, type, meaning, what is wrong; and the place where it is edited."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from core.errors import NsmcTuiError
from core.i18n import gettext as _
from core.text import visible
from tui.form_model import FormModel
from tui.widgets.config_form import shown_value
from tui.widgets.form_input import Choices, FormInput


class SettingDetail(Vertical):
    """Shows a setting; `edit` opens it. Posts `Committed` or `Left`; the model is changed by the screen."""

    DEFAULT_CSS = """
    SettingDetail { height: 1fr; }
    SettingDetail #title { height: 1; text-style: bold; }
    SettingDetail:focus-within #title { color: $accent; }
    SettingDetail #now { height: auto; max-height: 3; }
    SettingDetail #editor { margin: 0; background: $panel; height: 1; }
    SettingDetail #choices { height: auto; max-height: 14; background: $panel; border: none; padding: 0; }
    SettingDetail #wrong { height: auto; max-height: 4; }
    SettingDetail #text { height: 1fr; scrollbar-size-vertical: 1; }
    SettingDetail #about { height: auto; }
    """

    class Committed(Message):
        """What was typed or chosen shall be the setting's value."""

        def __init__(self, setting: str, text: str) -> None:
            super().__init__()
            self.setting = setting
            self.text = text

    class Left(Message):
        """Editing is over and nothing shall change."""

    def __init__(self, model: FormModel, id: str | None = None) -> None:
        super().__init__(id=id)
        self.model = model
        self.setting = ""
        self.editing = False
        # What had the focus before the editor.
        self._before: Widget | None = None

    def compose(self) -> ComposeResult:
        """Title, value or editor, what is wrong, meaning."""
        yield Static("", id="title", markup=False)
        yield Static("", id="now", markup=False)
        yield FormInput(id="editor")
        yield Choices(id="choices")
        yield Static("", id="wrong", markup=False)
        with VerticalScroll(id="text"):
            yield Static("", id="about", markup=False)

    def on_mount(self) -> None:
        """Nothing is being edited."""
        self._show_editor("")

    def _show_editor(self, which: str) -> None:
        self.editing = bool(which)
        self.query_one("#editor").display = which == "editor"
        self.query_one("#choices").display = which == "choices"
        self.query_one("#now").display = not which

    # -- showing -----------------------------------------------------------------------------------------------

    def show(self, model: FormModel, setting: str, hint: str = "") -> None:
        """Show `setting`; `hint` where the cursor stands on none."""
        self.model = model
        if self.editing and setting == self.setting:
            return
        self.setting = setting
        self._show_editor("")
        title = self.query_one("#title", Static)
        about = self.query_one("#about", Static)
        if not setting:
            title.update("")
            self.query_one("#now", Static).update("")
            self._show_wrong(None)
            about.update(Text(hint, style=self._colour("secondary")))
            return
        title.update(setting)
        self.query_one("#now", Static).update(self._now())
        self._show_wrong(model.problem(setting))
        about.update(self._about())
        self.query_one("#text").scroll_home(animate=False)

    def _colour(self, name: str) -> str:
        return self.app.theme_variables.get(name, "")

    def _now(self) -> Text:
        dim = self._colour("secondary")
        value = shown_value(self.model, self.setting)
        text = Text()
        text.append(value or _("not set"), style="bold" if value else dim)
        default = visible(self.model.default_text(self.setting)) or _("not set")
        if self.model.is_changed(self.setting):
            text.append(f"  ← {default}", style=dim)
            if self.model.follows(self.setting):
                text.append("  " + _("follows from other settings"), style=dim)
        else:
            text.append("  " + _("the default"), style=dim)
        return text

    def _about(self) -> Text:
        setting, dim = self.model.setting(self.setting), self._colour("secondary")
        text = Text()
        meaning = setting.description if setting.own else visible(setting.hf_help)
        if meaning:
            text.append(meaning + "\n")
        text.append(_("takes") + " ", style=dim)
        text.append(setting.wanted, style=dim)
        if self.setting == "model.name" and self.model.value("model.preset"):
            text.append("\n" + _("A preset is chosen; a name takes its place."), style=dim)
        if self.setting == "model.preset":
            text.append("\n" + _("A preset takes the place of model.name."), style=dim)
        if setting.own and setting.hf_help:
            text.append("\n\ntransformers: " + visible(setting.hf_help), style=dim)
        return text

    def _show_wrong(self, error: NsmcTuiError | None) -> None:
        wrong = self.query_one("#wrong", Static)
        wrong.display = error is not None
        if error is not None:
            text = Text()
            text.append("! ", style="bold " + self._colour("error"))
            text.append(visible(error.message), style=self._colour("error"))
            if error.hint:
                text.append("\n" + visible(error.hint))
            wrong.update(text)

    # -- editing -----------------------------------------------------------------------------------------------

    def edit(self) -> None:
        """Open the setting for editing: a list of its choices, else a line of text."""
        self._before = self.screen.focused
        options = self.model.options(self.setting)
        if options:
            self._open_choices(options)
            return
        self._show_editor("editor")
        editor = self.query_one("#editor", FormInput)
        default = self.model.default_text(self.setting)
        editor.placeholder = visible(default) or _("not set")
        editor.value = self.model.text(self.setting)
        self.screen.set_focus(editor)
        editor.action_select_all()

    def _open_choices(self, options: list[str]) -> None:
        self._show_editor("choices")
        choices = self.query_one("#choices", Choices)
        choices.clear_options()
        here = self.model.text(self.setting)
        default = self.model.default_text(self.setting)
        for index, option in enumerate(options):
            text = Text(visible(option) or _("not set"))
            if option == (default or "none"):
                text.append("  " + _("the default"), style="dim")
            choices.add_option(Option(text, id=str(index)))
        choices.highlighted = options.index(here) if here in options else 0
        self.screen.set_focus(choices)

    @property
    def typed(self) -> str | None:
        """What is being typed; None when nothing is."""
        return (
            self.query_one("#editor", FormInput).value if self.editing and self.query_one("#editor").display else None
        )

    def leave(self) -> None:
        """The user turns to something else: what is typed stays, usable or not; a list of choices just closes."""
        text = self.typed
        if self.editing:
            self.close()
        if text is not None:
            self.post_message(self.Committed(self.setting, text))

    def close(self) -> None:
        """Stop editing and show the setting as it is; the focus goes back to where it came from."""
        focused = self.screen.focused
        if focused is not None and focused.id in ("editor", "choices") and focused.parent is self:
            # Hidden with the focus, it would hand that to the text below, where the form's keys mean nothing.
            self.screen.set_focus(self._before)
        self._show_editor("")
        self.show(self.model, self.setting)

    @on(Input.Changed, "#editor")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self.editing:
            self._show_wrong(self.model.check(self.setting, event.value))

    @on(Input.Submitted, "#editor")
    def _enter(self, event: Input.Submitted) -> None:
        event.stop()
        if self.editing and self.model.check(self.setting, event.value) is None:
            self.leave()
        else:
            # The reason stands below; the text stays to be mended.
            self.app.bell()

    @on(Input.Blurred, "#editor")
    def _elsewhere(self, event: Input.Blurred) -> None:
        event.stop()
        # A click elsewhere keeps what is typed; the terminal losing the focus (nothing focused) changes nothing.
        focused = self.screen.focused
        if focused is not None and focused is not event.input:
            self.leave()

    @on(OptionList.OptionSelected, "#choices")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        text = self.model.options(self.setting)[event.option_index]
        self.close()
        self.post_message(self.Committed(self.setting, text))

    @on(FormInput.Cancelled, "#editor")
    @on(Choices.Cancelled)
    def _cancel(self, event: Message) -> None:
        event.stop()
        self.close()
        self.post_message(self.Left())
