"""Variants of reviews on disk: nothing is lost, nothing broken by what others wrote."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import NsmcTuiError
from core.variants import VARIANTS_FILE, Variants, rows

TEXT = "재미 없\x1b[31m다 \ud83d"


def test_a_variant_comes_back_as_it_was(tmp_path: Path) -> None:
    variants = Variants(tmp_path)
    first = variants.add("7", "test", "재미 없다", (0.8, 0.2), (0.1, 0.9))
    second = variants.add("7", "test", "재미 _", (0.3, 0.7), (0.1, 0.9), masked={1}, parent=first, note="flip")
    variants.add("8", "dev", TEXT, (0.5, 0.5), (0.5, 0.5))
    again = Variants(tmp_path)
    assert again.of("7", "test") == [first, second] == variants.of("7", "test")
    assert again.of("7", "dev") == []
    assert (second.parent, second.masked, second.note) == (first.variant, (1,), "flip")
    assert first.flips()
    assert not second.flips()
    assert first.change == pytest.approx(-0.7)
    # A lone surrogate cannot be in a file; everything else is as it was.
    assert again.of("8", "dev")[0].text == TEXT.replace("\ud83d", "?")
    assert [row["id"] for row in rows(tmp_path)] == ["7", "7", "8"]
    assert rows(tmp_path, ["8"])[0]["flipped"] is False
    json.dumps(rows(tmp_path))


def test_what_others_wrote_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / VARIANTS_FILE
    file.write_bytes(b'{"id": 1}\nnonsense\n[]\n\xff\n{"id":"7","variant":"a","text":"half')
    variants = Variants(tmp_path)
    assert len(variants) == 0
    assert variants.skipped == 4
    kept = variants.add("7", "test", "whole", (0.5, 0.5), (0.5, 0.5))
    assert list(Variants(tmp_path)) == [kept]


def test_two_at_a_time_lose_nothing(tmp_path: Path) -> None:
    def write(number: int) -> None:
        variants = Variants(tmp_path)
        for step in range(20):
            variants.add(str(number), "test", f"{step} " * 50, (0.5, 0.5), (0.5, 0.5))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    found = list(Variants(tmp_path))
    assert len(found) == len({variant.variant for variant in found}) == 80


def test_without_a_place_to_write_it_says_so(tmp_path: Path) -> None:
    variants = Variants(tmp_path / "gone")
    with pytest.raises(NsmcTuiError, match="could not be kept"):
        variants.add("7", "test", "text", (0.5, 0.5), (0.5, 0.5))
    assert len(variants) == 0
