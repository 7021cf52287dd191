"""What the Trainer is given: tokens, batches, order, loss. The real torch and transformers, small models."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from core import config_file, models, preset_tokenizer
from core.batches import TokenTable
from core.config import ModelConfig
from core.errors import ConfigError
from core.predicting import predict
from core.trainer import ReviewTrainer
from core.training import build_arguments, build_trainer, predict_logits
from core.training_data import lengths, tokenize

TEXTS = [f"영화 {'정말 ' * (number % 9)}재밌다 {number}" for number in range(97)]


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return preset_tokenizer.train_tokenizer(TEXTS, 300)


@pytest.fixture(scope="module")
def reviews() -> Dataset:
    return Dataset.from_dict(
        {"id": [str(i) for i in range(97)], "document": TEXTS, "label": [i % 2 for i in range(97)]}
    )


@pytest.fixture(scope="module")
def tokens(home: Path, tokenizer: object, reviews: Dataset) -> Dataset:
    return tokenize(reviews, tokenizer, 12, "test-tokens")


def test_a_tokenizer_trained_ahead_is_the_same(home: Path, tokenizer: object, reviews: Dataset) -> None:
    """In a process of its own, beside the imports of a run's start."""
    looked: list[int] = []
    ahead = preset_tokenizer.begin(reviews, "trained ahead")
    assert ahead is not None
    ahead.wait(lambda: looked.append(1))
    ahead.end()
    assert looked
    (path,) = (home / "cache" / "tokenizers").glob(f"{preset_tokenizer._cached('trained ahead').name}")
    assert preset_tokenizer.begin(reviews, "trained ahead") is None
    kept = preset_tokenizer.preset_tokenizer(reviews, "trained ahead")
    alone = preset_tokenizer.train_tokenizer(TEXTS)
    assert kept.backend_tokenizer.to_str() == alone.backend_tokenizer.to_str()
    path.write_text("damaged")
    assert preset_tokenizer.preset_tokenizer(reviews, "trained ahead").get_vocab() == alone.get_vocab()


def test_training_a_tokenizer_can_be_left_at_any_moment(home: Path) -> None:
    """By an order to stop, say: nothing is left of it, neither a process nor a part of a file."""

    def leave() -> None:
        raise InterruptedError

    # Long enough that nobody has to be quick.
    many = Dataset.from_dict({"document": [f"{text} {number}" for number in range(3000) for text in TEXTS]})
    ahead = preset_tokenizer.begin(many, "trained in vain")
    assert ahead is not None
    trainer = ahead._process
    with pytest.raises(InterruptedError):
        ahead.wait(leave)
    assert trainer.poll() is None
    ahead.end()
    assert trainer.poll() == -signal.SIGKILL
    path = preset_tokenizer._cached("trained in vain")
    assert not list(path.parent.glob(f"*{path.name}*"))


def small_model(tokenizer: object, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    config = models.preset_config(
        "tiny", tokenizer, {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}
    )
    return models.build_model(ModelConfig(preset="tiny", name=None), config)[0]


def test_tokens_are_the_tokenizers_own(tokens: Dataset, tokenizer: object, reviews: Dataset) -> None:
    expected = tokenizer(reviews["document"][:], truncation=True, max_length=12)["input_ids"]
    assert tokens["input_ids"][:] == expected
    assert lengths(tokens).tolist() == [len(row) for row in expected]
    assert max(lengths(tokens)) == 12
    assert tokens["labels"][:] == reviews["label"][:]


def test_tokens_are_cached_by_content(tokens: Dataset, tokenizer: object, reviews: Dataset) -> None:
    calls: list[tuple[int, int]] = []
    again = tokenize(reviews, tokenizer, 12, "test-tokens", lambda done, total: calls.append((done, total)))
    assert again["input_ids"][:] == tokens["input_ids"][:]
    assert calls == [(97, 97)]
    assert max(lengths(tokenize(reviews, tokenizer, 6, "test-tokens"))) == 6


def test_a_table_reads_what_the_cache_holds(tokens: Dataset) -> None:
    reviews = TokenTable(tokens, 0)
    rows = [96, 0, 50]
    batch = reviews.__getitems__(rows)
    for line, row in enumerate(rows):
        size = int(batch["attention_mask"][line].sum())
        assert batch["input_ids"][line, :size].tolist() == tokens[row]["input_ids"]
    part = TokenTable(tokens.select([5, 3]), 0)
    assert part.__getitems__([1])["input_ids"].tolist() == [tokens[3]["input_ids"]]


def arguments(tmp_path: Path, **train: object) -> tuple[object, object]:
    config = config_file.validate(
        {
            "model": {"preset": "tiny"},
            "train": {"warmup_steps": 0, "save_strategy": "no", "eval_strategy": "no", "logging_steps": 1, **train},
            "launch": {"device": "cpu"},
        }
    )
    return config, build_arguments(config, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("field", ["bf16", "bf16_full_eval", "fp16_full_eval"])
def test_half_precision_without_a_gpu_is_refused_with_the_way_out(tmp_path: Path, field: str) -> None:
    """transformers would say so too, but of its own `use_cpu`."""
    values = {"model": {"preset": "tiny"}, "train": {field: True}}
    with pytest.raises(ConfigError, match=f"train.{field} needs a GPU") as caught:
        build_arguments(config_file.validate(values), tmp_path)
    assert "launch.device" in caught.value.hint


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_accumulation_gives_the_large_batchs_loss_and_gradient(
    tmp_path: Path, tokens: Dataset, tokenizer: object, smoothing: float
) -> None:
    found = []
    for batch, accumulation in ((24, 1), (12, 2), (6, 4)):
        config, args = arguments(
            tmp_path,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulation,
            train_sampling_strategy="sequential",
            max_steps=4,
            learning_rate=1e-3,
            label_smoothing_factor=smoothing,
        )
        model = small_model(tokenizer)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        trainer = build_trainer(config, args, model, tokenizer, tokens, None, [])
        trainer.train()
        history = [entry for entry in trainer.state.log_history if "loss" in entry]
        found.append([(entry["loss"], entry["grad_norm"]) for entry in history])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=2e-4)


def train(
    tmp_path: Path,
    tokens: Dataset,
    tokenizer: object,
    hook: object = None,
    dev: Dataset | None = None,
    monitor: Any = None,
    **settings: object,
) -> ReviewTrainer:
    """A trained Trainer over `tokens`, without dropout; `hook` is called with every input of the model's forward."""
    config, args = arguments(tmp_path, **settings)
    model = small_model(tokenizer)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if hook is not None:
        model.register_forward_pre_hook(hook, with_kwargs=True)
    trainer = build_trainer(config, args, model, tokenizer, tokens, dev, [], monitor)
    trainer.train()
    return trainer


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_batch_that_does_not_fit_is_taken_in_parts_with_the_same_result(
    tmp_path: Path, tokens: Dataset, tokenizer: object, accumulation: int
) -> None:
    """torch's own error, raised where a small GPU would raise it: by the fourth forward pass with too many reviews."""
    largest: list[int] = []

    def too_small(module: object, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        rows = len(kwargs["input_ids"])
        largest.append(rows)
        if len(largest) > 3 and rows > 7:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    settings = {
        "per_device_train_batch_size": 24 // accumulation,
        "gradient_accumulation_steps": accumulation,
        "max_steps": 6,
        "learning_rate": 1e-3,
    }
    usual = train(tmp_path, tokens, tokenizer, **settings)
    parted = train(tmp_path, tokens, tokenizer, too_small, **settings)
    assert parted.parts == (4 if accumulation == 1 else 2)
    assert max(largest[-4:]) <= 7
    for one, other in zip(usual.model.parameters(), parted.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    losses = [[entry["loss"] for entry in t.state.log_history if "loss" in entry] for t in (usual, parted)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_out_of_memory_ends_the_run_where_the_config_says_so(
    tmp_path: Path, tokens: Dataset, tokenizer: object
) -> None:
    def never(module: object, args: object, kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        train(tmp_path, tokens, tokenizer, never, max_steps=2)
    config, args = arguments(tmp_path, max_steps=2)
    config.launch.on_out_of_memory = "fail"
    calls: list[int] = []
    model = small_model(tokenizer)

    def once(module: object, args: object, kwargs: object) -> None:
        calls.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    model.register_forward_pre_hook(once, with_kwargs=True)
    with pytest.raises(torch.OutOfMemoryError):
        build_trainer(config, args, model, tokenizer, tokens, None, []).train()
    assert len(calls) == 1


@pytest.fixture(params=[1, 2], ids="{} threads".format)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_prediction_halves_a_batch_that_does_not_fit(tokens: Dataset, tokenizer: object) -> None:
    model = small_model(tokenizer)
    reviews = TokenTable(tokens, tokenizer.pad_token_id)
    expected = predict(model, reviews, 32)

    def too_small(module: object, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        if len(kwargs["input_ids"]) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")

    model.register_forward_pre_hook(too_small, with_kwargs=True)
    np.testing.assert_allclose(predict(model, reviews, 32), expected, atol=1e-6)


def test_evaluating_does_not_move_the_random_numbers(tmp_path: Path, tokens: Dataset, tokenizer: object) -> None:
    """An evaluation ordered in the middle must not change what is trained after it."""
    trainer = train(tmp_path, tokens, tokenizer, dev=tokens, max_steps=1)
    before = torch.get_rng_state()
    found = trainer.evaluate()
    assert torch.equal(before, torch.get_rng_state())
    assert {"eval_loss", "eval_accuracy", "eval_f1", "eval_precision", "eval_recall", "eval_macro_f1"} <= found.keys()
    assert trainer.model.training


def test_the_history_has_the_exact_mean_of_the_steps(tmp_path: Path, tokens: Dataset, tokenizer: object) -> None:
    single = train(tmp_path, tokens, tokenizer, max_steps=9, learning_rate=1e-3)
    grouped = train(tmp_path, tokens, tokenizer, max_steps=9, learning_rate=1e-3, logging_steps=3)
    each = [entry["loss"] for entry in single.state.log_history if "loss" in entry]
    means = [entry["loss"] for entry in grouped.state.log_history if "loss" in entry]
    assert means == [math.fsum(each[start : start + 3]) / 3 for start in (0, 3, 6)]


def test_early_stopping_ends_training_and_says_so(tmp_path: Path, tokens: Dataset, tokenizer: object) -> None:
    told: list[tuple[str, ...]] = []
    monitor = SimpleNamespace(
        stopping=False,
        keep={},
        evaluation_due=False,
        after_step=lambda *step: None,
        scored=lambda *logits: None,
        alert=lambda *alert: told.append(alert),
    )
    trainer = train(
        tmp_path, tokens, tokenizer, dev=tokens, monitor=monitor, max_steps=200, learning_rate=1e-9,
        early_stopping_patience=2, eval_strategy="steps", eval_steps=2, save_strategy="steps", save_steps=2,
        load_best_model_at_end=True,
    )  # fmt: skip
    assert trainer.state.global_step == 6
    assert [alert[1] for alert in told] == ["early_stopping"]
    assert "step 6: 2 evaluations" in told[0][2]


def test_layers_learn_at_falling_rates_and_frozen_ones_not(tmp_path: Path, tokens: Dataset, tokenizer: object) -> None:
    config, args = arguments(tmp_path, max_steps=3, learning_rate=1e-2, layer_lr_decay=0.5)
    config.model.freeze = "embeddings"
    model = small_model(tokenizer)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = build_trainer(config, args, model, tokenizer, tokens, None, [])
    trainer.train()
    rates = sorted({group["initial_lr"] for group in trainer.optimizer.param_groups})
    assert rates == [5e-3, 1e-2]
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("embeddings" in name for name in moved)
    assert any("classifier" in name for name in moved)
    assert any("layer.0" in name for name in moved)


def test_batches_of_many_shapes_leave_out_attention_that_plans_for_each(
    tmp_path: Path, tokens: Dataset, tokenizer: object
) -> None:
    """cuDNN's, which torch asks first on the newest GPUs; which kernel is taken then is tested on one (tests/gpu)."""
    torch.backends.cuda.enable_cudnn_sdp(True)
    config, args = arguments(tmp_path)
    build_trainer(config, args, small_model(tokenizer), tokenizer, tokens, None, [])
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_a_compiled_model_gets_batches_of_one_kind(
    tmp_path: Path, tokens: Dataset, tokenizer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All with a plain mask: it is compiled anew for batches with another set of tensors."""
    # Transformers tells accelerate by this variable, and would go on telling it in the tests behind this one.
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "NO")
    taken = {}
    for compiled in (False, True):
        config, args = arguments(tmp_path, torch_compile=compiled, per_device_train_batch_size=1)
        trainer = build_trainer(config, args, small_model(tokenizer), tokenizer, tokens, None, [])
        (batch,) = trainer.feeder.take(iter(trainer.get_train_dataloader()), 1)
        taken[compiled] = "attention_mask" in batch
        (padded,) = trainer.feeder.take(iter([TokenTable(tokens, 0).__getitems__([0, 1])]), 1)
        assert padded["attention_mask"].dim() == (2 if compiled else 4)
    assert taken == {False: False, True: True}


@pytest.mark.usefixtures("threads")
def test_predictions_keep_the_splits_order(tmp_path: Path, tokens: Dataset, tokenizer: object) -> None:
    config, args = arguments(tmp_path, train_sampling_strategy="group_by_length", per_device_eval_batch_size=8)
    model = small_model(tokenizer)
    trainer = build_trainer(config, args, model, tokenizer, tokens, tokens, [])
    logits, measured = predict_logits(trainer, tokens, "test")
    assert not any(name.endswith("_gpu_alloc_delta") for name in measured) or torch.cuda.is_available()
    model.eval()
    with torch.inference_mode():
        for row in (0, 1, 50, 96):
            alone = model(input_ids=torch.tensor([tokens[row]["input_ids"]])).logits[0].numpy()
            np.testing.assert_allclose(logits[row], alone, atol=1e-5)
    assert measured["test_runtime"] > 0


def test_no_whole_batch_is_told_before_training(tmp_path: Path, tokens: Dataset, tokenizer: object) -> None:
    """transformers calls that a loader without a length."""
    with pytest.raises(ConfigError, match="97 train reviews fill no batch"):
        train(tmp_path, tokens, tokenizer, per_device_train_batch_size=98, dataloader_drop_last=True)


def test_arguments_that_transformers_refuses_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        arguments(tmp_path, logging_steps=1.5)
    assert "logging_steps" in caught.value.message


def test_saved_tokenizer_loads_unchanged(tmp_path: Path, tokenizer: object) -> None:
    from transformers import AutoTokenizer

    model = small_model(tokenizer)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    nasty = ["정말 재밌다 ㅋㅋ", "ABC abc", "e\u0301", "재밌다", "재\u1106\u1175\u11bb다"]
    assert again(nasty)["input_ids"] == tokenizer(nasty)["input_ids"]
