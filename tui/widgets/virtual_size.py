"""Telling a scroll view how much there is to scroll, without laying out the whole screen each time."""

from __future__ import annotations

from textual.geometry import Size
from textual.scroll_view import ScrollView


def set_virtual_size(view: ScrollView, size: Size) -> None:
    """Set `view.virtual_size`. The screen is laid out anew only where a scrollbar comes or goes.

    Assigning the attribute always lays it out, which draws every widget of the screen: most of what a key costs.
    """
    if size == view.virtual_size:
        return
    if not view.container_size:
        # Not laid out yet: that is to come anyway.
        view.virtual_size = size
        return
    view.set_reactive(ScrollView.virtual_size, size)
    view._scrollbar_changes.clear()
    view._scroll_update(size)
    view.refresh()
