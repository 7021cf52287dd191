"""Which rank's failure was the cause, told from what the ranks and torchrun leave behind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core import rank_failures
from core.rank_failures import describe_death, read_failures, reported_deaths, write_death, write_failure

# As torch 2.13 writes it, shortened: rank 1 was killed, rank 0 waited for it and was ended by torchrun.
REPORT = """
W1122 22:24:30.882000 14216 torch/distributed/elastic/multiprocessing/api.py:1028] Sending process 14220 closing signal SIGTERM
E1122 22:25:00.947000 14216 torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: -9) local_rank: 1
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
======================================================
core.worker FAILED
------------------------------------------------------
Failures:
[1]:
  time      : 2026-11-22_22:25:00
  host      : localhost
  rank      : 0 (local_rank: 0)
  exitcode  : -9 (pid: 14220)  (SIGKILL)
  error_file: <N/A>
  traceback : Signal 9 (SIGKILL) received by PID 14220
------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-22_22:24:30
  host      : localhost
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 14221)  (SIGKILL)
  error_file: <N/A>
  traceback : Signal 9 (SIGKILL) received by PID 14221
======================================================
"""  # noqa: E501
LOST = "RuntimeError: [/pytorch/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:18838."


def test_a_rank_that_torchrun_ended_is_no_cause() -> None:
    (death,) = reported_deaths(REPORT)
    assert (death.rank, death.code, death.pid) == (1, -9, 14221)


def test_a_lost_connection_is_not_the_cause_even_when_told_first(tmp_path: Path) -> None:
    write_failure(tmp_path, 0, "training", LOST)
    write_failure(tmp_path, 2, "out_of_memory", "out of memory: tried to allocate 2 GiB", "a smaller batch")
    first, second = read_failures(tmp_path)
    assert (first.rank, first.hint, first.secondary) == (2, "a smaller batch", False)
    assert (second.rank, second.secondary) == (0, True)


def test_of_two_causes_the_earlier_counts(tmp_path: Path) -> None:
    for rank, at in ((0, 20.0), (1, 10.0)):
        write_failure(tmp_path, rank, "training", f"rank {rank}")
        path = tmp_path / rank_failures.FAILURES / f"rank-{rank}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "at": at}))
    assert [failure.rank for failure in read_failures(tmp_path)] == [1, 0]


def test_a_ranks_own_word_is_kept(tmp_path: Path) -> None:
    write_failure(tmp_path, 1, "data", "its own reason")
    write_death(tmp_path, rank_failures.Death(1, 1, 99, 5.0))
    (failure,) = read_failures(tmp_path)
    assert (failure.message, failure.pid) == ("its own reason", os.getpid())


def test_half_written_words_are_left_out(tmp_path: Path) -> None:
    write_failure(tmp_path, 0, "data", "whole")
    (tmp_path / rank_failures.FAILURES / "rank-1.json").write_text('{"rank": 1')
    (tmp_path / rank_failures.FAILURES / "rank-2.json").write_text('{"rank": 2}')
    assert [failure.rank for failure in read_failures(tmp_path)] == [0]
    rank_failures.forget_failures(tmp_path)
    assert read_failures(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "error", "word"), [(-9, "killed", "SIGKILL"), (-11, "killed", "SIGSEGV"), (3, "exit", "3")]
)
def test_deaths_in_words(code: int, error: str, word: str) -> None:
    found = describe_death(code)
    assert found[0] == error
    assert word in found[1]
    assert bool(found[2]) == (code == -9)
