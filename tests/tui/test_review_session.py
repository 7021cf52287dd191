"""The queue without a screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.predictions import Predictions
from tests.tui.review_helpers import REVIEWS, make_run
from tui.review_session import ReviewSession, open_run


@pytest.fixture
def session(tmp_path: Path) -> ReviewSession:
    return ReviewSession(Predictions(make_run(tmp_path)))


def test_errors_by_loss(session: ReviewSession) -> None:
    assert session.queue.tolist() == [1, 5, 2, 3, 6]
    assert session.current is not None
    assert session.current.document == REVIEWS[1][0]
    assert session.document(5) == REVIEWS[5][0]


def test_filters_go_round_and_keep_the_review_in_view(session: ReviewSession) -> None:
    session.move_to(2)
    session.cycle_kind()
    assert (session.kind, session.queue.tolist(), session.position) == ("fp", [1, 2, 6], 1)
    session.cycle_kind()
    assert (session.kind, session.queue.tolist(), session.position) == ("fn", [5, 3], 0)
    for _step in range(5):
        session.cycle_kind()
    assert session.kind == "all"
    session.cycle_kind(-2)
    assert session.kind == "suspect"


def test_a_kind_from_elsewhere_goes_back_to_the_errors(tmp_path: Path) -> None:
    session = ReviewSession(Predictions(make_run(tmp_path)), "tp")
    assert session.queue.tolist() == [0]
    session.cycle_kind()
    assert session.kind == "all"


def test_orders(session: ReviewSession) -> None:
    orders = {}
    for _step in range(8):
        orders[session.sort] = session.queue.tolist()
        session.cycle_sort()
    assert session.sort == "loss"
    assert orders["id"] == [1, 2, 3, 5, 6]
    assert orders["length"][0] == 5
    np.testing.assert_array_equal(orders["margin"], orders["loss"])


def test_search_composes_and_folds(session: ReviewSession) -> None:
    session.set_search("movie")
    assert session.queue.tolist() == [3]
    session.set_search("한글")
    assert session.queue.tolist() == [2]
    session.set_search("[BOLD]")
    assert session.queue.tolist() == [2]
    session.set_search("없는 말")
    assert (len(session), session.row, session.current) == (0, None, None)
    assert not session.move_to(3)
    session.set_search("")
    assert (len(session), session.unsearched) == (5, 5)


def test_neighbours_are_three_after_and_one_before(session: ReviewSession) -> None:
    session.move_to(1)
    assert session.neighbours() == [REVIEWS[n][0] for n in (2, 3, 6, 1)]
    session.move_to(99)
    assert session.position == 4
    assert session.neighbours() == [REVIEWS[3][0]]


def test_a_run_without_predictions_or_model_says_why(tmp_path: Path) -> None:
    opened = open_run(make_run(tmp_path / "a", []))
    assert opened.predictions is None
    assert opened.error is not None
    assert opened.model_error is not None
    assert open_run(tmp_path / "nothing").error is not None
    live = open_run(make_run(tmp_path / "b", [], state="starting"))
    assert live.live


def test_a_broken_file_is_an_error(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    (run_dir / "predictions-test.parquet").write_bytes(b"PAR1 no")
    assert open_run(run_dir).error is not None
