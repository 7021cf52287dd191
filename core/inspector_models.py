"""Models that the inspector holds: loaded for inspection, asked about texts, bounded in memory.

Needs torch and transformers, imported inside.
"""

from __future__ import annotations

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import inspector_protocol as protocol
from core.errors import ModelError, UsageError
from core.host import Host
from core.i18n import gettext as _
from core.tokenization import Encoded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

MAX_MODELS = 4
"""How many models stay open at most."""

MEMORY_SHARE = 0.5
"""Share of the memory that is free, that of the open models counted as free, which models may take together."""

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

    @property
    def mean_pooled(self) -> bool:
        """Whether the classifier reads the mean of all tokens instead of one (ModernBERT with `mean`)."""
        return getattr(self.model.config, "classifier_pooling", None) == "mean"

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

        Each token of the words at `masked` becomes the mask token; it keeps its place in the text. Raises ModelError
        without offsets, UsageError for a word that is not there and for a tokenizer without a mask token.
        """
        from core.attribution_occlusion import mode_of
        from core.tokenization import encode

        limit = min((n for n in (max_length, self.window) if n is not None), default=None)
        encoded, hidden = encode(self.tokenizer, text, limit), frozenset(masked)
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
        """Probabilities (… × classes) of `logits`, as transformers.pipeline("text-classification") makes them."""
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
        # Left-to-right models (their head is called `score`) classify by the last token.
        if hasattr(self.model, "score"):
            return len(ids) - 1
        name = self.tokenizer.cls_token_id
        return list(ids).index(name) if name is not None and name in ids else 0

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


def load(path: str, device: str | None = None) -> LoadedModel:
    """Load the classifier in directory `path` (or under that Hub name in the local cache) for inspection.

    `device` None takes a GPU that has room, else the CPU. Raises ModelError when it cannot be loaded.
    """
    import inspect as signatures

    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from core.label_order import is_reversed, turn_round
    from core.tokenization import window

    stamp = protocol.fingerprint(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        # dtype: a half precision checkpoint would round the attention; output_attentions stays a matter of each call,
        # because a config that has it does not bring the eager implementation along.
        model, report = AutoModelForSequenceClassification.from_pretrained(
            path,
            attn_implementation="eager",
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        ImportError,
        RuntimeError,
        SafetensorError,
    ) as error:
        log.exception("loading %s", path)
        missing = not Path(path).exists()
        raise ModelError(
            _("The model {path} cannot be loaded: {reason}").format(path=path, reason=first_line(error)),
            _("There is no such directory, and no model of that name in the local cache.")
            if missing
            else _("A directory with config.json, model.safetensors and tokenizer.json is needed."),
        ) from error
    # Gradients are wanted of inputs and attention only; those of the weights would cost as much again.
    model.eval().requires_grad_(False)
    chosen = _place(model, device)
    notes = []
    names = model.config.id2label
    if is_reversed(names):
        turn_round(model)
        model.config.id2label = {0: names[1], 1: names[0]}
        notes.append(_("The model counts {name} as class 0; here negative comes first.").format(name=names[0]))
    if report["missing_keys"]:
        notes.append(
            _("Weights are missing from the model and were made up: {names}. Its probabilities mean nothing.").format(
                names=", ".join(sorted(report["missing_keys"])[:4])
            )
        )
    accepts = frozenset(signatures.signature(model.forward).parameters)
    return LoadedModel(path, model, tokenizer, window(tokenizer, model), chosen, stamp, notes, accepts)


def _place(model: Any, device: str | None) -> str:
    """Move `model` to `device`, or to a GPU with room to spare, and say where it is."""
    import torch

    if device is None:
        device = "cpu"
        if torch.cuda.is_available():
            size = sum(parameter.numel() for parameter in model.parameters()) * 4
            free, _total = torch.cuda.mem_get_info()
            # A run may be training on the same GPU: take a share that it will not miss.
            if free > 4 * size + (2 << 30):
                device = "cuda"
    try:
        model.to(device)
    except torch.cuda.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            _("The device {device} cannot be used: {reason}").format(device=device, reason=first_line(error)),
            _("cpu always works."),
        ) from error
    return device


def first_line(error: BaseException) -> str:
    """What `error` says, in one line."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


class ModelShelf:
    """The open models, the one used last at the end; those unused longest are put out for a new one.

    At most `max_models`, and together at most `max_bytes` of weights (None: MEMORY_SHARE of the memory there is). The
    model asked for is always loaded, even if it alone is larger: it is what the user wants to see.
    """

    def __init__(self, max_models: int = MAX_MODELS, max_bytes: int | None = None) -> None:
        self._max_models = max_models
        self._max_bytes = max_bytes
        self._models: OrderedDict[tuple[str, str | None], LoadedModel] = OrderedDict()

    @property
    def paths(self) -> list[str]:
        """The paths of the open models, the one used last at the end."""
        return [path for path, _device in self._models]

    @property
    def nbytes(self) -> int:
        """Memory of all weights in bytes."""
        return sum(loaded.nbytes for loaded in self._models.values())

    def get(self, path: str, device: str | None = None) -> LoadedModel:
        """The model from memory, or loaded; loaded anew when its files changed. Raises ModelError, UsageError."""
        key = (path, device)
        loaded = self._models.get(key)
        if loaded is not None and loaded.fingerprint == protocol.fingerprint(path):
            self._models.move_to_end(key)
            return loaded
        self._models.pop(key, None)
        loaded = None
        self._make_room(expected_bytes(path))
        loaded = self._models[key] = load(path, device)
        return loaded

    def clear(self) -> None:
        """Put all models out."""
        self._models.clear()

    def _make_room(self, size: int) -> None:
        while self._models and (len(self._models) >= self._max_models or self.nbytes + size > self._limit()):
            self._models.popitem(last=False)

    def _limit(self) -> int:
        if self._max_bytes is not None:
            return self._max_bytes
        return int(MEMORY_SHARE * (Host().sample().memory_free + self.nbytes))


def expected_bytes(path: str) -> int:
    """Memory that the weights in directory `path` will take as float32; 0 where there are none to look at."""
    directory = Path(path)
    files = [file for pattern in ("*.safetensors", "pytorch_model*.bin") for file in directory.glob(pattern)]
    size = sum(file.stat().st_size for file in files)
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return size
    dtype = config.get("dtype", config.get("torch_dtype")) if isinstance(config, dict) else None
    return 2 * size if dtype in {"float16", "bfloat16"} else size
