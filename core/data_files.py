"""From a file's bytes to its rows: TSV (quotes are text), CSV, JSONL, parquet and Arrow files.

What the rows hold is judged in `core.data_rows`, in one way for all kinds of files.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from core import foreign_json
from core.config import DataConfig
from core.data_report import FileReport
from core.data_rows import SURROGATE, Bad, Parsed, RawRow, validate
from core.errors import DataError
from core.i18n import gettext as _
from core.text import visible

KINDS = {
    ".txt": "tsv",
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
"""File name endings and how such files are read."""


LONGEST_FIELD = 2**31 - 1
"""Characters in a field of a CSV file; Python's own limit would take a long review for a row without sense."""


def file_kind(path: Path) -> str:
    """How the file at `path` is read, by its name's ending; raises DataError for an unknown one."""
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise DataError(
            _("{path}: files ending in {suffix} are not known").format(path=path, suffix=path.suffix or '""'),
            _("known endings: {endings}").format(endings=" ".join(KINDS)),
        )
    return kind


def read_bytes(paths: Sequence[Path]) -> list[bytes]:
    """The contents of `paths`; raises DataError with the system's reason when one cannot be read."""
    contents = []
    for path in paths:
        try:
            contents.append(path.read_bytes())
        except FileNotFoundError:
            raise DataError(
                _("{path} does not exist").format(path=path), _("check data.source and data.test_file")
            ) from None
        except OSError as error:
            raise DataError(
                _("{path} cannot be read: {reason}").format(path=path, reason=error.strerror or error),
                _("check the path and its permissions"),
            ) from error
    return contents


def digest(contents: Iterable[bytes]) -> str:
    """SHA-256 (hex) of the contents in order."""
    result = hashlib.sha256()
    for content in contents:
        result.update(content)
    return result.hexdigest()


def parse(path: str, kind: str, contents: Sequence[bytes], data: DataConfig) -> Parsed:
    """Validate the rows of one file, or of the shards of one split (parquet and Arrow only).

    `path` is the name used in messages, `kind` a value of `KINDS`. Raises DataError when the file's shape is
    wrong: no header, missing columns, unknown encoding, not parquet. Too many bad rows are left to
    `FileReport.problem`.
    """
    report = FileReport(path=path, kind=kind, encoding=data.encoding, sha256=digest(contents))
    if kind in ("parquet", "arrow"):
        report.place = "row"
        rows = _table_rows(report, contents, data)
    else:
        rows = _text_rows(report, contents[0], data)
    return validate(report, rows, data)


def _text_rows(report: FileReport, content: bytes, data: DataConfig) -> Iterator[RawRow]:
    text = _decode(report, content, data.encoding)
    if report.kind == "tsv":
        return _tsv_rows(report, _lines(report, text), data)
    if report.kind == "csv":
        report.counts["crlf"] = text.count("\r\n")
        return _csv_rows(report, text, data)
    return _jsonl_rows(report, _lines(report, text), data)


def _decode(report: FileReport, content: bytes, encoding: str) -> str:
    """The content as text without its BOM; undecodable bytes become surrogates, which `validate` looks for."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise DataError(
            _('data.encoding = "{encoding}" is not an encoding that Python knows').format(encoding=encoding),
            _("use utf-8, cp949 or utf-16"),
        ) from None
    if name in ("utf-8", "utf-8-sig"):
        name = "utf-8"
        if content.startswith(codecs.BOM_UTF8):
            report.counts["bom"] = 1
            content = content[len(codecs.BOM_UTF8) :]
    elif name == "utf-16" and content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        report.counts["bom"] = 1
    try:
        return content.decode(name)
    except UnicodeDecodeError as error:
        report.decodes_as = _guess_encoding(content, name)
        if name.startswith(("utf-16", "utf-32")):
            # Such bytes have no line ends to go on from.
            raise DataError(
                _("{path} is not {encoding}: {reason}").format(
                    path=report.path, encoding=encoding, reason=f"{error.reason} ({error.start})"
                ),
                _("set data.encoding to the encoding that the file was written in"),
            ) from None
        return content.decode(name, errors="surrogateescape")


def _guess_encoding(content: bytes, tried: str) -> str | None:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for name in ("utf-8", "cp949"):
        if name == tried:
            continue
        try:
            content.decode(name)
        except UnicodeDecodeError:
            continue
        return name
    return None


def _lines(report: FileReport, text: str) -> list[str]:
    """The physical lines: cut at \\n only (U+2028 and others are text), one \\r at the end taken off."""
    lines = text.split("\n")
    while lines and not lines[-1].strip(" \r"):
        lines.pop()
    if "\r" in text:
        ends = [i for i, line in enumerate(lines) if line.endswith("\r")]
        for i in ends:
            lines[i] = lines[i][:-1]
        report.counts["crlf"] = len(ends)
    return lines


def _header(report: FileReport, names: list[str], data: DataConfig) -> tuple[int | None, int, int]:
    """The places of the id (None without one), document and label columns; raises DataError when missing."""
    names = [name.strip() for name in names]
    labels = (data.negative_label.strip(), data.positive_label.strip())
    headless = data.document_column not in names and len(names) >= 3 and names[-1] in labels
    if headless:
        raise DataError(
            _("{path} has no header line: its first line is already a review").format(path=report.path),
            _("add a first line that names the columns: {columns}").format(
                columns=", ".join((data.id_column, data.document_column, data.label_column))
            ),
        )
    _require_columns(report, names, data)
    place = names.index(data.id_column) if data.id_column in names else None
    return place, names.index(data.document_column), names.index(data.label_column)


def _require_columns(report: FileReport, names: Sequence[str], data: DataConfig) -> None:
    wanted = {"document_column": data.document_column, "label_column": data.label_column}
    missing = {key: name for key, name in wanted.items() if name not in names}
    if not missing:
        return
    raise DataError(
        _("{path} has no column {missing}; its columns are: {columns}").format(
            path=report.path,
            missing=", ".join(f'"{name}"' for name in missing.values()),
            columns=", ".join(f'"{visible(name[:40])}"' for name in names[:12]),
        ),
        _column_hint(report, names, missing),
    )


def _column_hint(report: FileReport, names: Sequence[str], missing: dict[str, str]) -> str:
    if report.decodes_as:
        return _('the file reads as {encoding}: set data.encoding = "{encoding}"').format(encoding=report.decodes_as)
    if len(names) == 1 and report.kind == "tsv" and "," in names[0]:
        return _("the columns look separated by commas: name the file .csv")
    if len(names) == 1 and report.kind == "csv" and "\t" in names[0]:
        return _("the columns look separated by tabs: name the file .tsv")
    if len(names) == 1 and ";" in names[0]:
        return _("the columns look separated by semicolons: save the file with commas (.csv) or tabs (.tsv)")
    hints = []
    for key, name in missing.items():
        near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], 1, 0.5)
        if near:
            found = next(n for n in names if n.lower() == near[0])
            hints.append(_('did you mean data.{key} = "{name}"?').format(key=key, name=visible(found)))
        else:
            hints.append(_("set data.{key} to one of the file's columns").format(key=key))
    return "; ".join(hints)


def _tsv_rows(report: FileReport, lines: list[str], data: DataConfig) -> Iterator[RawRow]:
    if not lines:
        return
    names = lines[0].split("\t")
    id_at, document_at, label_at = _header(report, names, data)
    width = len(names)
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) > width:
            # Only the document is free text, so the tabs too many are its own.
            end = document_at + 1 + len(fields) - width
            fields[document_at:end] = ["\t".join(fields[document_at:end])]
        elif len(fields) < width:
            bad = Bad("not_decodable" if SURROGATE.search(line) else "too_few_columns")
            yield number, None, bad, None
            continue
        yield number, None if id_at is None else fields[id_at], fields[document_at], fields[label_at]


def _csv_rows(report: FileReport, text: str, data: DataConfig) -> Iterator[RawRow]:
    # newline="" keeps "\r" as it is, but would also end a line there; csv wants lines cut at "\n".
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text.rstrip("\r\n"), newline="\n"), strict=True)
    try:
        names = next(reader, None)
    except csv.Error as error:
        raise DataError(
            _("{path}: the header line cannot be parsed: {reason}").format(path=report.path, reason=error),
            _("name the file .tsv if its columns are separated by tabs"),
        ) from None
    if names is None:
        return
    id_at, document_at, label_at = _header(report, names, data)
    width = len(names)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise DataError(
                    _("{path}: the quotation mark opened in line {line} is never closed").format(
                        path=report.path, line=line
                    ),
                    _("close it, or write quotation marks inside a quoted document twice"),
                ) from None
            yield line, None, Bad("malformed"), None
            continue
        if fields is None:
            return
        if len(fields) != width:
            yield line, None, Bad("too_few_columns" if len(fields) < width else "too_many_columns"), None
            continue
        yield line, None if id_at is None else fields[id_at], fields[document_at], fields[label_at]


def _jsonl_rows(report: FileReport, lines: list[str], data: DataConfig) -> Iterator[RawRow]:
    seen: dict[str, None] = {}
    rows: list[RawRow] = []
    for number, line in enumerate(lines, 1):
        try:
            entry = foreign_json.parse(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            rows.append((number, None, Bad("not_decodable" if SURROGATE.search(line) else "malformed"), None))
            continue
        if entry.keys() - seen.keys():
            seen.update(dict.fromkeys(entry))
        rows.append((number, entry.get(data.id_column), entry.get(data.document_column), entry.get(data.label_column)))
    if seen:
        _require_columns(report, list(seen), data)
    yield from rows


def _table_rows(report: FileReport, contents: Sequence[bytes], data: DataConfig) -> Iterator[RawRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for content in contents:
        try:
            if report.kind == "parquet":
                tables.append(pq.read_table(pa.BufferReader(content)))
            elif content.startswith(b"ARROW1"):
                tables.append(pa.ipc.open_file(pa.BufferReader(content)).read_all())
            else:
                tables.append(pa.ipc.open_stream(pa.BufferReader(content)).read_all())
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                _("{path} is not a readable {kind} file: {reason}").format(
                    path=report.path, kind=report.kind, reason=str(error).split("\n")[0]
                ),
                _("the file may be cut off: copy or download it again"),
            ) from error
    names = _class_names(tables[0].schema, data.label_column)
    known = {data.negative_label.strip(), data.positive_label.strip()}
    number = 0
    for table in tables:
        _require_columns(report, table.column_names, data)
        ids = table[data.id_column].to_pylist() if data.id_column in table.column_names else [None] * len(table)
        documents = table[data.document_column].to_pylist()
        labels = table[data.label_column].to_pylist()
        for row, document, label in zip(ids, documents, labels, strict=True):
            number += 1
            if names and isinstance(label, int) and str(label) not in known and 0 <= label < len(names):
                label = names[label]
            yield number, row, document, label


def _class_names(schema: Any, column: str) -> list[str]:
    """The names of a `datasets.ClassLabel` column, which stores numbers; empty for any other column."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return []
    try:
        feature = foreign_json.parse(metadata)["info"]["features"][column]
    except (ValueError, KeyError, TypeError):
        return []
    names = feature.get("names") if isinstance(feature, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []
