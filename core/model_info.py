"""What a model and its tokenizer are: `python -m core.model_info` with a JSON request, for headless commands.

Heavy: transformers is imported inside. The weights are not loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from core import models
from core.answering import answer
from core.config import ModelConfig
from core.sample import generate
from core.unknown_tokens import cause, unknown_share_of_texts

SAMPLED = 500
# A share of unknown tokens from which `show` looks for the cause: the default of model.max_unknown.
MANY_UNKNOWN = 0.2


def _tokenizer_facts(tokenizer: Any) -> dict[str, Any]:
    return {
        "class": type(tokenizer).__name__,
        "vocab_size": len(tokenizer),
        "model_max_length": tokenizer.model_max_length if tokenizer.model_max_length < 10**9 else None,
        "padding_side": tokenizer.padding_side,
        "special_tokens": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
    }


def sample_unknown_share(tokenizer: Any) -> float:
    """The share of unknown tokens in the first `SAMPLED` reviews of the built-in sample, from 0 to 1."""
    return unknown_share_of_texts((document for _id, document, _label in generate("test")[:SAMPLED]), tokenizer)


def count_parameters(config: Any) -> int:
    """The parameters of the classifier that `config` describes, counted without allocating them."""
    import torch
    from transformers import AutoModelForSequenceClassification

    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
    return sum(parameter.numel() for parameter in model.parameters())


def show(name: str) -> dict[str, Any]:
    """A model's config, parameter count, window in tokens and tokenizer. Raises ModelError or OfflineError."""
    named = ModelConfig(name=name)
    config = models.load_config(named)
    tokenizer = models.load_tokenizer(named)
    unknown = sample_unknown_share(tokenizer)
    reason, hint = cause(tokenizer) if unknown > MANY_UNKNOWN else ("", "")
    return {
        "model": name,
        "model_type": config.model_type,
        "parameters": count_parameters(config),
        "window": models.window(tokenizer, config, 10**9),
        "config": config.to_dict(),
        "tokenizer": {
            **_tokenizer_facts(tokenizer),
            "unknown_share": unknown,
            "unknown_reason": reason,
            "unknown_hint": hint,
        },
    }


def tokenize(name: str, text: str, max_length: int | None = None) -> dict[str, Any]:
    """How a model's tokenizer cuts `text`: tokens with id, piece, place in the text and word."""
    from core.tokenization import encode

    tokenizer = models.load_tokenizer(ModelConfig(name=name))
    encoded = encode(tokenizer, text, max_length)
    ids = encoded.inputs["input_ids"]
    of_text = [token for token in encoded.tokens if not token.special]
    return {
        "model": name,
        "text": text,
        "unknown_share": sum(token.unk for token in of_text) / len(of_text) if of_text else 0.0,
        "tokens": [
            {
                "id": number,
                "piece": token.piece,
                "text": token.text,
                "start": token.start,
                "end": token.end,
                "special": token.special,
                "unk": token.unk,
                "word": token.word,
            }
            for number, token in zip(ids, encoded.tokens, strict=True)
        ],
        "words": [{"text": word.text, "start": word.start, "end": word.end} for word in encoded.words],
        "cut": encoded.cut,
    }


def _work(request: dict[str, Any]) -> dict[str, Any]:
    name = str(request["model"])
    if Path(name).is_dir():
        name = str(Path(name).resolve())
    if request["do"] == "tokenize":
        return tokenize(name, str(request["text"]), request.get("max_length"))
    return show(name)


if __name__ == "__main__":
    sys.exit(answer(_work))
