"""The model card: read back by huggingface_hub, made of the run's own figures, safe with foreign text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCard

from core import config_file, model_card
from core.config import RunConfig
from core.predictions import Predictions

RESULTS = {
    "test_accuracy": 0.9012,
    "test_f1": 0.9003,
    "test_macro_f1": 0.9011,
    "test_precision": 0.8899,
    "test_recall": 0.9110,
    "test_loss": 0.2512,
    "test_samples": 50000,
    "eval_accuracy": 0.9105,
    "eval_f1": 0.91,
    "eval_macro_f1": 0.9104,
    "eval_precision": 0.9,
    "eval_recall": 0.92,
    "eval_loss": 0.24,
    "train_runtime": 812.4,
}
ENVIRONMENT = {
    "versions": {"torch": "2.13.0", "transformers": "5.23.0"},
    "python": "3.11.9",
    "gpus": [{"name": "NVIDIA H200"}],
    "data": {"fingerprint": "abc123def", "files": {"train": {"rows": 150000}, "test": {"rows": 50000}}},
    "training": {"device": "cuda:0", "precision": "bf16"},
}


def card(tmp_path: Path, values: dict[str, Any] | None = None, results: dict[str, Any] | None = None) -> ModelCard:
    config = config_file.validate(values or {"data": {"source": "hub"}, "model": {"name": "klue/roberta-base"}})
    return card_of(tmp_path, config, results)


def card_of(tmp_path: Path, config: RunConfig, results: dict[str, Any] | None = None) -> ModelCard:
    (tmp_path / "model").mkdir(exist_ok=True)
    return ModelCard.load(model_card.write(tmp_path, config, RESULTS if results is None else results, ENVIRONMENT))


def test_scores_are_read_back_by_the_hubs_own_reader(tmp_path: Path) -> None:
    loaded = card(
        tmp_path, {"data": {"source": "hub"}, "model": {"name": "klue/roberta-base"}, "launch": {"name": "a"}}
    )
    data = loaded.data
    assert (data.language, data.pipeline_tag, data.library_name) == ("ko", "text-classification", "transformers")
    assert data.base_model == "klue/roberta-base"
    assert data.datasets == ["e9t/nsmc"]
    assert data.model_name == "a"
    found = {(result.metric_type, result.metric_name): result for result in data.eval_results}
    assert {key: result.metric_value for key, result in found.items()} == {
        ("accuracy", "Accuracy"): 0.9012,
        ("f1", "F1"): 0.9003,
        ("f1", "Macro F1"): 0.9011,
        ("precision", "Precision"): 0.8899,
        ("recall", "Recall"): 0.9110,
        ("loss", "Loss"): 0.2512,
    }
    assert found["f1", "Macro F1"].metric_args == {"average": "macro"}
    for result in found.values():
        assert (result.task_type, result.dataset_type, result.dataset_split) == (
            "text-classification",
            "e9t/nsmc",
            "test",
        )
    for text in ("abc123def", "| learning_rate | 5e-05 |", "| torch | 2.13.0 |", "NVIDIA H200", "150,000", "0.9105"):
        assert text in loaded.text


def test_a_run_without_a_test_score_shows_dev_and_says_so(tmp_path: Path) -> None:
    loaded = card(tmp_path, results={key: value for key, value in RESULTS.items() if not key.startswith("test")})
    assert {result.dataset_split for result in loaded.data.eval_results} == {"validation"}
    assert "flatter" in loaded.text
    last = card(tmp_path, {"model": {"preset": "tiny"}, "train": {"load_best_model_at_end": False}})
    assert "flatter" not in last.text


def test_a_run_without_scores_has_a_card_all_the_same(tmp_path: Path) -> None:
    loaded = card(tmp_path, results={})
    assert not loaded.data.eval_results
    assert "## Scores" not in loaded.text
    assert "## Hyper-parameters" in loaded.text


def test_local_places_are_not_published(tmp_path: Path) -> None:
    secret = tmp_path / "secret-place" / "my-model"
    secret.mkdir(parents=True)
    loaded = card(
        tmp_path, {"data": {"source": str(tmp_path / "secret-place" / "nsmc")}, "model": {"name": str(secret)}}
    )
    assert "secret-place" not in str(loaded)
    assert loaded.data.base_model is None
    assert loaded.data.datasets is None
    assert {result.dataset_name for result in loaded.data.eval_results} == {"nsmc"}
    assert "`my-model`" in loaded.text


def test_tokens_for_the_hub_are_not_published(tmp_path: Path) -> None:
    """Not even one that came past our checks, which refuse it."""
    values = {"model": {"preset": "tiny"}, "train": {"hub_token": "hf_secret", "optim": "adafactor"}}
    text = str(card_of(tmp_path, RunConfig.model_validate(values)))
    assert "hf_secret" not in text
    assert "| optim | adafactor |" in text


@pytest.mark.parametrize(
    ("values", "origin"),
    [
        ({"model": {"preset": "tiny"}}, "preset `tiny`"),
        ({"model": {"name": "klue/bert-base", "from_config": True}}, "architecture of `bert-base`"),
    ],
)
def test_random_weights_have_no_base_model(tmp_path: Path, values: dict[str, Any], origin: str) -> None:
    loaded = card(tmp_path, values)
    assert loaded.data.base_model is None
    assert origin in loaded.text


def test_foreign_text_breaks_neither_yaml_nor_tables(tmp_path: Path) -> None:
    name = "a: b | <b>c</b> `d`\n---\n# 한글 [x](y)"
    loaded = card(tmp_path, {"model": {"preset": "tiny"}, "launch": {"name": name}})
    assert loaded.data.model_name == name
    assert loaded.data.eval_results
    assert "<b>" not in loaded.text
    assert not re.search(r"^# 한글", loaded.text, re.MULTILINE)


def test_settings_away_from_their_defaults_are_listed(tmp_path: Path) -> None:
    values = {
        "model": {"preset": "tiny", "freeze": "1", "config": {"hidden_dropout_prob": 0.2}},
        "train": {"class_weights": "balanced", "layer_lr_decay": 0.9, "bf16": True},
    }
    text = card(tmp_path, values).text
    for row in ("class_weights | balanced", "layer_lr_decay | 0.9", "bf16 | True", "model.freeze | 1"):
        assert f"| {row} |" in text
    assert "| model.config.hidden_dropout_prob | 0.2 |" in text
    assert "early_stopping" not in text


def test_weaknesses_are_measured_from_the_predictions(tmp_path: Path) -> None:
    label = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    pred = np.array([0, 0, 0, 1, 1, 1, 1, 0, 0, 1])
    prob = np.where(pred == 1, 0.8, 0.1)
    tokens = np.array([3, 3, 4, 5, 6, 7, 8, 9, 20, 30])
    table = pa.table({"label": label, "pred": pred, "prob_1": prob, "n_tokens": tokens})
    pq.write_table(table, tmp_path / "predictions-test.parquet")
    found = model_card.measure(tmp_path / "predictions-test.parquet")
    assert found["wrong_by_label"] == {0: (1, 4), 1: (2, 6)}
    assert found["accuracy"] == pytest.approx(0.7)
    assert found["confidence"] == pytest.approx(0.85)
    assert sum(part["n"] for part in found["by_length"]) == 10
    for part in found["by_length"]:
        inside = (tokens >= part["low"]) & (tokens <= part["high"])
        assert part["n"] == inside.sum()
        assert part["accuracy"] == pytest.approx((label == pred)[inside].mean())
    text = card(tmp_path).text
    assert "taken for the other class: 1 of 4 (25.0%)" in text
    assert "mean probability of the predicted class: 85.0%, accuracy: 70.0%" in text


def test_reviews_of_one_length_and_no_reviews(tmp_path: Path) -> None:
    path = tmp_path / "predictions-test.parquet"
    rows = {"label": [0, 1], "pred": [0, 0], "prob_1": [0.1, 0.2], "n_tokens": [5, 5]}
    pq.write_table(pa.table(rows), path)
    assert model_card.measure(path)["by_length"] == [{"low": 5, "high": 5, "n": 2, "accuracy": 0.5}]
    pq.write_table(pa.table(rows).slice(0, 0), path)
    assert "Limitations" not in card(tmp_path).text


def test_the_card_of_a_real_run_and_its_snippet(run_copy: Path) -> None:
    config: RunConfig = config_file.load(run_copy / "config.toml")
    results = json.loads((run_copy / "all_results.json").read_bytes())
    environment = json.loads((run_copy / "environment.json").read_bytes())
    loaded = ModelCard.load(model_card.write(run_copy, config, results, environment))
    values = {result.metric_name: result.metric_value for result in loaded.data.eval_results}
    assert values["Accuracy"] == results["test_accuracy"]
    assert environment["data"]["fingerprint"] in loaded.text
    (tn, fp), (fn, tp) = Predictions(run_copy, "test").confusion()
    assert f"{fp} of {tn + fp} (" in loaded.text
    assert f"{fn} of {fn + tp} (" in loaded.text
    (snippet,) = re.findall(r"```python\n(.*?)```", loaded.text, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", f"{snippet}\nprint(classify('별로', truncation=True)[0]['label'])"],
        capture_output=True,
        text=True,
        check=False,
        cwd=run_copy.parent,
    )
    assert done.stdout.strip() in ("negative", "positive"), done.stderr


def test_the_module_is_light() -> None:
    script = "import core.model_card, sys; print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout
    assert "transformers" not in done.stdout
