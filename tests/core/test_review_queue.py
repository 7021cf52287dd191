"""Queues: kinds, expressions, orders, another run, verdicts, and where one left off."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RunError, UsageError
from core.predictions import Predictions
from core.review_log import Opinion, ReviewLog
from core.review_place import Place, load_place, place_file, save_place
from core.review_query import FLAGS, NUMBERS, OPERATORS, Term, parse, written
from core.review_queue import SORTS, ReviewTable
from tests.tui.review_helpers import REVIEWS, make_run


@pytest.fixture
def table(tmp_path: Path) -> ReviewTable:
    run_dir = make_run(tmp_path)
    log = ReviewLog(run_dir, "test", "kim")
    return ReviewTable(Predictions(run_dir), log, find_run=lambda name: tmp_path / name / run_dir.name)


def found(table: ReviewTable, expression: str, kind: str = "any") -> list[int]:
    return table.queue(kind, parse(expression), "id").tolist()


def test_kinds(table: ReviewTable) -> None:
    queues = {kind: table.queue(kind, (), "id").tolist() for kind in ("all", "fp", "fn", "tp", "tn", "near", "sure")}
    assert queues == {
        "all": [1, 2, 3, 5, 6],
        "fp": [1, 2, 6],
        "fn": [3, 5],
        "tp": [0],
        "tn": [4],
        "near": [],
        "sure": [1, 5],
    }
    assert found(table, "kind:suspect") == np.flatnonzero(table.suspects).tolist()


def test_the_threshold_moves_predictions(table: ReviewTable) -> None:
    table.threshold = 0.7
    assert found(table, "kind:fp") == [1, 2]
    assert found(table, "kind:near") == [6]
    assert found(table, "pred:1") == [0, 1, 2]
    assert table.confusion() == [[2, 2], [2, 1]]


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6]),
        ("loss>2", [1, 2, 5]),
        ("loss>2 -kind:fn", [1, 2]),
        ("kind:fn,tp", [0, 3, 5]),
        ("p_1>=0.9 label:0", [1]),
        ("prob_0<0.1", [0, 1]),
        ("margin<0", [1, 2, 3, 5, 6]),
        ("slice:laughter", [4]),
        ("slice:negation,latin", [1, 2, 3]),
        ("movie", [3]),
        ('text:"않지만 돈"', [1]),
        ("cho:ㅈㅁㅇㄷ", [0]),
        ("text~/별로.*/", [4]),
        ("/^그냥/", [6]),
        ("-/[가-힣]/", []),
        ("id:1003,1005", [3, 5]),
        ("distance<0.15", [6]),
        ("tokens>20", [5]),
        ("length<7", [6]),
        ("judged", []),
        ("unjudged kind:tn", [4]),
    ],
)
def test_expressions(table: ReviewTable, expression: str, rows: list[int]) -> None:
    assert found(table, expression) == rows


@pytest.mark.parametrize(
    ("expression", "said", "way_out"),
    [
        ("lost>2", "lost is no figure", "loss"),
        ("loss>much", "much is no number", "loss>2"),
        ("slice:negatoin", "negatoin", "negation"),
        ("knd:fn", "knd", "kind"),
        ("/(/", "not a regular expression", "slashes"),
        ('"open', "not closed", "second"),
        ("tag:", "after the colon", "tag:sarcasm"),
    ],
)
def test_what_cannot_be_understood_says_what_and_how(expression: str, said: str, way_out: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(expression)
    assert said in caught.value.message
    assert way_out in caught.value.hint


VALUES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=8).filter(str.strip)
TERMS = st.one_of(
    st.builds(Term, st.sampled_from(["text", "tag", "id", "cho"]), st.lists(VALUES, min_size=1, max_size=3).map(tuple)),
    st.builds(lambda value: Term("search", (value,)), VALUES),
    st.builds(Term, st.sampled_from(FLAGS), negated=st.booleans()),
    st.builds(
        lambda name, operator, number: Term(name, (f"{number:g}",), operator),
        st.sampled_from(NUMBERS),
        st.sampled_from(OPERATORS),
        st.floats(0, 100),
    ),
)


@given(st.lists(TERMS, max_size=4))
def test_a_query_can_be_written_and_read_again(terms: list[Term]) -> None:
    query = tuple(term for term in terms if term.field != "search" or term.values[0] not in FLAGS)
    assert parse(written(query)) == query


def test_orders(table: ReviewTable) -> None:
    rows = np.arange(7)
    orders = {sort: table.order(rows, sort).tolist() for sort in SORTS}
    assert orders["id"] == rows.tolist()
    assert orders["loss"][:3] == [1, 5, 2]
    assert orders["threshold"][0] == 6
    assert orders["length"][0] == 5
    assert orders["margin"] == orders["loss"]
    suspects = int(table.suspects.sum())
    assert set(orders["suspect"][:suspects]) == set(np.flatnonzero(table.suspects))
    assert orders["random"] == table.order(rows, "random", 0).tolist() != table.order(rows, "random", 1).tolist()
    part = table.order(np.array([6, 2, 4]), "random", 1).tolist()
    assert part == [row for row in table.order(rows, "random", 1).tolist() if row in (2, 4, 6)]


def test_broken_fixed_and_both_by_id(table: ReviewTable, tmp_path: Path) -> None:
    # The other run has the reviews in another order, lacks one, and gets 1 and 4 the other way round.
    rows = [(text, label, -d if n in (1, 4) else d) for n, (text, label, d) in enumerate(REVIEWS)]
    other = make_run(tmp_path / "other", rows)
    file = Predictions(other).table.take([6, 5, 4, 2, 1, 0])
    from core.predictions import write

    write(other, "test", file)
    assert found(table, "broken:other") == [1]
    assert found(table, "fixed:other") == [4]
    assert found(table, "both:other") == [2, 5, 6]
    with pytest.raises(RunError):
        found(table, "broken:missing")


def test_verdicts_tags_and_conflicts(table: ReviewTable) -> None:
    log = table.log
    assert log is not None
    log.keep([("1001", Opinion("label_wrong", 1)), ("1002", Opinion(tags=("irony", "film")))])
    table.note_changes({"1001", "1002"})
    assert found(table, "judged") == [1]
    assert found(table, "verdict:label_wrong") == [1]
    assert found(table, "tag:irony") == [2]
    assert found(table, "tagged -tag:none") == [2]
    assert found(table, "reviewed") == [1, 2]
    lee = ReviewLog(log.path.parent, "test", "lee")
    lee.keep([("1001", Opinion("sarcasm", note="no"))])
    table.note_changes(log.refresh())
    assert found(table, "conflict") == [1]
    assert found(table, "by:lee") == [1]
    assert found(table, "verdict:sarcasm noted") == [1]
    log.undo()
    table.note_changes(log.refresh() | {"1001", "1002"})
    assert found(table, "tagged") == []


def test_where_one_left_off(tmp_path: Path) -> None:
    assert load_place(tmp_path, "test") is None
    place = Place("fn", "slice:tears -judged", "재미", "random", 3, "1005", 1)
    save_place(tmp_path, "test", place)
    save_place(tmp_path, "dev", Place())
    assert load_place(tmp_path, "test") == place
    assert load_place(tmp_path, "dev") == Place()
    file = place_file(tmp_path)
    file.write_text(json.dumps({"test": {"kind": 3, "sort": "loss", "threshold": 0.5, "new": 1}}))
    assert load_place(tmp_path, "test") == Place()
    file.write_text("{half")
    assert load_place(tmp_path, "test") is None
