"""The runs' query language as a tree, and what of it matches a run."""

from __future__ import annotations

import fnmatch
import operator
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from core import formats
from core.run_values import FLAGS, Facts, canonical, value
from core.runs import Run

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    ":": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Comparison:
    """`name` (canonical) compared with `text`; `number` is its value where a number or a span of time is meant."""

    name: str
    op: str
    text: str
    number: float | None = None

    def matches(self, run: Run, facts: Facts) -> bool:
        """Whether the run has such a value."""
        if self.name == "is":
            return FLAGS[self.text](run, facts) == (self.op != "!=")
        if self.name == "has":
            found = value(run, canonical(self.text), facts)
            return (found not in (None, "", ())) == (self.op != "!=")
        if self.name == "state":
            return self._is_state(run) == (self.op != "!=")
        found = value(run, self.name, facts)
        if found is None:
            return False
        if isinstance(found, float):
            return self.number is not None and COMPARE[self.op](found, self.number)
        if self.op not in (":", "=", "!="):
            return False
        whole = self.op != ":" or isinstance(found, tuple)
        hit = any(_fits(word, self.text, whole) for word in ((found,) if isinstance(found, str) else found))
        return hit == (self.op != "!=")

    def _is_state(self, run: Run) -> bool:
        wanted = self.text
        return (
            wanted in (run.state, run.condition)
            or (wanted == "live" and run.live)
            or folded(wanted) == folded(formats.state(run.condition))
        )


@dataclass(frozen=True)
class Word:
    """A word that id, name or model hold."""

    text: str

    def matches(self, run: Run, facts: Facts) -> bool:
        """Whether one of them holds it."""
        return any(_fits(part, self.text, False) for part in (run.id, run.name, run.model))


@dataclass(frozen=True)
class Not:
    """What does not match `part`."""

    part: Node

    def matches(self, run: Run, facts: Facts) -> bool:
        """Whether the part does not match."""
        return not self.part.matches(run, facts)


@dataclass(frozen=True)
class All:
    """What matches every one of `parts`; without parts, everything."""

    parts: tuple[Node, ...]

    def matches(self, run: Run, facts: Facts) -> bool:
        """Whether all match."""
        return all(part.matches(run, facts) for part in self.parts)


@dataclass(frozen=True)
class Either:
    """What matches one of `parts`."""

    parts: tuple[Node, ...]

    def matches(self, run: Run, facts: Facts) -> bool:
        """Whether one matches."""
        return any(part.matches(run, facts) for part in self.parts)


Node = Comparison | Word | Not | All | Either


def folded(text: str) -> str:
    """`text` for comparing: composed, and without the difference of capitals."""
    return unicodedata.normalize("NFC", text).casefold()


def _fits(text: str, wanted: str, whole: bool) -> bool:
    text, wanted = folded(text), folded(wanted)
    if "*" in wanted:
        # Brackets mean themselves: only the star is special.
        return fnmatch.fnmatchcase(text, wanted.replace("[", "[[]"))
    return text == wanted if whole else wanted in text


def names_in(node: Node) -> set[str]:
    """The (canonical) names that a query speaks of."""
    if isinstance(node, Comparison):
        if node.name in ("is", "has"):
            return {node.name if node.name == "has" else f"is:{node.text}"} | (
                {canonical(node.text)} if node.name == "has" else set()
            )
        return {node.name}
    if isinstance(node, Not):
        return names_in(node.part)
    if isinstance(node, All | Either):
        return set().union(*(names_in(part) for part in node.parts))
    return set()
