"""Lines of cells for the terminal: what of a line differs from the one before it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

# Moving the cursor and setting a colour costs about as much as so many cells.
WORTH_A_MOVE = 8


def changed_regions(before: Sequence[Strip], after: Sequence[Strip], x: int = 0, y: int = 0) -> list[Region]:
    """Regions that hold all cells that differ between two pictures of equal size, moved by `x` and `y`."""
    regions = []
    for row, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new:
            regions += [Region(x + first, y + row, last - first, 1) for first, last in changed_spans(old, new)]
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
    return [(_whole(after, first, -1), _whole(after, last - 1, 1) + 1) for first, last in spans]


def _whole(cells: list[tuple[str, Style | None]], place: int, direction: int) -> int:
    beside = place + direction
    if 0 <= beside < len(cells) and cells[place][0] == cells[beside][0] and not cells[place][0].isascii():
        return beside
    return place


def _cells(strip: Strip) -> list[tuple[str, Style | None]]:
    """One entry a cell; a wide character has two."""
    cells: list[tuple[str, Style | None]] = []
    for segment in strip:
        if segment.text.isascii():
            cells += [(character, segment.style) for character in segment.text]
        else:
            for character in segment.text:
                cells += [(character, segment.style)] * cell_len(character)
    return cells
