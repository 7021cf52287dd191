"""The search for the fewest words without which a model answers otherwise.

Knows no model: it asks a function for the probability of the present answer without sets of words. Feng et al. 2018,
arXiv:1804.07781, show how odd what is left can look; minimal sets are the "minimal contrastive" ones of LIT and others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb

Words = tuple[int, ...]
Judge = Callable[[Sequence[Words]], Sequence[float]]
"""For sets of words how firmly the model stays with its answer without them: below 0 it answers otherwise."""

BEAM = 3
BATCH = 32


@dataclass(frozen=True)
class Found:
    """The end of a search: fields as those of `core.inspector_answers.Flip`; `words` is None when none was found."""

    words: Words | None
    minimal: bool
    tried_size: int
    evaluations: int
    exhausted: bool


class _SpentError(Exception):
    """No more evaluations are allowed."""


class _Search:
    """One search: what was judged, and the best set so far."""

    def __init__(self, words: Sequence[int], judge: Judge, most: int) -> None:
        self.words = tuple(words)
        self.judge = judge
        self.most = most
        self.judged: dict[Words, float] = {}
        self.best: Words | None = None

    @property
    def left(self) -> int:
        """How many evaluations are left."""
        return self.most - len(self.judged)

    def ask(self, sets: Sequence[Words], until_found: bool = False) -> list[float]:
        """The judgements on `sets`; notes the smallest that flips. Raises _SpentError when they cannot all be had.

        until_found: stop after the first batch with one that flips, which then ends the list.
        """
        result: list[float] = []
        for start in range(0, len(sets), BATCH):
            batch = sets[start : start + BATCH]
            fresh = [words for words in dict.fromkeys(batch) if words not in self.judged]
            allowed = fresh[: max(0, self.left)]
            if allowed:
                for words, value in zip(allowed, self.judge(allowed), strict=True):
                    self.judged[words] = value
                    if value < 0:
                        self._note(words)
            if len(allowed) < len(fresh):
                raise _SpentError
            result += [self.judged[words] for words in batch]
            if until_found and any(value < 0 for value in result):
                break
        return result

    def _note(self, words: Words) -> None:
        best = self.best
        if best is None or (len(words), self.judged[words]) < (len(best), self.judged[best]):
            self.best = words

    @property
    def bound(self) -> int:
        """Sets of this size or more are of no interest any longer. One word is always left."""
        return len(self.words) if self.best is None else len(self.best)


def search(words: Sequence[int], judge: Judge, max_evaluations: int, beam: int = BEAM) -> Found:
    """The fewest of `words` without which `judge` gives less than 0, leaving at least one word.

    Single words are all tried. Then the words that count most are taken away one after the other until the answer
    turns, and put back as far as it stays turned: an upper bound. Below it, all sets of 2, 3, … words are tried while
    `max_evaluations` allow for all of a size, which proves what is found to be minimal; then a beam goes on from the
    best sets. Ends early when the evaluations are spent.
    """
    state = _Search(words, judge, max_evaluations)
    size, exhausted = 0, False
    try:
        if len(words) > 1:
            state.ask([(word,) for word in state.words])
            size = 1
            if state.best is None:
                _descend(state)
                size = _exhaust(state, size)
                _beam(state, size, beam)
    except _SpentError:
        exhausted = True
    found = state.best
    if found is None:
        minimal, size = False, min(size, max(0, len(words) - 1))
    else:
        minimal = size >= len(found) - 1
    return Found(found, minimal, size, len(state.judged), exhausted)


def _descend(state: _Search) -> None:
    """Take words away, those that count most alone first, until the answer turns; then put back what is not needed."""
    order = sorted(state.words, key=lambda word: (state.judged[(word,)], word))
    for count in range(2, len(order)):
        state.ask([tuple(sorted(order[:count]))])
        if state.best is not None:
            break
    while state.best is not None and len(state.best) > 2:
        before = state.best
        state.ask([tuple(word for word in before if word != back) for back in before])
        if state.best == before:
            return


def _exhaust(state: _Search, size: int) -> int:
    """Try all sets of each size below the bound that the evaluations left allow; the size up to which all were."""
    alone = {word: state.judged[(word,)] for word in state.words}
    while size + 1 < state.bound and comb(len(state.words), size + 1) <= state.left:
        sets = sorted(combinations(state.words, size + 1), key=lambda words: sum(alone[word] for word in words))
        bound = state.bound
        state.ask(sets, until_found=True)
        if state.bound < bound:
            return size
        size += 1
    return size


def _beam(state: _Search, size: int, beam: int) -> None:
    """Grow the best sets of `size` words by a word at a time, below the bound."""
    level = sorted((words for words in state.judged if len(words) == size), key=state.judged.__getitem__)[:beam]
    while level and size + 1 < state.bound:
        grown = {tuple(sorted((*words, word))) for words in level for word in state.words if word not in words}
        bound = state.bound
        values = state.ask(sorted(grown), until_found=True)
        if state.bound < bound:
            return
        ranked = sorted(zip(values, sorted(grown), strict=True))
        level = [words for _value, words in islice(ranked, beam)]
        size += 1
