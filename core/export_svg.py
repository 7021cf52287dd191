"""A review as a picture: its text under heat, its probabilities, and the map of its words, as SVG.

The picture needs no font of its own: every word is stretched to the cells that it takes in a terminal (Hangul two,
Latin one), so that heat and letters agree whatever the viewer has.
"""

from __future__ import annotations

import html
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core import attention
from core.attribution_methods import METHODS
from core.export_attention import ReviewExport, readable
from core.export_files import ExportError
from core.i18n import gettext as _
from core.predictions import answer_at
from core.text import clusters, visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_protocol import Inspection

CELL, LINE, SIZE = 8, 26, 15
"""Pixels: the width of a cell, the height of a line of text, the font's size."""

COLUMNS = 84
LARGEST_MAP = 64
"""Units a side: more would be smaller than a reader can tell apart."""

SPECIAL = ("hidden", "renormalised", "shown")
FONTS = "'Noto Sans Mono CJK KR', 'D2Coding', 'Nanum Gothic Coding', monospace"


def escape(text: str) -> str:
    """`text` between tags (`xml.sax.saxutils` has it too, and imports an HTTP client with it)."""
    return html.escape(text, quote=False)


@dataclass(frozen=True)
class Palette:
    """Colours of a picture; negative and positive are the orange and blue of Okabe and Ito (2008)."""

    ground: str
    letters: str
    quiet: str
    rule: str
    heat: str
    negative: str
    positive: str


PALETTES = {
    "light": Palette("#fbfbf9", "#20282c", "#56666e", "#d6d8d4", "#0d8a99", "#b35c00", "#0072b2"),
    "dark": Palette("#14181b", "#d5dadd", "#8fa3ad", "#2c353b", "#2fa7b5", "#e69f00", "#56b4e9"),
}


@dataclass(frozen=True)
class View:
    """Which weights are drawn. layer, head: None for the mean (rollout: None for the last layer); layer
    `core.attention.LAST`: the last. special: one of
    SPECIAL. words: by word (어절), else by token. theme: a name of PALETTES."""

    method: str = "attention"
    layer: int | None = None
    head: int | None = None
    special: str = SPECIAL[0]
    words: bool = True
    theme: str = "light"


@dataclass(frozen=True)
class Unit:
    """A word or token as it is drawn: its label, and its span in the text (empty for none)."""

    label: str
    start: int
    end: int


def cells(text: str) -> int:
    """The width of `text` in cells of a terminal: two for wide characters, none for marks that combine."""
    width = 0
    for cluster in clusters(text):
        base = cluster.display[:1]
        wide = unicodedata.east_asian_width(base or " ") in "WF" or "\ufe0f" in cluster.display
        width += 2 if wide else 1
    return width


def units_of(inspection: Inspection, view: View) -> tuple[tuple[Unit, ...], list[int | None]]:
    """What is drawn of the text, in its order, and for each token the index of its unit (None: not drawn)."""
    units: list[Unit] = []
    places: list[int | None] = []
    of_word: dict[int, int] = {}
    for token in inspection.tokens:
        place: int | None = len(units)
        if token.special:
            if view.special == "shown":
                units.append(Unit(visible(token.text), 0, 0))
            else:
                place = None
        elif not view.words:
            units.append(Unit(readable(token), token.start, token.end))
        elif token.word is None:
            place = None
        elif token.word in of_word:
            place = of_word[token.word]
        else:
            of_word[token.word] = len(units)
            word = inspection.words[token.word]
            units.append(Unit(visible(word.text), word.start, word.end))
        places.append(place)
    return tuple(units), places


@dataclass(frozen=True, eq=False)
class Drawn:
    """Numbers of a picture: `units` U, `row` (U), `matrix` (U × U, None for a method without one), `signed`."""

    units: tuple[Unit, ...]
    row: NDArray[np.float64]
    matrix: NDArray[np.floating[Any]] | None
    signed: bool
    title: str
    note: str


def numbers(review: ReviewExport, view: View) -> Drawn:
    """What is drawn. Raises ExportError where the model gives no such weights, UsageError for a layer or head that is
    not there."""
    import numpy as np

    inspection = review.inspection
    units, places = units_of(inspection, view)
    flags = inspection.special_mask
    renormalise = view.special == "renormalised"
    found = next((known for known in review.methods if known.method == view.method), None)
    if found is not None:
        row = np.asarray(found.weights, dtype=np.float64)
        if view.special != "shown":
            row = np.where(np.asarray(flags, dtype=bool), 0.0, row)
        weights = np.asarray(attention.word_weights(row, places, len(units)), dtype=np.float64)
        return Drawn(units, weights, None, found.signed, describe(view), found.short)
    matrix = attention.weights_of(inspection, view.method, view.layer, view.head)
    if matrix is None:
        raise ExportError(_("there are no weights to export"), inspection.note)
    row = np.asarray(attention.classifier_row(inspection, matrix), dtype=np.float64)
    if view.special != "shown":
        row = np.asarray(attention.drop_special(row, flags, renormalise), dtype=np.float64)
        matrix = attention.drop_special(matrix, flags, renormalise)
    return Drawn(
        units,
        np.asarray(attention.word_weights(row, places, len(units)), dtype=np.float64),
        attention.word_matrix(matrix, places, len(units)),
        False,
        describe(view),
        attention.asking(inspection),
    )


def describe(view: View) -> str:
    """Method, layer and head in words."""
    if view.method == "rollout":
        last = _("through all layers") if view.layer is None else _("layers 0–{n}").format(n=view.layer)
        return f"{_('rollout')} · {last}"
    if view.method != "attention":
        return _(METHODS[view.method].title) if view.method in METHODS else view.method
    layer = _("mean") if view.layer is None else view.layer
    head = _("mean") if view.head is None else view.head
    return f"{_('attention')} · {_('layer {n}').format(n=layer)} · {_('head {n}').format(n=head)}"


def svg(review: ReviewExport, view: View | None = None) -> str:
    """The picture of `review` as one SVG document. Raises as `numbers` does."""
    view = view or View()
    drawn = numbers(review, view)
    canvas = _Canvas(PALETTES[view.theme], drawn)
    canvas.heading(review)
    canvas.text(review.inspection)
    canvas.probabilities(review.inspection)
    canvas.caption()
    if drawn.matrix is not None:
        canvas.map()
    return canvas.document(visible(review.inspection.text))


class _Canvas:
    """A picture that grows downwards; `y` is where the next part begins."""

    def __init__(self, palette: Palette, drawn: Drawn) -> None:
        self.palette, self.drawn = palette, drawn
        self.parts: list[str] = []
        self.width = (COLUMNS + 4) * CELL
        self.y = 14
        self.top = float(max((abs(value) for value in drawn.row.tolist()), default=0.0))

    def write(self, x: float, y: float, text: str, colour: str, *, weight: str = "", anchor: str = "") -> None:
        """Letters at baseline `y`, as wide as their cells."""
        if not text:
            return
        bold = f' font-weight="{weight}"' if weight else ""
        place = f' text-anchor="{anchor}"' if anchor else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" fill="{colour}"{bold}{place} textLength="{cells(text) * CELL}" '
            f'lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
        )

    def rect(self, x: float, y: float, width: float, height: float, colour: str, title: str = "") -> None:
        """A filled rectangle, with a tooltip."""
        shape = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{colour}"'
        self.parts.append(f"{shape}><title>{escape(title)}</title></rect>" if title else f"{shape}/>")

    def colours(self, value: float, top: float) -> tuple[str, str]:
        """Ground and letters of a weight on a scale that ends at `top`."""
        palette = self.palette
        share = min(1.0, abs(value) / top) if top > 0 else 0.0
        hue = (palette.positive if value >= 0 else palette.negative) if self.drawn.signed else palette.heat
        ground = blend(palette.ground, hue, share)
        return ground, contrast(ground)

    def heading(self, review: ReviewExport) -> None:
        """Id, labels, loss."""
        names = (_("negative"), _("positive"))
        inspection = review.inspection
        parts = [f"#{visible(review.id)}"] if review.id is not None else []
        if review.label is not None:
            parts.append(f"{_('true')} {names[review.label]}")
        if (pred := answer_at(inspection, review.threshold)) < 2:
            parts.append(f"{_('predicted')} {names[pred]}")
        if review.loss is not None:
            parts.append(f"{_('loss')} {review.loss:.2f}")
        if review.model:
            parts.append(visible(review.model))
        self.write(2 * CELL, self.y + SIZE, "   ".join(parts), self.palette.letters, weight="bold")
        self.y += LINE + 6

    def text(self, inspection: Inspection) -> None:
        """The text in lines of COLUMNS cells, each unit on a ground of its weight."""
        weight_at: dict[int, tuple[float, str]] = {}
        for unit, value in zip(self.drawn.units, self.drawn.row.tolist(), strict=True):
            for place in range(unit.start, unit.end):
                before, _label = weight_at.get(place, (0.0, ""))
                weight_at[place] = (before + value, unit.label)
        column, run, start, look = 0, "", 0, (None, "")

        def flush() -> None:
            nonlocal run
            value, label = look
            x = (2 + start) * CELL
            if value is not None and run.strip():
                ground, letters = self.colours(value, self.top)
                self.rect(x, self.y, cells(run) * CELL, LINE - 4, ground, f"{label} {value:.4f}")
            else:
                letters = self.palette.letters
            if run.strip():
                self.write(x, self.y + SIZE, run.rstrip(), letters)
            run = ""

        for cluster in clusters(inspection.text):
            shown = "\n" if cluster.display == "\u240a" else cluster.display
            width = cells(shown) if shown != "\n" else 0
            value, label = weight_at.get(cluster.start, (None, ""))
            if inspection.cut is not None and cluster.start >= inspection.cut:
                value = None
            if shown == "\n" or column + width > COLUMNS:
                flush()
                self.y, column, start, look = self.y + LINE, 0, 0, (None, "")
                if shown == "\n":
                    continue
            if (value, label) != look or not run:
                flush()
                look, start = (value, label), column
            run += shown
            column += width
        flush()
        self.y += LINE + 8

    def probabilities(self, inspection: Inspection) -> None:
        """A bar for each class."""
        colours = (self.palette.negative, self.palette.positive)
        names = [_("negative"), _("positive")] if len(inspection.labels) == 2 else [*inspection.labels]
        label = max(cells(visible(name)) for name in names) + 2
        longest = COLUMNS - label - 10
        for index, (name, value) in enumerate(zip(names, inspection.probabilities, strict=False)):
            colour = colours[index] if len(inspection.labels) == 2 else self.palette.heat
            self.write(2 * CELL, self.y + SIZE, visible(name), self.palette.letters)
            self.rect((2 + label) * CELL, self.y + 4, max(1.0, value * longest * CELL), LINE - 14, colour)
            self.write((2 + COLUMNS) * CELL, self.y + SIZE, f"{value:.4f}", self.palette.letters, anchor="end")
            self.y += LINE - 4
        self.y += 10

    def caption(self) -> None:
        """What the weights are, and the scale."""
        words = " · ".join(part for part in (self.drawn.title, self.drawn.note) if part)
        self.write(2 * CELL, self.y + SIZE, words, self.palette.quiet)
        self.y += LINE
        low = -self.top if self.drawn.signed else 0.0
        steps = 24
        self.write(2 * CELL, self.y + SIZE, f"{low:.3f}", self.palette.quiet)
        for step in range(steps):
            value = low + (self.top - low) * step / (steps - 1)
            self.rect((10 + step) * CELL, self.y + 3, CELL, LINE - 12, self.colours(value, self.top)[0])
        self.write((11 + steps) * CELL, self.y + SIZE, f"{self.top:.3f}", self.palette.quiet)
        self.y += LINE + 8

    def map(self) -> None:
        """Units × units: rows ask, columns answer."""
        matrix = self.drawn.matrix
        assert matrix is not None
        units = self.drawn.units[:LARGEST_MAP]
        if not units:
            return
        side = 20 if len(units) <= 24 else 14 if len(units) <= 40 else 10
        label = max(min(14, cells(unit.label)) for unit in units)
        left = (3 + label) * CELL
        head = label * CELL * 0.75 + 16
        self.write(2 * CELL, self.y + SIZE, _("rows ask, columns answer"), self.palette.quiet)
        self.y += LINE
        top = float(matrix[: len(units), : len(units)].max()) if matrix.size else 0.0
        for column, unit in enumerate(units):
            x, y = left + column * side + side / 2, self.y + head - 6
            text = clip(unit.label, 14)
            self.parts.append(
                f'<text x="{x:g}" y="{y:g}" fill="{self.palette.quiet}" font-size="{min(13, side - 1)}" '
                f'transform="rotate(-48 {x:g} {y:g})">{escape(text)}</text>'
            )
        self.y += int(head)
        size = min(13, side - 1)
        for row, unit in enumerate(units):
            y = self.y + row * side
            self.parts.append(
                f'<text x="{left - 6:g}" y="{y + side * 0.74:g}" fill="{self.palette.letters}" font-size="{size}" '
                f'text-anchor="end">{escape(clip(unit.label, 14))}</text>'
            )
            for column, other in enumerate(units):
                value = float(matrix[row, column])
                ground = self.colours(value, top)[0]
                self.rect(
                    left + column * side, y, side - 1, side - 1, ground, f"{unit.label} → {other.label} {value:.4f}"
                )
        self.y += len(units) * side + 12
        self.width = max(self.width, int(left + len(units) * side + head))
        if len(self.drawn.units) > len(units):
            more = _("the first {n} of {total}; CSV and NPZ have all of them").format(
                n=len(units), total=len(self.drawn.units)
            )
            self.write(2 * CELL, self.y + SIZE, more, self.palette.quiet)
            self.y += LINE

    def document(self, title: str) -> str:
        """The whole file."""
        height = self.y + 12
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{height}" '
            f'viewBox="0 0 {self.width} {height}" font-family="{FONTS}" font-size="{SIZE}" '
            'xml:space="preserve">\n'
            f"<title>{escape(title)}</title>\n"
            f'<rect width="100%" height="100%" fill="{self.palette.ground}"/>\n' + "\n".join(self.parts) + "\n</svg>\n"
        )


def clip(text: str, limit: int) -> str:
    """`text` in at most `limit` cells, an ellipsis for what is left out."""
    if cells(text) <= limit:
        return text
    kept, width = "", 0
    for cluster in clusters(text):
        width += cells(cluster.display)
        if width > limit - 1:
            break
        kept += cluster.display
    return kept + "…"


def blend(ground: str, hue: str, share: float) -> str:
    """The colour that lies `share` of the way from `ground` to `hue` (both `#rrggbb`)."""
    first, last = (tuple(int(colour[n : n + 2], 16) for n in (1, 3, 5)) for colour in (ground, hue))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(first, last, strict=True))


def contrast(ground: str) -> str:
    """Black or white, whichever is told better from `ground` (relative luminance of WCAG 2)."""
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (int(ground[n : n + 2], 16) / 255 for n in (1, 3, 5))
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"
