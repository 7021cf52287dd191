"""From the tokens of a query about runs to its tree."""

from __future__ import annotations

from collections.abc import Collection

from core.i18n import gettext as _
from core.run_query_tokens import QueryError, Token, tokens_of
from core.run_query_tree import All, Comparison, Either, Node, Not, Word
from core.run_query_values import example, number_of, one_of, only, span_of, state_named, unknown
from core.run_values import FIELDS, FLAGS, SETTING, canonical

DEEPEST = 50


class Parser:
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
        """The tree. Raises QueryError."""
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
                _("For example {example}.").format(example=example(canonical(field.text), op.text)),
                given.position,
            )
        self._at += 1
        return self._check(field, op, given)

    def _check(self, field: Token, op: Token, given: Token) -> Comparison:
        name, text = canonical(field.text), given.text
        if name == "is":
            return Comparison(name, only(op, name, ":", "=", "!="), one_of(text, FLAGS, given))
        if name == "has":
            return Comparison(name, only(op, name, ":", "=", "!="), text)
        if name == "state":
            return Comparison(name, only(op, name, ":", "=", "!="), state_named(text, given))
        known = FIELDS.get(name)
        if known is not None and known.kind in ("text", "words"):
            return Comparison(name, only(op, name, ":", "=", "!="), text)
        if known is None and not name.startswith(SETTING) and name not in self._metrics:
            raise unknown(field, self._metrics)
        number = span_of(text) if known is not None and known.kind == "time" else number_of(text)
        if number is None and known is not None and known.kind == "time":
            raise QueryError(
                _("{text} is no span of time").format(text=text),
                _("Give a number with its unit: 30m, 12h, 2d, 1h30m."),
                given.position,
            )
        if number is None and (not name.startswith(SETTING) or op.text not in (":", "=", "!=")):
            raise QueryError(
                _("{text} is no number").format(text=text),
                _("For example {example}.").format(example=example(name, op.text)),
                given.position,
            )
        return Comparison(name, op.text, text, number)
