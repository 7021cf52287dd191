"""What the user says about colours and signs, for the app and for commands alike: environment first, then settings.

Apart from `tui.colour_depth`, which applies it to an app, because commands must not wait for textual.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from core.settings import load_settings

DEPTHS = ("truecolor", "256", "16", "none")


def wanted_depth(environ: Mapping[str, str], setting: str | None) -> str | None:
    """The depth to overrule the terminal's own with: what the user says, `none` for a dumb terminal, else None."""
    for wish in (environ.get("NSMC_TUI_COLOURS"), setting):
        if wish in DEPTHS:
            return wish
    if environ.get("TERM", "") in ("dumb", "unknown") and not environ.get("COLORTERM"):
        # Textual takes it for one with all colours.
        return "none"
    return None


def wants_ascii(environ: Mapping[str, str], setting: bool) -> bool:
    """Whether the user asks for ASCII drawing; the environment goes before the setting."""
    wish = environ.get("NSMC_TUI_ASCII", "").strip().lower()
    return wish not in ("0", "no", "false") if wish else setting


def ascii_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the user asks for ASCII drawing (`--ascii`, NSMC_TUI_ASCII, the setting `ascii`), outside the app."""
    return wants_ascii(environ, bool(load_settings()["ascii"]))
