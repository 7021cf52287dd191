"""One run while it trains: how far it is, its loss and memory, what it says; and the orders to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget
from textual.widgets import Static

from core import formats
from core.i18n import N_
from core.i18n import gettext as _
from tui.feed import NAN
from tui.keymap import key
from tui.screens.monitor_orders import MonitorOrders
from tui.series import Ema
from tui.widgets.chart import Chart, Line
from tui.widgets.failure_card import FailureCard
from tui.widgets.log_tail import LogTail

TICK = 0.25
SMOOTHING = (0.0, 0.6, 0.9, 0.97)
X_AXES = ("step", "epoch", "time")
BAR = 32


class MonitorScreen(MonitorOrders):
    """Watches a run live, a finished one at rest."""

    NAME = "monitor"
    CSS_PATH = "monitor.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("x", "x_axis", N_("x-axis"), N_("Step, epoch or time on the x-axis")),
        key("w", "smoothing", N_("Smoothing"), N_("Smoothing of the loss (EMA)"), show=True),
        key("enter", "enlarge", N_("Enlarge"), N_("The chosen chart alone, and back")),
        key("r", "review", N_("Review errors"), N_("Mispredicted reviews with attention"), show=True),
        key(
            "e", "run_screen('evaluation')", N_("Evaluation"), N_("Scores and confusion matrix of this run"), show=True
        ),
    ]

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir)
        self._ema = Ema(SMOOTHING[2])
        self._x = 0
        self._was_live = False
        self._left = False

    def compose_body(self) -> Iterable[Widget]:
        """Progress, failure card, charts, log."""
        yield Static("", id="progress", markup=False)
        yield FailureCard(self.run_dir)
        with Container(id="charts"):
            yield Chart(_("loss"), "loss")
            yield Chart(_("memory"), "memory")
            evaluation, rate = Chart(_("dev accuracy"), "accuracy"), Chart(_("learning rate"), "rate")
            norm, speed = Chart(_("gradient norm"), "norm"), Chart(_("reviews per second"), "speed")
            for chart in (evaluation, rate):
                chart.add_class("secondary")
                yield chart
            for chart in (norm, speed):
                chart.add_class("extra")
                yield chart
        yield Container(id="device")
        yield LogTail()

    def on_mount(self) -> None:
        """Read what there is, then follow."""
        super().on_mount()
        self._tick()
        self.set_interval(TICK, self._tick)
        self.query_one("#loss").focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The ways to the results when there are results."""
        run = self._feed.run
        live = run is not None and run.live
        if action == "review":
            return not live and bool(run is not None and run.metrics)
        return super().check_action(action, parameters)

    # -- drawing -----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        changed = self._feed.poll()
        run = self._feed.run
        if run is None or not self.is_current:
            return
        self.set_top(self.run_title, _("Monitor"), state=run.state)
        self.settle_orders()
        if changed or run.live:
            self._draw_progress()
        if changed:
            self._draw_failure()
            self._draw_charts()
            self._draw_log()
        if self._was_live != run.live:
            self.refresh_bindings()
            if not run.live:
                self._ended(run.state)
        self._was_live = run.live

    def on_resize(self) -> None:
        """Charts that were hidden are as old as the moment when they were last seen."""
        if self._feed.run is not None:
            self.call_after_refresh(self._draw_all)

    def _draw_all(self) -> None:
        self._draw_progress()
        self._draw_charts()
        self._draw_log()

    def _ended(self, state: str) -> None:
        if self.nsmc.demo and state == "finished" and not self._left:
            self._left = True
            self.nsmc.show_run(self.run_dir, "review", reading=True)
            self.nsmc.say(
                _("A mispredicted review and where the model looked. n: the next one, esc: the list, ?: all keys."),
                timeout=12,
            )
            return
        if state in ("finished", "stopped"):
            self.nsmc.say(
                _("The run has ended: {state}").format(state=formats.state(state))
                + "\n"
                + _("4 shows its scores, 5 its errors.")
            )
        elif state in ("failed", "crashed"):
            self.nsmc.say(_("The run has ended: {state}").format(state=formats.state(state)), severity="error")

    def _draw_progress(self) -> None:
        run, telemetry = self._feed.run, self._feed.telemetry
        assert run is not None
        progress, last = telemetry.progress, telemetry.last
        variables = self.app.theme_variables
        line = Text(no_wrap=True)
        if self._feed.behind:
            line.append(_("reading the log …"), style="dim")
        elif progress.phase and run.live:
            doing = formats.state("paused") if run.state == "paused" else formats.phase(progress.phase)
            line.append(f"{doing} {progress.split}".strip() + "  ", style="bold")
            share = progress.done / progress.total if progress.total else None
            width = min(BAR, max(8, self.size.width - 60))
            if share is not None:
                full = round(width * min(1.0, share))
                line.append("━" * full, style=variables.get("accent", ""))
                line.append("┈" * (width - full), style=variables.get("faint", "dim"))
                unit = "" if progress.phase == "training" else f"  {share:.0%}"
                line.append(f"  {progress.done:,} / {progress.total:,}{unit}")
            else:
                line.append("…", style="dim")
        elif run.max_steps:
            line.append(f"{run.step:,} / {run.max_steps:,}", style="bold")
            line.append(f"  {_('steps')}", style="dim")
        facts = Text(no_wrap=True, style="dim")
        epoch = last.get("epoch")
        parts = [f"epoch {epoch:.2f}" if isinstance(epoch, float | int) else ""]
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
        parts += self.orders_line()
        facts.append("   ".join(part for part in parts if part))
        self.query_one("#progress", Static).update(Text("\n").join([line, facts]))

    def _draw_failure(self) -> None:
        self.query_one(FailureCard).show(self._feed.run, self._feed.telemetry.failure)

    def _axis(self) -> tuple[list[float], Callable[[float], str]]:
        telemetry = self._feed.telemetry
        if X_AXES[self._x] == "epoch":
            return list(telemetry.epochs), "{:.2f}".format
        if X_AXES[self._x] == "time":
            begin = telemetry.times[0] if telemetry.times else 0.0
            return [moment - begin for moment in telemetry.times], _seconds
        return list(telemetry.steps), "{:,.0f}".format

    def _draw_charts(self) -> None:
        telemetry = self._feed.telemetry
        version = (telemetry.version, self._x, self._ema.weight, self.app.theme, self.size)
        x, x_ticks = self._axis()
        title = _("loss") if self._ema.weight == 0 else _("loss (EMA {weight})").format(weight=self._ema.weight)
        smooth = self._ema.extend(telemetry.series["loss"])
        loss = telemetry.value("loss")
        shown = "" if loss is None else formats.number(smooth[-1] if self._ema.weight else loss)

        def loss_lines() -> list[Line]:
            if self._ema.weight == 0:
                return [Line(x, telemetry.series["loss"])]
            return [Line(x, telemetry.series["loss"], "faint"), Line(x, smooth)]

        self._chart("loss").show(version, shown, loss_lines, title=title, x_ticks=x_ticks)
        self._draw_memory(version, x, x_ticks)
        self._draw_dev_accuracy(version, x_ticks)
        rate = telemetry.value("learning_rate")
        norm, speed = telemetry.value("grad_norm"), telemetry.value("samples_per_second")
        others: tuple[tuple[str, str, str, Callable[[float], str]], ...] = (
            ("rate", "learning_rate", formats.rate(rate), "{:.1e}".format),
            ("norm", "grad_norm", "" if norm is None else formats.number(norm, 2), "{:.2f}".format),
            ("speed", "samples_per_second", "" if speed is None else formats.count(speed), "{:,.0f}".format),
        )
        for chart, name, text, ticks in others:
            draw = partial(self._one_line, x, name)
            self._chart(chart).show(version, text, draw, ticks=ticks, x_ticks=x_ticks)

    def _one_line(self, x: list[float], name: str) -> list[Line]:
        return [Line(x, self._feed.telemetry.series[name])]

    def _draw_memory(self, version: object, x: list[float], x_ticks: Callable[[float], str]) -> None:
        series = self._feed.telemetry.series
        on_gpu = any(value == value for value in series["gpu_allocated"][-1:])
        names = ("gpu_reserved", "gpu_allocated") if on_gpu else ("rss",)
        now = series[names[-1]][-1] if series["rss"] else NAN
        title = _("GPU memory") if on_gpu else _("memory of the worker (no GPU)")

        def lines() -> list[Line]:
            tones = ("faint", "accent") if on_gpu else ("accent",)
            return [Line(x, series[name], tone) for name, tone in zip(names, tones, strict=True)]

        self._chart("memory").show(
            version, formats.size(now) if now == now else "", lines, title=title, ticks=_gigabytes, x_ticks=x_ticks
        )

    def _draw_dev_accuracy(self, version: object, x_ticks: Callable[[float], str]) -> None:
        telemetry = self._feed.telemetry
        found = [
            (step, metrics["eval_accuracy"])
            for step, split, metrics, final in telemetry.evals
            if split == "dev" and "eval_accuracy" in metrics and not final
        ]
        place = dict(zip(telemetry.steps, self._axis()[0], strict=True))
        xs = [place.get(step, float(step)) for step, _value in found]
        ys = [value for _step, value in found]
        value = formats.number(ys[-1]) if ys else ""
        self._chart("accuracy").show(
            (version, len(found)), value, lambda: [Line(xs, ys)], x_ticks=x_ticks, ticks="{:.3f}".format
        )

    def _chart(self, name: str) -> Chart:
        return self.query_one(f"#{name}", Chart)

    def _draw_log(self) -> None:
        self.query_one(LogTail).show(self._feed.telemetry.log)

    def draw_orders(self) -> None:
        """The line of progress tells what becomes of orders."""
        self._draw_progress()

    # -- keys --------------------------------------------------------------------------------------------------

    def action_x_axis(self) -> None:
        """Next x-axis."""
        self._x = (self._x + 1) % len(X_AXES)
        self._draw_charts()
        self.nsmc.say(
            _("x-axis: {name}").format(name={"step": _("step"), "epoch": "epoch", "time": _("time")}[X_AXES[self._x]])
        )

    def action_smoothing(self) -> None:
        """Next smoothing weight."""
        weight = SMOOTHING[(SMOOTHING.index(self._ema.weight) + 1) % len(SMOOTHING)]
        self._ema = Ema(weight)
        self._draw_charts()

    def action_enlarge(self) -> None:
        """Show the focused chart alone, or all again."""
        box = self.query_one("#charts")
        focused = self.focused
        enlarge = not box.has_class("-one") and isinstance(focused, Chart)
        for chart in self.query(Chart):
            chart.set_class(enlarge and chart is focused, "-enlarged")
        box.set_class(enlarge, "-one")
        self._feed.telemetry.version += 1
        self.call_after_refresh(self._draw_charts)

    def action_review(self) -> None:
        """Go to the errors."""
        self.action_run_screen("review")

    def action_back(self) -> None:
        """From one chart back to all, else to the runs."""
        if self.query_one("#charts").has_class("-one"):
            self.action_enlarge()
        else:
            super().action_back()


def _seconds(value: float) -> str:
    if value < 120:
        return f"{value:.0f}s"
    return f"{value / 60:.0f}min" if value < 7200 else f"{value / 3600:.1f}h"


def _gigabytes(value: float) -> str:
    return f"{value / (1 << 30):.2f}G"
