"""From an inspection to what is drawn: weights on the characters of a text, and a map of its words or tokens.

Numbers only; how they look is `tui.heat_scale`'s and the widgets' business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core import attention
from core.i18n import gettext as _
from core.text import visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.inspector_protocol import Inspection

SPECIAL = ("hidden", "renormalised", "shown")
"""What is done with tokens that the tokenizer added; most heads send nearly all to `[SEP]`, so hidden comes first."""

LAST = -1
"""The last layer, whatever its number: what the classifier reads."""

HOTTEST = 3


@dataclass(frozen=True)
class HeatChoice:
    """Which weights to show.

    layer, head: numbers from 0, None for the mean over them; LAST for the last layer. For rollout, which needs all
    heads, the layer up to which it is multiplied. special: one of SPECIAL. words: by word (어절), else by token.
    """

    method: str = "attention"
    layer: int | None = LAST
    head: int | None = None
    special: str = SPECIAL[0]
    words: bool = True

    def fitted(self, n_layers: int, n_heads: int) -> HeatChoice:
        """The same choice with numbers that a model of this size has."""
        layer, head = self.layer, self.head
        if layer is not None and not 0 <= layer < n_layers:
            layer = n_layers - 1
        if head is not None and head >= n_heads:
            head = n_heads - 1
        if self.method == "rollout":
            layer, head = n_layers - 1 if layer is None else layer, None
        return replace(self, layer=layer, head=head)

    def next_layer(self, step: int, n_layers: int, n_heads: int) -> HeatChoice:
        """The next layer: the mean comes after the last (rollout has no mean)."""
        fitted = self.fitted(n_layers, n_heads)
        if self.method == "rollout":
            return replace(fitted, layer=((fitted.layer or 0) + step) % n_layers)
        return replace(fitted, layer=_cycle(fitted.layer, step, n_layers))

    def next_head(self, step: int, n_layers: int, n_heads: int) -> HeatChoice:
        """The next head: the mean comes after the last."""
        return replace(self.fitted(n_layers, n_heads), head=_cycle(self.head, step, n_heads))

    def next_method(self) -> HeatChoice:
        """The next of `core.attention.METHODS`."""
        methods = attention.METHODS
        return replace(self, method=methods[(methods.index(self.method) + 1) % len(methods)])

    def next_special(self) -> HeatChoice:
        """The next of SPECIAL."""
        return replace(self, special=SPECIAL[(SPECIAL.index(self.special) + 1) % len(SPECIAL)])

    def describe(self) -> list[str]:
        """Method, layer and head in words, for a legend; of a choice that is `fitted`."""
        layer = _("mean") if self.layer is None else self.layer
        if self.method == "rollout":
            return [_("rollout"), _("layers 0–{n}").format(n=layer)]
        head = _("mean") if self.head is None else self.head
        return [_("attention"), _("layer {n}").format(n=layer), _("head {n}").format(n=head)]


@dataclass(frozen=True)
class Unit:
    """A row and column of the map: a word, a token, or a token that the tokenizer added.

    label: safe to draw. start, end: code point offsets into the text; equal where it stands for no character.
    """

    label: str
    start: int
    end: int
    special: bool


@dataclass(frozen=True, eq=False)
class Heat:
    """What is drawn of one inspection for one choice.

    choice: as asked for, fitted to the model. units: U of them in the text's order. matrix: U × U, rows ask, columns
    answer. row: U weights that the token the classifier reads gives. characters: one weight a code point of the
    text, that of its word, or of the tokens on it together. hottest: spans of the three units of the text with the
    highest weights. query: name of the token that the classifier reads. special: the share of its attention that
    goes to tokens which the tokenizer added, before anything is hidden.
    """

    choice: HeatChoice
    units: tuple[Unit, ...]
    matrix: NDArray[np.floating[Any]]
    row: NDArray[np.float64]
    characters: NDArray[np.float64]
    hottest: tuple[tuple[int, int], ...]
    query: str
    special: float

    @property
    def added(self) -> tuple[tuple[str, float], ...]:
        """Names and weights of the tokens that the tokenizer added, where they are shown."""
        return tuple((unit.label, float(self.row[n])) for n, unit in enumerate(self.units) if unit.special)

    @property
    def top(self) -> float:
        """The highest weight on the text and the tokens around it: the end of the scale."""
        on_text = float(self.characters.max()) if len(self.characters) else 0.0
        return max([on_text, *(weight for _name, weight in self.added)])


def heat_of(inspection: Inspection, choice: HeatChoice) -> Heat | None:
    """What to draw of `inspection`; None when the model gives no attention, which `inspection.note` explains."""
    if inspection.n_layers is None or inspection.n_heads is None:
        return None
    choice = choice.fitted(inspection.n_layers, inspection.n_heads)
    matrix = attention.weights_of(inspection, choice.method, choice.layer, choice.head)
    assert matrix is not None
    row: NDArray[np.floating[Any]] = attention.token_row(matrix, "cls", inspection.cls).astype(np.float64)
    flags = inspection.special_mask
    special = float(row[np.asarray(flags, dtype=bool)].sum())
    if choice.special != "shown":
        # The row is taken first: the token that asks is itself one of those whose rows are dropped.
        row = attention.drop_special(row, flags, choice.special == "renormalised")
        matrix = attention.drop_special(matrix, flags, choice.special == "renormalised")
    units, places = _units(inspection, choice)
    weights = np.asarray(attention.word_weights(row, places, len(units)), dtype=np.float64)
    return Heat(
        choice=choice,
        units=units,
        matrix=attention.word_matrix(matrix, places, len(units)),
        row=weights,
        characters=_on_characters(len(inspection.text), units, weights),
        hottest=_hottest(units, weights),
        query=visible(inspection.tokens[inspection.cls].text) if inspection.tokens else "",
        special=special,
    )


def _cycle(number: int | None, step: int, count: int) -> int | None:
    # Positions 0 … count - 1, then the mean.
    place = ((count if number is None else number) + step) % (count + 1)
    return None if place == count else place


def _units(inspection: Inspection, choice: HeatChoice) -> tuple[tuple[Unit, ...], list[int | None]]:
    """The units in order of their first token, and for each token the index of its unit or None."""
    units: list[Unit] = []
    places: list[int | None] = []
    of_word: dict[int, int] = {}
    for token in inspection.tokens:
        if token.special:
            if choice.special == "shown":
                units.append(Unit(visible(token.text), 0, 0, True))
                places.append(len(units) - 1)
            else:
                places.append(None)
        elif choice.words:
            if token.word is None:
                places.append(None)
                continue
            if token.word not in of_word:
                word = inspection.words[token.word]
                of_word[token.word] = len(units)
                units.append(Unit(visible(word.text), word.start, word.end, False))
            places.append(of_word[token.word])
        else:
            # Whitespace has no characters of its own, and a lone `▁` claims those of the piece after it.
            bare = token.start == token.end or token.piece == "▁"
            label = visible(token.piece if bare else token.text) or "␣"
            units.append(Unit(label, token.start, token.end, False))
            places.append(len(units) - 1)
    return tuple(units), places


def _on_characters(length: int, units: tuple[Unit, ...], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    characters = np.zeros(length)
    for unit, weight in zip(units, weights, strict=True):
        # The pieces of one syllable share its span: together they are what it got.
        characters[unit.start : unit.end] += weight
    return characters


def _hottest(units: tuple[Unit, ...], weights: NDArray[np.float64]) -> tuple[tuple[int, int], ...]:
    spans: list[tuple[int, int]] = []
    for index in np.argsort(-weights, kind="stable"):
        unit = units[int(index)]
        if weights[index] <= 0 or len(spans) == HOTTEST:
            break
        if unit.end > unit.start and (unit.start, unit.end) not in spans:
            spans.append((unit.start, unit.end))
    return tuple(spans)
