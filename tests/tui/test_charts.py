"""Monitor's charts with the keyboard: which metrics, which window, what the cursor reads, what lies over what."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Input

from core.log_cache import LogCache
from core.paths import settings_file
from core.runs import write_status
from tests.tui.chart_runs import BATCH, loss_at, make_run, run_events, step_event, write_events
from tests.tui.test_columns import plain_ema
from tests.tui.test_screens import control_bytes, screen_text, until
from tui.app import NsmcTuiApp
from tui.chart_choices import Choices
from tui.chart_model import LONGEST_TICK, Metric, tick_text
from tui.columns import Track
from tui.feed import RunFeed
from tui.raster import nice_bounds, nice_step
from tui.screens.monitor import MonitorScreen
from tui.widgets.chart_grid import ChartGrid

STEPS = 200


@pytest.mark.parametrize(
    ("values", "step", "texts"),
    [
        ((0.69275, 0.69315), 5e-5, ["0.6927", "0.6932"]),
        ((0.0, 5e-5), 1e-5, ["0", "5.0e-5"]),
        ((1234.5, 1235.0), 0.5, ["1,234", "1,235"]),
        ((0.5, 0.55), 0.05, ["0.50", "0.55"]),
        ((150_000, 200_000), 50_000, ["150k", "200k"]),
    ],
)
def test_numbers_at_an_axis_can_be_told_apart(values: tuple[float, ...], step: float, texts: list[str]) -> None:
    assert [tick_text(value, step) for value in values] == texts


@pytest.mark.parametrize(
    ("key", "values", "texts"),
    [
        ("eval_loss", (0.69310, 0.693115, 0.69313), ["0.6931", "+1e-5", "+3e-5"]),
        ("eval_loss", (0.6930, 0.6931, 0.6933), ["0.6930", "0.6931", "0.6933"]),
        ("samples_per_second", (1234.0, 1234.2, 1234.4), ["1,234", "+0.2", "+0.4"]),
        ("rss", (2 << 30, (2 << 30) + 20_480, (2 << 30) + 40_960), ["2.000G", "+20K", "+40K"]),
        ("eval_runtime", (12.0, 12.1, 12.2), ["12s", "+0.1s", "+0.2s"]),
        ("loss", (-0.69313, -0.693115, -0.69310), ["-0.693", "+1e-5", "+3e-5"]),
    ],
)
def test_labels_of_a_small_range_are_told_apart(key: str, values: tuple[float, ...], texts: list[str]) -> None:
    metric = Metric(key, "step", key)
    assert metric.ticks(values, nice_step(values[-1] - values[0], 16)) == texts
    assert all(len(text) <= LONGEST_TICK for text in texts)


def test_a_score_reads_as_wherever_else_it_stands() -> None:
    # 583 of 800: columns hold it with seven digits, which would round the other way.
    for score in (583 / 800, 0.12345, 0.98765):
        assert Metric("test_accuracy", "eval test", "test_accuracy").text(float(np.float32(score))) == f"{score:.4f}"


def test_labels_of_a_small_range_on_a_logarithmic_scale_are_told_apart() -> None:
    metric = Metric("loss", "step", "loss")
    assert metric.ticks((0.01, 0.1, 1.0), 0.05, log=True) == ["1e-2", "1e-1", "1e0"]
    assert metric.ticks((0.691, 0.692, 0.694), 2e-4, log=True) == ["0.6910", "+0.001", "+0.003"]


@given(
    st.floats(-1e6, 1e6, allow_subnormal=False),
    st.floats(1e-7, 1e5),
    st.sampled_from(["loss", "rss", "eta", "samples_per_second", "learning_rate"]),
    st.booleans(),
)
def test_no_two_labels_of_an_axis_are_alike(low: float, span: float, key: str, log: bool) -> None:
    low = abs(low) + 1e-3 if log else low
    low, high = nice_bounds(low, low + span)
    values = [low, low + (high - low) * 0.4, high]
    assume(values[1] > low and high - low > 1e-9 * abs(high) and (key != "rss" or high - low > 8192))
    texts = Metric(key, "step", key).ticks(values, nice_step(high - low, 16), log=log)
    assert len(set(texts)) == len(texts)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of 200 steps."""
    path = make_run(tmp_path / "runs", "watched", steps=STEPS)
    write_events(path, run_events(STEPS))
    return path


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("NSMC_TUI_CACHE", str(tmp_path / "cache"))


async def opened(pilot: Pilot, condition: Callable[[ChartGrid], object] | None = None) -> ChartGrid:
    """The grid, once the run is drawn."""
    app = pilot.app
    await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and bool(app.screen.query(ChartGrid)))
    grid = app.screen.query_one(ChartGrid)
    await until(pilot, lambda: grid.metrics and (condition is None or condition(grid)))
    return grid


def caption(app: NsmcTuiApp, title: str) -> str:
    """What stands beside a chart's title, up to the next chart."""
    for line in screen_text(app).split("\n"):
        match = re.search(rf"[› ] {re.escape(title)}(.*?)(?:  [› ] ?[a-zA-Z]|$)", line)
        if match:
            return match.group(1).strip()
    raise AssertionError(f"no chart {title}:\n{screen_text(app)}")


async def test_every_line_is_a_chart_and_a_pattern_chooses(run: Path) -> None:
    more: list[dict[str, Any]] = [
        {"v": 1, "ts": 1.75e9 + n, "type": "device", "index": 0, "util": 50 + n, "name": "x"} for n in range(3)
    ]
    figures = {"dev_mem_cpu_alloc_delta": 4096.0}
    scored = {"v": 1, "type": "eval", "split": "dev", "metrics": figures}
    more += [{**scored, "ts": 1.75e9 + step, "step": step} for step in (STEPS - 1, STEPS)]
    write_events(run, [*more, step_event(STEPS + 1, STEPS, my_own_number=3.5, note="text", flag=True)])
    app = NsmcTuiApp(run.parent, run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        grid = await opened(pilot)
        keys = [metric.key for metric in grid.metrics]
        assert keys[:4] == ["loss", "eval_accuracy", "eval_loss", "learning_rate"]
        assert {"gpu0/util", "rss", "grad_norm"} <= set(keys)
        # A value alone is no line: it stands in the table.
        assert [metric.key for metric in grid.values] == ["my_own_number"]
        assert re.search("one value each *\n *my_own_number +3.5000", screen_text(app))
        # Bytes come last, whatever they are called.
        assert set(keys[-2:]) == {"rss", "dev_mem_cpu_alloc_delta"}
        # A schedule is drawn as it was set, what is measured as its average.
        rate, loss = (next(metric for metric in grid.metrics if metric.key == key) for key in ("learning_rate", "loss"))
        assert grid.sources[0].smooth(rate, 0.9) is None
        assert grid.sources[0].smooth(loss, 0.9) is not None
        assert not {"note", "flag", "max_steps", "v"} & set(keys)
        await pilot.press("slash")
        await until(pilot, lambda: app.screen.query_one("#metric-filter", Input).has_focus)
        await pilot.press(*"^eval_|norm")
        await until(pilot, lambda: [m.key for m in grid.metrics] == ["eval_accuracy", "eval_loss", "grad_norm"])
        await pilot.press("enter")
        await until(pilot, lambda: grid.has_focus)
        await until(pilot, lambda: tomllib.loads(settings_file().read_text())["monitor"]["filter"] == "^eval_|norm")
        await pilot.press("slash", *"zzz[")
        await until(pilot, lambda: "No metric fits" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: len(grid.metrics) == len(keys))
        await pilot.press("slash", *"own")
        await until(pilot, lambda: not grid.metrics and "my_own_number" in screen_text(app))
        assert "No metric fits" not in screen_text(app)


async def test_the_cursor_reads_all_charts_at_once(run: Path) -> None:
    app = NsmcTuiApp(run.parent, run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        grid = await opened(pilot)
        smooth = plain_ema([float(np.float32(loss_at(step))) for step in range(1, STEPS + 1)], 0.9)
        assert caption(app, "loss") == f"{loss_at(STEPS):.4f} ~{smooth[-1]:.4f}"
        await pilot.press("c", "left", "left", "left")
        await until(pilot, lambda: grid.cursor is not None and grid.cursor < STEPS)
        step = round(grid.cursor or 0)
        await until(pilot, lambda: f"step {grid.cursor:,.0f}" in screen_text(app))
        assert caption(app, "loss") == f"{loss_at(step):.4f} ~{smooth[step - 1]:.4f}"
        assert caption(app, "gradient norm").startswith(f"{1.0 + step % 7:.4f} ~")
        # Evaluations are read at the nearest one, and never smoothed.
        assert caption(app, "dev accuracy") == f"{0.8 + 200 / 10_000:.4f}"
        await pilot.press("g")
        await until(pilot, lambda: caption(app, "loss") == f"{loss_at(1):.4f}")
        await pilot.press("enter")
        await until(pilot, lambda: grid.enlarged and "smoothed" in screen_text(app))
        assert re.search(rf"^ +1 +{loss_at(1):.4f} +{loss_at(1):.4f}", screen_text(app), re.M)
        await pilot.press("escape")
        await until(pilot, lambda: grid.cursor is None and grid.enlarged)
        await pilot.press("escape")
        await until(pilot, lambda: not grid.enlarged)


async def test_axes_zoom_pan_and_hold(run: Path) -> None:
    app = NsmcTuiApp(run.parent, run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        grid = await opened(pilot)
        assert grid.bounds()[0] == (1.0, float(STEPS))
        for name, last in (("epoch", STEPS / 100), ("samples", STEPS * BATCH), ("time", 2 * STEPS - 2)):
            await pilot.press("x")
            await until(pilot, lambda name=name: grid.choices.axis == name)
            assert grid.bounds()[0][1] == pytest.approx(last, rel=0.02)
        await pilot.press("x", "plus")
        await until(pilot, lambda: grid.choices.axis == "step" and grid.view.width is not None)
        left, right = grid.bounds()[0]
        assert (right, round(right - left, 1)) == (STEPS, 99.5)
        await pilot.press("h")
        await until(pilot, lambda: grid.bounds()[0][1] < STEPS and "held" in screen_text(app))
        await pilot.press("l")
        await until(pilot, lambda: grid.view.right is None and "following" in screen_text(app))
        await pilot.press("f")
        await until(pilot, lambda: grid.view.right is not None)
        write_events(run, [step_event(STEPS + 50, STEPS)])
        await until(pilot, lambda: grid.bounds()[1][1] == STEPS + 50)
        assert grid.bounds()[0][1] == STEPS
        await pilot.press("0")
        await until(pilot, lambda: grid.bounds()[0] == (1.0, STEPS + 50.0))
        await pilot.press("minus", "w", "Y")
        await until(pilot, lambda: grid.choices.log == ["loss"] and grid.choices.smoothing == 0.97)
        await until(pilot, lambda: "loss (log)" in screen_text(app))
        await until(pilot, lambda: tomllib.loads(settings_file().read_text())["monitor"]["log"] == ["loss"])
    kept = tomllib.loads(settings_file().read_text())["monitor"]
    assert Choices.of(kept) == grid.choices
    assert Choices.of({"axis": 3, "smoothing": "x", "log": [1], "columns": 99, "filter": None}) == Choices()


async def test_other_runs_are_laid_over_with_sign_and_legend(run: Path) -> None:
    other = make_run(run.parent, "other", steps=100)
    write_events(other, [{**event, "loss": 0.9} if event["type"] == "step" else event for event in run_events(100)])
    app = NsmcTuiApp(run.parent)
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(MonitorScreen(run, [other]))
        grid = await opened(
            pilot, lambda grid: len(grid.sources) == 2 and grid.sources[1].telemetry.tracks["step"].count
        )
        await until(pilot, lambda: "1 1200 watched  2 1200 other" in screen_text(app))
        await until(pilot, lambda: caption(app, "loss").endswith("2:~0.9000"))
        text = screen_text(app)
        plot = "\n".join(line[:38] for line in text.split("\n")[4:12])
        assert "1" in plot
        assert "2" in plot
        await pilot.press("c")
        await until(pilot, lambda: caption(app, "loss").startswith("1:~"))
        assert grid.sources[1].telemetry.steps[-1] == 100
        await pilot.press("escape", "O")
        await until(pilot, lambda: len(grid.sources) == 1 and "2 1200 other" not in screen_text(app))


async def test_evaluations_checkpoints_and_the_best_one_are_marked(run: Path) -> None:
    app = NsmcTuiApp(run.parent, run=run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "⠤" in screen_text(app) or "⣀" in screen_text(app))
        rows = screen_text(app).split("\n")[5:12]
        loss, accuracy = ("".join(row[start : start + 40] for row in rows) for start in (0, 40))
        assert (loss.count("+"), loss.count("*")) == (3, 1)
        assert (accuracy.count("o"), accuracy.count("*")) == (3, 1)


async def test_a_spike_and_gaps_are_seen_and_counted(tmp_path: Path) -> None:
    path = make_run(tmp_path, "nan", steps=3000)
    events = [
        step_event(step, 3000, loss=None if 100 <= step < 110 else 9.0 if step == 1234 else 0.5)
        for step in range(1, 3001)
    ]
    write_events(path, events)
    app = NsmcTuiApp(tmp_path, run=path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "loss (10 NaN)" in screen_text(app))
        rows = [line[:38] for line in screen_text(app).split("\n")]
        top = next(number for number, line in enumerate(rows) if "loss" in line) + 1
        # The raw line is drawn up to the spike though the smoothed one hardly shows it.
        assert any(0x2800 < ord(sign) <= 0x28FF for sign in rows[top] + rows[top + 1])


async def test_a_long_log_is_shown_at_once_and_read_to_the_end(tmp_path: Path) -> None:
    steps = 24_000
    path = make_run(tmp_path, "long", steps=steps)
    write_events(path, run_events(steps))
    assert (path / "events.jsonl").stat().st_size > 4 << 20
    feed = RunFeed(path)
    seen = []
    for news, share in feed._look():
        feed._take(news, share)
        if news.sample:
            assert feed.behind
            assert feed.telemetry.steps[-1] == steps
            assert len(feed.telemetry.steps) < steps
        seen.append(share)
    assert not feed.behind
    assert seen == sorted(seen)
    cache = LogCache(path / "events.jsonl", (path / "events.jsonl").stat())
    assert list(cache.read())[-1].end == (path / "events.jsonl").stat().st_size
    np.testing.assert_array_equal(feed.telemetry.steps, np.arange(1, steps + 1))
    app = NsmcTuiApp(tmp_path, run=path)
    async with app.run_test(size=(160, 48)) as pilot:
        grid = await opened(pilot)
        await until(
            pilot, lambda: not app.screen._feed.behind and grid.sources[0].telemetry.tracks["step"].count == steps
        )
        assert len(app.screen._feed.telemetry.evals) == 4
        await pilot.press("plus", "plus", "plus", "c", "left", "Y", "x", "w", "n", "p", "right_square_bracket")
        await until(pilot, lambda: grid.choices.columns > 0)
        text = screen_text(app)
        assert not control_bytes(text)


async def test_states_without_figures_say_so(tmp_path: Path) -> None:
    queued = make_run(tmp_path, "queued", state="queued")
    app = NsmcTuiApp(tmp_path, run=queued)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "the first figures come with the first step" in screen_text(app))
        write_status(queued, {"state": "failed", "error": "no memory", "hint": "smaller batch", "updated": 1.0})
        await until(pilot, lambda: "no memory" in screen_text(app) and "This run told no figures" in screen_text(app))
        await pilot.press("enter", "c", "plus", "l", "n", "Y", "left", "g", "minus", "0", "f", "x", "w", "O")
        await until(pilot, lambda: any("No other run is marked" in told.message for told in app._notifications))


def test_a_resumed_run_forgets_what_it_trains_again(tmp_path: Path) -> None:
    path = make_run(tmp_path, "resumed", steps=10)
    write_events(path, run_events(120))
    feed = RunFeed(path)
    assert feed.poll()
    assert feed.telemetry.steps[-1] == 120
    write_events(path, [{"v": 1, "ts": 2e9, "type": "run_started", "resumed_from": 60, "config": {}}])
    write_events(path, [step_event(step, 120, loss=9.0) for step in (61, 62)])
    assert feed.poll()
    assert feed.telemetry.steps[-1] == 62
    assert feed.telemetry.values("loss")[-1] == 9.0
    assert feed.telemetry.tracks["eval dev"].count == 1
    # Half a record, then its other half; a line that is no record.
    with (path / "events.jsonl").open("a") as file:
        file.write('{"v":1,"ts":3,"type":"step","step":63,')
    feed.poll()
    assert feed.telemetry.steps[-1] == 62
    with (path / "events.jsonl").open("a") as file:
        file.write('"loss":1.5}\nrubbish\n')
    feed.poll()
    assert feed.telemetry.steps[-1] == 63
    assert feed.telemetry.skipped == 1
    # The log was replaced by a shorter one.
    (path / "events.jsonl").write_text("")
    write_events(path, [step_event(5, 10)])
    feed.poll()
    assert feed.telemetry.steps.tolist() == [5]


def test_a_track_is_found_by_its_own_axis() -> None:
    track = Track()
    track.extend(np.array([[10.0, 20.0], [5.0, 6.0], [0.1, 0.2]]), ("a",), np.array([[1.0, 2.0]], np.float32))
    assert [track.places[axis].first_from(value) for axis, value in (("step", 15), ("time", 6), ("epoch", 0.3))] == [
        1,
        1,
        2,
    ]
