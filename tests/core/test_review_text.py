"""Searching texts, and slices."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from core.review_text import BREAK, INITIALS, Texts, asks_for_initials, folded
from core.slices import BY_NAME, SLICES, SliceTable, slices_of

DOCUMENTS = [
    "정말 재미있다",
    "ㅈㅁ없음 ㅋㅋㅋ",
    "Great MOVIE",
    unicodedata.normalize("NFD", "한글 재미"),
    "",
    "자막이 별로",
    f"odd{BREAK}text",
]
LETTERS = st.text("가재미있ㅈㅁㅋ aA.é" + "\u1112\u1161\u11ab" + BREAK + "😀", max_size=6)


def rows(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


@pytest.fixture
def texts() -> Texts:
    return Texts(DOCUMENTS)


def test_substrings_whatever_case_and_composition(texts: Texts) -> None:
    assert rows(texts.search("movie")) == [2]
    assert rows(texts.search("한글")) == [3]
    assert rows(texts.search(unicodedata.normalize("NFD", "재미"))) == [0, 3]
    assert rows(texts.search("oddtext")) == []
    assert rows(texts.search("")) == list(range(len(DOCUMENTS)))
    assert rows(texts.search(BREAK)) == list(range(len(DOCUMENTS)))


def test_initial_consonants(texts: Texts) -> None:
    # 자막 and 재미 both begin with ㅈㅁ; the letters themselves are found too.
    assert rows(texts.search("ㅈㅁ")) == [0, 1, 3, 5]
    assert rows(texts.search("재ㅁ")) == [0, 3]
    assert rows(texts.search("ㅋㅋ")) == [1]
    assert rows(texts.contains_initials("ㅎㄱ ㅈㅁ")) == [3]
    assert asks_for_initials("ㅈㅁ")
    assert not any(asks_for_initials(query) for query in ("ㅋㅋ", "ㅎㅎ", "ㅠㅠ", "재미", ""))


@given(st.lists(LETTERS, max_size=6), LETTERS)
def test_search_is_what_python_finds_in_each_text(documents: list[str], query: str) -> None:
    texts = Texts(documents)
    wanted = folded(query).replace(BREAK, "")
    expected = [wanted in folded(text.replace(BREAK, "\ufffe")) for text in documents]
    assert texts.contains(query).tolist() == expected
    assert texts.lengths.tolist() == [len(folded(text)) for text in documents]


@given(st.lists(LETTERS, max_size=6), st.text("ㅈㅁㅋ재미 a", max_size=4))
def test_initials_are_what_a_loop_finds(documents: list[str], query: str) -> None:
    def initial(character: str) -> str:
        return INITIALS[(ord(character) - 0xAC00) // 588] if "가" <= character <= "힣" else character

    def matches(text: str, at: int) -> bool:
        part = text[at : at + len(query)]
        return len(part) == len(query) and all(
            have == want or (want in INITIALS and initial(have) == want) for have, want in zip(part, query, strict=True)
        )

    texts = [folded(text.replace(BREAK, "\ufffe")) for text in documents]
    expected = [not query or any(matches(text, at) for at in range(len(text))) for text in texts]
    assert Texts(documents).contains_initials(query).tolist() == expected


def test_patterns(texts: Texts) -> None:
    assert rows(texts.matches(r"^great\b")) == [2]
    assert rows(texts.matches("재미.*다$")) == [0]
    with pytest.raises(UsageError, match="not a regular expression"):
        texts.matches("(")


def test_a_pattern_without_end_is_given_up() -> None:
    with pytest.raises(UsageError, match="given up"):
        Texts(["a" * 60 + "!"]).matches(r"(a|aa)+$", seconds=0.2)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("굿", {"short"}),
        ("  ", {"empty"}),
        ("ㅋㅋㅋ", {"short", "laughter", "jamo"}),
        ("ㅠㅠ 슬프다", {"tears"} | {"short"}),
        ("안 봤으면 후회할 영화", {"negation"}),
        ("말도안됨 이게 뭐람", {"negation"}),
        ("안녕하세요 동안 불안 연기", set()),
        ("잘못된 선택이었다 정말", set()),
        ("재미있지 않다 못 보겠다", {"negation"}),
        ("이게 영화냐?!", {"interrobang", "question"}),
        ("글쎄... 잘 모르겠다", {"ellipsis"}),
        ("알바가 10점 준 듯하다", {"rating", "digits"}),
        ("Good movie 추천합니다", {"latin"}),
        ("최고예요♥ 사랑합니다", {"emoji"}),
        ('그는 "왔다" 말했다', {"quotes"}),
        ("정말정말재미있는영화입니다", {"no-spaces"}),
        ("와아아아 대단하다 정말", {"stretched"}),
        (unicodedata.normalize("NFD", "못 보겠다 이건 정말"), {"negation"}),
        ("가" * 100, {"long", "no-spaces", "stretched"}),
    ],
)
def test_slices(text: str, names: set[str]) -> None:
    assert {part.name for part in slices_of(text)} == names


def test_slices_of_a_table_are_those_of_each_text() -> None:
    documents = [*DOCUMENTS, "안 봤다 ㅋㅋ", "10점!!! 알바?!", '"…"', "ㅇ", "♥"]
    table = SliceTable(Texts(documents))
    for row, text in enumerate(documents):
        assert table.of_row(row) == slices_of(text), text
    assert all(part.shown and part.explained for part in SLICES)
    assert len(BY_NAME) == len(SLICES)
    assert all(SliceTable(Texts([])).mask(name).tolist() == [] for name in BY_NAME)
