"""Slices against the rest, and probabilities against labels: numbers that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.reliability import as_document, calibration_error, reliability
from core.slice_scores import SliceScores, difference_p, holm


def test_a_slice_is_held_against_the_rest_at_any_threshold() -> None:
    # 200 reviews with a question mark, 60 of them wrong; 800 without, 80 of them wrong.
    label = np.array([1] * 200 + [0] * 800)
    prob_1 = np.array([0.4] * 60 + [0.9] * 140 + [0.6] * 80 + [0.1] * 720)
    documents = ["정말 그럴까?"] * 200 + ["그냥 그래요"] * 800
    scores = SliceScores(documents, label, (prob_1 >= 0.5).astype(np.int64), prob_1)
    found = {score.part.name: score for score in scores.at()}
    question = found["question"]
    assert (question.n, question.errors, question.accuracy) == (200, 60, 0.7)
    assert question.rest == pytest.approx(0.9)
    assert question.difference == pytest.approx(-0.2)
    assert question.stars == "***"
    assert "laughter" not in found
    # From 0.35 on all questions are right, and from 0.7 on all others.
    assert {score.part.name: score.errors for score in scores.at(0.35)}["question"] == 0
    high = {score.part.name: score for score in scores.at(0.7)}["question"]
    assert (high.errors, high.rest) == (60, 1.0)


def test_a_difference_is_no_news_where_numbers_are_small_or_slices_many() -> None:
    assert difference_p(1, 2, 100, 1000) == 1.0
    assert difference_p(0, 0, 3, 10) == 1.0
    z = (0.3 - 0.2) / math.sqrt(0.22 * 0.78 * (1 / 200 + 1 / 800))
    assert difference_p(60, 200, 160, 800) == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert holm([0.04, 0.01, 0.03]) == [0.06, 0.03, 0.06]
    assert holm([]) == []


def test_all_reviews_in_one_slice_have_no_rest() -> None:
    label, prob_1 = np.array([0, 1]), np.array([0.2, 0.3])
    found = SliceScores(["뭐라고요?", "왜 이래요?"], label, np.array([0, 0]), prob_1).at()
    (score,) = (score for score in found if score.part.name == "question")
    assert (score.n, score.errors, score.rest, score.difference, score.p) == (2, 1, None, 0.0, 1.0)


def test_promises_are_held_against_what_is_there() -> None:
    label = np.array([0, 0, 0, 1, 1, 1])
    prob_1 = np.array([0.05, 0.05, 0.95, 0.95, 0.95, 1.0])
    bins = reliability(label, prob_1)
    assert [(part.negatives, part.positives) for part in bins if part.n] == [(2, 0), (1, 3)]
    assert bins[-1].mean == pytest.approx(0.9625)
    assert bins[-1].gap == pytest.approx(0.2125)
    assert calibration_error(bins) == pytest.approx((2 * 0.05 + 4 * 0.2125) / 6)
    assert len(as_document(bins)["bins"]) == 2
    assert calibration_error(reliability(np.empty(0, np.int64), np.empty(0))) == 0.0
