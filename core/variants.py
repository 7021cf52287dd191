"""Variants of reviews and what the model said to them: `variants.jsonl` of a run, appended to, never rewritten.

A variant is what came of "what if": the text edited, words taken away or masked. It says which variant it was made
from, so that a chain of changes can be followed from the review in the data.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core import foreign_json
from core.errors import DiskFullError, RunError
from core.events import encode
from core.i18n import gettext as _
from core.predictions import THRESHOLD, class_at

VARIANTS_FILE = "variants.jsonl"
VERSION = 1


@dataclass(frozen=True)
class Variant:
    """One variant of a review.

    id: the review's, as in the data. split: of the review. variant: its own name, unique in the file. parent: the
    name of the variant that it was made from, None for the review itself. text: raw; masked: indexes of its words
    (`core.tokenization.split_words`) that were replaced by the mask token. prob_0, prob_1: what the model said.
    base_0, base_1: what it said to the review itself. note: how it came about (`flip`), or the user's words. ts:
    seconds since the epoch.
    """

    id: str
    split: str
    variant: str
    parent: str | None
    text: str
    prob_0: float
    prob_1: float
    base_0: float
    base_1: float
    masked: tuple[int, ...] = ()
    note: str = ""
    ts: float = 0.0

    @property
    def change(self) -> float:
        """How far the probability of class 1 moved from that of the review itself."""
        return self.prob_1 - self.base_1

    def flips(self, threshold: float = THRESHOLD) -> bool:
        """Whether the answer is another one than to the review itself, where it is positive from `threshold` on."""
        now, before = int(self.prob_1 > self.prob_0), int(self.base_1 > self.base_0)
        return class_at(now, self.prob_1, threshold) != class_at(before, self.base_1, threshold)


class Variants:
    """The variants of a run, read when made; `add` appends one."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / VARIANTS_FILE
        self.skipped = 0
        self._all = list(self._read())

    def __iter__(self) -> Iterator[Variant]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def of(self, review: str, split: str) -> list[Variant]:
        """The variants of one review, the oldest first."""
        return [variant for variant in self._all if (variant.id, variant.split) == (review, split)]

    def add(
        self,
        review: str,
        split: str,
        text: str,
        probabilities: tuple[float, float],
        base: tuple[float, float],
        *,
        masked: Iterable[int] = (),
        parent: Variant | None = None,
        note: str = "",
    ) -> Variant:
        """Keep a variant: it is on disk when this returns. Raises RunError or DiskFullError, and keeps nothing then."""
        now = time.time()
        variant = Variant(
            id=review,
            split=split,
            # Two who write at the same time must not give the same name.
            variant=f"{int(now * 1000):x}-{os.urandom(3).hex()}",
            parent=None if parent is None else parent.variant,
            text=text,
            prob_0=probabilities[0],
            prob_1=probabilities[1],
            base_0=base[0],
            base_1=base[1],
            masked=tuple(sorted(masked)),
            note=note,
            ts=now,
        )
        self._append(encode({"v": VERSION, **asdict(variant)}))
        self._all.append(variant)
        return variant

    def _append(self, line: str) -> None:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                # A writer that died within a line left half of it: this one begins on a line of its own.
                size = os.fstat(descriptor).st_size
                half = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                os.write(descriptor, (("\n" if half else "") + line).encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(_("The variant could not be kept: the disk is full.")) from error
            raise RunError(_("The variant could not be kept: {reason}").format(reason=error)) from error

    def _read(self) -> Iterator[Variant]:
        try:
            content = self.path.read_bytes()
        except OSError:
            # None yet, or a run that one may not read: there are none to show.
            return
        for line in content.split(b"\n")[:-1]:
            variant = _variant(line)
            if variant is None:
                self.skipped += bool(line.strip())
            else:
                yield variant


def rows(run_dir: Path, reviews: Iterable[str] | None = None, threshold: float = THRESHOLD) -> list[dict[str, Any]]:
    """The variants of a run as plain rows for other programs, the oldest first; of `reviews` (ids) only, if given.

    A row has the fields of `Variant`, and `change` and `flipped`: at the threshold.
    """
    wanted = None if reviews is None else set(reviews)
    return [
        {
            **asdict(variant),
            "masked": list(variant.masked),
            "change": variant.change,
            "flipped": variant.flips(threshold),
        }
        for variant in Variants(run_dir)
        if wanted is None or variant.id in wanted
    ]


def _variant(line: bytes) -> Variant | None:
    """The variant in `line`; None for a line that is none, whoever wrote it."""
    try:
        record = foreign_json.parse(line)
        return Variant(
            id=str(record["id"]),
            split=str(record.get("split", "test")),
            variant=str(record["variant"]),
            parent=None if record.get("parent") is None else str(record["parent"]),
            text=str(record["text"]),
            prob_0=float(record["prob_0"]),
            prob_1=float(record["prob_1"]),
            base_0=float(record["base_0"]),
            base_1=float(record["base_1"]),
            masked=tuple(int(word) for word in record.get("masked", ())),
            note=str(record.get("note", "")),
            ts=float(record.get("ts", 0.0)),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
