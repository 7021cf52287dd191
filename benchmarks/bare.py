"""The least that does the same: the peers of `overhead.py` and `cold_start.py`.

`train` is a plain `Trainer` over the product's own batches and loss, without our callbacks, events and sampling;
`build` imports what any training needs and builds the model. Run by `common.run_part` in a process of its own.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from common import answer_part

from core.config import RunConfig


def train(config: RunConfig) -> dict[str, Any]:
    """Seconds from the beginning of training to its end, and its steps."""
    from transformers import Trainer, TrainerCallback

    from core.preparation import Preparation
    from core.training import build_trainer

    with tempfile.TemporaryDirectory() as directory:
        prepared = Preparation(config, Path(directory)).run(("train",))
        product = build_trainer(
            config, prepared.arguments, prepared.model, prepared.tokenizer, prepared.tokens["train"], None, []
        )

        class Bare(Trainer):
            def get_train_dataloader(self) -> Any:
                return product.get_train_dataloader()

        class Clock(TrainerCallback):
            begun = 0.0

            def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
                Clock.begun = time.monotonic()

        trainer = Bare(
            model=prepared.model,
            args=prepared.arguments,
            train_dataset=product.train_dataset,
            data_collator=product.data_collator,
            compute_loss_func=product.compute_loss_func,
            callbacks=[Clock],
        )
        steps = trainer.train().global_step
        seconds = time.monotonic() - Clock.begun
    return {"steps": steps, "train_seconds": seconds}


def build(config: RunConfig) -> dict[str, Any]:
    """When (`time.time`) torch, transformers' Trainer and datasets were imported and the preset's model was built."""
    import datasets  # noqa: F401 - imported for the time it takes
    import torch
    from transformers import (
        AutoConfig,
        AutoModelForSequenceClassification,
        Trainer,  # noqa: F401
        TrainingArguments,  # noqa: F401
    )

    from core.models import PRESETS, VOCAB_SIZE

    imported = time.time()
    preset = PRESETS[config.model.preset or "tiny"]
    architecture = AutoConfig.for_model(
        "bert",
        vocab_size=VOCAB_SIZE,
        num_hidden_layers=preset.num_hidden_layers,
        hidden_size=preset.hidden_size,
        num_attention_heads=preset.num_attention_heads,
        intermediate_size=preset.intermediate_size,
    )
    model = AutoModelForSequenceClassification.from_config(architecture, dtype=torch.float32)
    if config.launch.device == "cuda":
        model.to("cuda")
    return {"imported": imported, "built": time.time()}


def run(request: dict[str, Any]) -> dict[str, Any]:
    """`train` or `build`, as `request["work"]` says, with `request["config"]`."""
    config = RunConfig.model_validate(request["config"])
    return {"train": train, "build": build}[request["work"]](config)


if __name__ == "__main__":
    answer_part(run)
