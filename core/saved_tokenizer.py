"""A saved model's tokenizer, with what transformers does not say of it.

`AutoTokenizer` needs only config.json: where there is no tokenizer it builds the architecture's own from nothing, a
vocabulary of added tokens, without a word. Every text becomes `[UNK]`, and training, scores and attention mean nothing.
Of a SentencePiece file it says that it needs tiktoken. Heavy: transformers is imported inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.errors import ModelError
from core.i18n import gettext as _

FILES = ("*token*", "*vocab*", "merges.txt", "*.model", "*spiece*", "*spm*", "*bpe*")
"""How the files of a tokenizer are named."""

UNREADABLE = ("backend tokenizer", "sentencepiece", "tiktoken")
"""What transformers speaks of when it finds no tokenizer that it can read."""


def load(name: str, **options: Any) -> Any:
    """The tokenizer of model `name`, a directory or a name of the Hub, by `AutoTokenizer.from_pretrained`.

    Code that comes with a model is not run. Raises ModelError for a tokenizer without a vocabulary or without a file
    that can be read here, and what transformers raises otherwise.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        if _has_no_files(name):
            raise _without_tokenizer(name) from error
        if any(mark in str(error) for mark in UNREADABLE):
            raise _unreadable(name) from error
        raise
    if is_blank(tokenizer):
        raise _without_tokenizer(name)
    return tokenizer


def is_blank(tokenizer: Any) -> bool:
    """Whether a loaded `transformers` tokenizer knows no piece of text."""
    if not tokenizer.vocab_files_names or getattr(tokenizer, "backend_tokenizer", None) is None:
        # Tokenizers of bytes and characters have no files.
        return False
    added = {str(token) for token in tokenizer.added_tokens_decoder.values()} | set(tokenizer.all_special_tokens)
    # Unigram begins with its mark of a space.
    return all(not piece.strip("▁") for piece in tokenizer.get_vocab().keys() - added)


def _has_no_files(name: str) -> bool:
    path = Path(name).expanduser()
    return path.is_dir() and not any(found for pattern in FILES for found in path.glob(pattern))


def _without_tokenizer(name: str) -> ModelError:
    return ModelError(
        _("{name} has no tokenizer").format(name=name),
        _(
            "Copy tokenizer.json and tokenizer_config.json (or the vocabulary) of the model that it was trained from "
            "beside its config.json."
        ),
    )


def _unreadable(name: str) -> ModelError:
    return ModelError(
        _("{name} has no tokenizer.json, and no other tokenizer that can be read here").format(name=name),
        _(
            "Save it where it loads, `AutoTokenizer.from_pretrained(MODEL).save_pretrained(DIR)`, and copy "
            "tokenizer.json and tokenizer_config.json into the directory. A SentencePiece file (*.model) can be "
            "read after `pip install sentencepiece`."
        ),
    )
