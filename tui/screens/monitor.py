"""One run while it trains: how far it is, its loss and memory, what it says; and the orders to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Container
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from core import control, formats
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.text import visible
from tui.feed import NAN, RunFeed
from tui.keymap import key
from tui.screens.base import RunScreen
from tui.screens.confirm import ConfirmScreen
from tui.series import Ema
from tui.widgets.chart import Chart, Line
from tui.widgets.top_bar import fit

TICK = 0.25
SMOOTHING = (0.0, 0.6, 0.9, 0.97)
X_AXES = ("step", "epoch", "time")
BAR = 32


class OrderSent(Message):
    """An order lies in the run's `control.jsonl`, or could not be put there."""

    def __init__(self, action: str, order: str = "", error: NsmcTuiError | None = None) -> None:
        super().__init__()
        self.action = action
        self.order = order
        self.error = error


class MonitorScreen(RunScreen):
    """Watches a run live, a finished one at rest."""

    NAME = "monitor"
    CSS_PATH = "monitor.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("s", "stop", N_("Stop+save"), N_("Finish the step, save, evaluate, end"), show=True),
        key("v", "order('evaluate')", N_("Evaluate now"), N_("Score the dev split at the next step"), show=True),
        key("b", "order('save')", N_("Save now"), N_("Save a checkpoint at the next step")),
        key("z", "pause", N_("Pause"), N_("Pause after the step, or go on"), show=True),
        key("A", "abort", N_("Abort"), N_("End at once; nothing more is saved")),
        key("x", "x_axis", N_("x-axis"), N_("Step, epoch or time on the x-axis")),
        key("w", "smoothing", N_("Smoothing"), N_("Smoothing of the loss (EMA)"), show=True),
        key("enter", "enlarge", N_("Enlarge"), N_("The chosen chart alone, and back")),
        key("r", "review", N_("Review errors"), N_("Mispredicted reviews with attention"), show=True),
        key(
            "e", "run_screen('evaluation')", N_("Evaluation"), N_("Scores and confusion matrix of this run"), show=True
        ),
    ]
    ORDERS: ClassVar[frozenset[str]] = frozenset({"stop", "order", "pause", "abort"})

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir)
        self._feed = RunFeed(run_dir)
        self._ema = Ema(SMOOTHING[2])
        self._x = 0
        self._pending: dict[str, str] = {}
        self._paused: bool | None = None
        self._log_seen = -1
        self._was_live = False
        self._left = False

    def compose_body(self) -> Iterable[Widget]:
        """Progress, failure card, charts, log."""
        yield Static("", id="progress", markup=False)
        yield Static("", id="failure", markup=False)
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
        yield Static(_("log"), id="log-title", markup=False)
        yield Static("", id="log", markup=False)

    def on_mount(self) -> None:
        """Read what there is, then follow."""
        super().on_mount()
        self._tick()
        self.set_interval(TICK, self._tick)
        self.query_one("#loss").focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Orders only while there is a worker; the ways to the results when there are results."""
        run = self._feed.run
        live = run is not None and run.live
        if action in self.ORDERS:
            return live
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
        self._settle_orders()
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
        for action in self._pending.values():
            waits = _("{order}: waits") if run.state == "paused" else _("{order}: sent")
            parts.append(waits.format(order=formats.order(action)))
        facts.append("   ".join(part for part in parts if part))
        self.query_one("#progress", Static).update(Text("\n").join([line, facts]))

    def _draw_failure(self) -> None:
        run, failure = self._feed.run, self._feed.telemetry.failure
        card = self.query_one("#failure", Static)
        message = str(failure.get("message") or (run.error if run is not None else ""))
        if run is None or run.state not in ("failed", "crashed") or not message:
            card.display = False
            return
        hint = str(failure.get("hint") or run.hint)
        error = self.app.theme_variables.get("error", "")
        card.update(
            Text.assemble(
                (f"✗ {visible(message)}", error),
                "\n",
                (f"→ {visible(hint)}" if hint else "", ""),
                "\n",
                (visible(str(self.run_dir / "worker.log")), "dim"),
            )
        )
        card.display = True

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
        box = self.query_one("#log", Static)
        width, height = max(20, self.size.width - 2), max(3, box.size.height or 6)
        variables = self.app.theme_variables
        tones = {"warning": variables.get("warning", ""), "error": variables.get("error", "")}
        text = Text(no_wrap=True)
        for index, (moment, level, message) in enumerate(list(self._feed.telemetry.log)[-height:]):
            if index:
                text.append("\n")
            text.append(f"{datetime.fromtimestamp(moment):%H:%M:%S}  ", style="dim")
            text.append(fit(visible(message), width - 10), style=tones.get(level, ""))
        box.update(text)

    def _settle_orders(self) -> None:
        """Forget orders that were carried out; a pause that was asked for has come."""
        telemetry, run = self._feed.telemetry, self._feed.run
        for order, action in list(self._pending.items()):
            step = telemetry.orders.get(order)
            if step is None:
                continue
            paused = run is not None and run.state == "paused" and action in ("save", "evaluate")
            if not paused:
                del self._pending[order]
        if run is not None and self._paused is not None and (run.state == "paused") == self._paused:
            self._paused = None
            self.refresh_bindings()

    # -- keys --------------------------------------------------------------------------------------------------

    def action_stop(self) -> None:
        """Ask, then send `stop`."""
        self._ask("stop", _("Stop this run?"), _("The step is finished, the model saved and evaluated."))

    def action_abort(self) -> None:
        """Ask, then send `abort`."""
        self._ask("abort", _("Abort this run?"), _("It ends at once. What was not saved is lost."))

    def _ask(self, action: str, question: str, detail: str) -> None:
        if self._live():
            self.app.push_screen(
                ConfirmScreen(question, detail), lambda yes: self.action_order(action) if yes else None
            )

    def _live(self) -> bool:
        run = self._feed.run
        if run is not None and run.live:
            return True
        self.nsmc.say(_("This run is over: it takes no orders."), severity="warning")
        return False

    def action_pause(self) -> None:
        """Pause, or go on."""
        run = self._feed.run
        # Until the state follows, the last wish counts: pressed twice, the key means both.
        paused = self._paused if self._paused is not None else run is not None and run.state in ("paused", "pausing")
        self._paused = not paused
        self.action_order("continue" if paused else "pause")

    def action_order(self, action: str) -> None:
        """Send an order to the worker."""
        if self._live():
            self._send(action)

    @work(thread=True, group="orders")
    def _send(self, action: str) -> None:
        try:
            order = control.send_order(self.run_dir, action)
        except NsmcTuiError as error:
            self.post_message(OrderSent(action, error=error))
        else:
            self.post_message(OrderSent(action, order))

    @on(OrderSent)
    def _order_sent(self, event: OrderSent) -> None:
        if event.error is not None:
            self.nsmc.report(event.error)
            return
        self._pending[event.order] = event.action
        self._draw_progress()

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
