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

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from core.i18n import gettext as _
from core.run_query_parser import Parser
from core.run_query_tokens import QueryError, Token
from core.run_query_tree import All, Comparison, Either, Node, Not, Word, names_in
from core.run_query_values import unknown
from core.run_values import FIELDS, SETTING, Facts, metric_names
from core.runs import Run

__all__ = ["All", "Comparison", "Either", "Node", "Not", "Query", "QueryError", "Word", "check_names", "parse"]


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
            raise unknown(Token("word", name, 0), metrics)
    keys = [name.removeprefix(SETTING) for name in listed if name.startswith(SETTING)]
    for key in keys:
        _check_settings([key], key, runs, facts)


def parse(text: str, runs: Iterable[Run] = ()) -> Query:
    """Read a query; the metrics of `runs` are fields beside the usual ones. Raises QueryError."""
    return Query(text, Parser(text, frozenset(metric_names(runs))).read())
