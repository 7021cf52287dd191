"""Train and test files of a data set on the Hub: fetched, or from the local cache when the Hub is out of reach."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from core.data_files import KINDS
from core.data_sources import DEFAULT_HUB_DATASET, SourceFile
from core.errors import DataError, OfflineError
from core.i18n import gettext as _

TIMEOUT = 5.0
"""Seconds that the Hub has to answer before it counts as out of reach."""

_SPLIT = {split: re.compile(rf"(^|[/_.-]){split}([/_.-]|$)", re.IGNORECASE) for split in ("train", "test")}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOG = logging.getLogger(__name__)


def hub_files(name: str, revision: str | None) -> dict[str, SourceFile]:
    """The files of splits `train` and `test` of Hub data set `name` at `revision`, on this machine.

    Asks the Hub once, without retries, so that an unreachable Hub shows at once; then the files of the Hub's
    local cache serve if they are there. Raises OfflineError when neither has them, DataError when the data set,
    the revision or its train and test files do not exist.
    """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        info = HfApi().dataset_info(name, revision=revision, timeout=TIMEOUT)
        chosen = choose_files(name, (entry.rfilename for entry in info.siblings or ()))
        return {
            split: SourceFile(
                tuple(
                    Path(hf_hub_download(name, file, repo_type="dataset", revision=revision, etag_timeout=TIMEOUT))
                    for file in files
                ),
                KINDS[PurePosixPath(files[0]).suffix.lower()],
            )
            for split, files in chosen.items()
        }
    except RevisionNotFoundError as error:
        raise DataError(
            _("{name} on the Hub has no revision {revision}").format(name=name, revision=revision),
            _("set data.hub_revision to a branch, tag or commit of it, such as main"),
        ) from error
    except RepositoryNotFoundError as error:
        raise DataError(
            _("the Hub has no data set {name}, or it is not open to you").format(name=name),
            _("check the name; for a private or gated data set log in with: hf auth login"),
        ) from error
    # LocalEntryNotFoundError is what a download raises when the connection breaks off; a timeout is an OSError.
    except (HfHubHTTPError, HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, TimeoutError) as error:
        cached = cached_files(name, revision)
        if cached is not None:
            _LOG.warning("the Hub is out of reach (%s); using the cached copy of %s", error, name)
            return cached
        reason = str(error).split("\n")[0]
        raise OfflineError(
            _("{name} cannot be fetched from the Hub: {reason}").format(name=name, reason=reason),
            _offline_hint(name, revision),
        ) from error


def _offline_hint(name: str, revision: str | None) -> str:
    cache = _(
        "copy the Hugging Face cache (HF_HOME) of a machine that has the data set; data.source = sample needs no "
        "network"
    )
    if name == DEFAULT_HUB_DATASET:
        return (
            _(
                "download ratings_train.txt and ratings_test.txt from github.com/e9t/nsmc and give their directory as "
                "data.source, or {cache}"
            )
        ).format(cache=cache)
    asked = f"hf download {name} --repo-type dataset --local-dir DIR"
    return _(
        "on a machine with network run `{command}`, copy the files here and give them as data.source and "
        "data.test_file; or {cache}"
    ).format(command=f"{asked} --revision {revision}" if revision else asked, cache=cache)


def choose_files(name: str, files: Iterable[str]) -> dict[str, list[str]]:
    """Of a data set's file names (posix paths), those of splits `train` and `test`, shards in order.

    Parquet files are preferred; of several configurations, `default`. Raises DataError without train and test.
    """
    known = sorted(file for file in files if PurePosixPath(file).suffix.lower() in KINDS)
    for group in (
        [file for file in known if file.endswith(".parquet")],
        [file for file in known if not file.endswith(".parquet")],
    ):
        roots = {PurePosixPath(file).parts[0] for file in group if len(PurePosixPath(file).parts) > 2}
        if len(roots) > 1 and "default" in roots:
            group = [file for file in group if PurePosixPath(file).parts[0] == "default"]
        chosen = {split: [file for file in group if _SPLIT[split].search(file)] for split in _SPLIT}
        if all(chosen.values()):
            several = len(roots) > 1 and "default" not in roots
            if several or (not group[0].endswith(".parquet") and any(len(found) > 1 for found in chosen.values())):
                raise DataError(
                    _("{name} has several data sets or files for one split: {files}").format(
                        name=name, files=", ".join(sorted(roots) or chosen["train"][:6])
                    ),
                    _("download the files you want and give them as data.source and data.test_file"),
                )
            return chosen
    raise DataError(
        _("{name} has no train and test files that can be read").format(name=name),
        _("data.hub_revision = refs/convert/parquet has them as parquet for most data sets"),
    )


def cached_files(name: str, revision: str | None) -> dict[str, SourceFile] | None:
    """The train and test files of `name` in the Hub's local cache, None if it does not have both.

    The cache keeps, for a data set, `refs/<revision>` naming a commit and `snapshots/<commit>/`. A revision that
    no ref names (it was fetched by commit, as `datasets` does) may be served by any snapshot that has both
    splits, the newest first; a revision that is a commit only by itself.
    """
    from huggingface_hub import constants

    root = Path(constants.HF_HUB_CACHE) / f"datasets--{name.replace('/', '--')}"
    snapshots = root / "snapshots"
    if not snapshots.is_dir():
        return None
    revision = revision or "main"
    ref = root / "refs" / revision
    if _COMMIT.fullmatch(revision):
        commits = [snapshots / revision]
    elif ref.is_file():
        commits = [snapshots / ref.read_text(encoding="utf-8").strip()]
    else:
        commits = sorted(snapshots.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for commit in commits:
        files = [file.relative_to(commit).as_posix() for file in commit.rglob("*") if file.is_file()]
        try:
            chosen = choose_files(name, files)
        except DataError:
            # This snapshot holds only other files, such as the loading script.
            continue
        return {
            split: SourceFile(tuple(commit / file for file in found), KINDS[PurePosixPath(found[0]).suffix.lower()])
            for split, found in chosen.items()
        }
    return None
