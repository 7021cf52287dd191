"""The short way of a key to its binding.

Textual sends a key through the queues of all widgets from the focused one to the app, which looks for a binding when
nobody took it: a millisecond and a half in Review. Where nobody on that way listens to keys, and nothing waits in their
queues that was there before the key, the app can look at once, to the same effect.

The queues' names are private; where they are others, every key takes the long way.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from textual import events
from textual.app import App
from textual.message_pump import MessagePump
from textual.widget import Widget

from tui import collecting
from tui.type_ahead import TypeAheadApp

# Less than the time between two repeats of a key held down; what a key asks for is mostly done within.
SOON = 0.03


class QuickKeys(TypeAheadApp[None]):
    """An app whose keys go the short way where there is one."""

    # The latest that went through the widgets and has not come back.
    _key_on_its_way: events.Key | None = None
    # Until when a key counts as one that comes right after one on the short way.
    _soon_until = 0.0

    async def on_event(self, event: events.Event) -> None:
        """Give a key to its binding, or to the widgets."""
        if isinstance(event, events.InputEvent):
            # The mouse counts, too: whoever moves it looks.
            collecting.key_pressed()
        if isinstance(event, events.Key):
            before = self._key_on_its_way
            if event.is_forwarded:
                if event is before:
                    self._key_on_its_way = None
            elif event.time < self._soon_until:
                self._key_on_its_way = event
                self.settle_first()
            elif (before is None or before._stop_propagation) and self.settled and way_is_free(self):
                # What Textual does before it sends a key on, and when it has come back.
                self.app_focus = True
                self.screen._clear_tooltip()
                if not await self._check_bindings(event.key, priority=True):
                    await self._check_bindings(event.key)
                self._soon_until = time.monotonic() + SOON
                return
            else:
                self._key_on_its_way = event
        await super().on_event(event)


def way_is_free(app: App[Any]) -> bool:
    """Whether a key that has just come to `app` would reach it again at once, and as it is."""
    if app.screen.maximized is not None or not _nothing_waits(app):
        return False
    node: MessagePump | None = app.focused or app.screen
    while node is not None and node is not app:
        if _listens(type(node)) or not _rests(node):
            return False
        node = node._parent
    return node is app


def _nothing_waits(app: App[Any]) -> bool:
    """Whether nothing came after the message that the app is busy with."""
    return app._pending_message is None and app._message_queue.empty()


def _rests(node: MessagePump) -> bool:
    """Whether `node` waits for messages: nothing is in its queue, under way or put off."""
    queue: Any = node._message_queue
    waits = bool(getattr(getattr(queue, "ready_event", None), "_waiters", ()))
    return waits and queue.empty() and not node._next_callbacks


@lru_cache(maxsize=256)
def _listens(kind: type[MessagePump]) -> bool:
    """Whether widgets of this class do anything with keys but look for a binding."""
    if any(name.startswith("key_") for name in dir(kind)) or getattr(kind, "handle_key", None) is not Widget.handle_key:
        return True
    for base in kind.__mro__:
        found = vars(base)
        if "on_key" in found or ("_on_key" in found and base is not Widget):
            return True
        if events.Key in found.get("_decorated_handlers", {}):
            return True
    return False
