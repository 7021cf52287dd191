"""The query language of the runs: `state:running cfg.train.learning_rate>=1e-5 acc>0.88 tag:x -model:tiny`.

A query is read into a tree once and asked of each run. Grammar (words side by side mean *and*, which binds closer
than *or*):

    query  = all { ("or" | "|") all }
    all    = one { ["and"] one }
    one    = ("-" | "not") one | "(" query ")" | NAME OPERATOR VALUE | WORD
    OPERATOR = ":" | "=" | "!=" | "<" | "<=" | ">" | ">="

`:` asks whether a text holds the value (`*` stands for anything, then it has to fit as a whole), whether a run has a
tag, or for equality of numbers. Quotes keep blanks and signs together. A word of its own is looked for in id, name
and model. What a run does not have is neither more nor less than anything.
"""

from __future__ import annotations

import fnmatch
import math
import operator
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from core import formats
from core.errors import UsageError
from core.i18n import gettext as _
from core.run_values import ALIASES, FIELDS, FLAGS, METRICS, SETTING, Facts, canonical, metric_names, value
from core.runs import FINAL_STATES, LIVE_STATES, Run

STATES = (*LIVE_STATES, *FINAL_STATES, "silent", "stale", "live")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    ":": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0,
         "초": 1.0, "분": 60.0, "시간": 3600.0, "일": 86400.0, "주": 604800.0}  # fmt: skip
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(시간|min|[smhdw초분일주])")
_NUMBER = re.compile(r"[-+]?(\d+(?:,\d{3})*(\.\d*)?|\.\d+)(e[-+]?\d+)?(%?)$", re.I)
_TOKEN = re.compile(r"""(?P<space>\s+)|(?P<paren>[()])|(?P<or>\|)|(?P<op>!=|<=|>=|[:=<>])|(?P<quote>["'])""")
_END_OF_WORD = re.compile(r"[\s()|:=<>\"']|!=")
_END_OF_VALUE = re.compile(r"[\s()|]")
DEEPEST = 50


class QueryError(UsageError):
    """A query that cannot be read; `position` counts its characters from 0."""

    code = "query"

    def __init__(self, message: str, hint: str, position: int) -> None:
        super().__init__(_("{problem} (character {n})").format(problem=message, n=position + 1), hint)
        self.position = position


@dataclass(frozen=True)
class Token:
    """`kind` is `word`, `quoted`, `op`, `(`, `)`, `or` or `end`."""

    kind: str
    text: str
    position: int


def tokens_of(text: str) -> list[Token]:
    """The tokens of a query, an `end` last. Raises QueryError for a quote that is not closed."""
    tokens: list[Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        kind = match.lastgroup if match else "word"
        if match is not None and kind == "quote":
            end = text.find(match.group(), place + 1)
            if end < 0:
                raise QueryError(
                    _("a quote is not closed"), _("Add {mark} at its end.").format(mark=match.group()), place
                )
            tokens.append(Token("quoted", text[place + 1 : end], place))
            place = end + 1
        elif match is not None:
            if kind == "paren":
                tokens.append(Token(match.group(), match.group(), place))
            elif kind != "space":
                tokens.append(Token(str(kind), match.group(), place))
            place = match.end()
        else:
            # A value may hold what would be an operator in a name: data:hub:owner/name.
            value_of = bool(tokens) and tokens[-1].kind == "op"
            stop = (_END_OF_VALUE if value_of else _END_OF_WORD).search(text, place + 1)
            end = stop.start() if stop else len(text)
            word = text[place:end]
            tokens.append(Token("or" if word.lower() == "or" else "word", word, place))
            place = end
    tokens.append(Token("end", "", len(text)))
    return tokens


# -- the tree ----------------------------------------------------------------------------------------------------


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
            or _plain(wanted) == _plain(formats.state(run.condition))
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


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _fits(text: str, wanted: str, whole: bool) -> bool:
    text, wanted = _plain(text), _plain(wanted)
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


# -- reading -----------------------------------------------------------------------------------------------------


class _Parser:
    """Reads tokens into a tree; `metrics` are the names that mean a metric."""

    def __init__(self, text: str, metrics: Collection[str]) -> None:
        self._tokens = tokens_of(text)
        self._metrics = metrics
        self._at = 0
        self._depth = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def read(self) -> Node:
        if self._token.kind == "end":
            return All(())
        node = self._either()
        if self._token.kind != "end":
            raise QueryError(_("nothing is open that could be closed"), _("Take the ) away."), self._token.position)
        return node

    def _either(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise QueryError(
                _("too many parentheses"), _("At most {n} inside each other.").format(n=DEEPEST), self._token.position
            )
        parts = [self._all()]
        while self._token.kind == "or":
            self._at += 1
            parts.append(self._all())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _all(self) -> Node:
        parts = [self._one()]
        while True:
            if self._token.kind == "word" and self._token.text.lower() == "and" and not self._followed_by_op():
                self._at += 1
            elif self._token.kind in ("end", ")", "or"):
                return parts[0] if len(parts) == 1 else All(tuple(parts))
            parts.append(self._one())

    def _followed_by_op(self) -> bool:
        return self._tokens[self._at + 1].kind == "op"

    def _one(self) -> Node:
        token = self._token
        negative = 0
        while token.kind == "word" and (token.text[0] == "-" or token.text.lower() == "not"):
            if token.text.lower() == "not":
                if self._followed_by_op():
                    break
                self._at += 1
            elif len(token.text) > 1:
                self._tokens[self._at] = Token("word", token.text[1:], token.position + 1)
            else:
                self._at += 1
            negative += 1
            token = self._token
        node = self._atom(token)
        return Not(node) if negative % 2 else node

    def _atom(self, token: Token) -> Node:
        if token.kind == "(":
            self._at += 1
            node = self._either()
            if self._token.kind != ")":
                raise QueryError(_("a parenthesis is not closed"), _("Add a ) for it."), token.position)
            self._at += 1
            return node
        if token.kind in ("word", "quoted"):
            self._at += 1
            if token.kind == "word" and self._token.kind == "op":
                return self._comparison(token)
            return Word(token.text)
        if token.kind == "op":
            raise QueryError(
                _("{op} has nothing at its left").format(op=token.text),
                _("Write a field before it, as in acc>0.88, or put quotes around a text that holds it."),
                token.position,
            )
        raise QueryError(
            _("here something is missing"), _("Write a word or a comparison such as state:running."), token.position
        )

    def _comparison(self, field: Token) -> Node:
        op = self._token
        self._at += 1
        given = self._token
        # What is written where a value belongs is one, also `or` and what looks like a name.
        if given.kind not in ("word", "quoted", "or") or (given.kind == "or" and given.text == "|"):
            raise QueryError(
                _("after {field}{op} a value is missing").format(field=field.text, op=op.text),
                _("For example {example}.").format(example=_example(canonical(field.text), op.text)),
                given.position,
            )
        self._at += 1
        return self._check(field, op, given)

    def _check(self, field: Token, op: Token, given: Token) -> Comparison:
        name, text = canonical(field.text), given.text
        if name == "is":
            return Comparison(name, _only(op, name, ":", "=", "!="), _one_of(text, FLAGS, given))
        if name == "has":
            return Comparison(name, _only(op, name, ":", "=", "!="), text)
        if name == "state":
            return Comparison(name, _only(op, name, ":", "=", "!="), _state(text, given))
        known = FIELDS.get(name)
        if known is not None and known.kind in ("text", "words"):
            return Comparison(name, _only(op, name, ":", "=", "!="), text)
        if known is None and not name.startswith(SETTING) and name not in self._metrics:
            raise _unknown(field, self._metrics)
        number = _span(text) if known is not None and known.kind == "time" else _number(text)
        if number is None and known is not None and known.kind == "time":
            raise QueryError(
                _("{text} is no span of time").format(text=text),
                _("Give a number with its unit: 30m, 12h, 2d, 1h30m."),
                given.position,
            )
        if number is None and (not name.startswith(SETTING) or op.text not in (":", "=", "!=")):
            raise QueryError(
                _("{text} is no number").format(text=text),
                _("For example {example}.").format(example=_example(name, op.text)),
                given.position,
            )
        return Comparison(name, op.text, text, number)


def _example(name: str, op: str) -> str:
    if name in FIELDS:
        kind = FIELDS[name].kind
        shown = {"text": "…", "words": "…", "time": "2d"}.get(kind, "100")
        shown = "running" if name == "state" else "50%" if name == "progress" else shown
        return f"{name}{op}{shown}"
    return f"{name}{op}{'1e-5' if name.startswith(SETTING) else 'archived' if name == 'is' else '0.88'}"


def _only(op: Token, name: str, *allowed: str) -> str:
    if op.text not in allowed:
        raise QueryError(
            _("{name} is a text and cannot be {op} anything").format(name=name, op=op.text),
            _("Use {ops}.").format(ops=" ".join(allowed)),
            op.position,
        )
    return op.text


def _one_of(text: str, known: Iterable[str], given: Token) -> str:
    lowered, names = text.lower(), list(known)
    if lowered in names:
        return lowered
    raise QueryError(
        _("there is no {text}").format(text=text) + _nearest(lowered, names),
        _("Known are {names}.").format(names=", ".join(names)),
        given.position,
    )


def _state(text: str, given: Token) -> str:
    words = {_plain(formats.state(state)) for state in STATES}
    if _plain(text) in words:
        return text
    return _one_of({"read-only": "foreign"}.get(text.lower(), text), STATES, given)


def _nearest(text: str, names: Iterable[str]) -> str:
    close = get_close_matches(text, list(names), n=1, cutoff=0.5)
    return " — " + _("did you mean {name}?").format(name=close[0]) if close else ""


def _unknown(field: Token, metrics: Collection[str]) -> QueryError:
    # A setting that was named without its cfg. is meant by its full name.
    settings = {name.rsplit(".", 1)[-1]: name for name in ALIASES.values() if name.startswith(SETTING)}
    names = {name: name for name in (*FIELDS, *ALIASES, "is", "has", *metrics)} | settings
    close = get_close_matches(field.text.lower(), list(names), n=1, cutoff=0.5)
    near = " — " + _("did you mean {name}?").format(name=names[close[0]]) if close else ""
    return QueryError(
        _("there is no field {name}").format(name=field.text) + near,
        _("Fields are {fields}, is, has; any metric such as {metrics}; settings as cfg.train.learning_rate. "
          "Put quotes around a text with such signs.").format(
            fields=", ".join(FIELDS), metrics=", ".join(METRICS[:2])
        ),
        field.position,
    )  # fmt: skip


def _number(text: str) -> float | None:
    match = _NUMBER.match(text.strip())
    if match is None:
        return None
    number = float(text.strip().rstrip("%").replace(",", ""))
    if not math.isfinite(number):
        return None
    return number / 100 if match.group(4) else number


def _span(text: str) -> float | None:
    total, place = 0.0, 0
    stripped = text.strip().lower()
    for match in _SPAN.finditer(stripped):
        if match.start() != place:
            return None
        total += float(match.group(1)) * UNITS[match.group(2)]
        place = match.end()
    return total if place and place == len(stripped) else None


@dataclass(frozen=True)
class Query:
    """A query that has been read: `matches` asks a run, `keep` many."""

    text: str
    node: Node

    @property
    def wants_archived(self) -> bool:
        """Archived runs are left out unless a query speaks of them."""
        return "is:archived" in names_in(self.node)

    @property
    def settings(self) -> set[str]:
        """The settings that it asks for: their keys, without `cfg.`."""
        return {name.removeprefix(SETTING) for name in names_in(self.node) if name.startswith(SETTING)}

    def keep(self, runs: Iterable[Run], facts: Facts, archived: bool = False) -> list[Run]:
        """Those of `runs` that match, in their order; archived ones where it speaks of them, or with `archived`.

        Raises QueryError for a setting that none of them has.
        """
        shown = [run for run in runs if archived or self.wants_archived or not run.archived]
        _check_settings(self.settings, self.text, shown, facts)
        return [run for run in shown if self.node.matches(run, facts)]


def _check_settings(keys: Iterable[str], text: str, runs: Sequence[Run], facts: Facts) -> None:
    """Raises QueryError for the first of `keys` that no run has, or that may be several; `text` has its place."""
    wanted = set(keys)
    if wanted and runs:
        known = {key for run in runs for key in facts.settings_of(run)}
        for key in sorted(wanted if known else ()):
            fitting = sorted(name for name in known if name.endswith("." + key))
            position = max(0, text.find(key))
            if key in known or len(fitting) == 1:
                continue
            if fitting:
                raise QueryError(
                    _("cfg.{key} may be {names}").format(key=key, names=_(" or ").join(fitting)),
                    _("Give the whole name."),
                    position,
                )
            parts = {name.rsplit(".", 1)[-1]: name for name in known}
            close = get_close_matches(key.rsplit(".", 1)[-1], list(parts), n=1, cutoff=0.5)
            near = " — " + _("did you mean {name}?").format(name=SETTING + parts[close[0]]) if close else ""
            raise QueryError(
                _("no run has a setting {key}").format(key=key) + near,
                _("`nsmc-tui config describe` lists the settings."),
                position,
            )


def check_names(names: Iterable[str], runs: Sequence[Run], facts: Facts, others: Collection[str] = ()) -> None:
    """Raises QueryError for a name that is no field, no metric of `runs`, no setting of theirs and not in `others`."""
    listed = list(names)
    metrics = frozenset((*metric_names(runs), *others))
    for name in listed:
        if name not in FIELDS and name not in metrics and not name.startswith(SETTING):
            raise _unknown(Token("word", name, 0), metrics)
    keys = [name.removeprefix(SETTING) for name in listed if name.startswith(SETTING)]
    for key in keys:
        _check_settings([key], key, runs, facts)


def parse(text: str, runs: Iterable[Run] = ()) -> Query:
    """Read a query; the metrics of `runs` are fields beside the usual ones. Raises QueryError."""
    return Query(text, _Parser(text, frozenset(metric_names(runs))).read())
