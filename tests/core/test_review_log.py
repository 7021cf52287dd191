"""Verdicts on disk: appended, never rewritten, shared, taken back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from core.errors import DiskFullError, RunError
from core.predictions import Predictions
from core.review_log import Opinion, ReviewLog
from core.review_scores import after_review, review_summary
from tests.tui.review_helpers import make_run


def lines(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / "review.jsonl").read_text().splitlines()]


def test_a_record_has_what_the_contract_names(tmp_path: Path) -> None:
    log = ReviewLog(tmp_path, "test", "kim")
    log.keep([("7", Opinion("label_wrong", 1, ("별점",), "note \x1b"))])
    (record,) = lines(tmp_path)
    assert {"id", "verdict", "new_label", "tags", "note", "ts"} <= record.keys()
    assert (record["id"], record["verdict"], record["new_label"], record["tags"]) == ("7", "label_wrong", 1, ["별점"])
    assert (record["v"], record["split"], record["by"]) == (1, "test", "kim")
    again = ReviewLog(tmp_path, "test", "kim")
    again.refresh()
    assert again.shown("7") == log.shown("7")
    assert ReviewLog(tmp_path, "dev", "kim").refresh() == set()


def test_undo_and_redo_are_lines_too_and_survive_a_restart(tmp_path: Path) -> None:
    log = ReviewLog(tmp_path, "test", "kim")
    log.keep([("1", Opinion("sarcasm"))])
    log.keep([("1", Opinion("ambiguous", tags=("x",)))])
    log.keep([("1", Opinion("model_wrong")), ("2", Opinion("model_wrong"))])
    before = (tmp_path / "review.jsonl").read_bytes()
    log = ReviewLog(tmp_path, "test", "kim")
    log.refresh()
    assert log.undo().ids == ["1", "2"]
    assert (log.shown("1").verdict, log.shown("2").verdict) == ("ambiguous", None)
    log.undo()
    assert log.shown("1").verdict == "sarcasm"
    log = ReviewLog(tmp_path, "test", "kim")
    log.refresh()
    log.redo()
    assert (log.shown("1").verdict, log.shown("1").tags) == ("ambiguous", ("x",))
    log.redo()
    assert log.redo() is None
    assert log.shown("2").verdict == "model_wrong"
    # A new verdict ends what could be done again.
    log.undo()
    log.keep([("3", Opinion("sarcasm"))])
    assert not log.can_redo
    for _step in range(3):
        assert log.undo() is not None
    assert log.undo() is None
    assert log.held() == {}
    # Nothing was rewritten, and the last line of a review says what is held of it.
    assert (tmp_path / "review.jsonl").read_bytes().startswith(before)
    assert {record["id"]: record["verdict"] for record in lines(tmp_path)} == {"1": None, "2": None, "3": None}


def test_two_reviewers_keep_their_own(tmp_path: Path) -> None:
    kim, lee = (ReviewLog(tmp_path, "test", name) for name in ("kim", "lee"))
    kim.keep([("1", Opinion("sarcasm"))])
    lee.refresh()
    lee.keep([("1", Opinion("label_wrong", 0)), ("2", Opinion("ambiguous"))])
    assert kim.refresh() == {"1", "2"}
    for log in (kim, lee):
        assert (log.shown("1").verdict, log.shown("1").by) == ("label_wrong", "lee")
        assert [opinion.by for opinion in log.opinions("1")] == ["lee", "kim"]
        assert log.conflict("1")
        assert not log.conflict("2")
    # Undo takes back one's own, and leaves the other's.
    assert kim.undo().ids == ["1"]
    lee.refresh()
    assert lee.shown("1").verdict == "label_wrong"
    assert not lee.conflict("1")
    assert not kim.can_undo
    lee.undo()
    assert lee.held() == {}


def test_taking_back_does_not_make_an_old_opinion_the_latest(tmp_path: Path) -> None:
    kim, lee = (ReviewLog(tmp_path, "test", name) for name in ("kim", "lee"))
    kim.keep([("1", Opinion("sarcasm"))])
    lee.keep([("1", Opinion("ambiguous"))])
    kim.refresh()
    kim.keep([("1", Opinion("ambiguous", tags=("x",)))])
    kim.undo()
    for log in (kim, lee):
        log.refresh()
        assert (log.shown("1").verdict, log.shown("1").by) == ("ambiguous", "lee")
    kim.redo()
    assert kim.shown("1").tags == ("x",)


def test_half_lines_and_foreign_lines(tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    path.write_bytes(b'{"id":"1","verdict":"odd_new_verdict","extra":1}\nnonsense\n[1]\n{"id":3}\n{"id":"2","verd')
    log = ReviewLog(tmp_path, "test", "kim")
    assert log.refresh() == {"1"}
    assert log.shown("1").verdict == "odd_new_verdict"
    assert log.skipped == 2
    # The half line of someone who died is closed off, and the next one stands by itself.
    log.keep([("2", Opinion("sarcasm"))])
    assert log.shown("2").verdict == "sarcasm"
    assert json.loads(path.read_bytes().split(b"\n")[-2])["id"] == "2"
    fresh = ReviewLog(tmp_path, "test", "kim")
    fresh.refresh()
    assert fresh.held().keys() == {"1", "2"}


def test_a_full_disk_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    log = ReviewLog(tmp_path, "test", "kim")
    (tmp_path / "review.jsonl").symlink_to("/dev/full")
    with pytest.raises(DiskFullError) as caught:
        log.keep([("1", Opinion("sarcasm"))])
    assert "not kept" in caught.value.message
    assert "Make room" in caught.value.hint
    assert log.shown("1").empty
    assert not log.can_undo


FILLING = """
    import resource, sys
    from pathlib import Path
    from core.errors import DiskFullError
    from core.review_log import Opinion, ReviewLog
    log = ReviewLog(Path(sys.argv[1]), "test", "kim")
    log.keep([("1", Opinion("sarcasm"))])
    # Room for half a line more.
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + 60, resource.RLIM_INFINITY))
    for _attempt in range(2):
        try:
            log.keep([("2", Opinion("ambiguous"))])
        except DiskFullError as error:
            print(error.message, log.shown("2").empty, log.shown("1").verdict)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    log.keep([("3", Opinion("ambiguous"))])
"""


def test_a_disk_that_fills_up_in_the_middle_of_a_line_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(FILLING), str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == 2
    assert all(line.startswith("not kept") and line.endswith("True sarcasm") for line in told)
    log = ReviewLog(tmp_path, "test", "kim")
    log.refresh()
    assert set(log.held()) == {"1", "3"}
    assert log.skipped == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="not kept"):
        ReviewLog(tmp_path, "test", "kim").keep([("1", Opinion("sarcasm"))])
    tmp_path.chmod(0o700)


WRITER = """
    import sys
    from pathlib import Path
    from core.review_log import Opinion, ReviewLog
    log = ReviewLog(Path(sys.argv[1]), "test", sys.argv[2])
    for number in range(int(sys.argv[3])):
        log.keep([(f"{sys.argv[2]}-{number}", Opinion("sarcasm", note="긴 메모 " * 20))])
        print(number, flush=True)
"""


def test_two_processes_at_once_and_a_kill_lose_nothing_that_was_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)]
    quiet = subprocess.Popen([*command, "kim", "150"], stdout=subprocess.PIPE, text=True)
    killed = subprocess.Popen([*command, "lee", "100000"], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    said = 0
    for line in killed.stdout:
        said = int(line)
        if said >= 100:
            killed.send_signal(signal.SIGKILL)
            break
    rest = killed.stdout.read().split()
    said = max([said, *map(int, rest)])
    killed.wait()
    quiet.communicate()
    log = ReviewLog(tmp_path, "test", "kim")
    log.refresh()
    assert {f"kim-{n}" for n in range(150)} | {f"lee-{n}" for n in range(said + 1)} <= log.held().keys()
    assert log.skipped == 0


def test_scores_after_review(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    assert review_summary(run_dir) is None
    log = ReviewLog(run_dir, "test", "kim")
    # Row 1 is a FP and 3 a FN whose labels are wrong; row 4 is right, and judged sarcasm.
    log.keep([("1001", Opinion("label_wrong", 1)), ("1003", Opinion("label_wrong", 0)), ("1004", Opinion("sarcasm"))])
    log.keep([("9999", Opinion("label_wrong", 0))])
    found = after_review(Predictions(run_dir), log)
    accuracy = found["accuracy"]
    assert (accuracy["as_labelled"]["accuracy"], accuracy["as_labelled"]["n"]) == (pytest.approx(2 / 7), 7)
    assert (accuracy["without_disputed"]["accuracy"], accuracy["without_disputed"]["n"]) == (pytest.approx(2 / 5), 5)
    assert accuracy["corrected"]["accuracy"] == pytest.approx(4 / 7)
    low, high = accuracy["corrected"]["interval"]
    assert low < 4 / 7 < high
    assert (found["judged"], found["judged_errors"], found["judged_correct"]) == (3, 2, 1)
    assert (found["disputed"], found["unknown_ids"], found["verdicts"]["sarcasm"]) == (2, 1, 1)
