"""Validated reviews as Arrow files in the cache, so that a data set is parsed once and then memory mapped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from core import foreign_json
from core.config import DataConfig
from core.data_files import digest, parse, read_bytes
from core.data_report import FileReport
from core.data_rows import Parsed
from core.data_sources import SourceFile
from core.errors import DataError
from core.i18n import gettext as _
from core.paths import cache_dir

if TYPE_CHECKING:
    import datasets

PARSER_VERSION = 3
"""Raise it when the same bytes would give other rows or another report."""

_BATCH = 10_000
_ARROW = "reviews.arrow"
_REPORT = "report.json"


def content_key(source: SourceFile, contents_digest: str, data: DataConfig) -> str:
    """The name (hex) of what parsing these contents with these settings gives, whatever the path."""
    settings = {
        "version": PARSER_VERSION,
        "sha256": contents_digest,
        "kind": source.kind,
        "columns": [data.id_column, data.document_column, data.label_column],
        "labels": [data.negative_label.strip(), data.positive_label.strip()],
        "encoding": data.encoding.lower(),
    }
    return hashlib.sha256(json.dumps(settings, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def load_file(source: SourceFile, data: DataConfig) -> tuple[datasets.Dataset, FileReport, str]:
    """The reviews of one split with columns id (string), document (string) and label (int64), memory mapped.

    Returns the data set, what was found in the file, and the content's key. The rows come from the cache when
    the same bytes were read before. Bad rows are only counted: ask `FileReport.problem`. Raises DataError when
    the file cannot be read or the cache cannot be written.
    """
    import datasets

    contents = read_bytes(source.paths)
    key = content_key(source, digest(contents), data)
    entry = cache_dir() / "data" / key
    report = _read_entry(entry)
    if report is None:
        parsed = parse(source.label, source.kind, contents, data)
        report = parsed.report
        try:
            _write_entry(entry, parsed)
        except OSError as error:
            raise DataError(
                _("the cache {path} cannot be written: {reason}").format(
                    path=cache_dir(), reason=error.strerror or error
                ),
                _("make room there, or set NSMC_TUI_CACHE to a directory that you can write to"),
            ) from error
    report.path = source.label
    return datasets.Dataset.from_file(str(entry / _ARROW)), report, key


def _read_entry(entry: Path) -> FileReport | None:
    """The report of a whole entry; None where there is none, or one that was damaged from outside."""
    try:
        saved = foreign_json.parse((entry / _REPORT).read_text(encoding="utf-8"))
        if (entry / _ARROW).stat().st_size != saved["bytes"]:
            return None
        return FileReport.from_dict(saved["report"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_entry(entry: Path, parsed: Parsed) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=entry.parent))
    try:
        _write_arrow(temporary / _ARROW, parsed)
        saved = {"bytes": (temporary / _ARROW).stat().st_size, "report": parsed.report.to_dict()}
        (temporary / _REPORT).write_text(json.dumps(saved, ensure_ascii=False), encoding="utf-8")
        _move_into_place(temporary, entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_into_place(temporary: Path, entry: Path) -> None:
    try:
        os.rename(temporary, entry)
        return
    except OSError:
        if _read_entry(entry) is not None:
            # Another process was first, with the same rows.
            return
    # What stands there is damaged. It is moved aside, as readers may still have it mapped.
    damaged = Path(tempfile.mkdtemp(prefix=".old-", dir=entry.parent))
    try:
        with contextlib.suppress(FileNotFoundError):
            os.rename(entry, damaged)
        os.rename(temporary, entry)
    except OSError:
        if _read_entry(entry) is None:
            raise
    finally:
        shutil.rmtree(damaged, ignore_errors=True)


def _write_arrow(path: Path, parsed: Parsed) -> None:
    import pyarrow as pa

    schema = pa.schema([("id", pa.string()), ("document", pa.string()), ("label", pa.int64())])
    with path.open("wb") as file:
        with pa.ipc.new_stream(file, schema) as writer:
            for start in range(0, len(parsed.ids), _BATCH):
                part = slice(start, start + _BATCH)
                columns = [
                    pa.array(parsed.ids[part], pa.string()),
                    pa.array(parsed.documents[part], pa.string()),
                    pa.array(parsed.labels[part], pa.int64()),
                ]
                writer.write_batch(pa.record_batch(columns, schema=schema))
        file.flush()
        os.fsync(file.fileno())
