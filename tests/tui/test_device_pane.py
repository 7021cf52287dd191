"""The device pane on GPUs, on many of them, without any; and the picker for the form."""

from __future__ import annotations

import math
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.widgets import OptionList

from core.i18n import set_language
from core.runs import Run
from tests.core.fake_nvml import FakeGpu, NoPermissionError, installed, process
from tests.tui.machine_helpers import GIB, emit, emit_gpus, emit_host, emit_steps, gpu_fields, letters, live_run
from tests.tui.test_screens import control_bytes, screen_text, until
from tui.app import NsmcTuiApp
from tui.device_source import Source, choose, source_words
from tui.device_view import device_lines
from tui.machine_history import MachineHistory
from tui.screens.gpu_picker import GpuPicker, by_room
from tui.screens.monitor import MonitorScreen
from tui.sparkline import sparkline
from tui.widgets.device_panel import DevicePanel


def panel(app: NsmcTuiApp) -> str:
    """The letters of the pane, without the rest of the screen."""
    return letters(app, DevicePanel)


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
@pytest.mark.parametrize("kind", ["gpu", "cpu", "empty"])
async def test_device_pane(
    tmp_path: Path, snapshot: SnapshotAssertion, size: tuple[int, int], language: str, kind: str
) -> None:
    set_language(language)
    run = live_run(tmp_path, kind)
    if kind != "empty":
        emit_steps(run, gpu=kind == "gpu")
        emit_host(run)
    if kind == "gpu":
        emit_gpus(run)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and app.screen._feed.run is not None)
        if size[0] < 160:
            await pilot.press("d")
        words = {"en": "No sample yet", "ko": "아직 측정값이"}[language] if kind == "empty" else "12,345"
        await until(pilot, lambda: words in panel(app))
        assert panel(app) == snapshot
        assert all(len(line) <= size[0] for line in panel(app).split("\n"))
        assert not control_bytes(screen_text(app))


async def test_the_pane_takes_the_logs_place_and_gives_it_back(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    emit_host(run)
    app = NsmcTuiApp(tmp_path, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and app.screen.query("#log-pane"))
        assert app.screen.query_one("#log-pane").display
        await pilot.press("d")
        await until(pilot, lambda: "143%" in screen_text(app) and not app.screen.query_one("#log-pane").display)
        emit(run, "host", worker_cpu=77.0, worker_rss=GIB, cpu=1.0, memory_used=GIB, memory_total=2 * GIB)
        await until(pilot, lambda: "77%" in screen_text(app))
        await pilot.press("d")
        await until(pilot, lambda: app.screen.query_one("#log-pane").display)


def test_many_gpus_are_counted_where_they_do_not_fit() -> None:
    machine = MachineHistory()
    for index in range(8):
        machine.take({"type": "device", **gpu_fields(index, 50, 10.0)})
    lines = [line.plain for line in device_lines(machine, {}, 80, 8, lambda name: "")]
    assert len(lines) <= 8
    assert lines[0].startswith("gpu0")
    assert "more GPUs" in lines[-1]


def test_nothing_but_ascii_is_drawn_where_asked() -> None:
    machine = MachineHistory()
    machine.take({"type": "device", **gpu_fields(0, 50, 10.0)})
    plain, usual = (
        "\n".join(line.plain for line in device_lines(machine, {}, 120, 8, lambda name: "", ascii_only=wanted))
        for wanted in (True, False)
    )
    assert not set("▁▂▃▄▅▆▇█▸") & set(plain)
    assert set("▁▂▃▄▅▆▇█") & set(usual)


def test_odd_events_draw_something() -> None:
    machine = MachineHistory()
    nasty = {"name": "\x1b]0;x\x07[bold]", "processes": [{"user": "\x1b[31m", "pid": "x", "memory": "much"}, 3]}
    machine.take({"type": "device", "index": "zero", "util": math.nan, "memory_used": None, **nasty})
    machine.take({"type": "host", "cpu": "fast"})
    step = {"tokens_per_second": None, "padding": "none", "loader_stall": 7}
    lines = [line.plain for line in device_lines(machine, step, 60, 12, lambda name: "")]
    assert not control_bytes("\n".join(lines))
    assert any("␛" in line for line in lines)


def test_sparklines_show_the_newest_and_leave_gaps() -> None:
    assert sparkline([0.0, 0.6, 1.0], 3) == "▁▅█"
    assert sparkline([0.0, 0.6, 1.0], 2) == "▅█"
    assert sparkline([1.0, math.nan], 4) == "  █ "
    assert sparkline([0.0, 1.0], 2, ascii_only=True) == ".%"


async def test_the_picker_puts_the_emptiest_first_and_takes_several(tmp_path: Path) -> None:
    busy = FakeGpu(name="NVIDIA A100", used=70 * GIB, util=99, processes=[process(2**22 + 1, 69 * GIB)])
    hidden = FakeGpu(name="NVIDIA H100", used=20 * GIB, processes=NoPermissionError())
    with installed(busy, FakeGpu(used=GIB, util=0), hidden):
        app = NsmcTuiApp(tmp_path)
        async with app.run_test(size=(100, 30)) as pilot:
            chosen: list[str | None] = []
            app.push_screen(GpuPicker(), chosen.append)
            await until(pilot, lambda: "gpu2" in screen_text(app))
            choices = app.screen.query_one(OptionList)
            assert [option.id for option in choices.options] == ["1", "2", "0", "device-cpu", "device-any"]
            text = screen_text(app)
            assert "? 69.0 GB" in text
            assert "the driver does not tell" in text
            await pilot.press("enter")
            await until(pilot, lambda: chosen == ["1"])
            app.push_screen(GpuPicker("1"), chosen.append)
            await until(pilot, lambda: "gpu2" in screen_text(app))
            await pilot.press("space", "j", "enter")
            await until(pilot, lambda: chosen == ["1", "1,2"])
            app.push_screen(GpuPicker("cpu"), chosen.append)
            await until(pilot, lambda: "gpu2" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: chosen[2:] == ["cpu"])


async def test_the_form_takes_the_device_from_the_picker(tmp_path: Path) -> None:
    with installed(FakeGpu(), FakeGpu(used=0)):
        app = NsmcTuiApp(tmp_path, screen="new")
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: app.screen.query("ConfigForm"))
            form = app.screen
            form.query_one("ConfigForm").go_to("launch.device")  # type: ignore[attr-defined]
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, GpuPicker) and "gpu1" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: app.screen is form)
            assert form.model.text("launch.device") == "1"  # type: ignore[attr-defined]


def test_ties_go_to_the_idler_gpu() -> None:
    from core.device import Nvml

    with installed(FakeGpu(util=50), FakeGpu(util=3), FakeGpu(util=NoPermissionError(), used=0)):
        assert [gpu.index for gpu in by_room(Nvml().sample())] == [2, 1, 0]


async def test_the_app_looks_itself_where_the_worker_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.device_source.FRESH", 10.0)
    monkeypatch.setattr("tui.device_source.WAIT", 0.0)
    run = live_run(tmp_path)
    (run / "environment.json").write_text('{"cuda_visible_devices": "1"}')
    emit_host(run)
    ours = process(os.getpid(), 8 * GIB)
    with installed(FakeGpu(), FakeGpu(name="NVIDIA A100", util=42, processes=[ours, process(2**22 + 1)])):
        app = NsmcTuiApp(tmp_path, run=run)
        async with app.run_test(size=(160, 48)) as pilot:
            await until(pilot, lambda: app.screen.query("DevicePanel") and "A100" in panel(app))
            text = panel(app)
            assert "this app's look at this machine, now" in text
            assert "the worker's last sample" in text
            assert "gpu1" in text
            assert "gpu0" not in text
            assert f"this run {os.getpid()} 8.0 GB" in text
            # The worker speaks again, often enough to be listened to.
            for age in (1, 0):
                emit(run, "host", time.time() - age, worker_cpu=77.0, worker_rss=GIB, cpu=1.0)
            await until(pilot, lambda: "device  the worker's samples" in panel(app) and "77%" in panel(app))


async def test_a_run_at_rest_shows_this_machine_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.device_source.WAIT", 0.0)
    run = live_run(tmp_path, state="finished")
    emit_host(run)
    with installed():
        app = NsmcTuiApp(tmp_path, run=run)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: isinstance(app.screen, MonitorScreen) and app.screen._feed.run is not None)
            await pilot.press("d")
            await until(pilot, lambda: "143%" in panel(app))
            assert "the run's last sample, " in panel(app)
            assert "d: this machine now" in panel(app)
            await pilot.press("d")
            await until(pilot, lambda: "the driver knows of none here" in panel(app))
            assert "worker" not in panel(app)
            await pilot.press("d")
            await until(pilot, lambda: app.screen.query_one("#log-pane").display)


def test_whose_samples_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Run("r", Path("r"), "r", "running", 0.0, 0.0, host=socket.gethostname())
    told, slow, silent = (MachineHistory() for _number in range(3))
    for moment in (995.0, 997.0):
        told.take({"type": "host", "ts": moment})
    for moment in (900.0, 995.0):
        slow.take({"type": "host", "ts": moment})
    away, over = replace(here, host="elsewhere"), replace(here, state="crashed")
    monkeypatch.setattr("tui.device_source.FRESH", 10.0)
    monkeypatch.setattr("tui.device_source.WAIT", 2.0)
    cases = [
        (None, silent, Source.WORKER),
        (here, silent, Source.APP),
        (here, told, Source.WORKER),
        (here, slow, Source.APP),
        (away, silent, Source.WORKER),
        (replace(away, state="finished"), told, Source.LEFT),
        (over, told, Source.LEFT),
    ]
    assert [choose(run, worker, 3.0, 1000.0, asked=False) for run, worker, _source in cases] == [
        wanted for _run, _worker, wanted in cases
    ]
    assert choose(here, silent, 1.0, 1000.0, asked=False) is Source.WORKER
    assert choose(here, told, 3.0, 1009.0, asked=False) is Source.APP
    assert choose(over, told, 3.0, 1000.0, asked=True) is Source.APP
    assert choose(replace(away, state="finished"), told, 3.0, 1000.0, asked=True) is Source.LEFT
    assert "from elsewhere" in source_words(Source.WORKER, away, told, asked=False)


def test_limits_of_a_container_are_named() -> None:
    machine = MachineHistory()
    limits = {"cpus": 1.5, "cpu_limited": True, "memory_limited": True}
    machine.take({"type": "host", "cpu": 50.0, "memory_used": 2 * GIB, "memory_total": 8 * GIB, **limits})
    (_gpu, line) = (line.plain for line in device_lines(machine, {}, 80, 8, lambda name: "", trains=False))
    assert "50% of 1.5 cores   memory 2.0 GB of 8.0 GB (limit)" in line
