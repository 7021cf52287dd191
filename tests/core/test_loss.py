"""The loss: exact however a step is cut, weighted by class, blind to rows that only fill a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import log_softmax
from transformers import Trainer, TrainingArguments

from core.errors import ConfigError
from core.loss import IGNORED, ClassificationLoss, class_weights
from tests.core.tiny_models import save_model

LABELS = np.array([0, 0, 0, 1, 0, 1, 0])


def batch(rows: int = 7, seed: int = 1) -> torch.Tensor:
    torch.manual_seed(seed)
    return (torch.randn(rows, 2) * 2).requires_grad_()


def by_hand(logits: torch.Tensor, labels: torch.Tensor, smoothing: float, weights: list[float]) -> float:
    """The mean over reviews of w(label) · cross entropy with a target of 1 - ε + ε/2 and ε/2, one by one."""
    total = 0.0
    for row, label in zip(log_softmax(logits.double(), -1).tolist(), labels.tolist(), strict=True):
        target = [smoothing / 2, smoothing / 2]
        target[label] += 1 - smoothing
        total += -weights[label] * sum(t * p for t, p in zip(target, row, strict=True))
    return total / len(labels)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0]])
def test_the_loss_is_the_formulas(smoothing: float, weights: list[float] | None) -> None:
    logits, labels = batch(), torch.tensor(LABELS)
    loss = ClassificationLoss(smoothing, None if weights is None else torch.tensor(weights))
    expected = by_hand(logits, labels, smoothing, weights or [1.0, 1.0])
    assert loss((logits,), labels).item() == pytest.approx(expected, rel=1e-6)
    assert loss({"logits": logits}, labels, torch.tensor(7)).item() == pytest.approx(expected, rel=1e-6)


def test_parts_of_a_step_add_up_to_the_whole() -> None:
    logits, labels = batch(), torch.tensor(LABELS)
    loss = ClassificationLoss(0.1, class_weights("balanced", LABELS))
    whole = loss((logits,), labels, 7)
    (gradient,) = torch.autograd.grad(whole, logits)
    cut = batch()
    parts = [loss((cut[part],), labels[part], torch.tensor(7)) for part in (slice(0, 4), slice(4, 6), slice(6, 7))]
    (added,) = torch.autograd.grad(sum(parts), cut)
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-6)
    torch.testing.assert_close(added, gradient)


def test_rows_that_fill_a_batch_count_for_nothing() -> None:
    logits, labels = batch(), torch.tensor(LABELS)
    filled = torch.cat([logits.detach(), torch.tensor([[9.0, -9.0], [float("1e4"), 0.0]])]).requires_grad_()
    marked = torch.cat([labels, torch.tensor([IGNORED, IGNORED])])
    for weights in (None, torch.tensor([0.5, 2.0])):
        loss = ClassificationLoss(0.1, weights)
        assert loss((filled,), marked).item() == pytest.approx(loss((logits,), labels).item(), rel=1e-6)
        (gradient,) = torch.autograd.grad(loss((filled,), marked, 7), filled)
        assert not gradient[7:].any()
        assert gradient[:7].any()


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0])])
@pytest.mark.parametrize("count", [None, 5, torch.tensor(0)])
def test_a_batch_of_filling_rows_gives_zero_with_a_gradient(
    weights: torch.Tensor | None, count: torch.Tensor | int | None
) -> None:
    logits = batch(3)
    loss = ClassificationLoss(0.1, weights)((logits,), torch.full((3,), IGNORED), count)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_evaluation_has_neither_smoothing_nor_weights() -> None:
    logits, labels = batch(), torch.tensor(LABELS)
    loss = ClassificationLoss(0.2, torch.tensor([0.5, 2.0]))
    plain = by_hand(logits, labels, 0.0, [1.0, 1.0])
    with torch.no_grad():
        assert loss((logits.detach(),), labels).item() == pytest.approx(plain, rel=1e-6)
    assert loss((logits,), labels).item() != pytest.approx(plain, rel=1e-3)


def test_one_count_a_gpu_cancels_what_trainer_multiplies_by() -> None:
    logits, labels = batch(), torch.tensor(LABELS)
    loss = ClassificationLoss()
    counts = torch.tensor(7).unsqueeze(0).expand(2, -1)
    assert (loss((logits,), labels, counts) * 2).item() == pytest.approx(loss((logits,), labels, 7).item(), rel=1e-6)


def test_balanced_weights_are_scikit_learns() -> None:
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=LABELS)
    made = class_weights("balanced", LABELS)
    assert made is not None
    np.testing.assert_allclose(made.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("setting", ["balanced", "1, 2.5", "3,0", "0.001,70"])
def test_weights_have_a_mean_of_one_over_the_reviews(setting: str) -> None:
    made = class_weights(setting, LABELS)
    assert made is not None
    assert made[torch.tensor(LABELS)].mean().item() == pytest.approx(1, rel=1e-6)


def test_given_weights_keep_their_ratio_and_none_is_none() -> None:
    made = class_weights("1, 2.5", LABELS)
    assert made is not None
    assert (made[1] / made[0]).item() == pytest.approx(2.5)
    assert class_weights("none", LABELS) is None


@pytest.mark.parametrize(("setting", "labels"), [("balanced", [0, 0]), ("0, 0", [0, 1]), ("0, 1", [0, 0])])
def test_weights_that_cannot_be_are_refused(setting: str, labels: list[int]) -> None:
    with pytest.raises(ConfigError) as caught:
        class_weights(setting, np.array(labels))
    assert caught.value.key == "train.class_weights"
    assert caught.value.hint


@pytest.mark.parametrize("weights", [None, [0.6, 1.4]])
def test_trainer_learns_the_same_whatever_the_accumulation(tmp_path: Path, weights: list[float] | None) -> None:
    """Three steps of 8 reviews (the last of 6), each as one batch or in two or four parts: same losses and weights."""
    from transformers import AutoModelForSequenceClassification

    directory = save_model(
        tmp_path / "model", "bert", initializer_range=0.02, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    rng = np.random.default_rng(0)
    rows = Dataset.from_dict(
        {"input_ids": rng.integers(5, 60, (22, 6)).tolist(), "labels": rng.integers(0, 2, 22).tolist()}
    )
    seen = []
    for parts in (1, 2, 4):
        trainer = Trainer(
            AutoModelForSequenceClassification.from_pretrained(directory),
            TrainingArguments(
                output_dir=str(tmp_path / "out"),
                per_device_train_batch_size=8 // parts,
                gradient_accumulation_steps=parts,
                num_train_epochs=1,
                learning_rate=1e-2,
                logging_steps=1,
                save_strategy="no",
                use_cpu=True,
                disable_tqdm=True,
                train_sampling_strategy="sequential",
                label_smoothing_factor=0.1,
            ),
            train_dataset=rows,
            compute_loss_func=ClassificationLoss(0.1, None if weights is None else torch.tensor(weights)),
        )
        trainer.train()
        logged = [(row["loss"], row["grad_norm"]) for row in trainer.state.log_history if "grad_norm" in row]
        seen.append((logged, torch.cat([p.detach().flatten() for p in trainer.model.parameters()])))
    for logged, parameters in seen[1:]:
        assert len(logged) == 3
        np.testing.assert_allclose(logged, seen[0][0], rtol=2e-3)
        torch.testing.assert_close(parameters, seen[0][1], rtol=1e-3, atol=1e-4)
