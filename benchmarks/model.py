"""Makes what both sides start from: the model (architecture, initial weights, tokenizer) or a small copy of the data.

Run by `common.run_part` in a process of its own. A `-shape` is an architecture with random weights, so nothing is
downloaded; its tokenizer is trained on the train reviews as that of the presets, its vocabulary keeps the size of
the model it is shaped like, because the embeddings are most of such a model's weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common import answer_part

from core.config import PRESETS, RunConfig

# The published configs: huggingface.co/FacebookAI/xlm-roberta-base and google-bert/bert-base-uncased, config.json.
SHAPES: dict[str, dict[str, Any]] = {
    "xlm-roberta-base-shape": {
        "model_type": "xlm-roberta",
        "vocab_size": 250_002,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
    },
    "bert-base-shape": {"model_type": "bert", "vocab_size": 30_522},
}


def make(request: dict[str, Any]) -> dict[str, Any]:
    """Save the model `request["model"]` in `request["directory"]`; returns its number of parameters."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, set_seed

    from core import data, models, preset_tokenizer

    config = RunConfig.model_validate(request["config"])
    splits = data.load_splits(config.data)
    tokenizer = preset_tokenizer.preset_tokenizer(splits.train, splits.fingerprint)
    name = request["model"]
    if name in PRESETS:
        architecture = models.preset_config(name, tokenizer, {})
    else:
        special = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("pad", "cls", "sep")}
        architecture = AutoConfig.for_model(
            **SHAPES[name],
            num_labels=2,
            pad_token_id=special["pad_token_id"],
            bos_token_id=special["cls_token_id"],
            eos_token_id=special["sep_token_id"],
        )
    set_seed(config.train.seed)
    model = AutoModelForSequenceClassification.from_config(architecture, dtype=torch.float32)
    directory = Path(request["directory"])
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return {"parameters": sum(parameter.numel() for parameter in model.parameters())}


def copy(request: dict[str, Any]) -> dict[str, Any]:
    """Write the splits that `request["config"]` names to `request["directory"]`, as NSMC's own files."""
    from core.data import load_splits
    from core.data_sources import NSMC_FILES

    splits = load_splits(RunConfig.model_validate(request["config"]).data)
    directory = Path(request["directory"])
    directory.mkdir()
    for split, name in NSMC_FILES.items():
        reviews = splits[split]
        columns = (reviews["id"][:], reviews["document"][:], reviews["label"][:])
        lines = ["id\tdocument\tlabel"]
        lines += [f"{row}\t{document}\t{label}" for row, document, label in zip(*columns, strict=True)]
        (directory / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {}


if __name__ == "__main__":
    answer_part(lambda request: make(request) if "model" in request else copy(request))
