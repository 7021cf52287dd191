"""Data with the labels that reviewers put right, in NSMC's format: `ratings_train.txt` and `ratings_test.txt`.

A TSV source is copied byte for byte but for the labels themselves: quotes, CRLF, BOM, encoding, odd rows and the end
of the file stay as they are. Other sources are written as TSV with the same reviews in the same order.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core import config_file, data_files
from core.config import DataConfig
from core.data import columns_for, source_files
from core.data_rows import Parsed
from core.data_sources import NSMC_FILES, SourceFile, resolve_source
from core.errors import DataError, RunError, UsageError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.paths import write_atomically
from core.predictions import Predictions, splits
from core.review_scores import read_verdicts
from core.runs import CONFIG_FILE

ASCII_SPACES = " \t\r\v\f"

Corrections = Mapping[tuple[str, str], int]
"""New labels by id and document: an id alone may stand for two rows."""


@dataclass
class Relabelled:
    """What was written: `changed` rows in each file, the settings that read it, and what could not be done."""

    directory: Path
    changed: dict[str, int]
    settings: dict[str, object]
    not_found: int = 0
    test_verdicts: int = 0
    notes: list[str] = field(default_factory=list)

    def data_section(self) -> str:
        """The `[data]` section of a config that trains on the files."""
        import tomlkit

        document = tomlkit.document()
        table = tomlkit.table()
        for name, value in self.settings.items():
            table[name] = value
        document["data"] = table
        return tomlkit.dumps(document)


def relabel(run_dir: Path, target: Path, *, test: bool = False) -> Relabelled:
    """Write the data of a run with the labels that its reviewers called wrong put right, into the directory `target`.

    Verdicts on dev and train reviews change the train file. Those on test change the test file only with `test`:
    scores on changed test labels cannot be compared with anyone else's. Raises RunError without verdicts, UsageError
    where files are in the way, DataError when the source cannot be read.
    """
    settings = config_file.load(run_dir / CONFIG_FILE).data
    source = source_files(resolve_source(settings), settings)
    read_as = columns_for(source, settings)
    assert source.train is not None
    assert source.test is not None
    wanted = {"train": _corrections(run_dir, ("train", "dev")), "test": _corrections(run_dir, ("test",))}
    test_verdicts = len(wanted["test"])
    if not test:
        wanted["test"] = {}
    if not wanted["train"] and not wanted["test"]:
        raise RunError(
            _("no label of {run} was called wrong, so there is nothing to correct").format(run=run_dir.name),
            ngettext(
                "There is {n} verdict on test; --test corrects the test file too.",
                "There are {n} verdicts on test; --test corrects the test file too.",
                test_verdicts,
            ).format(n=test_verdicts)
            if test_verdicts
            else _("0 and 1 in Review say that a label is wrong; dev reviews come from the train file."),
        )
    target = target.expanduser().absolute()
    paths = {split: target / name for split, name in NSMC_FILES.items()}
    for path in paths.values():
        if path.exists():
            raise UsageError(
                _("{path} exists already").format(path=path), _("Name another directory: nothing is overwritten.")
            )
    files: dict[str, SourceFile] = {"train": source.train, "test": source.test}
    written, notes, not_found, changed = {}, [], 0, {}
    as_tsv = all(file.kind == "tsv" for file in files.values())
    for split, file in files.items():
        contents = data_files.read_bytes(file.paths)
        parsed = data_files.parse(file.label, file.kind, contents, read_as)
        if as_tsv:
            data, done = corrected_tsv(contents[0], parsed, wanted[split], read_as)
        else:
            data, done, breaks = _as_tsv(parsed, wanted[split])
            if breaks:
                notes.append(
                    ngettext(
                        "{file}: {n} review had line breaks; spaces stand for them",
                        "{file}: {n} reviews had line breaks; spaces stand for them",
                        breaks,
                    ).format(file=NSMC_FILES[split], n=breaks)
                )
        written[split], changed[split] = data, done
        not_found += len(wanted[split]) - len(_present(parsed, wanted[split]))
    try:
        target.mkdir(parents=True, exist_ok=True)
        for split, path in paths.items():
            write_atomically(path, written[split])
    except OSError as error:
        raise DataError(
            _("{path} cannot be written: {reason}").format(path=target, reason=error.strerror or error),
            _("Name a directory that you may write to, with room for both files."),
        ) from error
    return Relabelled(
        target,
        changed,
        _data_settings(settings, read_as, target, as_tsv),
        not_found,
        0 if test else test_verdicts,
        notes,
    )


def _corrections(run_dir: Path, names: tuple[str, ...]) -> dict[tuple[str, str], int]:
    """The new labels that differ from the ones in the predictions of these splits."""
    found: dict[tuple[str, str], int] = {}
    for split in names:
        if split not in splits(run_dir):
            continue
        held = {
            review: opinion
            for review, opinion in read_verdicts(run_dir, split).held().items()
            if opinion.verdict == "label_wrong"
        }
        if not held:
            continue
        table = Predictions(run_dir, split).table
        columns = (table.column(name).to_pylist() for name in ("id", "document", "label"))
        for review, document, label in zip(*columns, strict=True):
            opinion = held.get(review)
            if opinion is None:
                continue
            new = 1 - label if opinion.new_label is None else opinion.new_label
            if new != label:
                found[(review, document)] = new
    return found


def _present(parsed: Parsed, wanted: Corrections) -> set[tuple[str, str]]:
    if not wanted:
        return set()
    return {key for key in zip(parsed.ids, parsed.documents, strict=True) if key in wanted}


def corrected_tsv(content: bytes, parsed: Parsed, wanted: Corrections, data: DataConfig) -> tuple[bytes, int]:
    """`content` with new labels in the rows that `wanted` names, all other bytes as they are; how many changed."""
    if not wanted:
        return content, 0
    text, restore = _as_text(content, data.encoding)
    lines = text.split("\n")
    names = [name.strip() for name in restore.reading(lines[0]).split("\t")]
    label_at, document_at = names.index(data.label_column), names.index(data.document_column)
    # A tab too many belongs to the document: behind it columns are counted from the end.
    place = label_at - len(names) if label_at > document_at else label_at
    values = [restore.writing(value.strip()) for value in (data.negative_label, data.positive_label)]
    changed = 0
    for review, document, label, number in zip(parsed.ids, parsed.documents, parsed.labels, parsed.lines, strict=True):
        new = wanted.get((review, document))
        if new is None or new == label:
            continue
        fields = lines[number - 1].split("\t")
        old = fields[place]
        bare = old.strip(ASCII_SPACES)
        begin = old.index(bare)
        fields[place] = old[:begin] + values[new] + old[begin + len(bare) :]
        lines[number - 1] = "\t".join(fields)
        changed += 1
    return restore("\n".join(lines)), changed


class _Restore:
    """Turns text back into the bytes it came from. `codec` may be another than the one it is read with (`encoding`)."""

    def __init__(self, codec: str, errors: str, prefix: bytes, encoding: str) -> None:
        self._codec, self._errors, self._prefix, self._encoding = codec, errors, prefix, encoding

    def __call__(self, text: str) -> bytes:
        return self._prefix + text.encode(self._codec, self._errors)

    def reading(self, text: str) -> str:
        """A part of the text as a reader sees it."""
        return text.encode(self._codec, self._errors).decode(self._encoding, "replace")

    def writing(self, text: str) -> str:
        """What stands in the text for what a reader would see."""
        return text.encode(self._encoding).decode(self._codec, self._errors)


def _as_text(content: bytes, encoding: str) -> tuple[str, _Restore]:
    """The text, and the way back to the same bytes."""
    codec = read_with = codecs.lookup(encoding).name
    prefix = b""
    if codec in ("utf-8", "utf-8-sig"):
        codec = read_with = "utf-8"
        if content.startswith(codecs.BOM_UTF8):
            prefix = codecs.BOM_UTF8
    elif codec in ("utf-16", "utf-32"):
        marks = {
            "utf-16": ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
            "utf-32": ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
        }[codec]
        # Without a mark Python reads them in the machine's own order, little endian wherever this runs.
        codec = f"{codec}-le"
        for mark, ordered in marks:
            if content.startswith(mark):
                prefix, codec = mark, ordered
                break
        read_with = codec
    elif not codec.startswith(("utf-16", "utf-32")):
        # Every other encoding that reviews come in keeps tab, line end and digits as ASCII has them: with one
        # character a byte nothing is lost, whatever the bytes are.
        codec = "latin-1"
    errors = "surrogateescape" if codec == "utf-8" else "strict"
    return content[len(prefix) :].decode(codec, errors), _Restore(codec, errors, prefix, read_with)


def _as_tsv(parsed: Parsed, wanted: Corrections) -> tuple[bytes, int, int]:
    """The reviews as NSMC has them; how many labels changed, how many texts had to give up a line break."""
    lines, changed, breaks = ["id\tdocument\tlabel"], 0, 0
    for review, document, label in zip(parsed.ids, parsed.documents, parsed.labels, strict=True):
        new = wanted.get((review, document), label)
        changed += new != label
        plain = document.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")
        breaks += plain != document
        lines.append(f"{review}\t{plain}\t{new}")
    return ("\n".join(lines) + "\n").encode(), changed, breaks


def _data_settings(own: DataConfig, read_as: DataConfig, target: Path, as_tsv: bool) -> dict[str, object]:
    """The settings of the run's data that differ from the defaults, with the new source in the old one's place."""
    found: dict[str, object] = {"source": str(target)}
    kept = read_as if as_tsv else DataConfig(source=str(target))
    for name, info in DataConfig.model_fields.items():
        if name in ("source", "test_file", "hub_revision"):
            continue
        reads = name.endswith(("_column", "_label")) or name == "encoding"
        value = getattr(kept if reads else own, name)
        if value != info.default:
            found[name] = value
    return found
