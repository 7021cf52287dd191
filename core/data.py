"""The reviews of a run: train, dev and test, validated, memory mapped, and named by a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.config import DataConfig
from core.data_cache import load_file
from core.data_report import DataReport, FileReport
from core.data_sources import NSMC_FILES, Source, SourceFile, resolve_source
from core.data_split import SPLIT_VERSION, dev_rows
from core.errors import DataError
from core.i18n import gettext as _
from core.paths import cache_dir

if TYPE_CHECKING:
    import datasets
    import numpy as np

Progress = Callable[[str, int, int], None]
"""Called with a phase's name, how much is done, and of how much."""

_STEPS = 4


@dataclass
class Splits:
    """The three splits, each a `datasets.Dataset` with columns id, document (strings) and label (int64, 0 or 1).

    All keep the order of their files. `fingerprint` (hex) changes with the reviews and with how they are split,
    not with where the files lie.
    """

    train: datasets.Dataset
    dev: datasets.Dataset
    test: datasets.Dataset
    report: DataReport
    fingerprint: str

    def __getitem__(self, split: str) -> datasets.Dataset:
        """The split named `train`, `dev` or `test`; raises KeyError for another name."""
        if split not in ("train", "dev", "test"):
            raise KeyError(split)
        return getattr(self, split)


def source_files(source: Source, data: DataConfig) -> Source:
    """`source` with the files of its splits on this machine: makes the sample, fetches from the Hub.

    Raises OfflineError when the Hub is needed and out of reach, DataError when the sample cannot be written.
    """
    if source.kind == "hub":
        from core.data_hub import hub_files

        assert source.hub_name is not None
        files = hub_files(source.hub_name, data.hub_revision)
        return replace(source, train=files["train"], test=files["test"])
    if source.kind == "sample":
        from core.sample import SAMPLE_VERSION, write_sample

        directory = cache_dir() / "sample" / f"v{SAMPLE_VERSION}"
        try:
            write_sample(directory)
        except OSError as error:
            raise DataError(
                _("the cache {path} cannot be written: {reason}").format(
                    path=cache_dir(), reason=error.strerror or error
                ),
                _("make room there, or set NSMC_TUI_CACHE to a directory that you can write to"),
            ) from error
        made = {split: SourceFile((directory / name,), "tsv") for split, name in NSMC_FILES.items()}
        return replace(source, train=made["train"], test=made["test"])
    return source


def columns_for(source: Source, data: DataConfig) -> DataConfig:
    """The settings that the files of `source` are read with: the sample's own are fixed, whatever the config says."""
    if source.kind != "sample":
        return data
    names = ("id_column", "document_column", "label_column", "negative_label", "positive_label", "encoding")
    return data.model_copy(update={name: DataConfig.model_fields[name].default for name in names})


def load_splits(data: DataConfig, progress: Progress | None = None) -> Splits:
    """Load the reviews that `data` names, and set dev apart from train.

    Dev is stratified by label and depends only on the reviews, `dev_size` and `split_seed`; repeated texts stay
    on one side. `train_limit` and `test_limit` cut what is left. Raises DataError when files are missing, have
    the wrong shape, more than 5% bad rows, or too little to train and test on; OfflineError when the Hub is out
    of reach.
    """

    def advance(done: int) -> None:
        if progress is not None:
            progress("loading", done, _STEPS)

    advance(0)
    source = source_files(resolve_source(data), data)
    settings = columns_for(source, data)
    assert source.train is not None
    assert source.test is not None
    advance(1)
    loaded, keys = {}, {}
    report = DataReport(kind=source.kind, source=source.spec)
    for done, (split, file) in enumerate((("train", source.train), ("test", source.test)), 2):
        loaded[split], report.files[split], keys[split] = load_file(file, settings)
        _require_usable(report.files[split])
        advance(done)
    train, dev = _divide(loaded["train"], report.files["train"], data)
    if data.train_limit is not None:
        train = _first(train, data)
    test = loaded["test"]
    if data.test_limit is not None:
        test = test.select(range(min(data.test_limit, len(test))))
    advance(_STEPS)
    return Splits(train, dev, test, report, _fingerprint(keys, data))


def load_alone(file: SourceFile, data: DataConfig) -> tuple[datasets.Dataset, str]:
    """All reviews of one file, to be scored, and their fingerprint. Raises DataError for one that cannot be used."""
    reviews, report, key = load_file(file, data)
    _require_usable(report)
    if data.test_limit is not None:
        reviews = reviews.select(range(min(data.test_limit, len(reviews))))
    return reviews, hashlib.sha256(json.dumps([key, data.test_limit]).encode()).hexdigest()


def _first(train: datasets.Dataset, data: DataConfig) -> datasets.Dataset:
    """The first `train_limit` reviews of `train`. Raises DataError where they are of one class: a sorted file."""
    assert data.train_limit is not None
    chosen = train.select(range(min(data.train_limit, len(train))))
    labels = chosen.with_format("numpy")["label"][:]
    if (labels == labels[0]).all():
        raise DataError(
            _("data.train_limit = {limit}: these train reviews all have the label {label}").format(
                limit=data.train_limit, label=(data.negative_label, data.positive_label)[int(labels[0])]
            ),
            _("The first ones of the file are taken: raise the limit, or shuffle a file that is sorted by label."),
        )
    return chosen


def _require_usable(report: FileReport) -> None:
    problem = report.problem()
    if problem is not None:
        raise problem


def _fingerprint(keys: dict[str, str], data: DataConfig) -> str:
    parts = [SPLIT_VERSION, keys, data.dev_size, data.split_seed, data.train_limit, data.test_limit]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def text_groups(dataset: datasets.Dataset) -> np.ndarray:
    """A number for each row's document (int64, from 0 in order of appearance): equal texts have equal numbers."""
    import pyarrow as pa

    # Large offsets: a whole split in one array may hold more than 2 GiB of text.
    documents = dataset.data.column("document").cast(pa.large_string()).combine_chunks()
    if isinstance(documents, pa.ChunkedArray):
        documents = pa.concat_arrays(documents.chunks)
    return documents.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype("int64")


def labels_of(dataset: datasets.Dataset) -> np.ndarray:
    """The labels (int64) of a data set that was loaded whole, without going through Python lists."""
    return dataset.data.column("label").to_numpy()


def _divide(whole: datasets.Dataset, report: FileReport, data: DataConfig) -> tuple[datasets.Dataset, datasets.Dataset]:
    import numpy as np

    labels = labels_of(whole)
    in_dev = dev_rows(text_groups(whole), labels, data.dev_size, data.split_seed)
    for label, value in enumerate((data.negative_label, data.positive_label)):
        if not np.any(labels[~in_dev] == label):
            raise DataError(
                _("{path} leaves no review with label {label} to train on").format(path=report.path, label=value),
                _("check data.negative_label, data.positive_label and data.dev_size"),
            )
    if not in_dev.any():
        return whole, whole.select([])
    return whole.select(np.flatnonzero(~in_dev)), whole.select(np.flatnonzero(in_dev))
