"""What many errors have in common."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from core import patterns
from core.predictions import Predictions
from core.review_log import Opinion, ReviewLog
from core.slices import slices_of
from tests.conftest import run_cli
from tests.tui.review_helpers import REVIEWS, make_run


def test_log_odds_are_those_of_monroe_and_others() -> None:
    fp, fn = Counter({"좋다": 8, "영화": 5}), Counter({"나쁘다": 6, "영화": 5})
    seen = {"fp": Counter({"좋다": 10, "영화": 20}), "fn": Counter({"나쁘다": 10, "영화": 20}), "correct": Counter()}
    found = {word.word: word for word in patterns.compare_words(fp, fn, seen)}
    # Written out: y + α against the rest of the same side, the prior spread as all words are.
    alpha = patterns.PRIOR * 10 / 60
    a, b = 8 + alpha, 0 + alpha
    delta = math.log(a / (13 + patterns.PRIOR - a)) - math.log(b / (11 + patterns.PRIOR - b))
    assert found["좋다"].log_odds == pytest.approx(delta)
    assert found["좋다"].z == pytest.approx(delta / math.sqrt(1 / a + 1 / b))
    assert found["좋다"].z > abs(found["영화"].z)
    assert found["나쁘다"].z < 0
    assert (found["영화"].hot_fp, found["영화"].in_fn) == (5, 20)


def test_heads_are_compared_by_cohens_d() -> None:
    dice = np.random.default_rng(2)
    wrong = [{"entropy": dice.normal(0, 1, (2, 3))} for _ in range(40)]
    right = [{"entropy": dice.normal(0, 1, (2, 3))} for _ in range(60)]
    for values in wrong:
        values["entropy"][1, 2] += 3
    wrong[0]["entropy"][0, 0] = np.nan
    found = patterns.compare_heads(wrong, right)
    assert len(found) == 6
    assert (found[0].layer, found[0].head) == (1, 2)
    one = np.array([values["entropy"][1, 2] for values in wrong])
    other = np.array([values["entropy"][1, 2] for values in right])
    pooled = math.sqrt((39 * one.var(ddof=1) + 59 * other.var(ddof=1)) / 98)
    assert found[0].d == pytest.approx((one.mean() - other.mean()) / pooled)
    assert found[0].low < found[0].d < found[0].high
    assert found[0].low > 2
    assert patterns.compare_heads(wrong[:1], right) == []
    assert patterns.compare_heads([], right) == []


def test_what_is_under_heat() -> None:
    assert patterns.normal("…재미있어요!!") == "재미있어요"
    assert patterns.normal("ㅋㅋㅋ") == "ㅋㅋㅋ"
    assert patterns.normal("...") == ""
    words = ["가", "", "나", "가", "다", "라"]
    assert patterns.hottest(words, [0.5, 0.9, -0.8, 0.4, 0.3, 0.0]) == {"가", "나", "다"}


def test_a_sample_is_the_same_for_the_same_seed(finished_run: Path) -> None:
    predictions = Predictions(finished_run)
    one, again, other = (patterns.sample(predictions, 5, seed) for seed in (1, 1, 2))
    for kind in patterns.KINDS:
        assert one[kind].tolist() == again[kind].tolist()
        assert set(one[kind].tolist()) <= set(predictions.select(kind).tolist())
    assert one["correct"].tolist() != other["correct"].tolist()


def test_patterns_of_a_run_from_the_command_line(finished_run: Path) -> None:
    arguments = ("patterns", str(finished_run), "--sample", "4")
    done = run_cli(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["n"] == {"fp": 4, "fn": 4, "correct": 4}
    texts = " ".join(
        Predictions(finished_run).row(int(row)).document
        for kind in ("fp", "fn")
        for row in patterns.sample(Predictions(finished_run), 4)[kind]
    ).casefold()
    assert document["words"]
    for word in document["words"]:
        assert word["word"] in texts
        assert word["hot_fp"] <= word["in_fp"] <= 4
        assert word["hot_fn"] <= word["in_fn"] <= 4
        assert (word["z"] > 0) == (word["log_odds"] > 0)
    assert {head["stat"] for head in document["heads"]} >= {"entropy"}
    assert document["compared"] >= len(document["heads"]) > 0
    # What was counted once is kept: the second time no model is asked.
    again = run_cli(*arguments, timeout=20)
    assert again.returncode == 0, again.stderr
    assert document["words"][0]["word"] in again.stdout


def test_verdicts_and_tags_are_counted_by_slice(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    log = ReviewLog(run_dir, "test", by="kim")
    log.keep([("1004", Opinion("sarcasm", None, ("알바",))), ("1006", Opinion("ambiguous"))])
    found = patterns.verdicts_by_slice(Predictions(run_dir), log)
    assert found
    for name, counts in found.items():
        inside = [n for n in (4, 6) if name in {part.name for part in slices_of(REVIEWS[n][0])}]
        assert counts["judged"] == len(inside)
        assert counts.get("sarcasm", 0) == counts.get("#알바", 0) == (4 in inside)
        assert counts.get("ambiguous", 0) == (6 in inside)


def test_the_threshold_tells_kinds_apart_and_which_class_weights_are_for(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    predictions = Predictions(run_dir)
    # p(긍정) of rows 2 and 6 is 0.88 and 0.62, of row 1 0.95.
    rows = patterns.sample(predictions, 10, threshold=0.9)
    assert (rows["fp"].tolist(), rows["correct"].tolist()) == ([1], [0, 2, 4, 6])
    asked = []
    steps, answer = patterns.asking(tmp_path, predictions, None, 10, threshold=0.9), None
    while not isinstance(step := patterns.advance(steps, answer), patterns.Patterns):
        asked.append((step[2].request["text"], step[2].request["target"]))
        answer = (None,)
    assert dict(asked)[REVIEWS[6][0]] == 0
    assert dict(asked)[REVIEWS[1][0]] is None
    assert (step.threshold, step.n["fp"]) == (0.9, 1)
    places = {patterns.cache_file(tmp_path, predictions, None, 10, "attention", 0, at) for at in (0.5, 0.9)}
    assert len(places) == 2
