"""What reading the data found: counts of everything unusual, so that nothing is dropped or changed in silence."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import DataError
from core.i18n import N_, ngettext
from core.i18n import gettext as _

MAX_LINES = 20
"""Line numbers kept per kind of bad row."""
MAX_BAD_SHARE = 0.05
"""A file with a larger share of bad rows is refused: it is probably read with the wrong settings."""

BAD_KINDS = {
    "not_decodable": N_("bytes that are not {encoding}"),
    "too_few_columns": N_("too few columns"),
    "too_many_columns": N_("too many columns"),
    "bad_label": N_("a label that is neither the negative nor the positive one"),
    "malformed": N_("a row that cannot be parsed"),
}
"""Kinds of rows that are left out, with what is wrong in them."""

NOTES = {
    "bom": N_("a byte order mark, taken off"),
    "crlf": N_("lines ending in CRLF, taken off"),
    "tabs_in_document": N_("documents with tabs, kept"),
    "empty_documents": N_("empty documents, kept"),
    "missing_documents": N_("documents that are null, kept as empty"),
    "null_words": N_("documents that read NA, null, None or nan, kept as text"),
    "numbers_as_text": N_("documents that were numbers, kept as text"),
    "quotes": N_("documents with quotation marks, kept as they stand"),
    "control_characters": N_("documents with control characters, kept"),
    "not_nfc": N_("documents that are not in Unicode's composed form NFC, kept"),
    "missing_ids": N_("rows without an id, numbered by row"),
    "duplicate_ids": N_("rows whose id stood in an earlier row, kept"),
    "repeated_texts": N_("rows whose text stood in an earlier row, kept"),
    "texts_with_both_labels": N_("texts that stand with both labels, kept"),
}
"""What is counted per file among the rows, with its wording in reports."""

SILENT_NOTES = ("quotes",)
"""Counts that say nothing about the data's quality and make no warning."""


@dataclass
class BadRows:
    """Rows of one kind that were left out: how many, and the first line (or row) numbers, 1-based."""

    count: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, line: int) -> None:
        """Count one more, at physical line `line`."""
        self.count += 1
        if len(self.lines) < MAX_LINES:
            self.lines.append(line)


@dataclass
class FileReport:
    """What was found in one file (or the shards that make up one split).

    `rows` are the data rows of the file, `kept` those that can be used; `counts` has every key of `NOTES`;
    `bad` only the kinds that occur. `place` says what the numbers in `bad` count: `line` or `row`.
    """

    path: str
    kind: str
    encoding: str = "utf-8"
    sha256: str = ""
    rows: int = 0
    kept: int = 0
    place: str = "line"
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NOTES, 0))
    bad: dict[str, BadRows] = field(default_factory=dict)
    other_labels: list[str] = field(default_factory=list)
    decodes_as: str | None = None

    def add_bad(self, kind: str, line: int) -> None:
        """Leave out the row at `line` for the reason `kind`."""
        self.bad.setdefault(kind, BadRows()).add(line)

    @property
    def bad_rows(self) -> int:
        """Rows left out, of all kinds."""
        return sum(bad.count for bad in self.bad.values())

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON takes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FileReport:
        """The report that `to_dict` gave; raises TypeError or KeyError for anything else."""
        bad = {kind: BadRows(**entry) for kind, entry in values["bad"].items()}
        return cls(**{**values, "bad": bad})

    def describe_bad(self) -> list[str]:
        """One line for each kind of bad row."""
        lines = []
        for kind, bad in self.bad.items():
            places = ", ".join(map(str, bad.lines)) + (", …" if bad.count > len(bad.lines) else "")
            text = ngettext(
                "{path}: {count} row left out: {reason} (line {lines})",
                "{path}: {count} rows left out: {reason} (lines {lines})",
                bad.count,
            )
            if self.place == "row":
                text = ngettext(
                    "{path}: {count} row left out: {reason} (row {lines})",
                    "{path}: {count} rows left out: {reason} (rows {lines})",
                    bad.count,
                )
            reason = _(BAD_KINDS[kind]).format(encoding=self.encoding)
            lines.append(text.format(path=self.path, count=bad.count, reason=reason, lines=places))
        return lines

    def warnings(self) -> list[str]:
        """What a person should know about this file, one line each; empty when all is plain."""
        lines = self.describe_bad()
        for key, count in self.counts.items():
            if count and key not in SILENT_NOTES:
                lines.append(
                    _("{path}: {count} × {what}").format(
                        path=Path(self.path).name, count=count, what=_(NOTES.get(key, key))
                    )
                )
        return lines

    def problem(self) -> DataError | None:
        """The reason why this file cannot be trained on, if there is one."""
        if self.rows == 0:
            return DataError(
                _("{path} has no reviews").format(path=self.path),
                _("the file needs a header line and one review per line"),
            )
        if self.bad_rows <= MAX_BAD_SHARE * self.rows:
            return None
        message = ngettext(
            "{bad} of {rows} row cannot be used: {detail}", "{bad} of {rows} rows cannot be used: {detail}", self.rows
        ).format(bad=self.bad_rows, rows=self.rows, detail="; ".join(self.describe_bad()))
        return DataError(message, self._hint())

    def _hint(self) -> str:
        worst = max(self.bad, key=lambda kind: self.bad[kind].count)
        if worst == "not_decodable":
            if self.decodes_as:
                return _('the file reads as {encoding}: set data.encoding = "{encoding}"').format(
                    encoding=self.decodes_as
                )
            return _("set data.encoding to the encoding that the file was written in")
        if worst == "bad_label":
            if self.kept:
                return _(
                    "a run knows two classes, and the file also has the labels {labels}: take those rows out of the "
                    "file, or give all of them one of the two labels (data.negative_label, data.positive_label)"
                ).format(labels=", ".join(f'"{label}"' for label in self.other_labels))
            return _(
                "the file has the labels {labels}: set data.negative_label and data.positive_label, "
                "and check data.label_column"
            ).format(labels=", ".join(f'"{label}"' for label in self.other_labels))
        if worst in ("too_few_columns", "too_many_columns"):
            if self.kind == "tsv":
                return _(
                    "a .txt or .tsv file is cut at tabs; name the file .csv if its columns are separated by commas"
                )
            return _("quote documents that contain commas, and name the file .tsv if it is cut at tabs")
        return _("look at the named lines of the file")


@dataclass
class DataReport:
    """The reports of all files that were read, by split (`train`, `test`)."""

    files: dict[str, FileReport] = field(default_factory=dict)
    kind: str = "files"
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON takes it, with the warnings in words."""
        return {
            "source": self.source,
            "kind": self.kind,
            "files": {split: report.to_dict() for split, report in self.files.items()},
            "warnings": self.warnings(),
        }

    def warnings(self) -> list[str]:
        """What a person should know, one line each."""
        return [line for report in self.files.values() for line in report.warnings()]
