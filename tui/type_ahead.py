"""Keys typed ahead wait for what the key before them asked for.

Textual hands every key to what has the focus at that moment. What a key leads to (a field opens, a screen comes) runs
through the message queues of several widgets, so that of keys that arrive together, as they do after a stall of the
line, the later ones would reach the wrong place: of `enter` and a value, the value would be taken for keys of the list.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from textual import events
from textual.app import App, ReturnType
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widget import Widget

# What a handler posts to its own widget is behind the first note that passes through its queue, not behind the second.
ROUNDS = 2
# A screen that comes brings a new focus, whose start may bring another.
ROUTES = 4
# Something that takes longer holds no key back.
PATIENCE = 1.0


class TypeAheadApp(App[ReturnType]):
    """Hands on one key (or paste) at a time.

    After each one a note goes through the queues from the focused widget up to the app; when it has come through, and
    focus and screen are the same as when it left, the next key is handed on. A key that finds nobody waiting goes
    straight through.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._ahead: deque[events.Key | events.Paste] = deque()
        self._settles_by: float | None = None
        # The number of the note that counts: one that comes too late finds that another key has been handed on.
        self._note = 0

    async def on_event(self, event: events.Event) -> None:
        """Hand a key on, or keep it until the one before is done with."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
        elif self._settles_by is None or time.monotonic() >= self._settles_by:
            self._ahead.append(event)
            await self._hand_on()
        else:
            self._ahead.append(event)
            self.set_timer(PATIENCE, self._hand_on_overdue)

    @property
    def settled(self) -> bool:
        """Whether no key is being handed on, and none waits."""
        return self._settles_by is None

    def settle_first(self) -> None:
        """Let the next key wait for what was asked for outside of `on_event`."""
        if self._settles_by is None:
            self._settles_by = time.monotonic() + PATIENCE
            self._note += 1
            self._settle(self._note, ROUTES)

    async def _hand_on(self) -> None:
        self._settles_by = time.monotonic() + PATIENCE
        self._note += 1
        try:
            await super().on_event(self._ahead.popleft())
        finally:
            self._settle(self._note, ROUTES)

    def _place(self) -> tuple[Screen[Any] | None, Widget | None]:
        return (self.screen, self.focused) if self._screen_stack else (None, None)

    def _settle(self, note: int, routes: int) -> None:
        """Send a note from the focused widget up to the app; `routes` at most, as long as the focus goes elsewhere."""
        screen, focused = self._place()
        nodes: Iterable[MessagePump] = (focused or screen or self).ancestors_with_self
        self._pass_on(note, [node for node in nodes for _ in range(ROUNDS)], (screen, focused), routes)

    def _pass_on(self, note: int, nodes: list[MessagePump], start: tuple[object, object], routes: int) -> None:
        while nodes:
            node = nodes.pop(0)
            # A node that is going away takes nothing any more.
            if node.call_later(self._pass_on, note, nodes, start, routes):
                return
        if note != self._note:
            return
        if routes > 1 and self._place() != start:
            self._settle(note, routes - 1)
        elif self._ahead:
            self.call_later(self._hand_on_next, note)
        else:
            self._settles_by = None

    async def _hand_on_next(self, note: int) -> None:
        if note == self._note and self._ahead:
            await self._hand_on()

    async def _hand_on_overdue(self) -> None:
        if self._ahead and self._settles_by is not None and time.monotonic() >= self._settles_by:
            await self._hand_on()
