"""How many colours, and which signs, the terminal can show: found out in one place, and what the user says instead.

Depths are `truecolor`, `256`, `16` and `none`. The environment decides as it does for rich (COLORTERM, TERM,
NO_COLOR), except that a dumb terminal has no colours. `NSMC_TUI_COLOURS` and the setting `colours` overrule it;
`NSMC_TUI_ASCII` and the setting `ascii` ask for drawing without box and block characters, whose width (one cell or
two) terminals with East Asian fonts disagree about.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rich.color import ColorSystem
from textual.app import App
from textual.filter import Monochrome
from textual.widget import Widget

from core.settings import load_settings
from tui.plain_signs import PlainSigns
from tui.terminal_wishes import DEPTHS, ascii_wanted, wanted_depth

_SYSTEMS = {
    "truecolor": ColorSystem.TRUECOLOR,
    "256": ColorSystem.EIGHT_BIT,
    "16": ColorSystem.STANDARD,
    "none": None,
}


def depth_of(app: App[Any]) -> str:
    """The depth (one of DEPTHS) that `app` is drawn in."""
    if app.no_color:
        return "none"
    system = app.console.color_system
    return {"truecolor": "truecolor", "256": "256", None: "none"}.get(system, "16")


def ascii_of(app: App[Any]) -> bool:
    """Whether `app` is drawn without box and block characters."""
    return bool(getattr(app, "ascii_drawing", False))


def set_depth(app: App[Any], depth: str) -> None:
    """Draw `app` in `depth` (one of DEPTHS) from its next frame on."""
    # Neither Textual nor rich has a public way to change these after the app was made.
    app.console._color_system = _SYSTEMS[depth] or ColorSystem.TRUECOLOR
    app.no_color = depth == "none"
    filters = [kept for kept in app._filters if not isinstance(kept, Monochrome)]
    app._filters = [*filters, Monochrome()] if app.no_color else filters
    _tell_style_sheets(app)


def next_depth(app: App[Any]) -> str:
    """Draw `app` in the next of DEPTHS until it ends; which one that is."""
    depth = DEPTHS[(DEPTHS.index(depth_of(app)) + 1) % len(DEPTHS)]
    set_depth(app, depth)
    _draw_anew(app)
    return depth


def set_ascii(app: App[Any], wanted: bool) -> None:
    """Draw `app` without box and block characters, or with them."""
    app.ascii_drawing = wanted  # type: ignore[attr-defined]
    # The list has no public way in: Textual calls its filters its own.
    kept = [one for one in app._filters if not isinstance(one, PlainSigns)]
    app._filters = [*kept, PlainSigns()] if wanted else kept
    # For rules in style sheets.
    app.set_class(wanted, "-ascii")
    if app.is_running:
        _draw_anew(app)
        # Some keys have another name then, also on screens below a dialog.
        for screen in app.screen_stack:
            screen.refresh_bindings()
            # A new theme leaves alone what has its colours from elsewhere.
            for widget in screen.walk_children(Widget):
                widget.refresh()


def prepare(app: App[Any], environ: Mapping[str, str] = os.environ) -> None:
    """Give `app`, which has just been made, the depth and the signs that the user or the terminal asks for."""
    depth = wanted_depth(environ, load_settings()["colours"])
    if depth is not None:
        set_depth(app, depth)
    _tell_style_sheets(app)
    set_ascii(app, ascii_wanted(environ))


def _tell_style_sheets(app: App[Any]) -> None:
    # The palette has one ground: what another one would set apart needs a line around it.
    app.set_class(depth_of(app) == "16", "-sixteen")


def _draw_anew(app: App[Any]) -> None:
    # What a theme does when it is changed: texts that were given their colours are made anew, styles are read again.
    app.mutate_reactive(App.theme)
    app.refresh_css(animate=False)
