"""Which key means what where: one table of all declarations, to be read when it changes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from syrupy.assertion import SnapshotAssertion
from textual.binding import Binding
from textual.dom import DOMNode

import tui.screens
import tui.widgets
from tui import app, app_alerts
from tui.keymap import TWO_SET


def declared() -> Iterator[tuple[str, str, Binding]]:
    """Each key with the class that declares it."""
    modules = [app, app_alerts]
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
