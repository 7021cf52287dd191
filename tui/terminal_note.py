"""A notification by the terminal itself: OSC 9, as iTerm2, kitty, WezTerm, foot and others know it."""

from __future__ import annotations

from collections.abc import Mapping

from core.text import visible

# Terminals show a line; a longer one would only be cut there.
LONGEST = 200


def osc9(text: str, environment: Mapping[str, str]) -> str:
    """The bytes that make the terminal show `text`; inside tmux wrapped so that it passes them on.

    tmux does so with `set -g allow-passthrough on` and drops them otherwise. Nothing in `text` can end the sequence.
    """
    note = f"\x1b]9;{visible(text)[:LONGEST]}\x07"
    if environment.get("TMUX"):
        return "\x1bPtmux;" + note.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    return note
