"""A long log's columns are kept, and never given for a log that says something else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core import log_cache
from core.log_batch import Batch
from core.log_cache import LogCache
from core.log_scan import read_batches
from tests.core.test_log_scan import lines, step

LINE = len(lines([step(1000, loss=0.5, rss=7, gpu=None)]))


@pytest.fixture(autouse=True)
def short_logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache of its own, in which logs of a few lines are kept."""
    monkeypatch.setattr(log_cache, "LEAST", 1)
    monkeypatch.setenv("NSMC_TUI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of 300 steps and an evaluation, written some time ago."""
    path = tmp_path / "events.jsonl"
    write(path, 0, 300)
    return path


def write(path: Path, first: int, last: int, *, loss: float = 0.5) -> None:
    """Append steps `first` + 1000 … to a log, an evaluation before them, as if that had been a minute ago."""
    events = [{"type": "eval", "step": first, "metrics": {"eval_loss": 1.0}}]
    events += [step(number, loss=loss + number % 7, rss=7, gpu=None) for number in range(1000 + first, 1000 + last)]
    with path.open("ab") as file:
        file.write(lines(events))
    os.utime(path, (time.time() - 60 + last / 100, time.time() - 60 + last / 100))


def read(log: Path) -> tuple[list[Batch], int]:
    """All of a log, read as the app does; and how many bytes of it came from the cache."""
    status = log.stat()
    cache = LogCache(log, status)
    kept = list(cache.read())
    end = kept[-1].end if kept else 0

    def rest() -> Iterator[Batch]:
        for batch, _half in read_batches(log, end, status.st_size, chunk_size=LINE * 40):
            yield batch

    return [*kept, *cache.keep(rest())], end


def told(batches: list[Batch]) -> tuple[list[float], list[float], int, int]:
    """Steps, losses, other events and skipped lines."""
    losses = [value for batch in batches if batch.names for value in batch.y[batch.names.index("loss")].tolist()]
    steps = [value for batch in batches for value in batch.x[0].tolist()]
    return steps, losses, sum(len(batch.others) for batch in batches), sum(batch.skipped for batch in batches)


def fresh(log: Path) -> tuple[list[float], list[float], int, int]:
    """The same without a cache."""
    return told([batch for batch, _half in read_batches(log, 0, log.stat().st_size)])


def test_the_second_opening_has_everything_from_the_cache(log: Path) -> None:
    first, none = read(log)
    second, all_of_it = read(log)
    assert (none, all_of_it) == (0, log.stat().st_size)
    assert told(first) == told(second) == fresh(log)
    for before, after in zip(first, second, strict=True):
        assert (before.names, before.others, before.last, before.end) == (
            after.names,
            after.others,
            after.last,
            after.end,
        )
        np.testing.assert_array_equal(before.x, after.x)
        np.testing.assert_array_equal(before.y, after.y)


def test_what_was_appended_is_read_and_kept_too(log: Path) -> None:
    read(log)
    size = log.stat().st_size
    write(log, 300, 500)
    with log.open("ab") as file:
        file.write(b'{"type":"st')
    found, from_cache = read(log)
    assert from_cache == size
    assert told(found) == fresh(log)
    with log.open("ab") as file:
        file.write(b'ep","step":9000,"ts":1,"epoch":1,"loss":3}\n')
    found, from_cache = read(log)
    assert size < from_cache < log.stat().st_size
    assert told(found) == fresh(log)
    assert read(log)[1] == log.stat().st_size


def edited(log: Path) -> None:
    data = log.read_bytes()
    place = data.index(b"0.5", len(data) // 2)
    with log.open("r+b") as file:
        file.seek(place)
        file.write(b"9.5")


def edited_and_grown(log: Path) -> None:
    edited(log)
    write(log, 300, 330)


def replaced(log: Path) -> None:
    other = log.with_name("other")
    write(other, 0, 400, loss=2.5)
    os.replace(other, log)


def cut(log: Path) -> None:
    os.truncate(log, log.stat().st_size // 2)
    write(log, 300, 900, loss=4.5)


@pytest.mark.parametrize("change", [edited, edited_and_grown, replaced, cut])
def test_a_log_that_was_changed_is_read_as_it_is(log: Path, change: Callable[[Path], None]) -> None:
    read(log)
    change(log)
    assert told(read(log)[0]) == fresh(log)
    # And again from what was kept of that.
    assert told(read(log)[0]) == fresh(log)


def test_a_log_that_was_just_written_is_compared_before_it_is_believed(log: Path) -> None:
    os.utime(log)
    written = log.stat()
    read(log)
    edited(log)
    os.utime(log, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert told(read(log)[0]) == fresh(log)


@pytest.mark.parametrize("damage", ["cut", "bits", "head"])
def test_a_damaged_entry_is_read_as_far_as_it_is_whole(log: Path, damage: str) -> None:
    read(log)
    (entry,) = (log_cache.cache_dir() / "logs").iterdir()
    data = bytearray(entry.read_bytes())
    if damage == "cut":
        data = data[: len(data) * 2 // 3]
    else:
        data[len(data) // 2 if damage == "bits" else 3] ^= 0xFF
    entry.write_bytes(data)
    found, from_cache = read(log)
    assert from_cache < log.stat().st_size
    assert (from_cache > 0) == (damage != "head")
    assert told(found) == fresh(log)
    assert told(read(log)[0]) == fresh(log)


def test_two_that_write_at_once_do_not_spoil_each_other(log: Path) -> None:
    read(log)
    write(log, 300, 600)
    status = log.stat()
    caches = [LogCache(log, status) for _ in range(2)]
    ends = [list(cache.read())[-1].end for cache in caches]
    batches = [
        cache.keep(batch for batch, _half in read_batches(log, end, status.st_size, chunk_size=LINE * 40))
        for cache, end in zip(caches, ends, strict=True)
    ]
    for one, other in zip(*batches, strict=True):
        assert one.end == other.end
    assert told(read(log)[0]) == fresh(log)
    assert read(log)[1] == log.stat().st_size


def test_a_reading_that_was_given_up_is_kept_as_far_as_it_came(log: Path) -> None:
    status = log.stat()
    cache = LogCache(log, status)
    assert not list(cache.read())
    reading = cache.keep(batch for batch, _half in read_batches(log, 0, status.st_size, chunk_size=LINE * 40))
    first = next(reading)
    reading.close()  # type: ignore[attr-defined]
    found, from_cache = read(log)
    assert from_cache == first.end
    assert told(found) == fresh(log)


def test_without_a_cache_directory_the_log_is_read(log: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert told(read(log)[0]) == fresh(log)
    assert read(log)[1] == 0


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = []
    for number in range(3):
        logs.append(tmp_path / f"log-{number}")
        write(logs[-1], 0, 200)
        read(logs[-1])
        (entry,) = [LogCache(logs[-1], logs[-1].stat()).entry]
        os.utime(entry, (1000 + number, 1000 + number))
    abandoned = entry.with_name(".x.columns.1.2")
    abandoned.write_bytes(b"x")
    os.utime(abandoned, (1000, 1000))
    read(logs[0])
    monkeypatch.setattr(log_cache, "MOST", entry.stat().st_size * 2 + 1000)
    write(tmp_path / "log-3", 0, 200)
    read(tmp_path / "log-3")
    assert not abandoned.exists()
    assert [read(path)[1] > 0 for path in (tmp_path / "log-3", logs[0])] == [True, True]
    assert len(list(entry.parent.iterdir())) == 2
