"""What stands on a screen as text that a person can read in a diff: the letters, then the colours of each line.

Snapshots of it lie beside the tests (`__snapshots__`), kept by syrupy: `pytest … --snapshot-update` writes them anew,
after which the change has to be read like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

if TYPE_CHECKING:
    from textual.app import App


class PictureExtension(SingleFileSnapshotExtension):
    """One readable file a snapshot."""

    _write_mode = WriteMode.TEXT
    _file_extension = "txt"


def picture(app: App[object], *, colours: bool = True) -> str:
    """The screen in view, line by line; with `colours` also each line's styles, runs of cells that look alike.

    Colours are told as the terminal would get them, so a snapshot is of one theme.
    """
    strips = app.screen._compositor.render_strips(app.size)
    lines = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
    if not colours:
        return "\n".join(lines) + "\n"
    styled = [f"{number:>3} {_styles(list(strip))}" for number, strip in enumerate(strips)]
    return "\n".join([*lines, "-" * app.size.width, *styled]) + "\n"


def _styles(segments: list[Segment]) -> str:
    runs: list[tuple[int, str]] = []
    for segment in segments:
        if not segment.cell_length:
            continue
        look = _look(segment.style or Style())
        if runs and runs[-1][1] == look:
            runs[-1] = (runs[-1][0] + segment.cell_length, look)
        else:
            runs.append((segment.cell_length, look))
    return " | ".join(f"{width} {look}" for width, look in runs)


def _look(style: Style) -> str:
    attributes = [name for name in ("bold", "dim", "italic", "underline", "reverse") if getattr(style, name)]
    colours = [colour.name if colour is not None else "-" for colour in (style.color, style.bgcolor)]
    return " ".join(["/".join(colours), *attributes])
