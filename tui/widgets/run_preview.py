"""The chosen run in three lines: what it is, the course of its loss with the last figures, how well it did."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual.widgets import Static

from core import formats
from core.i18n import gettext as _
from core.run_preview import Preview, sparkline
from core.runs import Run
from core.text import visible
from tui.colour_depth import ascii_of
from tui.widgets.top_bar import fit, state_text

METRICS = ("accuracy", "f1", "precision", "recall", "macro_f1", "loss")
SPARK = 24


class RunPreview(Static):
    """Three lines about a run. `show` takes the run, what its log looks like, and the baseline."""

    DEFAULT_CSS = """
    RunPreview { height: 4; padding: 0 1; border-top: solid $rule; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self._shown = Text()

    def show(self, run: Run | None, found: Preview | None, baseline: Run | None) -> None:
        """Draw, where it says something else than before."""
        text = Text(no_wrap=True, overflow="ellipsis") if run is None else self._text(run, found, baseline)
        if text != self._shown or text.spans != self._shown.spans:
            self._shown = text
            self.update(text)

    def _text(self, run: Run, found: Preview | None, baseline: Run | None) -> Text:
        text = self._head(run)
        width = max(20, self.size.width - 2)
        if run.error:
            text.append("\n" + fit(visible(run.error), width), style=self.app.theme_variables.get("error", ""))
            text.append("\n" + fit("→ " + visible(run.hint), width) if run.hint else "", style="dim")
            return text
        text.append("\n")
        text.append_text(self._figures(run, found or Preview()))
        text.append("\n")
        text.append_text(self._scores(run, baseline))
        return text

    def _head(self, run: Run) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(visible(run.id), style="bold")
        if run.label:
            text.append(f" {visible(run.label)}", style="bold")
        if run.silent or run.stale:
            text.append("  ")
            text.append_text(state_text(run.condition, self.app))
            text.append(" " + _("for {time}").format(time=formats.ago(run.updated)))
        if run.source:
            text.append("  " + _("read from {source}").format(source=run.source), style="dim")
        what = " · ".join(visible(part) for part in (Path(run.model).name, run.data) if part)
        text.append(f"   {what}", style="dim")
        if run.host:
            here = "@" if run.elsewhere else ""
            text.append(f"   {here}{visible(run.host)}", style="dim")
        return text

    def _figures(self, run: Run, found: Preview) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        loss = found.loss if found.loss is not None else run.loss
        parts: list[tuple[str, str]] = []
        if found.losses:
            parts.append((_("loss"), f"{sparkline(found.losses, SPARK, ascii_of(self.app))} {formats.number(loss)}"))
        elif loss is not None:
            parts.append((_("loss"), formats.number(loss)))
        if found.learning_rate is not None:
            parts.append(("lr", formats.rate(found.learning_rate)))
        if found.samples_per_second is not None:
            parts.append(("", _("{n} reviews/s").format(n=formats.count(found.samples_per_second))))
        if found.memory is not None:
            parts.append((_("peak") if found.on_gpu else _("peak (host)"), formats.size(found.memory)))
        if run.live and run.phase:
            parts.insert(0, ("", formats.phase(run.phase)))
        room = max(20, self.size.width - 2)
        for place, (name, value) in enumerate(parts):
            part = Text("   " if place else "")
            part.append(f"{name} " if name else "", style="dim")
            part.append(value)
            if place and text.cell_len + part.cell_len > room:
                # A figure is whole, or it is left out.
                break
            text.append_text(part)
        return text

    def _scores(self, run: Run, baseline: Run | None) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        if run.tags or run.note:
            text.append("".join(f"#{visible(tag)} " for tag in run.tags), style=self.app.theme_variables["accent"])
            text.append(visible(run.note) + ("   " if run.note else ""))
        names = METRICS if self.size.width >= 110 else METRICS[:4]
        shown = [(name, run.metric(name)) for name in names]
        if any(value is not None for _name, value in shown):
            text.append(formats.split_name(run.metric_split()) + "  ", style="dim")
        for name, value in shown:
            if value is None:
                continue
            text.append(f"{formats.metric(name)} ", style="dim")
            text.append(f"{value:.4f}")
            other = baseline.metric(name) if baseline is not None and baseline.id != run.id else None
            text.append("  " if other is None else f" {value - other:+.4f}  ", style="dim")
        return text
