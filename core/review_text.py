"""The texts of a split as one array of characters: searching 50,000 reviews between two keys.

Substrings and initial consonants (초성) are looked for in one string that holds all texts, and `core.slices` sorts
the same characters into classes; only regular expressions go through the reviews one by one.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UsageError
from core.i18n import gettext as _
from core.text import visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Codes = NDArray[np.uint32]

BREAK = "\uffff"
"""Stands between two texts. A noncharacter: no text has it, and where one does it is taken for another noncharacter."""

FIRST_SYLLABLE, LAST_SYLLABLE = 0xAC00, 0xD7A3
SYLLABLES_A_CONSONANT = 588
INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
"""The initial consonants in the order in which Unicode composes syllables (The Unicode Standard, 3.12)."""

REGEX_SECONDS = 3.0
"""Patience with one regular expression over all reviews: a pattern that backtracks without end is given up."""


def folded(text: str) -> str:
    """`text` for comparing: composed (a query typed as NFC finds NFD) and without case."""
    return unicodedata.normalize("NFC", text).casefold()


def codes_of(text: str) -> Codes:
    """The code points of `text`."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def asks_for_initials(query: str) -> bool:
    """Whether `query` has consonants that stand for syllables: `ㅈㅁ`, `재ㅁ`. A laugh (`ㅋㅋ`, `ㅎㅎ`) is itself."""
    consonants = {character for character in query if character in INITIALS}
    return bool(consonants) and not (consonants <= {"ㅋ", "ㅎ"} and set(query) <= consonants)


class Texts:
    """The N documents of a split, for searching. `documents` are raw; what is searched is `folded`."""

    def __init__(self, documents: Sequence[str]) -> None:
        self.documents = documents

    def __len__(self) -> int:
        return len(self.documents)

    @cached_property
    def joined(self) -> str:
        """All texts folded, each followed by BREAK."""
        whole = BREAK.join(self.documents) + BREAK if len(self.documents) else ""
        if whole.count(BREAK) != len(self.documents):
            whole = "".join(text.replace(BREAK, "\ufffe") + BREAK for text in self.documents)
        # BREAK composes with nothing and has no case, so that the texts stay apart.
        return folded(whole)

    @cached_property
    def codes(self) -> Codes:
        """The code points of `joined`."""
        return codes_of(self.joined)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Where in `joined` the BREAK behind each text stands."""
        return np.flatnonzero(self.codes == ord(BREAK))

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where in `joined` each text begins."""
        return np.concatenate(([0], self.ends[:-1] + 1)) if len(self.documents) else np.empty(0, dtype=np.int64)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Characters of each text, composed."""
        return self.ends - self.starts

    @cached_property
    def initial_codes(self) -> Codes:
        """`codes` with each syllable replaced by its initial consonant."""
        codes = self.codes.copy()
        syllable = (codes >= FIRST_SYLLABLE) & (codes <= LAST_SYLLABLE)
        codes[syllable] = codes_of(INITIALS)[(codes[syllable] - FIRST_SYLLABLE) // SYLLABLES_A_CONSONANT]
        return codes

    @cached_property
    def initials(self) -> str:
        """`joined` with each syllable replaced by its initial consonant, character by character."""
        return self.initial_codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")

    def rows_at(self, places: NDArray[np.int64]) -> Mask:
        """The texts that hold any of these places of `joined`."""
        mask = np.zeros(len(self), dtype=bool)
        mask[np.searchsorted(self.ends, places)] = True
        return mask

    def any_in_row(self, flags: Mask) -> Mask:
        """The texts with any character for which `flags` (one a character of `joined`) is set."""
        return self.rows_at(np.flatnonzero(flags))

    def contains(self, query: str) -> Mask:
        """The texts that contain `query`, whatever its case and composition."""
        wanted = folded(query).replace(BREAK, "")
        if not wanted:
            return np.ones(len(self), dtype=bool)
        return self.rows_at(_places(self.joined, self.codes, wanted))

    def contains_initials(self, query: str) -> Mask:
        """The texts with syllables that begin with the consonants in `query`; its other characters stand for
        themselves (`재ㅁ` finds 재미)."""
        wanted = folded(query).replace(BREAK, "")
        if not wanted:
            return np.ones(len(self), dtype=bool)
        codes = codes_of(wanted)
        by_initial = Texts([wanted]).initials[:-1]
        places = _places(self.initials, self.initial_codes, by_initial)
        for offset, code in enumerate(codes.tolist()):
            if chr(code) not in INITIALS:
                places = places[self.codes[places + offset] == code]
        return self.rows_at(places)

    def search(self, query: str) -> Mask:
        """What a reader who types `query` looks for: a text, or initial consonants."""
        return self.contains_initials(query) if asks_for_initials(query) else self.contains(query)

    def matches(self, pattern: str, seconds: float = REGEX_SECONDS) -> Mask:
        """The texts (composed, otherwise raw) in which the regular expression `pattern` is found, case ignored.

        Slow: for a thread. Raises UsageError for a pattern that is none, or that takes longer than `seconds`.
        """
        compiled = compile_pattern(pattern)
        mask = np.zeros(len(self), dtype=bool)
        deadline = time.monotonic() + seconds
        for row, text in enumerate(self.documents):
            left = deadline - time.monotonic()
            try:
                if left <= 0:
                    raise TimeoutError
                found = compiled.search(unicodedata.normalize("NFC", text), timeout=left, concurrent=True)
            except TimeoutError:
                raise UsageError(
                    _("/{pattern}/ takes longer than {n:g} s and was given up").format(
                        pattern=visible(pattern), n=seconds
                    ),
                    _("Nested repeats such as (a+)+ try every way there is: write it without them."),
                ) from None
            mask[row] = found is not None
        return mask


def compile_pattern(pattern: str) -> Any:
    """A compiled regular expression of the `regex` package, case ignored. Raises UsageError for one that is none."""
    import regex

    try:
        return regex.compile(unicodedata.normalize("NFC", pattern), regex.IGNORECASE)
    except regex.error as error:
        raise UsageError(
            _("/{pattern}/ is not a regular expression: {reason}").format(pattern=visible(pattern), reason=error),
            _("A text is found as it is without the slashes."),
        ) from None


def _places(whole: str, codes: Codes, wanted: str) -> NDArray[np.int64]:
    if len(wanted) == 1:
        # A single character may be everywhere.
        return np.flatnonzero(codes == ord(wanted))
    places, place = [], whole.find(wanted)
    while place >= 0:
        places.append(place)
        place = whole.find(wanted, place + 1)
    return np.array(places, dtype=np.int64)
