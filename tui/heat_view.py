"""From an inspection to what is drawn: weights on the characters of a text, and a map of its words or tokens.

Numbers only; how they look is `tui.heat_scale`'s and the widgets' business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from core import attention
from core.attention import LAST
from core.attribution_methods import METHODS
from core.i18n import gettext as _
from core.text import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from core.inspector_protocol import Inspection
    from tui.attention_maps import AttentionMaps

SPECIAL = ("hidden", "renormalised", "shown")
"""What is done with tokens that the tokenizer added; most heads send nearly all to `[SEP]`, so hidden comes first."""

HOTTEST = 3

BYTE_SPACES = "ĠĊĉč "
"""How byte-level vocabularies spell whitespace."""

BY_WORD = ("occlusion",)
"""The methods that know words only."""


def method_name(method: str) -> str:
    """A method as people say it."""
    return _(METHODS[method].title)


@dataclass(frozen=True)
class HeatChoice:
    """Which weights to show.

    method: one of `core.attribution_methods.METHODS`, that of the heat on the text. layer, head: numbers from 0, None
    for the mean over them; LAST for the last layer. They choose the map, and the heat on the text where the method is
    `attention`; for rollout, which needs all heads, the layer up to which it is multiplied. special: one of SPECIAL.
    words: by word (어절), else by token.
    """

    method: str = "attention"
    layer: int | None = LAST
    head: int | None = None
    special: str = SPECIAL[0]
    words: bool = True

    @property
    def rolled(self) -> bool:
        """Whether the map is rollout's."""
        return self.method == "rollout"

    @property
    def attributed(self) -> bool:
        """Whether the heat on the text comes from an attribution, not from a map."""
        return not METHODS[self.method].matrix

    @property
    def signed(self) -> bool:
        """Whether the heat on the text has a sign."""
        return METHODS[self.method].signed

    @property
    def by_word(self) -> bool:
        """Whether the heat on the text is by word."""
        return self.words or self.method in BY_WORD

    def fitted(self, n_layers: int, n_heads: int) -> HeatChoice:
        """The same choice with numbers that a model of this size has."""
        layer, head = self.layer, self.head
        if layer is not None and not 0 <= layer < n_layers:
            layer = n_layers - 1
        if head is not None and head >= n_heads:
            head = n_heads - 1
        if self.rolled:
            layer, head = n_layers - 1 if layer is None else layer, None
        return replace(self, layer=layer, head=head)

    def next_layer(self, step: int, n_layers: int, n_heads: int) -> HeatChoice:
        """The next layer: the mean comes after the last (rollout has no mean)."""
        fitted = self.fitted(n_layers, n_heads)
        if self.rolled:
            return replace(fitted, layer=((fitted.layer or 0) + step) % n_layers)
        return replace(fitted, layer=_cycle(fitted.layer, step, n_layers))

    def next_head(self, step: int, n_layers: int, n_heads: int) -> HeatChoice:
        """The next head: the mean comes after the last."""
        return replace(self.fitted(n_layers, n_heads), head=_cycle(self.head, step, n_heads))

    def next_method(self, step: int = 1) -> HeatChoice:
        """The next of all methods."""
        names = list(METHODS)
        return replace(self, method=names[(names.index(self.method) + step) % len(names)])

    def next_special(self) -> HeatChoice:
        """The next of SPECIAL."""
        return replace(self, special=SPECIAL[(SPECIAL.index(self.special) + 1) % len(SPECIAL)])

    def describe(self) -> list[str]:
        """Method, layer and head in words, for a legend; of a choice that is `fitted`."""
        if self.attributed:
            return [method_name(self.method)]
        return self.describe_map()

    def describe_map(self) -> list[str]:
        """What the map is of, in words; of a choice that is `fitted`."""
        layer = _("mean") if self.layer is None else self.layer
        if self.rolled:
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
    answer; 0 × 0 for a model without attention. row: U weights, those that the asking tokens give, or those of an
    attribution. characters: one weight a code point of the text, that of its word, or of the tokens on it together.
    hottest: spans of the three units of the text with the highest weights, whatever their sign. query: whose rows
    they are, in words. special: the share of the weight that goes to tokens which the tokenizer added, before anything
    is hidden. asking: indexes of the units that were marked as asking. target: the class that weights with a sign
    speak for or against. pending: there are no weights of this method yet.
    """

    choice: HeatChoice
    units: tuple[Unit, ...]
    matrix: NDArray[np.floating[Any]]
    row: NDArray[np.float64]
    characters: NDArray[np.float64]
    hottest: tuple[tuple[int, int], ...]
    query: str
    special: float
    asking: tuple[int, ...] = ()
    target: int = 1
    pending: bool = False

    @property
    def added(self) -> tuple[tuple[str, float], ...]:
        """Names and weights of the tokens that the tokenizer added, where they are shown."""
        return tuple((unit.label, float(self.row[n])) for n, unit in enumerate(self.units) if unit.special)

    @cached_property
    def top(self) -> float:
        """The highest weight, whatever its sign, on the text and the tokens around it: the end of the scale."""
        on_text = float(np.abs(self.characters).max()) if len(self.characters) else 0.0
        return max([on_text, *(abs(weight) for _name, weight in self.added)])


@dataclass(frozen=True, eq=False)
class _Grouping:
    """Which tokens and which characters make up each unit.

    places: for each token the index of its unit, None for none. tokens, of_token: the tokens with a unit, and the unit
    of each. order, starts, counts: `of_token` sorted, where each unit begins in it, and how many tokens it has.
    characters, of_character: code point offsets that units stand for, unit by unit, and the unit of each.
    """

    units: tuple[Unit, ...]
    places: list[int | None]
    tokens: NDArray[np.int64]
    of_token: NDArray[np.int64]
    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    characters: NDArray[np.int64]
    of_character: NDArray[np.int64]


def heat_of(
    inspection: Inspection,
    choice: HeatChoice,
    maps: AttentionMaps | None = None,
    asking: Collection[int] = (),
    attribution: Sequence[float] | NDArray[np.floating[Any]] | None = None,
    target: int = 1,
) -> Heat | None:
    """What to draw of `inspection`; None when the model gives no attention, which `inspection.note` explains.

    maps: what has been computed of it already. asking: indexes of tokens whose rows are summed, none for the token
    that the classifier reads. attribution: the weights of an attribution method for class `target`, one a token, or
    one a word for methods that know words only; None while there are none.
    """
    if inspection.n_layers is not None and inspection.n_heads is not None:
        choice = choice.fitted(inspection.n_layers, inspection.n_heads)
    elif not choice.attributed:
        return None
    flags = np.asarray(inspection.special_mask, dtype=bool)
    grouping = _grouping_of(inspection, choice, maps)
    units, places = grouping.units, grouping.places
    matrix, row, special = _from_attention(inspection, choice, maps, flags)
    weights = _on_units(row, grouping)
    between: NDArray[np.floating[Any]] = np.zeros((0, 0), dtype=np.float32)
    if matrix is not None:
        between = _between(matrix, grouping, choice.by_word)
    query, marked = "", tuple[int, ...]()
    if choice.attributed:
        weights, special = _from_attribution(inspection, choice, attribution, grouping, flags)
    else:
        query = attention.asking(inspection)
        marked = tuple(sorted({place for token in asking if (place := places[token]) is not None}))
        if marked:
            weights = between[list(marked)].sum(axis=0).astype(np.float64)
            query = _("from {token}").format(token=" + ".join(units[place].label for place in marked))
    return Heat(
        choice=choice,
        units=units,
        matrix=between,
        row=weights,
        # The pieces of one syllable share its span: together they are what it got.
        characters=_sums(grouping.characters, weights[grouping.of_character], len(inspection.text)),
        hottest=_hottest(units, weights),
        query=query,
        special=special,
        asking=marked,
        target=target,
        pending=choice.attributed and attribution is None,
    )


def _between(matrix: NDArray[np.floating[Any]], grouping: _Grouping, by_word: bool) -> NDArray[np.floating[Any]]:
    """`matrix` (tokens × tokens) between units."""
    kept = grouping.tokens
    inner = matrix if len(kept) == len(grouping.places) else matrix[np.ix_(kept, kept)]
    if not by_word or not grouping.units:
        # Each token is its own unit.
        return inner
    # `core.attention.word_matrix` without products of matrices, whose threads cost milliseconds beside a training
    # run: units are numbered by their first token, so sorting brings the tokens of each together.
    order, starts = grouping.order, grouping.starts
    sums = np.add.reduceat(np.add.reduceat(inner[order][:, order], starts, axis=1), starts, axis=0)
    result: NDArray[np.floating[Any]] = sums / grouping.counts[:, None].astype(matrix.dtype)
    return result


def _on_units(row: NDArray[np.floating[Any]], grouping: _Grouping) -> NDArray[np.float64]:
    """The sum of `row` (one weight a token) over each unit's tokens."""
    weights = np.asarray(row, dtype=np.float64)[grouping.tokens]
    return _sums(grouping.of_token, weights, len(grouping.units))


def _sums(places: NDArray[np.int64], weights: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The sum of the weights that belong to each of `count` places."""
    result: NDArray[np.float64] = np.zeros(count)
    np.add.at(result, places, weights)
    return result


def unit_tokens(inspection: Inspection, choice: HeatChoice, unit: int) -> tuple[int, ...]:
    """The indexes of the tokens that unit `unit` of the map for `choice` is made of."""
    _shown, places = _units(inspection, choice)
    return tuple(token for token, place in enumerate(places) if place == unit)


def _from_attention(
    inspection: Inspection, choice: HeatChoice, maps: AttentionMaps | None, flags: NDArray[np.bool_]
) -> tuple[NDArray[np.floating[Any]] | None, NDArray[np.floating[Any]], float]:
    """The map, the classifier's row, and the share of that row on special tokens, which are dropped as chosen."""
    if inspection.attention is None:
        return None, np.zeros(len(flags)), 0.0
    method = "rollout" if choice.rolled else "attention"
    if maps is not None:
        matrix: NDArray[np.floating[Any]] = maps.matrix(method, choice.layer, choice.head)
    else:
        found = attention.weights_of(inspection, method, choice.layer, choice.head)
        assert found is not None
        matrix = found
    row: NDArray[np.floating[Any]] = attention.classifier_row(inspection, matrix).astype(np.float64)
    special = float(row[flags].sum())
    if choice.special != "shown":
        # The row is taken first: the token that asks is itself one of those whose rows are dropped.
        renormalise = choice.special == "renormalised"
        row = attention.drop_special(row, flags.tolist(), renormalise)
        matrix = attention.drop_special(matrix, flags.tolist(), renormalise)
    return matrix, row, special


def _from_attribution(
    inspection: Inspection,
    choice: HeatChoice,
    given: Sequence[float] | NDArray[np.floating[Any]] | None,
    grouping: _Grouping,
    flags: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], float]:
    """The weight of each unit, and the share of all weight, whatever its sign, that is on special tokens."""
    if given is None:
        return np.zeros(len(grouping.units)), 0.0
    values = np.nan_to_num(np.asarray(given, dtype=np.float64))
    if choice.method in BY_WORD:
        # A word beyond the window has no unit; one of several tokens has its weight once.
        result = np.zeros(len(grouping.units))
        for token, place in zip(inspection.tokens, grouping.places, strict=True):
            if place is not None and token.word is not None:
                result[place] = values[token.word]
        return result, 0.0
    total = float(np.abs(values).sum())
    special = float(np.abs(values[flags]).sum()) / total if total else 0.0
    return _on_units(values, grouping), special


def _cycle(number: int | None, step: int, count: int) -> int | None:
    # Positions 0 … count - 1, then the mean.
    place = ((count if number is None else number) + step) % (count + 1)
    return None if place == count else place


def _grouping_of(inspection: Inspection, choice: HeatChoice, maps: AttentionMaps | None) -> _Grouping:
    """The units for `choice`; with `maps` they are worked out once, for another layer or head has the same."""
    if maps is None:
        return _grouping(inspection, choice)
    key = ("units", choice.special == "shown", choice.by_word)
    grouping: _Grouping = maps.keep(key, lambda: _grouping(inspection, choice))
    return grouping


def _grouping(inspection: Inspection, choice: HeatChoice) -> _Grouping:
    units, places = _units(inspection, choice)
    pairs = [(token, place) for token, place in enumerate(places) if place is not None]
    tokens, of_token = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    order = np.argsort(of_token, kind="stable")
    lengths = [max(0, unit.end - unit.start) for unit in units]
    spans = [np.arange(unit.start, unit.end) for unit in units]
    return _Grouping(
        units=units,
        places=places,
        tokens=tokens,
        of_token=of_token,
        order=order,
        starts=np.searchsorted(of_token[order], np.arange(len(units))),
        counts=np.bincount(of_token, minlength=len(units)),
        characters=np.concatenate([np.zeros(0, dtype=np.int64), *spans]),
        of_character=np.repeat(np.arange(len(units)), lengths),
    )


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
        elif choice.by_word:
            if token.word is None:
                places.append(None)
                continue
            if token.word not in of_word:
                word = inspection.words[token.word]
                of_word[token.word] = len(units)
                label = token.text if token.masked else word.text
                units.append(Unit(visible(label), word.start, word.end, False))
            places.append(of_word[token.word])
        else:
            # Whitespace has no characters of its own, and a lone `▁` claims those of the piece after it.
            bare = token.start == token.end or token.piece == "▁"
            label = visible(token.piece if bare else token.text).strip(BYTE_SPACES) or "␣"
            units.append(Unit(label, token.start, token.end, False))
            places.append(len(units) - 1)
    return tuple(units), places


def _hottest(units: tuple[Unit, ...], weights: NDArray[np.float64]) -> tuple[tuple[int, int], ...]:
    spans: list[tuple[int, int]] = []
    for index in np.argsort(-np.abs(weights), kind="stable"):
        unit = units[int(index)]
        if weights[index] == 0 or len(spans) == HOTTEST:
            break
        if unit.end > unit.start and (unit.start, unit.end) not in spans:
            spans.append((unit.start, unit.end))
    return tuple(spans)
