"""Characters of a text that no token's span covers although they went into one, given to that token.

A normalizer that makes fewer characters of several gives the result the place of the first (NFKC: ㅎ and ㅠ become 휴)
or of the last (a replacement: `''` becomes `"` for ALBERT), and byte-level BPE that adds a space in front of every part
takes the first character after a spelled-out special token for that space. Light.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.tokenization import Token, Word

BLANKS = frozenset({"▁", "Ġ"})
"""Pieces that stand for whitespace, which some tokenizers put in front of every text."""


def fill_gaps(
    text: str,
    given: str,
    words: Sequence[Word],
    tokens: Sequence[Token],
    offsets: Iterable[tuple[int, int]],
    tokenizer: Any,
    ends: tuple[int, int],
) -> tuple[Token, ...]:
    """`tokens` of `text` with spans that reach over what went into them; the same where nothing is left out.

    given: the text as `tokenizer` got it, offset for offset. offsets: the spans that it gave, which may reach over
    several words where a token belongs to one. ends: from which to which offset the text was read; what is beyond was
    cut off, not left out.
    """
    filled = list(tokens)
    spans = [*offsets, *((token.start, token.end) for token in tokens)]
    for number, start, end in list(_uncovered(len(text), words, spans, ends)):
        if not _stands_for_something(tokenizer, given[start:end]):
            continue
        before = [n for n, token in enumerate(filled) if token.end == start and token.word == number]
        after = [n for n, token in enumerate(filled) if token.start == end and _may_grow(token, number)]
        first = filled[before[0]].start if before else start
        if before and (not after or _melts(tokenizer, given[first:start], given[start:end])):
            for n in before:
                filled[n] = replace(filled[n], end=end, text=text[filled[n].start : end])
        else:
            for n in after:
                filled[n] = replace(filled[n], start=start, text=text[start : filled[n].end], word=number)
    return tuple(filled)


def _uncovered(
    size: int, words: Sequence[Word], spans: Iterable[tuple[int, int]], ends: tuple[int, int]
) -> Iterator[tuple[int, int, int]]:
    """The runs of characters in words that were read and lie in none of `spans`: index of the word, start, end."""
    covered = bytearray(size)
    for start, end in spans:
        covered[start:end] = b"\1" * (end - start)
    for number, word in enumerate(words):
        first, last = max(word.start, ends[0]), min(word.end, ends[1])
        start = covered.find(0, first, last)
        while start >= 0:
            end = covered.find(1, start, last)
            end = last if end < 0 else end
            yield number, start, end
            start = covered.find(0, end, last)


def _may_grow(token: Token, word: int) -> bool:
    """Whether `token` is of `word`, or of none because it was given no characters; one of whitespace stays so."""
    return token.word == word or (token.word is None and token.start == token.end and not token.special)


def _stands_for_something(tokenizer: Any, part: str) -> bool:
    """Whether `part` of a text alone would give a token: a control character that is dropped does not."""
    pieces = tokenizer.tokenize(part)
    return any(piece not in BLANKS for piece in pieces)


def _melts(tokenizer: Any, left: str, right: str) -> bool:
    """Whether the tokenizer's normalizer makes something else of `left` and `right` together than of each."""
    normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
    if normalizer is None:
        return False
    # The blank that some put in front of every text would make any two parts look different from the whole.
    whole, *parts = (str(normalizer.normalize_str(text)).replace("▁", "") for text in (left + right, left, right))
    return bool(whole != "".join(parts))
