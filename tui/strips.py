"""Lines of cells for the terminal: what of a line differs from the one before it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

# Moving the cursor and setting a colour costs about as much as so many cells.
WORTH_A_MOVE = 8
# Every character below this takes one cell.
FIRST_WIDE = "\u0300"
BRAILLE = ("\u2800", "\u28ff")


def changed_regions(before: Sequence[Strip], after: Sequence[Strip]) -> list[Region]:
    """Regions that hold all cells that differ between two pictures of equal size."""
    regions = []
    for row, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new:
            regions += [Region(first, row, last - first, 1) for first, last in changed_spans(old, new)]
    return regions


def changed_spans(old: Strip, new: Strip) -> list[tuple[int, int]]:
    """First and end columns of what differs between two lines; near ones are joined."""
    before, after = _cells(old), _cells(new)
    if len(before) != len(after):
        return [(0, max(len(before), len(after)))]
    spans: list[tuple[int, int]] = []
    for place, pair in enumerate(zip(before, after, strict=True)):
        if pair[0] != pair[1]:
            if spans and place - spans[-1][1] <= WORTH_A_MOVE:
                spans[-1] = (spans[-1][0], place + 1)
            else:
                spans.append((place, place + 1))
    # A wide character is never cut in two: its other cell goes with it.
    return [
        (first - (after[first][0] == ""), last + (last < len(after) and after[last][0] == "")) for first, last in spans
    ]


def _cells(strip: Strip) -> list[tuple[str, Style | None]]:
    """One entry a cell: its letter with what combines with it; the second cell of a wide character is empty."""
    cells: list[tuple[str, Style | None]] = []
    for segment in strip:
        if segment.text.isascii():
            cells += [(character, segment.style) for character in segment.text]
            continue
        for character in segment.text:
            # Asking for the width of every braille dot would take longer than all the rest.
            narrow = character < FIRST_WIDE or BRAILLE[0] <= character <= BRAILLE[1]
            width = 1 if narrow else cell_len(character)
            if width:
                cells.append((character, segment.style))
                cells += [("", segment.style)] * (width - 1)
            elif cells:
                before, style = cells.pop()
                cells.append((before + character, style))
    return cells
