"""Foreign text made safe: nothing a terminal obeys, every character visible, offsets kept."""

from __future__ import annotations

import unicodedata

import regex
from hypothesis import given
from hypothesis import strategies as st

from core.text import clusters, visible, visible_lines


def harmless(text: str) -> bool:
    return not any(
        unicodedata.category(char) in ("Cc", "Cs") or char in "\u202a\u202e\u2066\u2028\u200f" for char in text
    )


@given(st.text())
def test_no_control_character_survives(text: str) -> None:
    assert harmless(visible(text))


@given(st.text())
def test_clusters_cover_the_text_in_order(text: str) -> None:
    found = clusters(text)
    assert "".join(text[c.start : c.end] for c in found) == text
    assert all(harmless(c.display) for c in found)


def test_control_characters_become_pictures() -> None:
    assert visible("\x1b]0;pwned\x07") == "␛]0;pwned␇"
    assert visible("a\tb\x00\x7f\x9b") == "a␉b␀␡\ufffd"
    assert visible("[bold][/x]") == "[bold][/x]"


def test_nfd_is_composed_and_fillers_are_seen() -> None:
    assert visible(unicodedata.normalize("NFD", "재밌다")) == "재밌다"
    assert visible("\u3164") == "·"


@given(st.text(" ~aZ0가힣읽ㄱㅣㅋ\u0301\u11a8\u3164\x7f👍", max_size=8))
def test_plain_texts_have_the_clusters_that_a_search_finds(text: str) -> None:
    assert [(c.start, c.end, c.display) for c in clusters(text)] == [
        (m.start(), m.end(), visible(m.group())) for m in regex.finditer(r"\X", text)
    ]


def test_clusters_keep_syllables_and_emoji_whole() -> None:
    text = unicodedata.normalize("NFD", "밌") + "👨‍👩‍👧" + "ㅋ"
    assert [c.display for c in clusters(text)] == ["밌", "👨‍👩‍👧", "ㅋ"]


def test_lines() -> None:
    assert visible_lines("a\r\nb\x1b\nc") == ["a", "b␛", "c"]
