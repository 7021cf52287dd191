"""Optimizers that learn at one point and stand for another: scored and saved is what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core import checkpoints
from tests.core.test_callback import make_trainer, run_dir, tokenizer, tokens, watch

__all__ = ["run_dir", "tokenizer", "tokens"]
SETTINGS = {
    "max_steps": 3, "eval_steps": 2, "save_steps": 2, "load_best_model_at_end": False, "optim": "schedule_free_adamw",
}  # fmt: skip


class Apart(torch.optim.SGD):
    """Descends one away from where it stands."""

    away = False

    @torch.no_grad()
    def _shift(self, away: bool) -> None:
        if away != self.away:
            self.away = away
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.add_(1.0 if away else -1.0)

    def train(self) -> None:
        self._shift(True)

    def eval(self) -> None:
        self._shift(False)


def test_scored_and_saved_are_the_weights_that_it_stands_for(run_dir: Path, tokens: Any, tokenizer: Any) -> None:
    trainer = make_trainer(run_dir, watch(run_dir), tokens, tokenizer, **SETTINGS)
    before = trainer.model.classifier.weight.detach().clone()
    seen: dict[bool, list[float]] = {True: [], False: []}

    def note(module: Any, inputs: Any) -> None:
        seen[torch.is_grad_enabled()].append(float((module.classifier.weight.detach() - before).abs().max()))

    trainer.model.register_forward_pre_hook(note)
    trainer.optimizer = Apart(trainer.model.parameters(), lr=1e-6)
    trainer.train()
    assert min(seen[True]) > 0.9
    assert max(seen[False]) < 0.1
    for found in checkpoints.list_checkpoints(run_dir):
        saved = load_file(found.path / "model.safetensors")["classifier.weight"]
        assert torch.allclose(saved, before, atol=0.1)
    assert torch.allclose(trainer.model.classifier.weight, before, atol=0.1)


def test_the_real_one_is_saved_and_scored_at_its_average(run_dir: Path, tokens: Any, tokenizer: Any) -> None:
    pytest.importorskip("schedulefree")
    trainer = make_trainer(run_dir, watch(run_dir), tokens, tokenizer, **SETTINGS)
    trainer.train()
    assert [group["train_mode"] for group in trainer.optimizer.param_groups] == [False] * 2
    (kept, *_more) = checkpoints.list_checkpoints(run_dir)
    stored = torch.load(kept.path / "optimizer.pt", weights_only=True)
    assert not any(group["train_mode"] for group in stored["param_groups"])
