"""Signs in ASCII, for terminals that have no others or disagree about their width.

`PlainSigns` is the one place that the app's lines pass: whatever is drawn comes out in ASCII where that is asked for,
except letters. Widgets that show reviews and other texts which must be seen as they are inherit from `TextOfOthers`;
they draw signs of their own with `tui.signs.sign_for`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

# One cell for one cell, and a sign of its own for every state of a run.
_SIGNS = {
    "○": "o",
    "●": "*",
    "◐": "~",
    "‖": "=",
    "✓": "+",
    "■": "#",
    "✗": "x",
    "✕": "x",
    "†": "X",
    "⚠": "!",
    "◇": "<",
    "★": "*",
    "☆": "*",
    "←": "<",
    "↑": "^",
    "→": ">",
    "↓": "v",
    "▌": ">",
    "▸": ">",
    "▾": "v",
    "›": ">",
    "•": "*",
    "·": ".",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "~",
    "×": "x",
    "±": "~",
    "≈": "~",
    "≤": "<",
    "≥": ">",
    "°": "'",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "␣": "_",
    "⌫": "<",
    "Δ": "d",
    "Σ": "S",
    "ρ": "r",
    "τ": "t",
    "█": "#",
    "▓": "%",
    "▒": "=",
    "░": "-",
    "▀": '"',
    "▄": "_",
}
_LINES = {**dict.fromkeys("─━┈╌═", "-"), **dict.fromkeys("│┃┊╎║", "|"), **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯", "+")}
# The ends of scrollbars and the edges of fields, whose ground tells them as well.
_EDGES = dict.fromkeys("▁▂▃▅▆▇▔▏▎▍▋▊▉▐▕", " ")
_PLAIN = str.maketrans({**_SIGNS, **_LINES, **_EDGES})


def plain_sign(sign: str, *, plain: bool) -> str:
    """`sign` (of ours, not text of others), in ASCII where `plain` asks for it."""
    return _in_ascii(sign) if plain else sign


def _in_ascii(text: str) -> str:
    """`text` without signs outside ASCII, as wide as before. What goes on ends in dots, what is cut in another sign."""
    return text.replace(" …", "..").translate(_PLAIN)


class PlainSigns(LineFilter):
    """Draws an app's lines without signs outside ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments of a line, each as wide as before."""
        return [
            part if part.text.isascii() else Segment(_in_ascii(part.text), part.style, part.control)
            for part in segments
        ]


class TextOfOthers:
    """What makes a widget show its letters as they are: a `…` in a review is no `~`. It stands before the widget.

    No widget itself: of several of those Textual would read the styles of the first alone.
    """

    def get_line_filters(self) -> Sequence[LineFilter]:
        """The app's, without the one for signs."""
        # Those of the widget that stands behind it, which mypy cannot know.
        every: Sequence[LineFilter] = super().get_line_filters()  # type: ignore[misc]
        return [kept for kept in every if not isinstance(kept, PlainSigns)]
