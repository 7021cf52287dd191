"""From a config to train, dev and test: sources, cache, dev split, the doctor, and real NSMC where it is there."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from core.config import DataConfig
from core.data import Splits, labels_of, load_splits, text_groups
from core.data_check import check
from core.data_sources import absolute_paths, resolve_source
from core.data_split import dev_rows
from core.errors import DataError

NSMC = Path(__file__).parents[3] / "shared" / "data" / "nsmc"
needs_nsmc = pytest.mark.skipif(not (NSMC / "ratings_train.txt").is_file(), reason=f"NSMC is not in {NSMC}")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NSMC_TUI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path: Path, rows: list[tuple[str, str, int]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["id\tdocument\tlabel", *("\t".join((i, text, str(label))) for i, text, label in rows)]
    path.write_bytes(("\n".join(lines) + "\n").encode())
    return path


def reviews(count: int, prefix: str = "t") -> list[tuple[str, str, int]]:
    return [(f"{prefix}{n}", f"{prefix} 리뷰 {n}", n % 3 % 2) for n in range(count)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path / "nsmc" / "ratings_train.txt", reviews(300))
    write(tmp_path / "nsmc" / "ratings_test.txt", reviews(50, "e"))
    return tmp_path / "nsmc"


def contents(splits: Splits) -> list[list[dict[str, object]]]:
    return [splits[name].to_list() for name in ("train", "dev", "test")]


# Sources


def test_directory(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parent)
    source = resolve_source(DataConfig(source="nsmc"))
    assert source.kind == "files"
    assert source.spec == str(directory)
    assert source.train is not None
    assert source.train.paths == (directory / "ratings_train.txt",)
    assert absolute_paths(DataConfig(source="nsmc")).source == str(directory)
    assert absolute_paths(DataConfig(source="hub:a/b")).source == "hub:a/b"


def test_a_directory_called_like_a_word_does_not_shadow_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sample", "hub"):
        write(tmp_path / name / "ratings_train.txt", reviews(5))
        write(tmp_path / name / "ratings_test.txt", reviews(5))
    assert resolve_source(DataConfig(source="sample")).kind == "sample"
    assert resolve_source(DataConfig(source="hub")).kind == "hub"
    assert resolve_source(DataConfig(source="./sample")).kind == "files"


def test_file_pairs(tmp_path: Path) -> None:
    train = write(tmp_path / "my_train.tsv", reviews(5))
    with pytest.raises(DataError, match="no test file") as caught:
        resolve_source(DataConfig(source=str(train)))
    assert "data.test_file" in caught.value.hint
    assert resolve_source(DataConfig(source=str(train)), need_test=False).test is None
    other = write(tmp_path / "held_out.txt", reviews(5))
    chosen = resolve_source(DataConfig(source=str(train), test_file=str(other)))
    assert chosen.test is not None
    assert chosen.test.paths == (other,)
    beside = write(tmp_path / "my_test.tsv", reviews(5))
    found = resolve_source(DataConfig(source=str(train)))
    assert found.test is not None
    assert found.test.paths == (beside,)


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("nowhere", "does not exist", "sample"),
        ("e9t/nsmc", "does not exist", "hub:e9t/nsmc"),
        ("hub:nsmc", "not the name", "hub:owner/name"),
        ("hub:", "", ""),
        ("empty", "has no ratings_train.txt", "ratings_test.txt"),
        ("half", "has no ratings_test.txt", "ratings_test.txt"),
        ("double", "several train files", "data.source"),
        ("notes.docx", ".docx", ".tsv"),
    ],
)
def test_what_cannot_be_resolved(
    source: str, message: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.docx").write_bytes(b"x")
    write(tmp_path / "half" / "ratings_train.txt", reviews(5))
    for name in ("train.csv", "train.tsv", "test.tsv"):
        write(tmp_path / "double" / name, reviews(5))
    if source == "hub:":
        assert resolve_source(DataConfig(source=source)).hub_name == "e9t/nsmc"
        return
    with pytest.raises(DataError) as caught:
        resolve_source(DataConfig(source=source))
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_all_formats_give_the_same_reviews(directory: Path, tmp_path: Path) -> None:
    import datasets

    expected = load_splits(DataConfig(source=str(directory)))
    frames = {}
    for split, file in (("train", "ratings_train.txt"), ("test", "ratings_test.txt")):
        lines = (directory / file).read_text(encoding="utf-8").split("\n")[1:-1]
        rows = [line.split("\t") for line in lines]
        frames[split] = datasets.Dataset.from_dict(
            {"id": [r[0] for r in rows], "document": [r[1] for r in rows], "label": [int(r[2]) for r in rows]}
        )
        (tmp_path / "csv").mkdir(exist_ok=True)
        frames[split].to_csv(str(tmp_path / "csv" / f"{split}.csv"), index=False)
        (tmp_path / "jsonl").mkdir(exist_ok=True)
        frames[split].to_json(str(tmp_path / "jsonl" / f"{split}.jsonl"), force_ascii=False)
        (tmp_path / "parquet").mkdir(exist_ok=True)
        frames[split].to_parquet(str(tmp_path / "parquet" / f"{split}.parquet"))
    datasets.DatasetDict(frames).save_to_disk(str(tmp_path / "saved"), num_shards={"train": 3, "test": 1})
    for kind in ("csv", "jsonl", "parquet", "saved"):
        loaded = load_splits(DataConfig(source=str(tmp_path / kind)))
        assert contents(loaded) == contents(expected), kind


def test_missing_test_file_is_named(directory: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.txt"):
        load_splits(DataConfig(source=str(directory), test_file=str(directory / "gone.txt")))


def test_sample_ignores_column_settings() -> None:
    splits = load_splits(DataConfig(source="sample", document_column="리뷰", encoding="cp949", negative_label="부정"))
    assert (len(splits.train) + len(splits.dev), len(splits.test)) == (4000, 1000)
    assert splits.report.kind == "sample"


# Loading and the cache


def test_columns_types_and_report(directory: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    splits = load_splits(DataConfig(source=str(directory)), lambda *step: seen.append(step))
    for name in ("train", "dev", "test"):
        features = splits[name].features
        assert {key: value.dtype for key, value in features.items()} == {
            "id": "string",
            "document": "string",
            "label": "int64",
        }
    assert splits.report.files["train"].path == str(directory / "ratings_train.txt")
    json.dumps(splits.report.to_dict())
    assert seen[0] == ("loading", 0, seen[0][2])
    assert seen[-1] == ("loading", seen[0][2], seen[0][2])
    with pytest.raises(KeyError):
        splits["validation"]


def test_splits_are_memory_mapped(directory: Path, cache: Path) -> None:
    import pyarrow as pa

    before = pa.total_allocated_bytes()
    splits = load_splits(DataConfig(source=str(directory)))
    for name in ("train", "dev", "test"):
        files = [Path(entry["filename"]) for entry in splits[name].cache_files]
        assert files
        assert all(file.is_relative_to(cache / "data") for file in files)
    assert pa.total_allocated_bytes() - before < 20_000


def test_second_load_does_not_parse(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_splits(DataConfig(source=str(directory)))
    monkeypatch.setattr("core.data_cache.parse", None)
    second = load_splits(DataConfig(source=str(directory)))
    assert contents(second) == contents(first)
    assert second.report == first.report
    assert second.fingerprint == first.fingerprint


def test_a_changed_file_is_read_again(directory: Path) -> None:
    first = load_splits(DataConfig(source=str(directory)))
    train = directory / "ratings_train.txt"
    times = train.stat()
    train.write_bytes(train.read_bytes().replace("리뷰 7\t".encode(), "리뷰 X\t".encode()))
    os.utime(train, ns=(times.st_atime_ns, times.st_mtime_ns))
    second = load_splits(DataConfig(source=str(directory)))
    assert second.fingerprint != first.fingerprint
    assert "t 리뷰 X" in [*second.train["document"], *second.dev["document"]]


def test_other_settings_are_another_entry(directory: Path) -> None:
    plain = load_splits(DataConfig(source=str(directory), dev_size=0))
    swapped = load_splits(DataConfig(source=str(directory), dev_size=0, negative_label="1", positive_label="0"))
    assert [1 - label for label in swapped.train["label"]] == list(plain.train["label"])


def test_following_the_hint_about_the_encoding_works(directory: Path) -> None:
    for name in ("ratings_train.txt", "ratings_test.txt"):
        text = (directory / name).read_text(encoding="utf-8")
        (directory / name).write_bytes(text.encode("cp949"))
    with pytest.raises(DataError) as caught:
        load_splits(DataConfig(source=str(directory)))
    assert 'data.encoding = "cp949"' in caught.value.hint
    splits = load_splits(DataConfig(source=str(directory), encoding="cp949", dev_size=0))
    assert splits.train["document"][0] == "t 리뷰 0"


@pytest.mark.parametrize("damage", ["truncate", "report", "remove"])
def test_damaged_cache_is_made_again(damage: str, directory: Path, cache: Path) -> None:
    first = contents(load_splits(DataConfig(source=str(directory))))
    for entry in (cache / "data").iterdir():
        if damage == "truncate":
            os.truncate(entry / "reviews.arrow", 100)
        elif damage == "report":
            (entry / "report.json").write_text("{")
        else:
            (entry / "reviews.arrow").unlink()
    assert contents(load_splits(DataConfig(source=str(directory)))) == first
    assert len(list((cache / "data").iterdir())) == 2


def test_unwritable_cache(directory: Path, cache: Path) -> None:
    cache.write_text("a file is in the way")
    with pytest.raises(DataError) as caught:
        load_splits(DataConfig(source=str(directory)))
    assert str(cache) in caught.value.message
    assert "NSMC_TUI_CACHE" in caught.value.hint
    with pytest.raises(DataError, match=str(cache)):
        load_splits(DataConfig(source="sample"))


def _load_fingerprint(source: str) -> str:
    return load_splits(DataConfig(source=source)).fingerprint


def test_processes_may_load_at_once(directory: Path, cache: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.map(_load_fingerprint, [str(directory)] * 8)
    assert len(set(found)) == 1
    assert len(list((cache / "data").iterdir())) == 2


def test_too_many_bad_rows_stop_a_run_cached_or_not(directory: Path) -> None:
    rows = [(i, text, 7 if n % 10 == 0 else label) for n, (i, text, label) in enumerate(reviews(300))]
    write(directory / "ratings_train.txt", rows)
    messages = []
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            load_splits(DataConfig(source=str(directory)))
        messages.append((caught.value.message, caught.value.hint))
    assert messages[0] == messages[1]
    assert "ratings_train.txt" in messages[0][0]
    assert "2, 12, 22" in messages[0][0]
    assert '"7"' in messages[0][1]


def test_one_label_only_cannot_be_trained_on(directory: Path) -> None:
    write(directory / "ratings_train.txt", [(i, text, 1) for i, text, _label in reviews(40)])
    with pytest.raises(DataError, match="label 0"):
        load_splits(DataConfig(source=str(directory)))


# Dev


def test_dev_is_stratified_ordered_and_whole(directory: Path) -> None:
    rows = reviews(1000)
    write(directory / "ratings_train.txt", rows)
    splits = load_splits(DataConfig(source=str(directory), dev_size=0.1))
    train, dev = list(splits.train["id"]), list(splits.dev["id"])
    order = [row[0] for row in rows]
    assert len(dev) == 100
    assert sorted(train + dev) == sorted(order)
    assert train == [i for i in order if i in set(train)]
    assert dev == [i for i in order if i in set(dev)]
    assert dev != order[: len(dev)]
    share = sum(row[2] for row in rows) / len(rows)
    assert abs(sum(splits.dev["label"]) - share * len(dev)) <= 1
    for seed, same in ((42, True), (43, False)):
        again = load_splits(DataConfig(source=str(directory), dev_size=0.1, split_seed=seed))
        assert (list(again.dev["id"]) == dev) is same
        assert (again.fingerprint == splits.fingerprint) is same


def test_dev_does_not_change_between_versions() -> None:
    groups = np.arange(40)
    assert np.flatnonzero(dev_rows(groups, groups % 2, 6, 42)).tolist() == PINNED_DEV


PINNED_DEV = [1, 5, 13, 28, 34, 36]


@pytest.mark.parametrize(("dev_size", "rows"), [(0, 0), (0.001, 0), (7, 7), (1, 1), (0.5, 150)])
def test_dev_sizes(directory: Path, dev_size: float, rows: int) -> None:
    splits = load_splits(DataConfig(source=str(directory), dev_size=dev_size))
    assert len(splits.dev) == rows
    assert len(splits.train) == 300 - rows
    assert splits.dev.column_names == ["id", "document", "label"]


def test_dev_larger_than_train(directory: Path) -> None:
    with pytest.raises(DataError, match="dev_size"):
        load_splits(DataConfig(source=str(directory), dev_size=300))


def test_repeated_texts_stay_on_one_side() -> None:
    random = np.random.RandomState(0)
    groups = np.concatenate([np.repeat(np.arange(60), 5), np.arange(60, 400)])
    labels = random.randint(0, 2, len(groups))
    order = random.permutation(len(groups))
    groups, labels = groups[order], labels[order]
    for seed in range(20):
        mask = dev_rows(groups, labels, 0.2, seed)
        assert not set(groups[mask]) & set(groups[~mask])
        assert mask.sum() == round(0.2 * len(groups))
        assert abs(labels[mask].sum() - mask.sum() * labels.mean()) <= 1
        assert np.isin(groups[mask], np.arange(60)).any(), "repeated texts must be drawn, too"


def test_a_group_too_large_for_dev_stays_in_train() -> None:
    groups = np.array([0] * 50 + [1, 2, 3, 4])
    labels = np.array([0, 1] * 27)
    mask = dev_rows(groups, labels, 4, 1)
    assert not mask[:50].any()
    assert mask.sum() == 4


def test_limits_apply_after_the_split(directory: Path) -> None:
    plain = load_splits(DataConfig(source=str(directory)))
    cut = load_splits(DataConfig(source=str(directory), train_limit=20, test_limit=9))
    assert list(cut.train["id"]) == list(plain.train["id"])[:20]
    assert list(cut.dev["id"]) == list(plain.dev["id"])
    assert list(cut.test["id"]) == list(plain.test["id"])[:9]
    assert cut.fingerprint != plain.fingerprint
    more = load_splits(DataConfig(source=str(directory), train_limit=10_000))
    assert len(more.train) == len(plain.train)


def test_a_limit_within_one_class_of_a_sorted_file_is_told(tmp_path: Path) -> None:
    """The model would learn to give one answer, and the scores of as sorted a test split would be perfect."""
    for name in ("train.tsv", "test.tsv"):
        write(tmp_path / name, [(str(number), f"영화 {number}", int(number >= 60)) for number in range(120)])
    with pytest.raises(DataError, match="all have the label 0") as caught:
        load_splits(DataConfig(source=str(tmp_path), train_limit=20))
    assert "sorted by label" in caught.value.hint
    assert len(load_splits(DataConfig(source=str(tmp_path), train_limit=90)).train) == 90


def test_fingerprint_does_not_depend_on_the_place(directory: Path, tmp_path: Path) -> None:
    directory.rename(tmp_path / "moved")
    moved = load_splits(DataConfig(source=str(tmp_path / "moved")))
    (tmp_path / "moved").rename(directory)
    assert load_splits(DataConfig(source=str(directory))).fingerprint == moved.fingerprint


# The doctor


def test_check_counts(tmp_path: Path) -> None:
    write(
        tmp_path / "d" / "ratings_train.txt", [("1", "가나", 1), ("2", "가나", 0), ("2", "다 라  마", 0), ("4", "", 1)]
    )
    write(tmp_path / "d" / "ratings_test.txt", [("5", "가나", 1), ("6", "다 라 마", 0), ("7", "", 0), ("8", "새", 1)])
    answer = check(DataConfig(source=str(tmp_path / "d")))
    assert json.loads(json.dumps(answer)) == answer
    assert answer["ok"] is True
    train = answer["files"]["train"]
    assert train["lengths"] == {"mean": 2.5, "p50": 2, "p95": 5, "max": 6}
    assert train["labels"] == {"0": 2, "1": 2}
    assert train["repeats"] == {"texts": 1, "rows": 2, "most": 2}
    assert train["counts"]["texts_with_both_labels"] == 1
    assert train["counts"]["duplicate_ids"] == 1
    assert answer["overlap"] == {"exact": 1, "folded": 2}


def test_check_reports_bad_files_instead_of_failing(tmp_path: Path) -> None:
    write(tmp_path / "d" / "ratings_train.txt", [("1", "가", 5), ("2", "나", 0)])
    write(tmp_path / "d" / "ratings_test.txt", [])
    answer = check(DataConfig(source=str(tmp_path / "d")))
    assert answer["ok"] is False
    assert len(answer["problems"]) == 2
    assert all(problem["message"] and problem["hint"] for problem in answer["problems"])
    assert answer["files"]["test"]["lengths"] is None
    assert answer["files"]["train"]["bad"] == {"bad_label": {"count": 1, "lines": [2]}}


def test_blank_reviews_are_no_overlap(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", [("1", "   ", 0), ("2", "정말  좋다", 1)])
    write(tmp_path / "test.tsv", [("1", "   ", 0), ("2", "정말 좋다", 1)])
    assert check(DataConfig(source=str(tmp_path)))["overlap"] == {"exact": 0, "folded": 1}


def test_check_of_a_single_file(tmp_path: Path) -> None:
    answer = check(DataConfig(source=str(write(tmp_path / "only.tsv", reviews(10)))))
    assert answer["ok"] is False
    assert answer["overlap"] is None
    assert answer["files"]["train"]["kept"] == 10


def test_check_as_a_process(directory: Path) -> None:
    def ask(source: Path) -> dict[str, object]:
        command = [sys.executable, "-m", "core.data_check", json.dumps({"source": str(source)})]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    assert ask(directory) == check(DataConfig(source=str(directory)))
    failed = ask(directory / "gone")
    assert failed["error"] == "data"
    assert failed["hint"]


# Real NSMC


@pytest.fixture(scope="module")
def nsmc(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NSMC_TUI_CACHE", str(tmp_path_factory.mktemp("nsmc-cache")))
        return load_splits(DataConfig(source=str(NSMC)))


@needs_nsmc
def test_nsmc_facts(nsmc: Splits) -> None:
    train, test = nsmc.report.files["train"], nsmc.report.files["test"]
    assert (train.rows, train.kept, test.rows, test.kept) == (150_000, 150_000, 25_000, 25_000)
    assert {key: count for key, count in train.counts.items() if count} == {
        "empty_documents": 5,
        "quotes": 627,
        "not_nfc": 13,
        "repeated_texts": 3850,
        "texts_with_both_labels": 155,
    }
    assert (test.counts["empty_documents"], test.counts["quotes"]) == (2, 135)
    assert train.bad == test.bad == {}
    assert (len(nsmc.train), len(nsmc.dev), len(nsmc.test)) == (142_500, 7_500, 25_000)


@needs_nsmc
def test_nsmc_documents_are_the_file_s(nsmc: Splits) -> None:
    def naive(name: str) -> list[list[str]]:
        return [line.split("\t") for line in (NSMC / name).read_bytes().decode().split("\n")[1:-1]]

    def loaded(name: str) -> list[list[str]]:
        columns = nsmc[name].with_format("arrow")[:].to_pydict()
        return [
            [i, text, str(label)]
            for i, text, label in zip(columns["id"], columns["document"], columns["label"], strict=True)
        ]

    assert loaded("test") == naive("ratings_test.txt")
    train, dev = loaded("train"), loaded("dev")
    in_dev = {row[0] for row in dev}
    rows = naive("ratings_train.txt")
    assert train == [row for row in rows if row[0] not in in_dev]
    assert dev == [row for row in rows if row[0] in in_dev]
    assert not {row[1] for row in train} & {row[1] for row in dev}
    assert Counter(row[2] for row in dev) == {"0": 3750, "1": 3750}


def test_groups_and_labels_of_a_mapped_data_set(directory: Path) -> None:
    write(directory / "ratings_train.txt", [("1", "가", 1), ("2", "나", 0), ("3", "가", 0), ("4", "", 1), ("5", "", 1)])
    whole = load_splits(DataConfig(source=str(directory), dev_size=0)).train
    assert text_groups(whole).tolist() == [0, 1, 0, 2, 2]
    assert labels_of(whole).tolist() == [1, 0, 0, 1, 1]


def test_a_third_class_is_told_as_one(tmp_path: Path) -> None:
    """Unlike labels that are all written in another way."""

    def hint(labels: str) -> str:
        file = write(tmp_path / "three.tsv", [])
        lines = [f"{number}\t영화 {number}\t{labels.split()[number % 3]}\n" for number in range(30)]
        file.write_text(file.read_text() + "".join(lines), encoding="utf-8")
        (problem,) = check(DataConfig(source=str(file)))["problems"]
        return str(problem["hint"])

    assert 'knows two classes, and the file also has the labels "2"' in hint("0 1 2")
    assert "take those rows out" in hint("0 1 2")
    assert hint("나쁨 좋음 보통").startswith('the file has the labels "나쁨", "좋음", "보통"')
