"""The form's first line: what the list shows, where the settings came from, how many differ."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from core.i18n import gettext as _
from core.i18n import ngettext
from core.text import visible
from tui.form_model import FormModel
from tui.widgets.top_bar import fit


class FormHead(Static):
    """`Settings   from: the guide's settings · 3 changed   ! 1 to mend`."""

    DEFAULT_CSS = "FormHead { height: 1; padding: 0 1; }"

    def show(self, model: FormModel, query: str, differences: bool, focused: bool) -> None:
        """Show it for the list as it is; its title carries the accent while the list has the focus."""
        variables = self.app.theme_variables
        dim, accent = variables.get("secondary", ""), variables.get("accent", "")
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(_("Differences") if differences else _("Settings"), style=f"bold {accent}" if focused else "bold")
        if query.strip():
            text.append(f"  /{visible(query)}", style=dim)
        count, problems = len(model.changed_keys()), model.problems
        tail = Text(" · ", style=dim)
        wording = (
            ngettext("{n} differs from the guide's", "{n} differ from the guide's", count)
            if model.origin
            else _("{n} changed")
        )
        tail.append(wording.format(n=count), style="not dim" if count else dim)
        if problems:
            tail.append("   ! " + _("{n} to mend").format(n=problems), style=f"bold {variables.get('error', '')}")
        text.append("   " + _("from:") + " ", style=dim)
        room = self.size.width - 2 - text.cell_len - tail.cell_len
        text.append(fit(visible(model.origin) or _("the guide's settings"), max(8, room)))
        self.update(text + tail)
