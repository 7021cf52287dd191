"""From a file's rows to validated reviews: the one place that decides what can be used.

A row that cannot be used is left out and counted with its line number; anything merely unusual is kept and
counted (see `core.data_report`).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core.config import DataConfig
from core.data_report import FileReport
from core.text import visible

SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Finds what no file can be written with: undecodable bytes (as surrogates), and lone surrogates from JSON."""

_NULL_WORDS = frozenset({"na", "n/a", "null", "none", "nan", "#n/a"})
# Tabs are counted on their own.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_OTHER_LABELS = 5

RawRow = tuple[int, Any, Any, Any]
"""Line number, id, document, label, as the file has them; the document is a `Bad` where there is no row to read."""


class Bad(NamedTuple):
    """Stands for the document of a row that could not be cut into columns; `kind` is a key of `BAD_KINDS`."""

    kind: str


@dataclass
class Parsed:
    """The usable reviews of one file, as parallel lists in the file's order, and the report.

    `lines` says where in the file each stands: the line (from 1) where it begins, the row of a table.
    """

    report: FileReport
    ids: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def _plain(value: Any) -> str:
    """A JSON or parquet value as the text that a TSV would have: True is 1, 1.0 is 1, null is nothing."""
    if value is None:
        return ""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return str(value).strip()


def _label(value: Any, labels: dict[str, int]) -> int | None:
    """0 or 1 for the file's `value`, None for one that is neither label."""
    label = labels.get(value.strip() if type(value) is str else _plain(value))
    if label is None and isinstance(value, bool):
        label = labels.get(str(value), labels.get(str(value).lower()))
    return label


def _text(document: Any, counts: dict[str, int]) -> str | Bad:
    """The document as text, or why its row cannot be used."""
    if document is None or (isinstance(document, float) and math.isnan(document)):
        counts["missing_documents"] += 1
        return ""
    if isinstance(document, (int, float)) and not isinstance(document, bool):
        counts["numbers_as_text"] += 1
        return str(document)
    if isinstance(document, Bad):
        return document
    return document if isinstance(document, str) else Bad("malformed")


def validate(report: FileReport, rows: Iterable[RawRow], data: DataConfig) -> Parsed:
    """Keep the rows that can be used, in order, and complete `report`. Nothing is raised: see `FileReport.problem`."""
    parsed = Parsed(report)
    counts = report.counts
    known = {data.negative_label.strip(): 0, data.positive_label.strip(): 1}
    nameless: list[tuple[int, int]] = []
    for index, (line, raw_id, raw_document, raw_label) in enumerate(rows, 1):
        report.rows = index
        document = raw_document if type(raw_document) is str else _text(raw_document, counts)
        if isinstance(document, Bad):
            report.add_bad(document.kind, line)
            continue
        review_id = raw_id if type(raw_id) is str else _plain(raw_id)
        if SURROGATE.search(document) or SURROGATE.search(review_id):
            report.add_bad("not_decodable", line)
            continue
        label = _label(raw_label, known)
        if label is None:
            report.add_bad("bad_label", line)
            shown = visible(_plain(raw_label)[:40])
            if shown not in report.other_labels and len(report.other_labels) < _OTHER_LABELS:
                report.other_labels.append(shown)
            continue
        if not review_id:
            counts["missing_ids"] += 1
            nameless.append((len(parsed.ids), index))
        parsed.ids.append(review_id)
        parsed.documents.append(document)
        parsed.labels.append(label)
        parsed.lines.append(line)
    taken = set(parsed.ids) if nameless else set()
    for place, number in nameless:
        # A number that is another review's id would make two of one.
        parsed.ids[place] = f"row-{number}" if str(number) in taken else str(number)
    report.kept = len(parsed.ids)
    _count_unusual(parsed)
    return parsed


def _count_unusual(parsed: Parsed) -> None:
    """Count in the report what is unusual in the rows that are kept."""
    counts = parsed.report.counts
    for document in parsed.documents:
        if not document:
            counts["empty_documents"] += 1
            continue
        if '"' in document:
            counts["quotes"] += 1
        if "\t" in document:
            counts["tabs_in_document"] += 1
        if len(document) < 8 and document.strip().lower() in _NULL_WORDS:
            counts["null_words"] += 1
        if _CONTROL.search(document):
            counts["control_characters"] += 1
        if not unicodedata.is_normalized("NFC", document):
            counts["not_nfc"] += 1
    by_label: tuple[set[str], set[str]] = (set(), set())
    for document, label in zip(parsed.documents, parsed.labels, strict=True):
        by_label[label].add(document)
    counts["duplicate_ids"] = len(parsed.ids) - len(set(parsed.ids))
    counts["repeated_texts"] = len(parsed.documents) - len(by_label[0] | by_label[1])
    # Empty documents say nothing, so they cannot contradict each other.
    counts["texts_with_both_labels"] = len((by_label[0] & by_label[1]) - {""})
