"""Dropout from streams: the right share, the right mean, the same again from the same seed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from core.dropout import VALUES, Stream, StreamDropout, attention, drawing, install
from tests.core.tiny_models import save_model


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_and_mean_are_right(p: float) -> None:
    count = 400_003
    keep = round(VALUES * (1 - p))
    mask = Stream([1]).mask((count,), keep, torch.float32)
    kept = float((mask > 0).double().mean())
    assert abs(kept - (1 - p)) < 5 * (p * (1 - p) / count) ** 0.5
    assert mask.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)], rel=1e-4)
    # Neighbours know nothing of each other, four of them come from one number of the generator.
    for step in (1, 2, 3, 4):
        ones = (mask > 0).double()
        together = float(torch.corrcoef(torch.stack([ones[:-step], ones[step:]]))[0, 1])
        assert abs(together) < 5 / count**0.5


def test_a_seed_decides_every_mask() -> None:
    first, same, other = Stream([4, 1]), Stream([4, 1]), Stream([4, 2])
    for shape in ((3, 5), (7,), (2, 2, 9)):
        mask = first.mask(shape, VALUES // 2, torch.float32)
        assert mask.shape == shape
        assert torch.equal(mask, same.mask(shape, VALUES // 2, torch.float32))
        assert not torch.equal(mask, other.mask(shape, VALUES // 2, torch.float32)) or mask.numel() < 8


def test_the_layer_drops_while_training_only_and_its_gradient_agrees() -> None:
    layer = StreamDropout(0.25)
    given = torch.ones(50, 40, requires_grad=True)
    with drawing([9]):
        found = layer.train()(given)
        found.sum().backward()
        assert torch.equal(layer.eval()(given), given)
    assert torch.equal(given.grad, found.detach())
    assert 0.2 < float((found == 0).double().mean()) < 0.3


def test_without_a_stream_torchs_own_generator_is_asked() -> None:
    given = torch.ones(500)
    torch.manual_seed(1)
    expected = nn.Dropout(0.5)(given)
    torch.manual_seed(1)
    assert torch.equal(StreamDropout(0.5)(given), expected)


def test_with_a_stream_torchs_own_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    with drawing([1]):
        StreamDropout(0.5)(torch.ones(500))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("asking", [6, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_softmax_with_some_weights_dropped(asking: int, masked: bool) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 3, asking, 8), torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8)
    mask = torch.ones(2, 1, asking, 6, dtype=torch.bool)
    mask[1, ..., 4:] = False
    given = mask if masked else None
    scores = query @ key.transpose(2, 3) * 8**-0.5
    if masked:
        scores = scores.masked_fill(~mask, -torch.inf)
    drops = Stream([5]).mask((6, asking, 6), round(VALUES * 0.7), torch.float32).view(2, 3, asking, 6)
    expected = (torch.softmax(scores, -1) * drops) @ value
    with drawing([5]):
        found, _weights = attention(
            nn.Module(), query, key, value, given, dropout=0.3, scaling=8**-0.5, is_causal=False
        )
    torch.testing.assert_close(found, expected.transpose(1, 2))


def test_threads_do_not_share_their_streams(tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(save_model(tmp_path / "bert", "bert")).train()
    install(model)
    ids = torch.arange(5, 45).view(4, 10)

    def logits(seed: int) -> torch.Tensor:
        with drawing([seed]), torch.no_grad():
            return model(input_ids=ids).logits

    alone = [logits(seed) for seed in range(12)]
    assert not torch.equal(alone[0], alone[1])
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(logits, range(12)))
    for expected, found in zip(alone, together, strict=True):
        torch.testing.assert_close(found, expected)


def test_a_step_takes_one_number_of_torchs_generator(tmp_path: Path) -> None:
    """What a checkpoint keeps of the random state decides the masks of all later steps."""
    model = AutoModelForSequenceClassification.from_pretrained(save_model(tmp_path / "bert", "bert")).train()
    install(model)
    ids = torch.arange(5, 45).view(4, 10)
    before = torch.get_rng_state()
    with drawing([3]):
        model(input_ids=ids)
    assert torch.equal(torch.get_rng_state(), before)
