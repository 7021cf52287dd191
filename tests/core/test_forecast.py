"""Forecasts: the arithmetic on known cases, and a real one checked against what is counted independently."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import config_file
from core import forecast_plan as plan
from core.config import RunConfig
from core.forecast import Forecast, forecast
from core.forecast_warnings import cautions

CONFIG = {
    "data": {"source": "sample", "dev_size": 0.1, "max_length": 12, "train_limit": 1010},
    "model": {"preset": "tiny"},
    "train": {
        "num_train_epochs": 1.5,
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 2,
        "warmup_steps": 0.1,
        "save_total_limit": 1,
    },
    "launch": {"device": "cpu"},
}


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return config_file.validate(CONFIG)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("forecast") / "runs"


@pytest.fixture(scope="module")
def phases() -> list[str]:
    return []


@pytest.fixture(scope="module")
def made(home: Path, config: RunConfig, runs: Path, phases: list[str]) -> Forecast:
    return forecast(config, lambda phase, done, total: phases.append(phase), runs)


# -- the arithmetic ---------------------------------------------------------------------------------------------


def test_strata_draw_each_part_once_a_round() -> None:
    costs = np.arange(100)[::-1] * 10
    drawn = plan.strata(costs, 20, 3, seed=1)
    assert len(drawn) == 60
    for begin in (0, 20, 40):
        parts = sorted(int(costs[index]) // 50 for index in drawn[begin : begin + 20])
        assert parts == list(range(20))
    assert drawn[:20] != drawn[20:40]


def test_strata_of_a_short_run() -> None:
    assert sorted(plan.strata(np.array([3, 1, 2]), 20, 1, seed=1)) == [0, 1, 2]


def test_stratified_estimate_is_unbiased_where_time_is_not_proportional_to_tokens() -> None:
    """Long-tailed costs, times that bend and an overhead: over many draws the mean comes out right."""
    rng = np.random.default_rng(5)
    costs = rng.lognormal(6, 0.7, 2000)
    seconds = 0.01 + costs * 1e-5 + costs**2 * 1e-9
    estimates = []
    for seed in range(100):
        drawn = plan.strata(costs, 20, 1, seed)
        estimates.append(plan.expected_seconds(costs[drawn], seconds[drawn], costs))
    assert np.mean(estimates) == pytest.approx(seconds.mean(), rel=0.01)
    # The first twenty steps of a run, a naive probe, are far more often wrong.
    naive = [seconds[rng.choice(2000, 20)].mean() for _ in range(100)]
    assert np.std(estimates) < np.std(naive) / 3


def test_expected_seconds_follows_the_line_to_other_costs() -> None:
    costs = np.array([100.0, 200.0, 300.0])
    assert plan.expected_seconds(costs, 1 + costs / 100, np.array([400.0, 500.0])) == pytest.approx(5.5)
    # A falling line is noise.
    assert plan.expected_seconds(costs, np.array([3.0, 2.0, 1.0]), np.array([300.0])) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("strategy", "interval", "planned", "delay", "expected"),
    [
        ("no", 10, 100, 0, 0),
        ("epoch", None, 100, 0, 3),  # 40 steps an epoch: two whole ones and a half
        ("epoch", None, 80, 0, 2),
        ("epoch", None, 100, 2, 2),
        ("steps", 30, 100, 0, 4),  # 30, 60, 90 and the last
        ("steps", 25, 100, 0, 4),
        ("steps", 0.5, 100, 0, 2),
        ("steps", 25, 100, 60, 2),
    ],
)
def test_occasions(strategy: str, interval: float | None, planned: int, delay: float, expected: int) -> None:
    assert plan.occasions(strategy, interval, 100, planned, 40, delay) == expected


def test_steps_in_epoch_with_processes_and_accumulation() -> None:
    assert plan.steps_in_epoch(64, 1, 2) == 32
    assert plan.steps_in_epoch(65, 1, 2) == 33
    assert plan.steps_in_epoch(65, 2, 4) == 9
    assert plan.steps_in_epoch(1, 8, 8) == 1


@pytest.mark.parametrize(
    ("saves", "limit", "best", "kept"),
    [(10, 0, True, 10), (10, 2, True, 3), (10, 1, True, 3), (10, 1, False, 2), (1, 2, True, 1)],
)
def test_kept_checkpoints(saves: int, limit: int, best: bool, kept: int) -> None:
    assert plan.kept_checkpoints(saves, limit, best) == kept


# -- a real forecast --------------------------------------------------------------------------------------------


def test_figures_are_finite_and_positive(made: Forecast) -> None:
    document = made.as_document()
    assert json.loads(json.dumps(document, allow_nan=False)) == json.loads(json.dumps(document))
    assert made.seconds is not None
    for name in ("step", "start", "training", "evaluating", "saving", "scoring", "total"):
        assert getattr(made.seconds, name) > 0, name
    assert made.seconds.measured >= 20
    assert document["minutes"] * 60 == pytest.approx(made.seconds.total)
    assert made.seconds.training == pytest.approx(made.seconds.step * made.steps.planned)
    assert made.seconds.evaluations == made.seconds.checkpoints == 2
    assert 0 < made.memory.peak < made.memory.free
    assert made.memory.fits


def test_it_survives_json(made: Forecast) -> None:
    again = Forecast.from_document(json.loads(json.dumps(made.as_document())))
    assert again == made
    assert again.data.lengths == made.data.lengths


def test_nothing_is_left(made: Forecast, runs: Path, home: Path, phases: list[str]) -> None:
    assert not runs.exists()
    assert list((home / "cache").glob("forecast-*")) == []
    assert phases[0] == "loading"
    assert phases[-1] == "probing"


@pytest.fixture(scope="module")
def prepared(made: Forecast, config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> object:
    from core.preparation import Preparation

    return Preparation(config, tmp_path_factory.mktemp("prepared")).run()


def test_parameters_are_those_of_the_model(made: Forecast, prepared: object) -> None:
    total = sum(weight.numel() for weight in prepared.model.parameters())
    assert (made.parameters.total, made.parameters.trainable) == (total, total)
    assert made.memory.gradients == 4 * total
    assert made.memory.weights >= 4 * total
    # AdamW holds two numbers for each weight, and a count of steps for each tensor.
    assert 8 * total <= made.memory.optimizer <= 8 * total + 8 * len(list(prepared.model.parameters()))


def test_tokens_are_those_of_the_tokenizer(made: Forecast, prepared: object) -> None:
    texts = prepared.splits.train["document"][:]
    whole = np.array([len(prepared.tokenizer(text)["input_ids"]) for text in texts])
    assert made.data.reviews == len(texts) == 1010
    assert made.data.tokens == np.minimum(whole, 12).sum()
    assert made.data.cut_reviews == (whole > 12).sum() > 0
    assert made.data.cut == made.data.cut_reviews / 1010
    assert [row.max_length for row in made.data.lengths] == [12, 32, 48, 64, 96, 128, 256]
    for row in made.data.lengths:
        assert row.tokens == np.minimum(whole, row.max_length).sum()
        assert row.cut == pytest.approx((whole > row.max_length).mean())
    letters = sum(map(len, texts))
    assert made.data.tokens_per_character == pytest.approx((whole.sum() - 2 * len(texts)) / letters)
    unknown = sum(
        list(prepared.tokenizer(text)["input_ids"][:11]).count(prepared.tokenizer.unk_token_id) for text in texts
    )
    assert made.data.unknown == pytest.approx(unknown / (made.data.tokens - 2 * 1010))


def test_padding_is_that_of_the_runs_batches(made: Forecast, config: RunConfig, prepared: object) -> None:
    from core.training import build_trainer

    tokens = prepared.tokens
    trainer = build_trainer(
        config, prepared.arguments, prepared.model, prepared.tokenizer, tokens["train"], tokens["dev"], []
    )
    masks = [batch["attention_mask"] for batch in trainer.get_train_dataloader()]
    padded, real = sum(mask.numel() for mask in masks), sum(int(mask.sum()) for mask in masks)
    assert (made.data.padded_tokens, made.data.tokens) == (padded, real)
    assert made.data.padding == pytest.approx(1 - real / padded)


def test_steps_are_the_trainers(made: Forecast) -> None:
    """1,010 reviews in batches of 16 are 64, two a step 32, for an epoch and a half 48."""
    assert (made.steps.per_epoch, made.steps.total, made.steps.planned, made.steps.warmup) == (32, 48, 48, 5)
    assert made.steps.effective_batch == 32


def test_disk_holds_two_checkpoints_and_the_model(made: Forecast) -> None:
    assert made.disk.checkpoint == made.memory.weights + made.memory.optimizer
    assert made.disk.needed == 2 * made.disk.checkpoint + made.memory.weights
    assert made.disk.free > 0


# -- warnings ---------------------------------------------------------------------------------------------------


def codes(made: Forecast, config: RunConfig) -> list[str]:
    found = cautions(made, config)
    assert all(caution.message and caution.hint for caution in found)
    return [caution.code for caution in found]


def test_warnings_follow_the_figures(made: Forecast, config: RunConfig) -> None:
    fine = replace(made, data=replace(made.data, cut=0.0))
    assert codes(fine, config) == []
    assert codes(made, config) == ["cut"]
    assert codes(replace(fine, memory=replace(fine.memory, fits=False)), config) == ["memory"]
    assert codes(replace(fine, disk=replace(fine.disk, needed=fine.disk.free + 1)), config) == ["disk"]
    assert codes(replace(fine, steps=replace(fine.steps, warmup=fine.steps.total)), config) == ["warmup"]
    assert codes(replace(fine, data=replace(fine.data, unknown=0.3)), config) == ["unknown"]
    assert codes(replace(fine, data=replace(fine.data, tokens_per_character=2.4)), config) == ["pieces"]


def test_the_hint_names_a_length_that_cuts_little(made: Forecast, config: RunConfig) -> None:
    (caution,) = [caution for caution in cautions(made, config) if caution.code == "cut"]
    enough = next(row.max_length for row in made.data.lengths if row.cut <= 0.01)
    assert f"data.max_length = {enough} " in caution.hint


# -- ends -------------------------------------------------------------------------------------------------------


class EnoughError(Exception):
    """The asker does not want to wait."""


def test_an_asker_that_gives_up_leaves_nothing(config: RunConfig, home: Path, runs: Path) -> None:
    seen: list[str] = []
    # Workers that earlier tests started may still be waiting to be buried.
    before = children()

    def impatient(phase: str, done: int, total: int) -> None:
        seen.append(phase)
        if phase == "probing":
            raise EnoughError

    with pytest.raises(EnoughError):
        forecast(config, impatient, runs)
    assert seen[-1] == "probing"
    assert list((home / "cache").glob("forecast-*")) == []
    assert children() <= before


def children() -> set[int]:
    """The processes that are children of this one, dead and not yet waited for or not."""
    import psutil

    return {child.pid for child in psutil.Process().children()}


def test_errors_come_with_their_code_and_hint(home: Path, tmp_path: Path) -> None:
    from core.errors import NsmcTuiError

    wrong = config_file.validate({**CONFIG, "data": {"source": str(tmp_path / "nothing")}})
    with pytest.raises(NsmcTuiError) as caught:
        forecast(wrong, runs=tmp_path)
    assert caught.value.code == "data"
    assert "nothing" in caught.value.message
    assert caught.value.hint
    assert list((home / "cache").glob("forecast-*")) == []


def test_importing_it_is_light() -> None:
    heavy = ("torch", "transformers", "datasets", "numpy")
    program = f"import core.forecast, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
