"""Which files a `DataConfig` means: the built-in sample, the Hub, a directory, or a pair of files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core import foreign_json
from core.config import DataConfig
from core.data_files import KINDS, file_kind
from core.errors import DataError
from core.i18n import gettext as _

DEFAULT_HUB_DATASET = "e9t/nsmc"
NSMC_FILES = {"train": "ratings_train.txt", "test": "ratings_test.txt"}

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class SourceFile:
    """The files of one split: one, or the shards of a parquet or Arrow data set in order. Paths are absolute."""

    paths: tuple[Path, ...]
    kind: str

    @property
    def label(self) -> str:
        """How messages call it: the file, or the shards' directory."""
        return str(self.paths[0]) if len(self.paths) == 1 else f"{self.paths[0].parent} ({len(self.paths)})"


@dataclass(frozen=True)
class Source:
    """What `data.source` stands for.

    `spec` can be written to a config and means the same from any directory. `train` and `test` are None for the
    sample and the Hub until `core.data` has made or fetched their files; `test` also where none was asked for.
    """

    kind: Literal["sample", "hub", "files"]
    spec: str
    train: SourceFile | None = None
    test: SourceFile | None = None
    hub_name: str | None = None


def resolve_source(data: DataConfig, need_test: bool = True) -> Source:
    """Find what `data.source` and `data.test_file` mean, without reading reviews and without the network.

    The words `sample` and `hub` always mean the built-in sample and the Hub; a directory of that name is
    reached as `./sample`. With `need_test` false, a single train file will do. Raises DataError when something
    does not exist or is not known, with the way out as hint.
    """
    spec = data.source.strip()
    if spec == "sample":
        return Source("sample", "sample")
    if spec == "hub" or spec.startswith("hub:"):
        name = spec[4:] or DEFAULT_HUB_DATASET
        if not _HUB_NAME.fullmatch(name):
            raise DataError(
                _('"{name}" is not the name of a data set on the Hub').format(name=name),
                _("write hub:owner/name, for example hub:{example}").format(example=DEFAULT_HUB_DATASET),
            )
        return Source("hub", spec, hub_name=name)
    path = Path(spec).expanduser().absolute()
    if path.is_dir():
        train, test = _in_directory(path, need_test)
        if data.test_file:
            test = _one_file(Path(data.test_file))
    elif path.exists():
        train = _one_file(path)
        test = _one_file(Path(data.test_file)) if data.test_file else _test_beside(path)
    else:
        raise _missing(spec, path)
    if test is None and need_test:
        raise DataError(
            _("there is no test file beside {path}").format(path=path),
            _("name one with data.test_file"),
        )
    return Source("files", str(path), train, test)


def lone_file(data: DataConfig) -> SourceFile | None:
    """The file that `data.source` names where it is one without a test file beside it: it can be scored by itself."""
    path = Path(data.source.strip()).expanduser().absolute()
    words = data.source.strip() in ("sample", "hub") or data.source.startswith("hub:")
    if words or data.test_file or not path.is_file() or _test_beside(path) is not None:
        return None
    return _one_file(path)


def absolute_paths(data: DataConfig) -> DataConfig:
    """`data` with its paths absolute, so that a saved config means the same files from anywhere."""
    updates: dict[str, object] = {}
    source = data.source.strip()
    if source not in ("sample", "hub") and not source.startswith("hub:"):
        updates["source"] = str(Path(source).expanduser().absolute())
    if data.test_file:
        updates["test_file"] = str(Path(data.test_file).expanduser().absolute())
    return data.model_copy(update=updates)


def _missing(spec: str, path: Path) -> DataError:
    hint = _("give a directory with {train} and {test}, a train file, sample, or hub").format(**NSMC_FILES)
    if _HUB_NAME.fullmatch(spec) and "." not in spec:
        hint = _("for a data set on the Hub write hub:{name}").format(name=spec)
    return DataError(_("{path} does not exist").format(path=path), hint)


def _one_file(path: Path) -> SourceFile:
    path = path.expanduser().absolute()
    if not path.is_file():
        raise DataError(
            _("{path} is not a file").format(path=path)
            if path.exists()
            else _("{path} does not exist").format(path=path),
            _("check data.source and data.test_file"),
        )
    return SourceFile((path,), file_kind(path))


def _test_beside(path: Path) -> SourceFile | None:
    before, found, after = path.name.rpartition("train")
    if not found:
        return None
    candidate = path.with_name(before + "test" + after)
    return _one_file(candidate) if candidate.is_file() else None


def _in_directory(path: Path, need_test: bool) -> tuple[SourceFile, SourceFile | None]:
    try:
        files = {split: _split_in_directory(path, split) for split in ("train", "test")}
    except OSError as error:
        raise DataError(
            _("{path} cannot be read: {reason}").format(path=path, reason=error.strerror or error),
            _("check the path and its permissions"),
        ) from error
    train, test = files["train"], files["test"]
    if train is None or (test is None and need_test):
        missing = NSMC_FILES["train" if train is None else "test"]
        raise DataError(
            _("{path} has no {file}").format(path=path, file=missing),
            _("the directory needs {train} and {test}, or train and test files ending in {endings}").format(
                **NSMC_FILES, endings=" ".join(KINDS)
            ),
        )
    return train, test


def _split_in_directory(path: Path, split: str) -> SourceFile | None:
    official = path / NSMC_FILES[split]
    if official.is_file():
        return SourceFile((official,), "tsv")
    candidates = [path / f"{split}{ending}" for ending in KINDS if (path / f"{split}{ending}").is_file()]
    if len(candidates) > 1:
        raise DataError(
            _("{path} has several {split} files: {names}").format(
                path=path, split=split, names=", ".join(file.name for file in candidates)
            ),
            _("name one with data.source and its partner with data.test_file"),
        )
    if candidates:
        return _one_file(candidates[0])
    return _saved_by_datasets(path / split)


def _saved_by_datasets(path: Path) -> SourceFile | None:
    """The Arrow files that `Dataset.save_to_disk` left in `path`, in the data set's order; None if it did not."""
    state = path / "state.json"
    if not state.is_file():
        return None
    try:
        names = [entry["filename"] for entry in foreign_json.parse(state.read_text(encoding="utf-8"))["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            _("{path} is not what datasets' save_to_disk writes").format(path=state),
            _("save the data set again, or export it as parquet"),
        ) from error
    # Only files of the directory itself: a name with a path in it is not what save_to_disk writes.
    return SourceFile(tuple(path / Path(name).name for name in names), "arrow") if names else None
