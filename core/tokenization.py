"""Tokens and their place in the text: which characters, and which word (어절), each token stands for.

Tokenizers disagree about offsets: byte-level BPE gives the pieces of one syllable the same span and whitespace an
empty one, Metaspace gives a lone `▁` the span of the piece after it, NFKC spreads one character over several tokens
that share its span. So a token is never assumed to have characters of its own: its span is widened to grapheme
clusters (UAX 29) and laid on words that come from the text alone (`\\S+`), the same for every model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from core.text import clusters
from core.token_gaps import fill_gaps

_WORD = re.compile(r"\S+")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Word:
    """One 어절: a run of characters without whitespace; `start` and `end` are code point offsets into the text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a model's input.

    text: what it stands for in the text (`text[start:end]`), so that byte-level Korean reads as Korean; for a token
        that the tokenizer added (`special`) and for one that hides a word (`masked`), its name.
    start, end: code point offsets, whole grapheme clusters; equal for a token that stands for no character.
    special: added by the tokenizer (`[CLS]`, `</s>`), not part of the text.
    unk: the vocabulary has no piece for this text.
    piece: the vocabulary's own spelling (`##요`, `▁영화`, `ìĺģ`).
    word: index of its word, None for special tokens and for tokens of whitespace only.
    masked: the mask token, in the place of the token that was there.
    """

    text: str
    start: int
    end: int
    special: bool
    unk: bool
    piece: str
    word: int | None
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text as a model gets it, and the way back to the text.

    inputs: the tokenizer's answer as lists without a batch axis (`input_ids`, `attention_mask`, …), each of length T.
    cut: offset from which the text did not fit into the model's window, None when all of it did.
    """

    inputs: dict[str, list[int]]
    tokens: tuple[Token, ...]
    words: tuple[Word, ...]
    cut: int | None


def split_words(text: str) -> tuple[Word, ...]:
    """The words (어절) of `text` in order: maximal runs without whitespace."""
    return tuple(Word(m.group(), m.start(), m.end()) for m in _WORD.finditer(text))


def align(
    text: str,
    words: Sequence[Word],
    pieces: Sequence[str],
    offsets: Sequence[tuple[int, int]],
    special: Sequence[bool],
    unk: Sequence[bool],
) -> tuple[Token, ...]:
    """Lay tokens on `text`: spans widened to grapheme clusters, each token given to the one word it overlaps most.

    `pieces`, `offsets`, `special` and `unk` have one entry a token; `words` is `split_words(text)`. A span never
    reaches beyond its word, even where a cluster does (a space with a combining mark). Whether a token is special is
    told by `special` alone: `(0, 0)` is also the span of a token that stands for no character.
    """
    cluster_start, cluster_end = _cluster_bounds(text)
    word_of: list[int | None] = [None] * len(text)
    for number, word in enumerate(words):
        word_of[word.start : word.end] = [number] * (word.end - word.start)
    tokens = []
    for piece, (start, end), is_special, is_unk in zip(pieces, offsets, special, unk, strict=True):
        if is_special:
            tokens.append(Token(piece, 0, 0, True, False, piece, None))
            continue
        index = _most_overlapped(word_of[start:end])
        if index is not None:
            word = words[index]
            start = max(cluster_start[max(start, word.start)], word.start)
            end = min(cluster_end[min(end, word.end) - 1], word.end)
        tokens.append(Token(text[start:end], start, end, False, is_unk, piece, index))
    return tuple(tokens)


def encode(tokenizer: Any, text: str, max_length: int | None = None) -> Encoded:
    """Tokenize the raw `text` as `transformers.pipeline` would, truncated to `max_length` tokens (None: not at all).

    `tokenizer` is a loaded `transformers` tokenizer that gives offsets. The text is never normalised here; only lone
    surrogates, which no tokenizer accepts, are given to it as U+FFFD (one for one, offsets stay).
    Raises ModelError when the tokenizer gives no offsets.
    """
    from core.errors import ModelError
    from core.i18n import gettext as _

    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            _("The tokenizer {name} does not say where its tokens are in the text.").format(
                name=type(tokenizer).__name__
            ),
            _("Attention on the text needs a tokenizer that has a tokenizer.json."),
        )
    limits: dict[str, Any] = {}
    if max_length is not None:
        room = max(max_length, tokenizer.num_special_tokens_to_add() + 1)
        limits = {"truncation": True, "max_length": room, "return_overflowing_tokens": True}
    given = _SURROGATE.sub("\ufffd", text)
    batch = tokenizer(
        [given],
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=True,
        padding=False,
        # Without a limit the tokenizer warns about its own; the caller has decided on one.
        verbose=False,
        **limits,
    )
    # Rows after the first hold what did not fit.
    row = {name: list(values[0]) for name, values in batch.items() if name != "overflow_to_sample_mapping"}
    offsets = row.pop("offset_mapping")
    special = [bool(flag) for flag in row.pop("special_tokens_mask")]
    ids = row["input_ids"]
    unk_id = tokenizer.unk_token_id
    words = split_words(text)
    tokens = align(
        text,
        words,
        tokenizer.convert_ids_to_tokens(ids),
        offsets,
        special,
        [unk_id is not None and token == unk_id for token in ids],
    )
    cut, ends = None, (0, len(text))
    # A tokenizer that cuts on the left leaves words without tokens in front; there is no offset to grey out from.
    if len(batch["input_ids"]) > 1:
        spans = [(token.start, token.end) for token in tokens if not token.special]
        if getattr(tokenizer, "truncation_side", "right") == "right":
            cut = max((end for _start, end in spans), default=0)
            ends = (0, cut)
        else:
            ends = (min((start for start, _end in spans), default=len(text)), len(text))
    tokens = fill_gaps(text, given, words, tokens, offsets, tokenizer, ends)
    return Encoded(row, tokens, words, cut)


def window(tokenizer: Any, model: Any, requested: int | None = None) -> int | None:
    """The longest input in tokens that `model` takes from `tokenizer`, at most `requested`; None when unbounded.

    The least of `requested`, the tokenizer's `model_max_length` and the model's positions. RoBERTa's descendants
    count positions from their padding index, which costs them `padding_idx + 1` of them; an embedding that was made
    that way says so by its `padding_idx`.
    """
    limits = [requested, getattr(tokenizer, "model_max_length", None)]
    config = model.config
    positions = getattr(config, "max_position_embeddings", None)
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        weight = getattr(module, "weight", None)
        if name.endswith("position_embeddings") and isinstance(padding, int) and weight is not None:
            positions = len(weight) - padding - 1
    limits.append(positions)
    # XLNet and Funnel say "no limit" with -1 or a huge number.
    usable = [int(limit) for limit in limits if limit is not None and 0 < limit < 1_000_000]
    return min(usable, default=None)


def stand_in(tokenizer: Any) -> int | None:
    """The token for a text that `tokenizer` makes nothing of: what it pads, ends or begins texts with, if anything.

    No model takes an empty input, and tokenizers of left-to-right models add nothing to an empty text.
    """
    usual = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id)
    return next((int(token) for token in usual if token is not None), None)


def _cluster_bounds(text: str) -> tuple[list[int], list[int]]:
    starts: list[int] = []
    ends: list[int] = []
    for cluster in clusters(text):
        size = cluster.end - cluster.start
        starts += [cluster.start] * size
        ends += [cluster.end] * size
    return starts, ends


def _most_overlapped(indexes: Iterable[int | None]) -> int | None:
    counts = Counter(index for index in indexes if index is not None)
    return max(counts, key=lambda index: (counts[index], -index)) if counts else None
