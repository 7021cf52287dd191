"""A text without some of its words, by their index, and how the others are counted then. Light."""

from __future__ import annotations

from collections.abc import Iterable

from core.tokenization import split_words


def delete_words(text: str, indexes: Iterable[int]) -> str:
    """`text` without the words (어절) at `indexes`, each taken away with the whitespace after it.

    What is before the first word and after the last one stays; indexes that are not there are ignored.
    """
    gone = set(indexes)
    words = split_words(text)
    if not gone or not words:
        return text
    ends = [word.start for word in words[1:]] + [words[-1].end]
    kept = [(word, end) for number, (word, end) in enumerate(zip(words, ends, strict=True)) if number not in gone]
    pieces = [text[word.start : end] for word, end in kept]
    if kept:
        # The gap before a word that is gone belonged to it.
        pieces[-1] = kept[-1][0].text
    return text[: words[0].start] + "".join(pieces) + text[words[-1].end :]


def moved_up(indexes: Iterable[int], gone: Iterable[int]) -> frozenset[int]:
    """The words at `indexes` as they are counted once those at `gone` have been taken out."""
    left_out = set(gone)
    return frozenset(index - sum(other < index for other in left_out) for index in indexes if index not in left_out)
