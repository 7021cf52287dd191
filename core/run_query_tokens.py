"""The tokens of the runs' query language, and the error of a query that cannot be read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.errors import UsageError
from core.i18n import gettext as _

_TOKEN = re.compile(r"""(?P<space>\s+)|(?P<paren>[()])|(?P<or>\|)|(?P<op>!=|<=|>=|[:=<>])|(?P<quote>["'])""")
_END_OF_WORD = re.compile(r"[\s()|:=<>\"']|!=")
_END_OF_VALUE = re.compile(r"[\s()|]")


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
