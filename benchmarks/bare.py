"""The least that starts: the peer of `cold_start.py`.

It imports what any training needs and builds the model, or loads it. Run by `common.run_part` in a process of its own.
"""

from __future__ import annotations

import time
from typing import Any

from common import answer_part

from core.config import RunConfig


def build(config: RunConfig) -> dict[str, Any]:
    """When (`time.time`) torch, transformers' Trainer and datasets were imported and the model was there."""
    import datasets  # noqa: F401 - imported for the time it takes
    import torch
    from transformers import (
        AutoConfig,
        AutoModelForSequenceClassification,
        Trainer,  # noqa: F401
        TrainingArguments,  # noqa: F401
    )

    from core.models import PRESETS
    from core.preset_tokenizer import VOCAB_SIZE

    imported = time.time()
    if config.model.preset is None:
        model = AutoModelForSequenceClassification.from_pretrained(config.model.name, dtype=torch.float32)
    else:
        preset = PRESETS[config.model.preset]
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
    """`build` with `request["config"]`."""
    return build(RunConfig.model_validate(request["config"]))


if __name__ == "__main__":
    answer_part(run)
