"""The Hub without a network: the failure is quick and says what to do, and a copied cache serves."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.config import DataConfig
from core.data import load_splits
from core.data_hub import cached_files, choose_files
from core.errors import DataError, OfflineError

REVISION = "refs/convert/parquet"
COMMIT = "a" * 40


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NSMC_TUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing listens on this port: refused at once, whether or not the machine has a network.
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")


def fill_cache(
    hub_cache: Path, commit: str = COMMIT, ref: str | None = REVISION, names: tuple[str, str] = ("리뷰", "y")
) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = hub_cache / "datasets--e9t--nsmc"
    snapshot = root / "snapshots" / commit
    for split, count in (("train", 40), ("test", 10)):
        (snapshot / "default" / split).mkdir(parents=True)
        texts = [f"{split} {n}" for n in range(count)]
        table = pa.table({"id": texts, names[0]: texts, names[1]: [n % 2 for n in range(count)]})
        half = count // 2
        pq.write_table(table.slice(0, half), snapshot / "default" / split / "0000.parquet")
        pq.write_table(table.slice(half), snapshot / "default" / split / "0001.parquet")
    if ref is not None:
        (root / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (root / "refs" / ref).write_text(commit)
    return snapshot


@pytest.mark.usefixtures("unreachable")
def test_out_of_reach_is_quick_and_helpful() -> None:
    start = time.monotonic()
    with pytest.raises(OfflineError) as caught:
        load_splits(DataConfig(source="hub"))
    assert time.monotonic() - start < 60
    assert "e9t/nsmc" in caught.value.message
    assert "ratings_train.txt" in caught.value.hint
    assert "HF_HOME" in caught.value.hint


@pytest.mark.parametrize(("revision", "asked"), [(REVISION, f" --revision {REVISION}`"), ("", "DIR`")])
def test_offline_mode_tells_the_way_to_the_data_set_asked_for(
    revision: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineError) as caught:
        load_splits(DataConfig(source="hub:some/other", hub_revision=revision))
    assert "`hf download some/other --repo-type dataset" in caught.value.hint
    assert asked in caught.value.hint
    assert "HF_HOME" in caught.value.hint
    assert "nsmc" not in caught.value.hint


@pytest.mark.usefixtures("unreachable")
def test_cached_copy_serves_with_the_config_s_columns(hub_cache: Path) -> None:
    fill_cache(hub_cache)
    data = DataConfig(source="hub", document_column="리뷰", label_column="y", dev_size=0)
    splits = load_splits(data)
    assert list(splits.train["document"]) == [f"train {n}" for n in range(40)]
    assert list(splits.test["label"]) == [n % 2 for n in range(10)]
    assert splits.report.kind == "hub"
    with pytest.raises(DataError, match="document"):
        load_splits(DataConfig(source="hub"))


@pytest.mark.usefixtures("unreachable")
def test_cache_fetched_by_commit_or_with_another_snapshot(hub_cache: Path) -> None:
    fill_cache(hub_cache, ref=None)
    script = hub_cache / "datasets--e9t--nsmc" / "snapshots" / ("b" * 40)
    script.mkdir()
    (script / "nsmc.py").write_text("raise SystemExit")
    found = cached_files("e9t/nsmc", REVISION)
    assert found is not None
    assert [path.name for path in found["train"].paths] == ["0000.parquet", "0001.parquet"]
    assert COMMIT in str(found["test"].paths[0])
    assert cached_files("e9t/nsmc", "c" * 40) is None
    assert cached_files("e9t/nsmc", "b" * 40) is None
    assert cached_files("other/name", REVISION) is None


def test_fetched_files_are_read(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = fill_cache(hub_cache, names=("document", "label"))
    files = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*.parquet")]
    asked = []

    def dataset_info(self: object, name: str, **settings: object) -> SimpleNamespace:
        asked.append((name, settings["revision"]))
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=file) for file in ["README.md", *files]])

    def hf_hub_download(name: str, file: str, *, repo_type: str, revision: str, etag_timeout: float) -> str:
        assert (name, repo_type, revision) == ("e9t/nsmc", "dataset", REVISION)
        return str(snapshot / file)

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", dataset_info)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hf_hub_download)
    splits = load_splits(DataConfig(source="hub", dev_size=0))
    assert asked == [("e9t/nsmc", REVISION)]
    assert list(splits.train["id"]) == [f"train {n}" for n in range(40)]


@pytest.mark.parametrize("missing", ["RepositoryNotFoundError", "RevisionNotFoundError"])
def test_what_the_hub_does_not_have_is_not_an_outage(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.errors as errors

    def dataset_info(*_arguments: object, **_settings: object) -> None:
        raise getattr(errors, missing).__new__(getattr(errors, missing))

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", dataset_info)
    with pytest.raises(DataError) as caught:
        load_splits(DataConfig(source="hub:no/such"))
    assert "no/such" in caught.value.message


def test_choosing_files() -> None:
    parquet = ["default/test/0000.parquet", "default/train/0001.parquet", "default/train/0000.parquet", "README.md"]
    assert choose_files("x/y", [*parquet, "raw/train.csv", "raw/test.csv"]) == {
        "train": ["default/train/0000.parquet", "default/train/0001.parquet"],
        "test": ["default/test/0000.parquet"],
    }
    assert choose_files("x/y", ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"]) == {
        "train": ["data/train-00000-of-00001.parquet"],
        "test": ["data/test-00000-of-00001.parquet"],
    }
    assert choose_files("x/y", ["ratings_train.txt", "ratings_test.txt", "ratings.txt", "code/x.py"]) == {
        "train": ["ratings_train.txt"],
        "test": ["ratings_test.txt"],
    }
    both = [f"{name}/{split}/0.parquet" for name in ("a", "default") for split in ("train", "test")]
    assert choose_files("x/y", both)["train"] == ["default/train/0.parquet"]
    with pytest.raises(DataError, match="several"):
        choose_files("x/y", [file.replace("default", "b") for file in both])
    with pytest.raises(DataError, match="no train and test"):
        choose_files("x/y", ["constrained.parquet", "training.txt", "nsmc.py"])
