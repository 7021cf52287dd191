"""The built-in sample: the same on every machine, NSMC-like, with 3% wrong labels and reviews that are hard."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.sample import generate, sample_flipped_ids, write_sample
from core.sample_grammar import forms, subject, topic

PINNED = {
    "ratings_train.txt": "ad1e3e92a98ad56380af1c463753d1a8d03ffc79531cc66ce8836fd2b194e7fa",
    "ratings_test.txt": "5497ec39c8a2300da2d766665db01d7df42d62a85de0987604aa11c75f4f1aa0",
}


def test_bytes_are_pinned(tmp_path: Path) -> None:
    write_sample(tmp_path)
    found = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in PINNED}
    assert found == PINNED, "the sample changed: raise SAMPLE_VERSION and the hashes together"


def test_does_not_depend_on_hash_seed(tmp_path: Path) -> None:
    code = "import sys, pathlib; from core.sample import write_sample; write_sample(pathlib.Path(sys.argv[1]))"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
    assert hashlib.sha256((tmp_path / "ratings_test.txt").read_bytes()).hexdigest() == PINNED["ratings_test.txt"]


def test_written_as_nsmc_writes(tmp_path: Path) -> None:
    write_sample(tmp_path)
    lines = (tmp_path / "ratings_train.txt").read_bytes().decode("utf-8").split("\n")
    assert lines[0] == "id\tdocument\tlabel"
    assert lines[-1] == ""
    assert [tuple(line.split("\t")) for line in lines[1:-1]] == [(i, d, str(n)) for i, d, n in generate("train")]


def test_writing_again_leaves_right_files_alone_and_repairs_others(tmp_path: Path) -> None:
    write_sample(tmp_path)
    train, test = tmp_path / "ratings_train.txt", tmp_path / "ratings_test.txt"
    os.utime(train, (1, 1))
    test.write_text("broken")
    write_sample(tmp_path)
    assert train.stat().st_mtime == 1
    assert hashlib.sha256(test.read_bytes()).hexdigest() == PINNED["ratings_test.txt"]


@pytest.mark.parametrize(("split", "size"), [("train", 4000), ("test", 1000)])
def test_sizes_labels_and_flips(split: str, size: int) -> None:
    rows = generate(split)
    ids = [i for i, _text, _label in rows]
    assert len(rows) == len(set(ids)) == size
    assert sum(label for *_rest, label in rows) == size // 2
    flipped = sample_flipped_ids(split)
    assert len(flipped) == size * 3 // 100
    assert flipped <= set(ids)
    assert sum(label for i, _text, label in rows if i in flipped) == len(flipped) // 2


def test_flipped_labels_are_wrong() -> None:
    clear = {"돈 아깝다": 0, "추천합니다": 1}
    seen = []
    for i, text, label in generate("train"):
        for words, right in clear.items():
            if text == words or re.fullmatch(rf".*[.,] {words}", text):
                assert (label != right) == (i in sample_flipped_ids("train")), text
                seen.append(label == right)
    assert True in seen
    assert False in seen


@pytest.mark.parametrize("split", ["train", "test"])
def test_reviews_are_like_nsmc(split: str) -> None:
    texts = [text for _id, text, _label in generate(split)]
    assert all(text and text == text.strip() and not re.search(r"[\t\r\n{}=]|(?<!\.)~[가-힣]", text) for text in texts)
    assert len(texts) - len(set(texts)) < 0.03 * len(texts)
    lengths = sorted(map(len, texts))
    assert lengths[len(lengths) // 20] <= 8
    assert lengths[-1] <= 200
    assert lengths[-len(lengths) // 20] >= 45
    for pattern in ("ㅋㅋ", "ㅠㅠ", "ㅎ", "안 ", "못 ", "지 않", "[0-9]점", "CG|OST", "★", "[👍👎]", "^[^ ]{15,}$"):
        assert any(re.search(pattern, text) for text in texts), pattern


def test_train_and_test_hardly_overlap() -> None:
    train = {text for _id, text, _label in generate("train")}
    assert sum(text in train for _id, text, _label in generate("test")) < 30


def test_single_words_do_not_give_the_label_away() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train, test = generate("train"), generate("test")
    words = TfidfVectorizer(token_pattern=r"\S+")
    model = LogisticRegression(C=5, max_iter=500)
    model.fit(words.fit_transform([row[1] for row in train]), [row[2] for row in train])
    accuracy = model.score(words.transform([row[1] for row in test]), [row[2] for row in test])
    assert 0.75 < accuracy < 0.92


def test_particles_and_endings() -> None:
    assert (subject("감독"), subject("스토리"), topic("결말"), topic("OST")) == (
        "감독이",
        "스토리가",
        "결말은",
        "OST는",
    )
    assert [forms(word)["nde"] for word in ("지루하", "재밌", "좋", "아쉽~", "최고=", "느리")] == [
        "지루한데",
        "재밌는데",
        "좋은데",
        "아쉬운데",
        "최고인데",
        "느린데",
    ]
    assert [forms(word)["m"] for word in ("지루하", "재밌", "아쉽~", "느리")] == ["지루함", "재밌음", "아쉬움", "느림"]
    assert [forms(word)["yo"] for word in ("지루하", "최고=", "최악=", "귀엽~")] == [
        "지루해요",
        "최고예요",
        "최악이에요",
        "귀여워요",
    ]
    assert [forms(word)["pastda"] for word in ("최고=", "최악=", "멋지")] == ["최고였다", "최악이었다", "멋졌다"]


def test_unknown_split() -> None:
    with pytest.raises(KeyError):
        generate("dev")
