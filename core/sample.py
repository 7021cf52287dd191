"""The built-in sample: Korean movie reviews in NSMC's style, made by rules, for trying things out without a download.

4,000 reviews for training and 1,000 for testing, labels balanced, the same bytes on every machine. 3% of the labels
in each split are wrong on purpose, so that there is something to find in review. None of the reviews was written
by a person about a real film: figures on the sample say whether things work, not how good a model is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from core import sample_words as words
from core.paths import write_atomically
from core.sample_grammar import FINISHES, forms, subject, topic

SAMPLE_VERSION = 1
"""Raise it when the generator gives other reviews."""

SIZES = {"train": 4000, "test": 1000}
FLIPPED_SHARE = 0.03
FILES = {"train": "ratings_train.txt", "test": "ratings_test.txt"}

_SEED = 20150627
_REPEATED_SHARE = 0.015

T = TypeVar("T")


class _Dice:
    """Chance from `random.Random.random` alone, whose sequence Python promises to keep (`choice` and others not)."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def below(self, n: int) -> int:
        return int(self._random() * n)

    def pick(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def chance(self, share: float) -> bool:
        return self._random() < share

    def shuffle(self, items: list[T]) -> None:
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]


def generate(split: str) -> list[tuple[str, str, int]]:
    """The reviews of `split` (`train` or `test`) as (id, document, label), label 0 or 1. Raises KeyError otherwise."""
    return list(_all()[split][0])


def sample_flipped_ids(split: str) -> frozenset[str]:
    """The ids of `split` (`train` or `test`) whose label is wrong on purpose. Raises KeyError for another name."""
    return _all()[split][1]


def write_sample(directory: Path) -> None:
    """Write `ratings_train.txt` and `ratings_test.txt` into `directory` as NSMC's files are; files that are already
    right are left alone. Raises OSError when it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for split, name in FILES.items():
        lines = ["id\tdocument\tlabel", *("\t".join((i, text, str(label))) for i, text, label in generate(split)), ""]
        content = "\n".join(lines).encode()
        path = directory / name
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)


@cache
def _all() -> dict[str, tuple[tuple[tuple[str, str, int], ...], frozenset[str]]]:
    dice = _Dice(_SEED)
    seen: set[str] = set()
    numbers: set[int] = set()
    splits = {}
    for split, size in SIZES.items():
        repeats = int(size * _REPEATED_SHARE)
        labels = [i % 2 for i in range(size)]
        dice.shuffle(labels)
        rows = []
        for label in labels:
            text = _review(dice, label)
            while text in seen and repeats == 0:
                text = _review(dice, label)
            repeats -= text in seen
            seen.add(text)
            number = 1_000_000 + dice.below(9_500_000)
            while number in numbers:
                number = 1_000_000 + dice.below(9_500_000)
            numbers.add(number)
            rows.append((str(number), text, label))
        flipped = _flip(dice, rows)
        splits[split] = (
            tuple((i, text, 1 - label if i in flipped else label) for i, text, label in rows),
            flipped,
        )
    return splits


def _flip(dice: _Dice, rows: list[tuple[str, str, int]]) -> frozenset[str]:
    """The same number of each label, so that the labels stay balanced."""
    chosen: set[str] = set()
    for label in (0, 1):
        ids = [i for i, _text, own in rows if own == label]
        dice.shuffle(ids)
        chosen.update(ids[: round(len(rows) * FLIPPED_SHARE / 2)])
    return frozenset(chosen)


def _review(dice: _Dice, label: int) -> str:
    kind = dice.pick(_KINDS)
    text = kind(dice, label)
    if dice.chance(0.12):
        text = f"{_fill(dice, dice.pick(words.NEUTRALS))}{dice.pick(('. ', ', ', ' '))}{text}"
    return _roughen(dice, text, label)


def _short(dice: _Dice, label: int) -> str:
    text = dice.pick(words.SHORT[label])
    if dice.chance(0.45):
        text = f"{dice.pick(words.SHORT_PREFIX)} {text}"
    if dice.chance(0.2):
        text = f"{text} {dice.pick(words.SHORT[label])}"
    return text + (dice.pick(words.TAILS[label]) if dice.chance(0.7) else "")


def _predicate(dice: _Dice, aspect: str, label: int) -> str:
    return dice.pick(words.ASPECTS[aspect][label].split())


def _mark(dice: _Dice, noun: str) -> str:
    """The noun as the clause's topic or subject, or bare as people type."""
    roll = dice.below(10)
    return topic(noun) if roll < 4 else subject(noun) if roll < 8 else noun


def _clause(dice: _Dice, label: int) -> str:
    aspect = dice.pick(tuple(words.ASPECTS))
    predicate = forms(_predicate(dice, aspect, label))
    adverb = f"{dice.pick(words.ADVERBS)} " if dice.chance(0.4) else ""
    return f"{_mark(dice, aspect)} {adverb}{predicate[dice.pick(FINISHES)]}"


def _plain(dice: _Dice, label: int) -> str:
    text = _clause(dice, label)
    if dice.chance(0.4):
        text = f"{_fill(dice, dice.pick(words.OPENERS))} {text}"
    if dice.chance(0.4):
        text = f"{text}{dice.pick(('. ', ' ', '.. ', ', '))}{_fill(dice, dice.pick(words.CLOSERS[label]))}"
    return text


def _pair(dice: _Dice, label: int) -> str:
    first, second = _two_aspects(dice)
    joined = forms(_predicate(dice, first, label))["go"]
    start = f"{_mark(dice, first)} {joined} {_mark(dice, second)}"
    return f"{start} {forms(_predicate(dice, second, label))[dice.pick(FINISHES)]}"


def _genre(dice: _Dice, label: int) -> str:
    aspect = dice.pick(tuple(words.ASPECTS))
    genre = dice.pick(words.GENRES)
    text = f"{subject(aspect)} {forms(_predicate(dice, aspect, label))['adn']} {genre}"
    return (
        f"{text}{dice.pick(('. ', ' ', '... '))}{_fill(dice, dice.pick(words.CLOSERS[label]))}"
        if dice.chance(0.5)
        else text
    )


def _mixed(dice: _Dice, label: int) -> str:
    """Praise and blame in one sentence; what comes last counts, or what is said outright."""
    first, second = _two_aspects(dice)
    joined = forms(_predicate(dice, first, 1 - label))[dice.pick(words.MIXED_JOIN)]
    text = f"{topic(first)} {joined} {topic(second)} {forms(_predicate(dice, second, label))[dice.pick(FINISHES)]}"
    if dice.chance(0.25):
        text = f"{text}. {_fill(dice, dice.pick(words.CLOSERS[label]))}"
    if dice.chance(0.15):
        saved = "때문에 다 망침" if label == 0 else "덕분에 끝까지 봤다"
        text = f"{topic(first)} {joined} {second} {saved}"
    return text


def _closing(dice: _Dice, label: int) -> str:
    text = _fill(dice, dice.pick(words.CLOSERS[label]))
    if dice.chance(0.5):
        return f"{_fill(dice, dice.pick(words.OPENERS))} {text}"
    return f"{text}{dice.pick(('. ', ' ', ', '))}{_fill(dice, dice.pick(words.CLOSERS[label]))}"


def _pattern(table: tuple[list[str], list[str]]) -> Callable[[_Dice, int], str]:
    def make(dice: _Dice, label: int) -> str:
        text = _fill(dice, dice.pick(table[label]))
        roll = dice.below(10)
        if roll < 4:
            return f"{_fill(dice, dice.pick(words.OPENERS))} {text}"
        if roll < 6:
            return f"{text}. {_fill(dice, dice.pick(words.NEUTRALS))}"
        return text

    return make


def _long(dice: _Dice, label: int) -> str:
    parts = [dice.pick((_plain, _pair, _mixed, _genre, _negated, _expected))(dice, label)]
    while len(parts) < 4 and (len(parts) < 2 or dice.chance(0.5)):
        parts.append(_fill(dice, dice.pick(words.NEUTRALS)) if dice.chance(0.3) else _plain(dice, label))
    if dice.chance(0.3):
        parts.append(_fill(dice, dice.pick(words.CLOSERS[label])))
    return dice.pick((". ", ".. ", " ", ", ")).join(parts)


def _two_aspects(dice: _Dice) -> tuple[str, str]:
    names = tuple(words.ASPECTS)
    first = dice.below(len(names))
    return names[first], names[(first + 1 + dice.below(len(names) - 1)) % len(names)]


def _fill(dice: _Dice, pattern: str) -> str:
    if "{" not in pattern:
        return pattern
    return pattern.format(
        n=2 + dice.below(8),
        m=80 + 5 * dice.below(15),
        g=dice.pick(words.GENRES),
        p=subject(dice.pick(tuple(words.ASPECTS))),
        low=1 + dice.below(4),
        high=7 + dice.below(4),
    )


_negated = _pattern(words.NEGATED)
_expected = _pattern(words.EXPECTED)
_sarcastic = _pattern(words.SARCASM)
_rated = _pattern(words.RATED)

_KINDS: tuple[Callable[[_Dice, int], str], ...] = (
    *[_short] * 12,
    *[_plain] * 22,
    *[_pair] * 8,
    *[_genre] * 6,
    *[_closing] * 6,
    *[_mixed] * 14,
    *[_negated] * 9,
    *[_expected] * 6,
    *[_sarcastic] * 6,
    *[_rated] * 3,
    *[_long] * 10,
)


def _roughen(dice: _Dice, text: str, label: int) -> str:
    """Typed in haste: typos, missing spaces, and a tail of ㅋㅋ, ㅠㅠ or an emoticon."""
    if dice.chance(0.12):
        wrong = [(right, typo) for right, typo in words.TYPOS if right in text]
        if wrong:
            right, typo = dice.pick(wrong)
            text = text.replace(right, typo, 1)
    roll = dice.below(100)
    if roll < 6:
        text = text.replace(" ", "")
    elif roll < 28 and " " in text:
        places = [i for i, char in enumerate(text) if char == " "]
        place = dice.pick(places)
        text = text[:place] + text[place + 1 :]
    if dice.chance(0.35):
        # Half of the tails say nothing about the verdict.
        tail = dice.pick(words.TAILS[label if dice.chance(0.5) else dice.below(2)])
        text = f"{text}{' ' if dice.chance(0.3) else ''}{tail}"
    return text
