"""Our signs in ASCII, for terminals that have no others or disagree about their width."""

from __future__ import annotations

from typing import Any

from textual.app import App

from tui.colour_depth import ascii_of

# One cell for one cell, and a sign of its own for every state of a run.
_PLAIN = str.maketrans(
    {
        "○": "o",
        "●": "*",
        "◐": "~",
        "‖": "=",
        "✓": "+",
        "■": "#",
        "✗": "x",
        "†": "X",
        "⚠": "!",
        "◇": "<",
        "★": "*",
        "↑": "^",
        "↓": "v",
        "▌": ">",
        "›": ">",
        "→": ">",
        "•": "*",
        "·": ".",
        "–": "-",
    }
)


def plain_sign(sign: str, *, plain: bool) -> str:
    """`sign` (of ours, not text of others), in ASCII where `plain` asks for it."""
    return sign.translate(_PLAIN) if plain else sign


def sign_for(app: App[Any], sign: str) -> str:
    """`sign` (of ours, not text of others) as `app` is drawn: in ASCII where that is asked for."""
    return plain_sign(sign, plain=ascii_of(app))
