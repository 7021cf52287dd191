"""One quiet line that tells what became of orders; it is always there, so that nothing jumps."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from core import formats
from core.order_log import Order
from core.text import visible

# A mark a state, and the colour that goes with it.
MARKS = {
    "pending": ("○", "dim"),
    "taken": ("◐", "accent"),
    "done": ("✓", "success"),
    "refused": ("✗", "error"),
    "lapsed": ("–", "dim"),
}


class OrderLine(Static):
    """Draws orders, the newest first, as many as fit."""

    DEFAULT_CSS = "OrderLine { height: 1; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__("", id="orders", markup=False)
        self._told: tuple[list[tuple[Order, str]], int] | None = None

    def show(self, told: list[tuple[Order, str]], me: str = "") -> None:
        """Show orders with the words for their state; those of others than `me` carry the sender's name."""
        width = self.content_size.width
        if (told, width) == self._told:
            return
        self._told = (told, width)
        variables = self.app.theme_variables
        text = Text(no_wrap=True, overflow="ellipsis")
        for order, word in told:
            mark, tone = MARKS.get(order.state, MARKS["pending"])
            one = Text("    " if text else "")
            one.append(f"{mark} ", style="dim" if tone == "dim" else variables.get(tone, ""))
            action = visible(formats.order(order.action))
            one.append(action, style="" if order.over else "bold")
            details = [visible(order.target) if order.target != order.result else "", visible(word)]
            # In Korean a pause and being paused are one word.
            one.append("".join(f" · {part}" for part in details if part not in ("", action)), style="dim")
            if order.by and order.by != me:
                one.append(f" ({visible(order.by)})", style="dim")
            if text and text.cell_len + one.cell_len > width:
                break
            text.append_text(one)
        self.update(text, layout=False)
