"""The language in which a queue of reviews is asked for, on the screen and with `errors --where`.

`kind:fn loss>2 slice:negation text~/별로.*/ tag:sarcasm -judged p_1>0.9 broken:RUN`: terms side by side all have to
hold, `-` in front of one turns it round, and of values with commas between them any will do (`slice:tears,laughter`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import UsageError
from core.i18n import gettext as _
from core.review_log import VERDICTS
from core.review_text import compile_pattern
from core.slices import BY_NAME
from core.text import visible

NUMBERS = ("loss", "p_0", "p_1", "confidence", "margin", "distance", "length", "tokens", "label", "pred")
"""What can be compared with a number: `distance` is |p_1 − threshold|, `length` counts characters."""

KINDS = ("errors", "fp", "fn", "tp", "tn", "correct", "any", "near", "sure", "suspect")
"""Kinds: `near` the threshold, `sure` and wrong, `suspect`: likely label errors."""

FLAGS = ("judged", "unjudged", "tagged", "noted", "reviewed", "conflict")
"""`judged`: with a verdict; `reviewed`: with a verdict, a tag or a note."""
WORDS = ("kind", "slice", "text", "cho", "id", "tag", "verdict", "by", "broken", "fixed", "both")
OPERATORS = (">=", "<=", ">", "<", "=")
ALIASES = {"prob_0": "p_0", "prob_1": "p_1", "p": "confidence", "n_tokens": "tokens", "all": "errors"}


@dataclass(frozen=True)
class Term:
    """One condition: `field` of NUMBERS, WORDS or FLAGS, or `search` for a bare text, `regex` for a pattern.

    operator: one of OPERATORS for numbers, else empty. values: any of them will do. negated: turned round.
    """

    field: str
    values: tuple[str, ...] = ()
    operator: str = ""
    negated: bool = False

    @property
    def slow(self) -> bool:
        """Whether answering takes longer than a key press may: a regular expression, or another run's file."""
        return self.field in ("regex", "broken", "fixed", "both")

    def __str__(self) -> str:
        sign = "-" if self.negated else ""
        if self.field in FLAGS:
            return sign + self.field
        if self.operator:
            return f"{sign}{self.field}{self.operator}{self.values[0]}"
        if self.field == "regex":
            return f"{sign}/{self.values[0].replace('/', chr(92) + '/')}/"
        if self.field == "search":
            return sign + quoted(self.values[0])
        return f"{sign}{self.field}:{','.join(quoted(value) for value in self.values)}"


Query = tuple[Term, ...]


def quoted(value: str) -> str:
    """`value` as it has to be typed: in quotation marks where it has spaces or signs of the language."""
    if value and not re.search(r"[\s\",:<>=/~]", value) and not value.startswith("-"):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(query: Query) -> str:
    """`query` as an expression; `parse` of it gives the same query."""
    return " ".join(str(term) for term in query)


def parse(expression: str) -> Query:
    """The terms of `expression`. Raises UsageError that names the term that cannot be understood."""
    return tuple(_term(source) for source in _split(expression))


_TOKEN = re.compile(
    r"""\s*(?P<term>-?(?:text)?(?:~?/(?:[^/\\]|\\.)*/   # a regular expression
        |(?:[^\s"]|"(?:[^"\\]|\\.)*")+))""",
    re.VERBOSE,
)


def _split(expression: str) -> Iterator[str]:
    place = 0
    expression = expression.rstrip()
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        if match is None:
            raise UsageError(
                _("{term} is not closed").format(term=visible(expression[place:].strip())),
                _("A quotation mark needs a second one."),
            )
        yield match["term"]
        place = match.end()


def _term(source: str) -> Term:
    negated = source.startswith("-") and len(source) > 1
    body = source[1:] if negated else source
    pattern = re.fullmatch(r"(?:text)?~?/((?:[^/\\]|\\.)*)/", body)
    if pattern and pattern[1]:
        compile_pattern(_unslashed(pattern[1]))
        return Term("regex", (_unslashed(pattern[1]),), negated=negated)
    compared = re.match(r"([A-Za-z_0-9]+)(>=|<=|>|<|=)(.+)$", body)
    if compared:
        return _comparison(source, compared[1].lower(), compared[2], compared[3], negated)
    named = re.match(r"([A-Za-z_]+):(.*)$", body, re.DOTALL)
    if named:
        return _named(source, named[1].lower(), named[2], negated)
    if body.lower() in FLAGS:
        return Term(body.lower(), negated=negated)
    return Term("search", (_unquoted(body),), negated=negated)


def _unslashed(pattern: str) -> str:
    return pattern.replace("\\/", "/")


def _comparison(source: str, name: str, operator: str, value: str, negated: bool) -> Term:
    name = ALIASES.get(name, name)
    if name not in NUMBERS:
        raise UsageError(
            _("{term}: {name} is no figure of a review").format(term=visible(source), name=visible(name)),
            _near(name, NUMBERS),
        )
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if number != number:
        raise UsageError(
            _("{term}: {value} is no number").format(term=visible(source), value=visible(value)),
            _("For example {example}.").format(example="loss>2"),
        )
    return Term(name, (value,), operator, negated)


def _named(source: str, name: str, text: str, negated: bool) -> Term:
    name = ALIASES.get(name, name)
    if name in NUMBERS:
        return _comparison(source, name, "=", text, negated)
    if name not in WORDS:
        raise UsageError(
            _("{term}: there is no {name}:").format(term=visible(source), name=visible(name)),
            _near(name, WORDS)
            + " "
            + _('A text with a colon is put in quotation marks: "{text}".').format(text=visible(source)),
        )
    values = tuple(_unquoted(part) for part in _commas(text))
    if name == "text":
        return Term("text", values, negated=negated)
    if not all(values):
        raise UsageError(
            _("{term}: something has to stand after the colon").format(term=visible(source)), _example(name)
        )
    known = {"kind": KINDS, "slice": tuple(BY_NAME), "verdict": tuple(VERDICTS)}.get(name)
    if known is not None:
        values = tuple(ALIASES.get(value, value) if name == "kind" else value for value in values)
        for value in values:
            if value not in known:
                raise UsageError(
                    _("{term}: there is no {name} {value}").format(
                        term=visible(source), name=name, value=visible(value)
                    ),
                    _near(value, known),
                )
    return Term(name, values, negated=negated)


def _example(name: str) -> str:
    examples = {"kind": "kind:fn", "slice": "slice:negation", "tag": "tag:sarcasm", "cho": "cho:ㅈㅁ"}
    return _("For example {example}.").format(example=examples.get(name, f"{name}:…"))


def _near(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.6)
    if close:
        return _("Did you mean {name}?").format(name=close[0])
    return _("There are: {names}.").format(names=", ".join(known))


def _commas(text: str) -> list[str]:
    return re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', text) or [""]


def _unquoted(text: str) -> str:
    return re.sub(r'"((?:[^"\\]|\\.)*)"', lambda match: match[1].replace('\\"', '"').replace("\\\\", "\\"), text)
