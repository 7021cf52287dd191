"""Rows of a table (reviews, verdicts) as CSV, JSON lines and parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.events import jsonable

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("csv", "jsonl", "parquet")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], excel: bool = False) -> bytes:
    """CSV in UTF-8 with a line of names; text in quotes where it needs them, nothing changed.

    A spreadsheet takes a cell that begins with one of `= + - @` for a formula. With `excel` such texts get an
    apostrophe in front, and the file a byte order mark, without which Excel reads Korean as something else: for
    looking at, not for reading back.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(name) for name in columns]
        writer.writerow([_guarded(cell) if excel else _plain(cell) for cell in cells])
    return out.getvalue().encode("utf-8-sig" if excel else "utf-8", "surrogatepass")


def to_jsonl(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """One JSON object a line, NaN as null."""
    lines = (
        json.dumps(jsonable({name: row.get(name) for name in columns}), ensure_ascii=False, allow_nan=False) + "\n"
        for row in rows
    )
    # A lone surrogate is no UTF-8: JSON has an escape for it.
    return "".join(line if line.isascii() else _escaped(line) for line in lines).encode("utf-8")


def to_parquet(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], schema: pa.Schema | None = None) -> bytes:
    """A parquet file with the types of `schema`, or those that the values have."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if schema is None:
        table = pa.table({name: pa.array([row.get(name) for row in rows]) for name in columns})
    else:
        table = pa.table({name: pa.array([row.get(name) for row in rows], schema.field(name).type) for name in columns})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def encode(
    format_: str,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    *,
    excel: bool = False,
    schema: pa.Schema | None = None,
) -> bytes:
    """`rows` in one of FORMATS."""
    if format_ == "csv":
        return to_csv(columns, rows, excel)
    if format_ == "jsonl":
        return to_jsonl(columns, rows)
    return to_parquet(columns, rows, schema)


def _plain(cell: Any) -> Any:
    if isinstance(cell, list | tuple):
        return json.dumps(list(cell), ensure_ascii=False)
    if isinstance(cell, bool):
        return str(cell).lower()
    return "" if cell is None else cell


def _guarded(cell: Any) -> Any:
    plain = _plain(cell)
    return f"'{plain}" if isinstance(plain, str) and plain.startswith(_FORMULA) else plain


def _escaped(line: str) -> str:
    return "".join(f"\\u{ord(character):04x}" if "\ud800" <= character <= "\udfff" else character for character in line)
