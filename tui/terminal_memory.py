"""What the terminal shows, cell by cell, so that a picture need not send what stands there already.

A cell is a letter and a look. Of a blank only what is seen of it counts: its ground. The cells that differ go over the
line look by look, not from left to right: in a map of weights the way to the next cell of the same colour takes a third
of the bytes that another colour takes.

Where terminals disagree about widths (emoji, joined and combining characters) nothing is known of a line from there on,
and what is drawn there is sent whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.cells import get_character_cell_size
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from tui.terminal_codes import BARE, Look, look_of, system_of

if TYPE_CHECKING:
    from rich.color import ColorSystem
    from textual.strip import Strip

EMOJI = "\U0001f000"
"""From here on terminals have widths of their own."""

BRIDGE = 4
"""Cells that did not change and are written all the same: a way around them takes as many bytes."""

KEPT_STYLES = 4096

Run = tuple[int, int, int, str]
"""Letters of one look: their line, their first and their end column, the letters."""


class TerminalMemory:
    """The cells of a terminal of `width` × `height`, as far as they are known."""

    def __init__(self) -> None:
        self._letters: list[list[str | None]] = []
        self._looks: list[list[Look]] = []
        # What was written as a whole is taken apart when it is asked for: of most pictures little is.
        self._noted: dict[int, list[tuple[int, Iterable[Segment]]]] = {}
        self._system: ColorSystem | None = None
        self._styles: dict[int, tuple[Style | None, Look | None]] = {}

    def forget(self) -> None:
        """Somebody else may have written to the terminal, or its size is another one."""
        self._letters, self._looks = [], []
        self._noted.clear()

    def begin(self, console: Console) -> None:
        """A picture for `console` is about to be written."""
        system = system_of(console)
        if system is not self._system:
            # The same colours are written in other ways: nothing that was compared before means anything.
            self.forget()
            self._styles.clear()
            self._system = system

    def noted(self, x: int, y: int, strips: Sequence[Strip]) -> bool:
        """Whether `strips` stand in line `y` from `x` on, written as a whole; from now on they count as written."""
        found: list[tuple[int, Iterable[Segment]]] = []
        for strip in strips:
            found.append((x, strip))
            x += strip.cell_length
        if self._noted.get(y) == found:
            return True
        self._noted[y] = found
        return False

    def replace(self, x: int, y: int, segments: Iterable[Segment]) -> list[tuple[Look, Run]] | None:
        """What has to be written so that `segments` stand from (`x`, `y`) on; None where all of them have to be.

        From then on they count as written.
        """
        if y in self._noted:
            for column, noted in self._noted.pop(y):
                self._put(column, y, noted)
        found = self._cells(segments)
        if found is None:
            self._lose(x, y)
            return None
        letters, looks = found
        end = x + len(letters)
        old_letters, old_looks = self._line(y, end)
        before, before_looks = old_letters[x:end], old_looks[x:end]
        if letters == before and looks == before_looks:
            return []
        old_letters[x:end], old_looks[x:end] = letters, looks
        changed = [
            place
            for place, (letter, old, look, old_look) in enumerate(
                zip(letters, before, looks, before_looks, strict=True)
            )
            if look is not old_look or letter != old
        ]
        return _runs(x, y, letters, looks, changed)

    def _put(self, x: int, y: int, segments: Iterable[Segment]) -> None:
        found = self._cells(segments)
        if found is None:
            self._lose(x, y)
            return
        letters, looks = found
        end = x + len(letters)
        old_letters, old_looks = self._line(y, end)
        old_letters[x:end], old_looks[x:end] = letters, looks

    def _line(self, y: int, end: int) -> tuple[list[str | None], list[Look]]:
        """The cells of a line, at least until before `end`."""
        while len(self._letters) <= y:
            self._letters.append([])
            self._looks.append([])
        letters, looks = self._letters[y], self._looks[y]
        if len(letters) < end:
            missing = end - len(letters)
            letters += [None] * missing
            looks += [BARE] * missing
        return letters, looks

    def _lose(self, x: int, y: int) -> None:
        """Nothing is known of line `y` from `x` on."""
        letters, _looks = self._line(y, 0)
        letters[x:] = [None] * (len(letters) - x)

    def _cells(self, segments: Iterable[Segment]) -> tuple[list[str], list[Look]] | None:
        """Letter and look of each cell; None where that cannot be said."""
        letters: list[str] = []
        looks: list[Look] = []
        styles = self._styles
        for text, style, control in segments:
            entry = styles.get(id(style))
            if entry is None:
                if len(styles) > KEPT_STYLES:
                    styles.clear()
                # The style is kept with its look: else another one might come to its place in memory.
                entry = styles[id(style)] = (style, look_of(style, self._system))
            look = entry[1]
            parts = cells_of(text)
            if look is None or parts is None or control:
                return None
            letters += parts
            blank = look.blank
            if blank is look or " " not in text:
                looks += [look] * len(parts)
            elif text.isspace():
                looks += [blank] * len(parts)
            else:
                looks += [blank if part == " " else look for part in parts]
        return letters, looks


@lru_cache(maxsize=4096)
def cells_of(text: str) -> tuple[str, ...] | None:
    """The letter of each cell, nothing for the second one of a wide letter; None where widths are in doubt."""
    if text.isascii():
        return tuple(text) if text.isprintable() else None
    cells: list[str] = []
    for letter in text:
        width = get_character_cell_size(letter)
        if width == 0 or letter >= EMOJI:
            return None
        cells.append(letter)
        if width == 2:
            cells.append("")
    return tuple(cells)


def _runs(
    x: int, y: int, letters: Sequence[str], looks: Sequence[Look], changed: Iterable[int]
) -> list[tuple[Look, Run]]:
    """The cells at `changed` as letters of one look that are written in one go, few unchanged ones among them."""
    runs: list[tuple[Look, Run]] = []
    first = end = -1
    current = BARE
    for place in changed:
        if place < end:
            # The second cell of a letter that is part of the run already.
            continue
        start = place
        if not letters[place] and place:
            # Half of a wide letter cannot be written.
            start -= 1
        look = looks[place]
        if first >= 0 and start - end <= BRIDGE:
            joined = current
            for between in looks[end : start + 1]:
                wider = joined.join(between)
                if wider is None:
                    break
                joined = wider
            else:
                current, end = joined, _end(letters, start)
                continue
        if first >= 0:
            runs.append((current, (y, x + first, x + end, "".join(letters[first:end]))))
        first, end, current = start, _end(letters, start), look
    if first >= 0:
        runs.append((current, (y, x + first, x + end, "".join(letters[first:end]))))
    return runs


def _end(letters: Sequence[str], place: int) -> int:
    """The cell after the letter at `place`."""
    return place + 2 if place + 1 < len(letters) and not letters[place + 1] else place + 1
