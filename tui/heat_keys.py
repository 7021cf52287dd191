"""The keys that choose layer and head, the same on the screens beside Review that have little else at the bottom."""

from __future__ import annotations

from textual.binding import BindingType

from core.i18n import N_
from tui.keymap import key

LAYER_AND_HEAD: tuple[BindingType, ...] = (
    key("l", "layer(1)", N_("Layer, head"), N_("Next layer; the mean comes after the last"), show=True, display="l h"),
    key("L", "layer(-1)", N_("Layer back"), N_("Layer before")),
    key("h", "head(1)", N_("Head"), N_("Next head; the mean comes after the last")),
    key("H", "head(-1)", N_("Head back"), N_("Head before")),
)
"""Bindings for a screen with `action_layer` and `action_head`."""
