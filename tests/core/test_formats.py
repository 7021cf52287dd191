"""Figures for people."""

from __future__ import annotations

import pytest

from core import formats


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "–"),
        (0, "0 MB"),
        (1, "<1 MB"),
        (600 << 10, "1 MB"),
        (1536 << 20, "1.5 GB"),
        (1023 << 20, "1,023 MB"),
    ],
)
def test_a_file_is_never_told_to_be_empty_when_it_is_not(size: float | None, text: str) -> None:
    assert formats.size(size) == text
