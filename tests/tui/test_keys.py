"""Which key means what where: one table of all declarations, to be read when it changes."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.binding import Binding
from textual.dom import DOMNode

import tui.app
import tui.screens
import tui.widgets
from tests.tui.chart_runs import make_run
from tests.tui.gallery import QuietApp
from tests.tui.test_screens import screen_text, until
from tui import app_alerts
from tui.keymap import TWO_SET, out_of_reach
from tui.screens.confirm import ConfirmScreen
from tui.screens.help import HelpScreen
from tui.screens.monitor import MonitorScreen
from tui.screens.pick import PickScreen


def declared() -> Iterator[tuple[str, str, Binding]]:
    """Each key with the class that declares it."""
    modules = [tui.app, app_alerts]
    for package in (tui.screens, tui.widgets):
        names = (found.name for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."))
        modules += [importlib.import_module(name) for name in names]
    for module in modules:
        for found in vars(module).values():
            if not (isinstance(found, type) and issubclass(found, DOMNode) and found.__module__ == module.__name__):
                continue
            for binding in found.__dict__.get("BINDINGS", ()):
                if isinstance(binding, Binding) and binding.id == binding.action and binding.description:
                    for name in binding.key.split(","):
                        yield name, found.__name__, binding


async def test_capitals_with_hangul_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(tmp_path / "settings.toml"))
    make_run(tmp_path / "runs", "one", metrics={"test_accuracy": 0.8912})
    run = make_run(tmp_path / "runs", "two", metrics={"test_accuracy": 0.8812})
    app = QuietApp(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "0.8912" in screen_text(app) and "0.8812" in screen_text(app))
        runs = app.screen
        for letter, screen in (("ㄴ", PickScreen), ("ㅌ", ConfirmScreen), ("ㅇ", ConfirmScreen)):
            await pilot.press(letter)
            await until(pilot, lambda: isinstance(app.screen, screen))  # noqa: B023
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is runs)
        await pilot.press("ㅑ")
        await until(pilot, lambda: "oldest first" in screen_text(app))
        await pilot.press("ㅜ")
        await until(pilot, lambda: "tags, note" in screen_text(app))
        await pilot.press("escape")
        # ㅊ is c, which is another key: the capital is in the palette, and help tells so.
        assert out_of_reach(runs) == ["C"]
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("end")
        await until(pilot, lambda: re.search(r" C +while Hangul is typed", screen_text(app)))
        await pilot.press("escape")
        app.show_run(run, "monitor")
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        assert "A" not in out_of_reach(app.screen)
        assert "L" in out_of_reach(app.screen)


def test_the_table_of_keys(snapshot: SnapshotAssertion) -> None:
    korean = set(TWO_SET.values())
    table: dict[str, dict[str, list[str]]] = {}
    for name, owner, binding in declared():
        if name not in korean:
            table.setdefault(name, {}).setdefault(binding.description, []).append(owner)
    lines = []
    for name, meanings in sorted(table.items(), key=lambda entry: (len(entry[0]), entry[0].casefold(), entry[0])):
        lines.append(name)
        lines += [f"    {meaning}: {', '.join(sorted(owners))}" for meaning, owners in sorted(meanings.items())]
    assert "\n".join(lines) + "\n" == snapshot
