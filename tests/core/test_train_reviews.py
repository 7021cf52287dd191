"""Looking reviews up among those that a run was trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from datasets import Dataset

from core import config_file
from core.data import load_splits
from core.errors import DataError, RunError
from core.train_index import build, write
from core.train_reviews import NEAR, TrainReviews, fingerprint_of, fold, index_dir, pieces
from tests.conftest import NSMC, needs_nsmc

TEXTS = [
    ("a", "정말 재미있어요 ㅋㅋㅋ", 1),
    ("b", "정말재미있어요ㅋ", 1),
    ("c", "\u110c\u1165\u11bc말 재미있어요 ㅋㅋ", 0),
    ("d", "정말 재미있어요!! 강추", 1),
    ("e", "", 0),
    ("f", "   ", 1),
    ("g", "굿", 1),
    ("h", "굿!!!", 1),
    ("i", "GOOD movie", 1),
    ("j", "전혀 다른 이야기", 0),
    ("k", "깨진 \ud800 글자".replace("\ud800", "\ufffd"), 0),
]


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> TrainReviews:
    directory = tmp_path_factory.mktemp("context") / "index"
    ids, documents, labels = zip(*TEXTS, strict=True)
    train = Dataset.from_dict({"id": ids, "document": documents, "label": labels})
    write(directory, train, "print", lambda _name, _done, _total: None)
    return TrainReviews(directory)


def test_spacing_case_composition_and_repeated_signs_do_not_matter() -> None:
    assert fold("정말 재미있어요 ㅋㅋㅋ") == fold("\u110c\u1165\u11bc말재미있어요\tㅋ")
    assert fold("GOOD  Movie!!!") == fold("good movie!")
    assert fold("ㅋㅋㅎㅎ") == "ㅋㅎ"
    # Syllables and digits that repeat mean something.
    assert fold("하하 100점") == "하하100점"


def test_the_same_review_is_found_with_all_its_labels(reviews: TrainReviews) -> None:
    found = reviews.alike("정말 재미있어요ㅋㅋㅋㅋㅋㅋ")
    assert [review.id for review in found.same] == ["a", "b", "c"]
    assert found.n_same == (1, 2)
    assert [review.id for review in found.near] == ["d"]
    without = reviews.alike("정말 재미있어요ㅋㅋㅋㅋㅋㅋ", exclude_id="a")
    assert [review.id for review in without.same] == ["b", "c"]
    assert without.n_same == (1, 1)


def test_short_and_empty_reviews(reviews: TrainReviews) -> None:
    assert [review.id for review in reviews.alike("굿").same] == ["g"]
    assert [review.id for review in reviews.alike("굿!").same] == ["h"]
    for text in ("", " \t", "없는 말이다 아무것도"):
        found = reviews.alike(text)
        assert found.same == found.near == ()
    assert reviews.alike("깨진 \ud800 글자").same == ()


def jaccard(one: str, other: str) -> float:
    sets = [
        {text[n : n + 3] for n in range(len(text) - 2)} for text in (f"\x02{fold(one)}\x03", f"\x02{fold(other)}\x03")
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_a_piece_is_three_characters_of_one_text() -> None:
    found, owners = pieces(["aaaa", "", "b"])
    assert owners.tolist() == [0, 0, 0, 2]
    assert len(set(found.tolist())) == 4


def test_an_index_of_a_run_agrees_with_comparing_everything(finished_run: Path) -> None:
    directory = build(finished_run)
    assert directory == index_dir(fingerprint_of(finished_run))
    index = TrainReviews(directory)
    splits = load_splits(config_file.load(finished_run / "config.toml").data)
    assert len(index) == len(splits.train)
    train = list(zip(splits.train["id"][:], splits.train["document"][:], strict=True))
    hits = 0
    for text in [*splits.test["document"][:60], train[5][1], train[5][1] + " 정말"]:
        similar = {review: jaccard(text, document) for review, document in train if fold(document) and fold(text)}
        same = [review for review, document in train if fold(document) == fold(text)]
        near = sorted(
            (value for review, value in similar.items() if value >= NEAR and review not in same), reverse=True
        )
        found = index.alike(text, limit=10_000)
        assert [review.id for review in found.same] == same
        assert [review.similarity for review in found.near] == pytest.approx(near)
        assert all(review.similarity == pytest.approx(similar[review.id]) for review in found.near)
        hits += len(near)
    assert hits > 5


def test_a_run_without_data_or_with_changed_data_says_so(finished_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not say"):
        fingerprint_of(tmp_path)
    copy = tmp_path / finished_run.name
    shutil.copytree(finished_run, copy, ignore=shutil.ignore_patterns("checkpoints", "model"))
    config = copy / "config.toml"
    config.write_text(config.read_text().replace("dev_size = 0.1", "dev_size = 0.2"))
    environment = copy / "environment.json"
    environment.write_text(environment.read_text().replace(fingerprint_of(copy), "0" * 64))
    with pytest.raises(DataError, match="has changed"):
        build(copy)


@needs_nsmc
def test_nsmc_has_texts_with_both_labels(tmp_path: Path) -> None:
    from core.config import DataConfig

    splits = load_splits(DataConfig(source=str(NSMC)))
    write(tmp_path / "index", splits.train, splits.fingerprint, lambda _name, _done, _total: None)
    index = TrainReviews(tmp_path / "index")
    found = index.alike("재미있어요")
    assert min(index.alike("최고").n_same[1], found.n_same[1]) > 1
    assert sum(index.alike("굿").n_same) >= len(index.alike("굿").same)
