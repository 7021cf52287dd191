"""Models that the inspector holds, asked about texts; `core.inspector_loading` makes them.

Needs torch and transformers, imported inside.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from core.errors import ModelError, UsageError
from core.i18n import gettext as _
from core.tokenization import Encoded, Token

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.classifier_reads import Reads

Inputs = dict[str, list[int]]
"""A tokenizer's answer for one text, as lists of length T."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A text as a model gets it, cut to `max_length` tokens (None: not cut), the words at `masked` hidden from it."""

    text: str
    encoded: Encoded
    max_length: int | None
    masked: frozenset[int] = frozenset()

    @property
    def token_words(self) -> tuple[int | None, ...]:
        """For each token the index of its word, None outside words."""
        return tuple(token.word for token in self.encoded.tokens)

    @property
    def special(self) -> tuple[bool, ...]:
        """For each token whether the tokenizer added it."""
        return tuple(token.special for token in self.encoded.tokens)

    @property
    def read_words(self) -> tuple[int, ...]:
        """Indexes of the words that the model gets at least one token of, in order."""
        return tuple(sorted({word for word in self.token_words if word is not None}))


@dataclass
class LoadedModel:
    """A model ready to be asked: on `device`, float32, eager attention, evaluation mode, its weights frozen."""

    path: str
    model: Any
    tokenizer: Any
    window: int | None
    device: str
    fingerprint: str
    notes: list[str]
    accepts: frozenset[str]
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def labels(self) -> list[str]:
        """The names of the classes in order."""
        config = self.model.config
        return [str(config.id2label.get(index, index)) for index in range(config.num_labels)]

    @property
    def model_type(self) -> str:
        """The architecture's name in transformers."""
        return str(self.model.config.model_type)

    @cached_property
    def nbytes(self) -> int:
        """Memory of the weights in bytes."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self.model.parameters())

    @cached_property
    def reads(self) -> Reads:
        """Which token the classifier reads; found when first asked for, by a pass over a short text."""
        from core.classifier_reads import find

        return find(self)

    @property
    def mean_pooled(self) -> bool:
        """Whether the classifier reads more than one token (ModernBERT with `mean`, EuroBERT)."""
        return self.reads == "mean"

    @property
    def mask_id(self) -> int | None:
        """The id of the token that hides a word, None for a tokenizer that has none."""
        return getattr(self.tokenizer, "mask_token_id", None)

    def describe(self) -> dict[str, Any]:
        """The body of the answer to `open`."""
        return {
            "path": self.path,
            "model_type": self.model_type,
            "labels": self.labels,
            "window": self.window,
            "device": self.device,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "fingerprint": self.fingerprint,
            "notes": self.notes,
        }

    def subject(self, text: str, max_length: int | None, masked: Iterable[int] = ()) -> Subject:
        """`text` in tokens, cut to `max_length` and to the model's window.

        Each token of the words at `masked` becomes the mask token; it keeps its place in the text. A text that the
        tokenizer makes nothing of is given to the model as one token, see `stand_in`. Raises ModelError without
        offsets, UsageError for a word that is not there and for a tokenizer without a mask token.
        """
        from core.attribution_occlusion import mode_of
        from core.tokenization import encode

        limit = min((n for n in (max_length, self.window) if n is not None), default=None)
        encoded, hidden = encode(self.tokenizer, text, limit), frozenset(masked)
        if not encoded.tokens:
            encoded = self.stand_in(encoded)
        if not hidden:
            return Subject(text, encoded, limit)
        if not hidden <= set(range(len(encoded.words))):
            raise UsageError(_("The text has no such word."))
        mode_of(self, "mask")
        mask, name = self.mask_id, self.tokenizer.mask_token
        assert mask is not None
        tokens = tuple(
            replace(token, text=name, piece=name, unk=False, masked=True) if token.word in hidden else token
            for token in encoded.tokens
        )
        ids = [
            mask if token.masked else number for number, token in zip(encoded.inputs["input_ids"], tokens, strict=True)
        ]
        return Subject(
            text, replace(encoded, inputs={**encoded.inputs, "input_ids": ids}, tokens=tokens), limit, hidden
        )

    def stand_in(self, nothing: Encoded) -> Encoded:
        """`nothing`, a text without tokens, as one token (`core.tokenization.stand_in`).

        Raises ModelError for a tokenizer that has none for it.
        """
        from core.tokenization import stand_in

        number = stand_in(self.tokenizer)
        if number is None:
            raise ModelError(
                _("The tokenizer makes no token of this text, and has none that could stand for it."),
                _("Texts with words can be asked about."),
            )
        name = str(self.tokenizer.convert_ids_to_tokens(number))
        values = {"input_ids": number, "attention_mask": 1}
        inputs = {key: [values.get(key, 0)] for key in nothing.inputs}
        return replace(nothing, inputs=inputs, tokens=(Token(name, 0, 0, True, False, name, None),))

    def tensors(self, rows: Sequence[Inputs]) -> dict[str, Any]:
        """What the model takes for `rows`, texts of equally many tokens, as tensors on its device."""
        import torch

        return {
            name: torch.tensor([row[name] for row in rows], device=self.device)
            for name in rows[0]
            if name in self.accepts
        }

    def run(self, rows: Sequence[Inputs], attention: bool = False) -> Any:
        """The model's outputs for `rows`, texts of equally many tokens, with attention where asked for."""
        return self.model(**self.tensors(rows), output_attentions=attention, return_dict=True)

    def probabilities(self, logits: Any) -> Any:
        """Probabilities (… × classes) of `logits`, as transformers.pipeline("text-classification") makes them.

        A model for regression has none: its values stay what they are.
        """
        if self.model.config.problem_type == "regression":
            return logits
        if self.model.config.problem_type == "multi_label_classification" or logits.shape[-1] == 1:
            return logits.sigmoid()
        return logits.softmax(-1)

    def class_of(self, probabilities: Sequence[float], target: int | None) -> int:
        """`target`, or for None the class of the highest probability. Raises UsageError for one that is not there."""
        if target is None:
            return max(range(len(probabilities)), key=probabilities.__getitem__)
        if not 0 <= target < len(probabilities):
            raise UsageError(
                _("There is no class {number}.").format(number=target),
                _("Counted from 0: {first} to {last}.").format(first=0, last=len(probabilities) - 1),
            )
        return target

    def cls(self, ids: Sequence[int]) -> int:
        """Index of the token that the classifier reads."""
        if self.reads == "last":
            # Left-to-right models go back over what they take for padding, also where the text ends with it.
            padding = getattr(self.model.config, "pad_token_id", None)
            return max((place for place, token in enumerate(ids) if token != padding), default=len(ids) - 1)
        if self.reads == "unknown":
            name = self.tokenizer.cls_token_id
            return list(ids).index(name) if name is not None and name in ids else 0
        return 0

    def inspect(
        self,
        text: str,
        max_length: int | None,
        attention: bool,
        masked: Sequence[int] = (),
        knocked: Sequence[Sequence[int | None]] = (),
    ) -> tuple[dict[str, Any], NDArray[np.float32] | None]:
        """The body of the answer to `inspect`, and the attention (layers × heads × tokens × tokens).

        masked, knocked: words hidden and heads switched off, see `core.inspector_questions.inspect`. Raises ModelError
        when the model cannot take the text or answers with something that is not a number, UsageError for a word or
        head that it does not have.
        """
        import torch

        from core import attention as attentions
        from core.knock_out import without_heads

        subject = self.subject(text, max_length, masked)
        inputs = subject.encoded.inputs
        around: AbstractContextManager[None] = nullcontext()
        if knocked:
            around = without_heads(self, inputs, knocked)
        note = ""
        if attention and self._attention_bytes(len(subject.encoded.tokens)) > attentions.MAX_BYTES:
            attention, note = False, _("The text is too long for its attention to be kept; the answer is without it.")
        started = time.perf_counter()
        with torch.inference_mode(), around:
            outputs = self.run([inputs], attention)
            logits = outputs.logits[0].float()
            array = attentions.capture(outputs) if attention else None
        seconds = time.perf_counter() - started
        if attention and array is None:
            note = self.no_attention()
        return self.header(subject, logits, seconds, note), array

    def header(self, subject: Subject, logits: Any, seconds: float = 0.0, note: str = "") -> dict[str, Any]:
        """What `core.inspector_protocol.inspection_from` reads: `subject` with the model's answer (`logits`: classes).

        Raises ModelError when the answer is not a number.
        """
        import torch

        if not bool(torch.isfinite(logits).all()):
            raise ModelError(
                _("The model's answer is not a number."),
                _("Its weights are damaged, perhaps by training on a NaN loss."),
            )
        return {
            "model": self.path,
            "text": subject.text,
            "tokens": [asdict(token) for token in subject.encoded.tokens],
            "words": [asdict(word) for word in subject.encoded.words],
            "cut": subject.encoded.cut,
            "logits": logits.tolist(),
            "probabilities": self.probabilities(logits).tolist(),
            "labels": self.labels,
            "cls": self.cls(subject.encoded.inputs["input_ids"]),
            "mean_pooled": self.mean_pooled,
            "max_length": subject.max_length,
            "seconds": seconds,
            "note": note,
            "notes": self.notes,
            "fingerprint": self.fingerprint,
        }

    def no_attention(self) -> str:
        """Why there is no attention, for the reader."""
        return _("Models of type {type} give no attention from token to token.").format(type=self.model_type)

    def _attention_bytes(self, tokens: int) -> int:
        config = self.model.config
        layers = getattr(config, "num_hidden_layers", 1) or 1
        heads = getattr(config, "num_attention_heads", 1) or 1
        return 4 * int(layers) * int(heads) * tokens * tokens
