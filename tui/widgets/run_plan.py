"""What the run will be like: a table of figures and warnings, and the same in one line for narrow terminals."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual.widgets import Static

from core.config import RunConfig
from core.i18n import gettext as _
from core.text import visible
from tui.form_facts import Facts, Notice, notices, short
from tui.form_model import FormModel


def all_notices(model: FormModel, known: tuple[RunConfig, Facts] | None) -> list[Notice]:
    """What there is to say now: what is wrong first, then figures and warnings."""
    wrong = {**model.outside, **model.errors}
    found = [
        Notice("!", f"{error.message} — {error.hint}" if error.hint else error.message, True, key)
        for key, error in wrong.items()
    ]
    # Figures of a config that can no longer be used would mislead.
    return found if known is None or model.errors else found + notices(*known)


def looking() -> str:
    """What stands there while nothing is known."""
    return _("looking at data, model and machine …")


class RunPlan(Static):
    """A dim word, then what there is to say; warnings with their sign."""

    def show(self, found: list[Notice]) -> None:
        """Show these lines."""
        variables = self.app.theme_variables
        if not found:
            self.update(Text(looking(), style=variables.get("secondary", "")))
            return
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(no_wrap=True, style=variables.get("secondary", ""))
        table.add_column(ratio=1, overflow="fold")
        for notice in found:
            style = variables.get("warning", "") if notice.warning else ""
            title = Text(notice.title, style=variables.get("error", "") if notice.title == "!" else "")
            sign = "⚠ " if notice.warning and notice.title != "!" else ""
            table.add_row(title, Text(sign + visible(notice.text), style=style))
        self.update(table)


class RunLine(Static):
    """The first warning, else the figures."""

    DEFAULT_CSS = "RunLine { text-wrap: nowrap; text-overflow: ellipsis; }"

    def show(self, found: list[Notice], known: tuple[RunConfig, Facts] | None) -> None:
        """Show the most important of these."""
        warning = next((notice for notice in found if notice.warning), None)
        text = Text()
        if warning is not None:
            sign = "! " if warning.title == "!" else "⚠ "
            text.append(sign + visible(warning.text), style=self.app.theme_variables.get("warning", ""))
        elif known is not None:
            text.append(short(*known))
        else:
            text.append(looking())
        self.update(text)
