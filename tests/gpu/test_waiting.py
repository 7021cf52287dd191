"""Nothing in a step or an evaluation waits for the GPU, and layers compute in bfloat16; skipped without a CUDA GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from core import config_file, models, preset_tokenizer
from core.batches import TokenTable
from core.config import ModelConfig
from core.predicting import predict

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")]

TEXTS = [f"영화 {'정말 ' * (number % 9)}재밌다 {number}" for number in range(256)]
# Torch raises at every operation that waits for the GPU.
REFUSE, ALLOW = "error", "default"


@pytest.fixture(autouse=True)
def waiting_is_allowed_again() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode(ALLOW)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return preset_tokenizer.train_tokenizer(TEXTS, 300)


@pytest.fixture(scope="module")
def tokens(tokenizer: Any) -> Dataset:
    ids = tokenizer(TEXTS)["input_ids"]
    return Dataset.from_dict({"input_ids": ids, "length": [len(row) for row in ids], "labels": [0, 1] * 128})


def trainer_of(tmp_path: Path, tokens: Dataset, tokenizer: Any, callback: Any, **train: Any) -> Any:
    """The run's own Trainer of preset tiny on the GPU, in the precision that a run would choose."""
    from core.training import build_arguments, build_trainer

    settings = {"warmup_steps": 0, "save_strategy": "no", "eval_strategy": "no", "logging_strategy": "no"}
    config = config_file.validate({"model": {"preset": "tiny"}, "train": {**settings, **train}})
    model, _fresh = models.build_model(
        ModelConfig(preset="tiny", name=None), models.preset_config("tiny", tokenizer, {})
    )
    return build_trainer(config, build_arguments(config, tmp_path), model, tokenizer, tokens, None, [callback])


def test_the_check_notices_waiting() -> None:
    torch.cuda.set_sync_debug_mode(REFUSE)
    with pytest.raises(RuntimeError, match="synchroniz"):
        bool(torch.ones(3, device="cuda").all())


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_step_waits_for_nothing(tmp_path: Path, tokens: Dataset, tokenizer: Any, accumulation: int) -> None:
    from transformers import TrainerCallback

    class Refuse(TrainerCallback):
        """From the end of the second step, when all that is made once is there, to that of the sixth."""

        steps = 0

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            torch.cuda.set_sync_debug_mode(REFUSE if 2 <= state.global_step < 6 else ALLOW)
            self.steps = state.global_step

    refuse = Refuse()
    trainer = trainer_of(
        tmp_path, tokens, tokenizer, refuse, max_steps=7, per_device_train_batch_size=16,
        train_sampling_strategy="random", gradient_accumulation_steps=accumulation,
    )  # fmt: skip
    masked: list[bool] = []
    trainer.model.register_forward_pre_hook(
        lambda module, args, kwargs: masked.append("attention_mask" in kwargs), with_kwargs=True
    )
    trainer.train()
    assert refuse.steps == 7
    assert all(masked), "batches without a mask prove nothing"
    assert np.isfinite([loss for _step, loss in trainer.losses.take_new()]).all()


def test_an_evaluation_waits_for_nothing_but_its_end(tmp_path: Path, tokens: Dataset, tokenizer: Any) -> None:
    from transformers import TrainerCallback

    trainer = trainer_of(tmp_path, tokens, tokenizer, TrainerCallback(), max_steps=1)
    trainer.train()
    model = trainer.accelerator.unwrap_model(trainer.model)
    reviews = TokenTable(tokens, tokenizer.pad_token_id)
    refused: list[int] = []

    def on_batch(done: int, total: int) -> None:
        # The first batch makes what is made once, the last call comes before the logits are fetched.
        wait = done == 0 or done == total
        torch.cuda.set_sync_debug_mode(ALLOW if wait else REFUSE)
        refused.extend([] if wait else [done])

    logits = predict(model, reviews, 24, autocast=trainer.accelerator.autocast, on_batch=on_batch)
    assert len(refused) == 10
    again = predict(model, reviews, 256, autocast=trainer.accelerator.autocast)
    np.testing.assert_allclose(logits, again, atol=0.05)


@pytest.mark.skipif(
    torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0), reason="the GPU has no bfloat16"
)
def test_layers_compute_in_bfloat16_and_weights_stay_whole(tmp_path: Path, tokens: Dataset, tokenizer: Any) -> None:
    from transformers import TrainerCallback

    trainer = trainer_of(tmp_path, tokens, tokenizer, TrainerCallback(), max_steps=2)
    layer = trainer.model.base_model.encoder.layer[0].intermediate.dense
    seen: set[Any] = set()
    layer.register_forward_hook(lambda module, given, found: seen.add(found.dtype))
    trainer.train()
    trainer.logits(TokenTable(tokens, tokenizer.pad_token_id))
    assert seen == {torch.bfloat16}
    assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}
    states = [value for state in trainer.optimizer.state.values() for value in state.values()]
    assert {value.dtype for value in states if value.dim()} == {torch.float32}
