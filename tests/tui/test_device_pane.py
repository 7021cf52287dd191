"""The device pane on GPUs, on many of them, without any; and the picker for the form."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.widgets import OptionList

from core.i18n import set_language
from tests.core.fake_nvml import FakeGpu, NoPermissionError, installed, process
from tests.tui.machine_helpers import GIB, emit, emit_gpus, emit_host, emit_steps, gpu_fields, letters, live_run
from tests.tui.test_screens import control_bytes, screen_text, until
from tui.app import NsmcTuiApp
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
        words = {"en": "No sample yet", "ko": "아직 표본이"}[language] if kind == "empty" else "12,345"
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
