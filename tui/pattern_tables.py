"""Patterns as tables of text: for the screen, as Markdown, and as rows for files. No widgets."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core import formats
from core.head_stats import STATS
from core.i18n import gettext as _
from core.patterns import HeadPattern, Patterns, WordPattern
from core.predictions import THRESHOLD
from core.review_log import VERDICTS
from core.slices import BY_NAME
from core.text import visible

LISTS = ("fp", "fn", "heads", "slices")
"""The tables, in the order of the screen."""


@dataclass(frozen=True)
class Table:
    """Rows of safe text under titles; the first column is a name, the others are figures, the most important first.

    keys: what each row is about.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    keys: tuple[Any, ...]


def signed(value: float, decimals: int = 2) -> str:
    """`value` with its sign, a real minus."""
    # Without a minus before what is rounded to nothing.
    return f"{value:+z.{decimals}f}".replace("-", "−")


def side(found: Patterns, kind: str, by_token: bool) -> list[WordPattern]:
    """The words (or tokens) that are hot rather in `kind`, `fp` or `fn`, the most decided first."""
    words = found.tokens if by_token else found.words
    return [word for word in words if (word.z > 0) == (kind == "fp")]


def word_table(words: Sequence[WordPattern], by_token: bool = False) -> Table:
    """Log-odds with counts: reviews where it is hot, of those that have it."""
    return Table(
        (_("token") if by_token else _("word"), _("log-odds"), "FP", "FN", "z"),
        tuple(
            (
                visible(word.word),
                signed(word.log_odds),
                f"{word.hot_fp}/{word.in_fp}",
                f"{word.hot_fn}/{word.in_fn}",
                signed(word.z, 1),
            )
            for word in words
        ),
        tuple(words),
    )


def head_table(heads: Sequence[HeadPattern]) -> Table:
    """Cohen's d with its interval, and the two means."""
    return Table(
        (_("layer/head"), "d", "95%", _("wrong"), _("right")),
        tuple(
            (
                f"{head.layer}/{head.head} {stat_title(head.stat)}",
                signed(head.d),
                f"[{signed(head.low)}, {signed(head.high)}]",
                f"{head.wrong:.3f}".replace("-", "−"),
                f"{head.right:.3f}".replace("-", "−"),
            )
            for head in heads
        ),
        tuple(heads),
    )


def stat_title(stat: str) -> str:
    """A number about heads as people say it."""
    return _(STATS[stat].title) if stat in STATS else visible(stat)


def slice_table(slices: dict[str, dict[str, int]]) -> Table:
    """A line a slice, a column a verdict or tag that occurs, the most frequent tag first."""
    totals: Counter[str] = Counter()
    for counts in slices.values():
        totals.update(counts)
    columns = ["judged", *(name for name in VERDICTS if totals[name])]
    columns += [name for name, _count in totals.most_common() if name.startswith("#")]
    columns = columns if slices else []
    names = {"judged": _("judged"), **{name: _(title) for name, title in VERDICTS.items()}}
    titles = [names.get(name) or visible(name) for name in columns]
    return Table(
        (_("slice"), *titles),
        tuple(
            (
                BY_NAME[name].shown if name in BY_NAME else visible(name),
                *(str(counts.get(column, 0) or "·") for column in columns),
            )
            for name, counts in slices.items()
        ),
        tuple(slices),
    )


def sample_line(found: Patterns) -> str:
    """How many reviews of each kind were asked about."""
    names = {"fp": "FP", "fn": "FN", "correct": _("correct")}
    return " · ".join(f"{names[kind]} {count}" for kind, count in found.n.items())


def threshold_part(threshold: float) -> str:
    """The threshold that tells FP from FN, where it is not the model's own, for the front of `sample_line`."""
    if threshold == THRESHOLD:
        return ""
    return _("threshold {value}").format(value=formats.threshold(threshold)) + " · "


def heads_title(found: Patterns | None) -> str:
    """What the list of heads is, and how many were compared."""
    if found is None or not found.compared:
        return _("heads, wrong against right")
    return _("heads, wrong against right · {n} of {total}").format(n=len(found.heads), total=found.compared)


def markdown(title: str, found: Patterns | None, slices: dict[str, dict[str, int]], by_token: bool) -> str:
    """All tables for a report."""
    parts = [f"## {_escaped(visible(title))}"]
    if found is not None:
        parts.append(f"{found.split} · {found.method} · {threshold_part(found.threshold)}{sample_line(found)}")
        for kind, caption in (("fp", _("hot in FP")), ("fn", _("hot in FN"))):
            parts += [f"### {caption}", _markdown(word_table(side(found, kind, by_token), by_token))]
        parts += [f"### {heads_title(found)}", _markdown(head_table(found.heads))]
    if slices:
        parts += [f"### {_('verdicts and tags by slice')}", _markdown(slice_table(slices))]
    return "\n\n".join(parts) + "\n"


def _markdown(table: Table) -> str:
    lines = [table.titles, ("---", *("---:" for _title in table.titles[1:])), *table.rows]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def as_json(run_id: str, found: Patterns | None, slices: dict[str, dict[str, int]]) -> str:
    """The document of `nsmc-tui patterns --json`."""
    document = {"run_id": run_id, **(found.as_dict() if found is not None else {}), "slices": slices}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def as_csv(what: str, found: Patterns | None, slices: dict[str, dict[str, int]]) -> str:
    """`what`: words, tokens, heads or slices, under the names of the JSON document; slices as slice, what, count."""
    rows: list[dict[str, Any]]
    if what == "slices":
        rows = [
            {"slice": name, "what": counted, "count": count}
            for name, counts in slices.items()
            for counted, count in counts.items()
        ]
    else:
        rows = [asdict(row) for row in getattr(found, what)] if found is not None else []
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()
