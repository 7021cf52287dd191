"""How far a run is, and what matters of it in a line: the first thing to read on Monitor."""

from __future__ import annotations

import time

from rich.text import Text

from core import formats
from core.i18n import gettext as _
from core.i18n import ngettext
from core.runs import Run
from tui.colour_depth import ascii_of
from tui.feed import RunFeed
from tui.widgets.live_text import LiveText

BAR = 32


class RunProgress(LiveText):
    """Two lines: phase and progress, then the figures of the moment."""

    def follow(self, feed: RunFeed) -> None:
        """Show where the run of this feed is; nothing before it is known."""
        if feed.run is not None:
            facts = Text("   ".join(part for part in _facts(feed.run, feed) if part), style="dim")
            self.show([self._progress(feed.run, feed), facts])

    def _progress(self, run: Run, feed: RunFeed) -> Text:
        progress = feed.telemetry.progress
        line = Text()
        if feed.behind:
            line.append(_("reading the log …"), style="bold")
            line.append(f"  {feed.share:.0%}   ")
            line.append(_("the charts show a sample of it"), style="dim")
        elif run.state == "paused" and run.max_steps:
            # A pause may come in the middle of an evaluation: that is not what one waits for.
            line.append(formats.state("paused") + "  ", style="bold")
            self._append_bar(line, run.step, run.max_steps, percent=False)
        elif progress.phase and run.live:
            line.append(f"{formats.phase(progress.phase)} {progress.split}".strip() + "  ", style="bold")
            self._append_bar(line, progress.done, progress.total, percent=progress.phase != "training")
        elif run.max_steps:
            line.append(f"{run.step:,} / {run.max_steps:,}", style="bold")
            line.append(f"  {_('steps')}", style="dim")
        return line

    def _append_bar(self, line: Text, done: int, total: int, *, percent: bool) -> None:
        if not total:
            line.append("…", style="dim")
            return
        variables = self.app.theme_variables
        width = min(BAR, max(8, self.size.width - 60))
        full = round(width * min(1.0, done / total))
        done_sign, open_sign = ("#", ".") if ascii_of(self.app) else ("━", "┈")
        line.append(done_sign * full, style=variables.get("accent", ""))
        line.append(open_sign * (width - full), style=variables.get("faint", "dim"))
        line.append(f"  {done:,} / {total:,}" + (f"  {done / total:.0%}" if percent else ""))


def _facts(run: Run, feed: RunFeed) -> list[str]:
    """What is known besides the progress, in the order of importance."""
    telemetry = feed.telemetry
    last, progress = telemetry.last, telemetry.progress
    epoch = last.get("epoch")
    parts = [_("epoch {n}").format(n=f"{epoch:.2f}") if isinstance(epoch, float | int) else ""]
    if run.live and progress.phase == "training" and run.state != "paused":
        parts.append(_("{n} reviews/s").format(n=formats.count(last.get("samples_per_second"))) if last else "")
        eta = last.get("eta")
        parts.append(_("{time} left").format(time=formats.duration(eta)) if isinstance(eta, float | int) else "")
    if not run.live:
        parts += [
            f"{name} {value:.4f}"
            for name, value in ((_("accuracy"), run.metric("accuracy")), ("F1", run.metric("f1")))
            if value is not None
        ]
        parts.append(formats.split_name(run.metric_split()))
    if run.silent:
        parts.append(_("silent for {time}").format(time=formats.duration(time.time() - run.updated)))
    if telemetry.skipped:
        broken = ngettext("{n} broken line in the log", "{n} broken lines in the log", telemetry.skipped)
        parts.append(broken.format(n=f"{telemetry.skipped:,}"))
    return parts
