"""Slices of reviews by how they are written: what Korean reviews have that models stumble over.

Each slice is a yes or no a review, from its text alone and the same for any split, so that "worse on negation" can be
said, looked at and said again. All slices of 50,000 reviews take some tens of milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.i18n import N_
from core.i18n import gettext as _
from core.review_text import FIRST_SYLLABLE, LAST_SYLLABLE, Texts, codes_of

if TYPE_CHECKING:
    from core.review_text import Codes, Mask

SHORT, LONG = 5, 100
"""Characters: at most so many are short, at least so many long (NSMC's reviews end at 140)."""

UNSPACED = 10
"""Characters from which a review without spaces was written without them, and is not just one word."""


@dataclass(frozen=True)
class Slice:
    """A slice: `name` in expressions and files, `title` and `meaning` (English source texts) for people."""

    name: str
    title: str
    meaning: str
    rows: Callable[[Texts], Mask]

    @property
    def shown(self) -> str:
        """The title in the language in use."""
        return _(self.title)

    @property
    def explained(self) -> str:
        """The meaning in the language in use."""
        return _(self.meaning)


def _has(characters: str) -> Callable[[Texts], Mask]:
    wanted = codes_of(characters)
    return lambda texts: texts.any_in_row(np.isin(texts.codes, wanted))


def _runs(characters: str, count: int = 2) -> Callable[[Texts], Mask]:
    """`count` of `characters` in a row, in any order."""
    wanted = codes_of(characters)

    def rows(texts: Texts) -> Mask:
        here = np.isin(texts.codes, wanted)
        whole = here.copy()
        for offset in range(1, count):
            whole[:-offset] &= here[offset:]
            whole[-offset:] = False
        return texts.any_in_row(whole)

    return rows


def _within(codes: Codes, *ranges: tuple[int, int]) -> Mask:
    found = np.zeros(len(codes), dtype=bool)
    for first, last in ranges:
        found |= (codes >= first) & (codes <= last)
    return found


def _space(codes: Codes) -> Mask:
    return _within(codes, (9, 13), (32, 32), (0xA0, 0xA0), (0x2000, 0x200A), (0x3000, 0x3000))


def _trimmed_length(texts: Texts) -> np.ndarray:
    """Characters that are no spaces."""
    spaces = np.concatenate(([0], np.cumsum(_space(texts.codes))))
    return texts.lengths - (spaces[texts.ends] - spaces[texts.starts])


def _count(texts: Texts, flags: Mask) -> np.ndarray:
    total = np.concatenate(([0], np.cumsum(flags)))
    return np.asarray(total[texts.ends] - total[texts.starts])


def _short(texts: Texts) -> Mask:
    length = _trimmed_length(texts)
    return (length > 0) & (length <= SHORT)


def _jamo_only(texts: Texts) -> Mask:
    codes = texts.codes
    jamo = _count(texts, _within(codes, (0x3131, 0x318E), (0x1100, 0x11FF)))
    letters = _count(
        texts, _within(codes, (FIRST_SYLLABLE, LAST_SYLLABLE), (0x41, 0x5A), (0x61, 0x7A), (0x4E00, 0x9FFF))
    )
    return (jamo > 0) & (letters == 0)


def _no_spaces(texts: Texts) -> Mask:
    return (texts.lengths >= UNSPACED) & ~texts.any_in_row(_space(texts.codes))


def _stretched(texts: Texts) -> Mask:
    codes = texts.codes
    same = np.zeros(len(codes), dtype=bool)
    same[:-2] = (codes[:-2] == codes[1:-1]) & (codes[:-2] == codes[2:])
    # A laugh, a cry and dots are slices of their own.
    return texts.any_in_row(same & _within(codes, (FIRST_SYLLABLE, LAST_SYLLABLE), (0x21, 0x2D), (0x3F, 0x7E)))


def _emoji(texts: Texts) -> Mask:
    pictures = ((0x1F000, 0x1FAFF), (0x2600, 0x27BF), (0x2B50, 0x2B55), (0x2190, 0x21FF), (0x25A0, 0x25FF))
    return texts.any_in_row(_within(texts.codes, *pictures))


def _pattern(pattern: str, *needed: str) -> Callable[[Texts], Mask]:
    """Reviews in which `pattern` is found; only those that hold one of the `needed` texts are looked through."""
    compiled = re.compile(pattern)

    def rows(texts: Texts) -> Mask:
        mask = np.zeros(len(texts), dtype=bool)
        for text in needed:
            mask |= texts.contains(text)
        for row in np.flatnonzero(mask).tolist():
            mask[row] = compiled.search(texts.joined, texts.starts[row], texts.ends[row]) is not None
        return mask

    return rows


# 안 is a negation as a word of its own, in 안되다 wherever it stands, and at the beginning of a word in front of a
# predicate it is written together with (안봤다); 안녕, 안내, 동안, 불안 are none.
_AN = r"안[되돼된될됨됐됬]|(?<![가-힣])안(?=\s|[본봐봤보볼봄나난남가간갔갈오온왔하한할함해했쓰쓴썼들든먹맞좋재웃무어])"
# 못 of a pond or a nail is rare in reviews of films; 잘못 is no negation.
_MOT = r"(?<!잘)못(?!지않)"

SLICES = (
    Slice("short", N_("short"), N_("at most 5 characters without spaces"), _short),
    Slice("long", N_("long"), N_("100 characters and more"), lambda texts: texts.lengths >= LONG),
    Slice("empty", N_("empty"), N_("nothing but spaces"), lambda texts: _trimmed_length(texts) == 0),
    Slice("laughter", "ㅋㅋ ㅎㅎ", N_("two or more of ㅋ and ㅎ in a row"), _runs("ㅋㅎ")),
    Slice("tears", "ㅠㅠ ㅜㅜ", N_("ㅠ or ㅜ on its own"), _has("ㅠㅜ")),
    Slice("jamo", N_("jamo only"), N_("single letters (ㅋ, ㅠ, ㄹㅇ) and no whole syllable or word"), _jamo_only),
    Slice("no-spaces", N_("no spaces"), N_("10 characters and more without a space"), _no_spaces),
    Slice("stretched", N_("stretched"), N_("one character three times in a row (아아아, !!!)"), _stretched),
    Slice(
        "negation",
        N_("negation 안 못 않"),
        N_("않, 못 (not in 잘못), or 안 in front of a predicate"),
        _pattern(rf"않|{_MOT}|{_AN}", "않", "못", "안"),
    ),
    Slice("interrobang", "?!", N_("?! or !?: often disbelief or irony"), _pattern(r"[?？][!！]|[!！][?？]", "?", "？")),
    Slice("ellipsis", "…", N_("… or two dots in a row"), lambda texts: _has("…")(texts) | _runs(".。")(texts)),
    Slice("question", "?", N_("a question mark"), _has("?？")),
    Slice(
        "rating",
        N_("talk of ratings"),
        N_("별점, 평점, 알바, stars, or a number of points (10점)"),
        _pattern(r"별점|평점|알바|[★☆]|\d\s*점|[영일이삼사오육칠팔구십]점(?![가-힣])", "점", "알바", "★", "☆"),
    ),
    Slice("digits", N_("digits"), N_("a digit"), lambda texts: texts.any_in_row(_within(texts.codes, (0x30, 0x39)))),
    Slice("emoji", N_("emoji, symbols"), N_("an emoji, heart, star or arrow"), _emoji),
    Slice(
        "latin",
        N_("Latin letters"),
        N_("a letter of a to z"),
        lambda texts: texts.any_in_row(_within(texts.codes, (0x61, 0x7A))),
    ),
    Slice("quotes", N_("quotation marks"), N_("a quotation mark of any kind"), _has("\"'“”‘’「」『』《》〈〉")),
)
BY_NAME = {part.name: part for part in SLICES}


class SliceTable:
    """Which reviews of `texts` are in which slice, found when first asked for."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._masks: dict[str, Mask] = {}

    def mask(self, name: str) -> Mask:
        """The reviews in the slice `name` (N, bool). Raises KeyError for a name that is none."""
        found = self._masks.get(name)
        if found is None:
            found = self._masks[name] = np.asarray(BY_NAME[name].rows(self._texts), dtype=bool)
            found.setflags(write=False)
        return found

    def of_row(self, row: int) -> list[Slice]:
        """The slices of one review."""
        return [part for part in SLICES if self.mask(part.name)[row]]


def slices_of(text: str) -> list[Slice]:
    """The slices of one text."""
    return SliceTable(Texts([text])).of_row(0)
