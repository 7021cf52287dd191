"""Signs of ours among text of others, which is drawn as it is (`tui.plain_signs.TextOfOthers`)."""

from __future__ import annotations

from typing import Any

from textual.app import App

from tui.colour_depth import ascii_of
from tui.plain_signs import plain_sign


def sign_for(app: App[Any], sign: str) -> str:
    """`sign` (of ours, not text of others) as `app` is drawn: in ASCII where that is asked for."""
    return plain_sign(sign, plain=ascii_of(app))
