"""`errors --where`, `review` and `relabel` as a script calls them, on a real run."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from core.decision import best_on
from core.metrics import confusion
from core.paths import cache_dir
from core.review_log import Opinion, ReviewLog
from tests.conftest import run_cli


def answer(run: Path, *arguments: str) -> dict:
    done = run_cli(*arguments, runs=run.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_errors_takes_expressions_and_orders(run_copy: Path) -> None:
    every = answer(run_copy, "errors", run_copy.name, "--json")
    assert {"id", "document", "label", "pred", "prob_0", "prob_1", "loss", "slices"} <= every["items"][0].keys()
    where = "kind:fp -slice:negation loss>0.5"
    some = answer(run_copy, "errors", run_copy.name, "--where", where, "--sort", "margin", "--json")
    expected = [
        item
        for item in every["items"]
        if (item["label"], item["pred"]) == (0, 1) and "negation" not in item["slices"] and item["loss"] > 0.5
    ]
    assert [item["id"] for item in some["items"]] == [item["id"] for item in expected]
    assert some["total"] == len(expected)
    none = answer(run_copy, "errors", run_copy.name, "--where", f"broken:{run_copy.name}", "--json")
    assert none["total"] == 0
    near = answer(run_copy, "errors", run_copy.name, "--kind", "near", "--threshold", "0.6", "--limit", "3", "--json")
    assert all(abs(item["prob_1"] - 0.6) <= 0.1 for item in near["items"])
    best = answer(run_copy, "errors", run_copy.name, "--kind", "any", "--threshold", "dev", "--json")
    threshold = best_on(run_copy).threshold
    assert (best["threshold"], best["threshold_from"]) == (threshold, "dev")
    assert all(item["pred"] == int(item["prob_1"] >= threshold) for item in best["items"])
    label, pred = (np.array([item[name] for item in best["items"]]) for name in ("label", "pred"))
    assert best["confusion"] == confusion(label, pred)
    refused = run_cli("errors", run_copy.name, "--threshold", "1", runs=run_copy.parent)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "above 0 and below 1" in refused.stderr
    wrong = run_cli("errors", run_copy.name, "--where", "slice:negatoin", runs=run_copy.parent)
    assert wrong.returncode == 2
    assert "Did you mean negation?" in wrong.stderr


@pytest.mark.parametrize("split", ["test", "dev"])
def test_review_and_relabel(run_copy: Path, tmp_path: Path, split: str) -> None:
    items = answer(run_copy, "errors", run_copy.name, "--split", split, "--limit", "3", "--json")["items"]
    log = ReviewLog(run_copy, split, "kim")
    log.keep([(item["id"], Opinion("label_wrong", 1 - item["label"], ("x",))) for item in items[:2]])
    log.keep([(items[2]["id"], Opinion("sarcasm", note="note"))])
    found = answer(run_copy, "review", run_copy.name, "--split", split, "--items", "--json")
    assert (found["judged"], found["disputed"], found["tags"]) == (3, 2, {"x": 2})
    accuracy = found["accuracy"]
    assert accuracy["corrected"]["accuracy"] > accuracy["as_labelled"]["accuracy"]
    assert {item["verdict"] for item in found["items"]} == {"label_wrong", "sarcasm"}
    assert "label wrong" in run_cli("review", run_copy.name, "--split", split, runs=run_copy.parent).stdout
    shown = answer(run_copy, "show", run_copy.name, "--json")["review"]
    assert shown["judged"] == (3 if split == "test" else 0)
    target = tmp_path / "out"
    done = run_cli("relabel", run_copy.name, "--to", str(target), runs=run_copy.parent)
    if split == "test":
        assert done.returncode == 1
        assert "--test" in done.stderr
        done = run_cli("relabel", run_copy.name, "--to", str(target), "--test", runs=run_copy.parent)
    assert done.returncode == 0, done.stderr
    assert tomllib.loads(done.stdout)["data"]["source"] == str(target)
    source = next((cache_dir() / "sample").glob("*/ratings_train.txt")).parent
    for name, changed in (("ratings_train.txt", split == "dev"), ("ratings_test.txt", split == "test")):
        before, after = ((place / name).read_bytes().split(b"\n") for place in (source, target))
        assert sum(a != b for a, b in zip(before, after, strict=True)) == (2 if changed else 0)
    again = run_cli("relabel", run_copy.name, "--to", str(target), "--test", runs=run_copy.parent)
    assert again.returncode == 2
    assert "exists already" in again.stderr
