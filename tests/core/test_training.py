"""What the Trainer is given: tokens, batches, order, loss. The real torch and transformers, small models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

from core import config_file, models
from core.config import ModelConfig
from core.errors import ConfigError, ModelError, OfflineError
from core.training import ClassificationLoss, build_arguments, build_trainer, predict_logits
from core.training_data import Collator, LengthGroupedSampler, lengths, tokenize

TEXTS = [f"영화 {'정말 ' * (number % 9)}재밌다 {number}" for number in range(97)]


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return models.train_tokenizer(TEXTS, 300)


@pytest.fixture(scope="module")
def reviews() -> Dataset:
    return Dataset.from_dict(
        {"id": [str(i) for i in range(97)], "document": TEXTS, "label": [i % 2 for i in range(97)]}
    )


@pytest.fixture(scope="module")
def tokens(home: Path, tokenizer: object, reviews: Dataset) -> Dataset:
    return tokenize(reviews, tokenizer, 12, "test-tokens")


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


def test_collator_pads_to_the_longest() -> None:
    batch = Collator(9)([{"input_ids": [1, 2], "labels": 1}, {"input_ids": [3], "labels": 0}])
    assert batch["input_ids"].tolist() == [[1, 2], [3, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert batch["labels"].tolist() == [1, 0]
    assert Collator(9, "left")([{"input_ids": [3], "labels": 0}, {"input_ids": [1, 2], "labels": 0}])[
        "input_ids"
    ].tolist() == [[9, 3], [1, 2]]


@pytest.mark.parametrize(("count", "batch"), [(1000, 32), (33, 32), (31, 32), (5, 1), (640, 64)])
def test_sampler_gives_every_review_once_in_even_batches(count: int, batch: int) -> None:
    sizes = np.random.default_rng(3).integers(3, 60, count)
    sampler = LengthGroupedSampler(sizes, batch, seed=7)
    order = list(sampler)
    assert sorted(order) == list(range(count))
    assert list(sampler) == order
    sampler.set_epoch(1)
    if count > 31:
        assert list(sampler) != order


def test_sampler_pads_little_and_shuffles_batches() -> None:
    sizes = np.random.default_rng(3).integers(3, 60, 6400)
    order = np.array(list(LengthGroupedSampler(sizes, 32, seed=7)))
    batches = sizes[order].reshape(-1, 32)
    assert sizes[order[:32]].max() == sizes.max()
    assert batches.max(axis=1).sum() * 32 < 1.1 * sizes.sum()
    # Neighbouring batches are not sorted by length.
    means = batches.mean(axis=1)
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3


def arguments(tmp_path: Path, **train: object) -> tuple[object, object]:
    config = config_file.validate(
        {
            "model": {"preset": "tiny"},
            "train": {"warmup_steps": 0, "save_strategy": "no", "eval_strategy": "no", "logging_steps": 1, **train},
            "launch": {"device": "cpu"},
        }
    )
    return config, build_arguments(config, tmp_path)


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


def test_evaluation_loss_is_not_smoothed() -> None:
    logits = torch.tensor([[1.0, 2.0], [0.5, -0.5]])
    labels = torch.tensor([1, 0])
    plain = torch.nn.functional.cross_entropy(logits, labels)
    assert ClassificationLoss(0.2)({"logits": logits}, labels) == plain


def test_predictions_keep_the_splits_order(tmp_path: Path, tokens: Dataset, tokenizer: object) -> None:
    config, args = arguments(tmp_path, train_sampling_strategy="group_by_length", per_device_eval_batch_size=8)
    model = small_model(tokenizer)
    trainer = build_trainer(config, args, model, tokenizer, tokens, tokens, [])
    logits, measured = predict_logits(trainer, tokens, "test")
    model.eval()
    with torch.inference_mode():
        for row in (0, 1, 50, 96):
            alone = model(input_ids=torch.tensor([tokens[row]["input_ids"]])).logits[0].numpy()
            np.testing.assert_allclose(logits[row], alone, atol=1e-5)
    assert measured["test_runtime"] > 0


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


def test_models_that_are_not_there_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OfflineError) as caught:
        models.load_config(ModelConfig(name="klue/roberta-base"))
    assert "hf download klue/roberta-base" in caught.value.hint
    with pytest.raises(ModelError, match="no such directory"):
        models.load_tokenizer(ModelConfig(name="./nowhere"))
    with pytest.raises(ModelError, match=r"no config\.json"):
        models.load_config(ModelConfig(name=str(tmp_path)))


def test_config_overrides_of_a_model_directory(tmp_path: Path, tokenizer: object) -> None:
    small_model(tokenizer).save_pretrained(tmp_path)
    config = models.load_config(ModelConfig(name=str(tmp_path), config={"hidden_dropout_prob": 0.2}))
    assert config.hidden_dropout_prob == 0.2
    assert config.num_labels == 2
    with pytest.raises(ModelError) as caught:
        models.load_config(ModelConfig(name=str(tmp_path), config={"hidden_dropout": 0.2}))
    assert "hidden_dropout_prob" in caught.value.hint


def test_window_knows_robertas_positions() -> None:
    from transformers import BertConfig, XLMRobertaConfig

    class Tokenizer:
        model_max_length = 10**30

    assert models.window(Tokenizer(), XLMRobertaConfig(max_position_embeddings=514), 1000) == 512
    assert models.window(Tokenizer(), BertConfig(max_position_embeddings=512), 1000) == 512
    assert models.window(Tokenizer(), BertConfig(), 64) == 64
