"""A weight for each token and word of a text, by any of `core.attribution_methods.METHODS`.

Works on a model that the inspector holds; torch is imported inside. Weights of words are sums over their tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core import attention as attentions
from core.attribution_methods import method_of
from core.errors import UsageError
from core.i18n import gettext as _

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_models import LoadedModel, Subject
    from core.inspector_ops import Task

OUTPUTS = ("logit", "probability")
MOST_STEPS = 1024


@dataclass(frozen=True)
class Options:
    """How to explain: see `core.inspector_questions.explain`."""

    of: str | None = None
    steps: int = 32
    mode: str | None = None
    layer: int | None = None
    head: int | None = None

    def __post_init__(self) -> None:
        if self.of is not None and self.of not in OUTPUTS:
            raise UsageError(
                _("Weights cannot be of {value}.").format(value=self.of),
                _("One of: {methods}").format(methods=", ".join(OUTPUTS)),
            )
        if not (isinstance(self.steps, int) and 1 <= self.steps <= MOST_STEPS):
            raise UsageError(
                _("{value} steps cannot be taken.").format(value=self.steps),
                _("From {first} to {last}.").format(first=1, last=MOST_STEPS),
            )


@dataclass(frozen=True, eq=False)
class Weights:
    """What a method gave: fields as those of `core.inspector_answers.Attribution`."""

    method: str
    target: int
    signed: bool
    of: str
    baseline: str = ""
    steps: int | None = None
    gap: float | None = None
    layer: int | None = None
    head: int | None = None
    note: str = ""
    seconds: float = 0.0
    tokens: NDArray[np.float64] | None = None
    words: NDArray[np.float64] | None = None

    def header(self) -> dict[str, Any]:
        """All but the arrays, for an answer."""
        return {name: value for name, value in vars(self).items() if name not in ("tokens", "words")}


class Explainer:
    """Weights of one text on one model for class `target`, what several methods need computed once."""

    def __init__(self, loaded: LoadedModel, subject: Subject, target: int, task: Task) -> None:
        self.loaded = loaded
        self.subject = subject
        self.target = target
        self.task = task
        self._inputs = subject.encoded.inputs
        self._passes: dict[str, Any] = {}
        self._attention: NDArray[np.float32] | None = None
        self._asked_attention = False
        self._makers: dict[str, Callable[[Options, dict[str, Any]], tuple[Any, Any]]] = {
            "attention": self._attention_row,
            "rollout": self._rollout,
            "gradient_x_input": self._gradient_x_input,
            "integrated_gradients": self._integrated_gradients,
            "relevance": self._relevance,
            "occlusion": self._occlusion,
        }

    def explain(self, name: str, options: Options) -> Weights:
        """The weights by method `name`; `tokens` None and a `note` where the model does not give them.

        Raises UsageError for a method, layer or head that is not there, RequestCancelledError.
        """
        method = method_of(name)
        self.task.check()
        started = time.perf_counter()
        fields: dict[str, Any] = {"of": options.of or "logit"}
        try:
            tokens, words = self._makers[name](options, fields)
        except NotImplementedError:
            tokens, words = None, None
            fields["note"] = _("Models of type {type} do not let gradients at their input be taken.").format(
                type=self.loaded.model_type
            )
        if tokens is not None and words is None:
            words = attentions.word_weights(tokens, self.subject.token_words, len(self.subject.encoded.words))
        seconds = time.perf_counter() - started
        return Weights(
            name, self.target, method.signed, **fields, tokens=tokens, words=words, seconds=round(seconds, 4)
        )

    def _row(self, matrix: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The row of a map (T × T) that the classifier reads."""
        import numpy as np

        cls = self.loaded.cls(self._inputs["input_ids"])
        row = attentions.token_row(matrix, "mean" if self.loaded.mean_pooled else "cls", cls)
        return row.astype(np.float64)

    def attention(self) -> NDArray[np.float32] | None:
        """The text's attention (layers × heads × T × T), None where the model gives none."""
        import torch

        for passed in self._passes.values():
            attention: NDArray[np.float32] | None = passed.attention
            return attention
        if not self._asked_attention:
            with torch.inference_mode():
                self._attention = attentions.capture(self.loaded.run([self._inputs], attention=True))
            self._asked_attention = True
        return self._attention

    def gradients(self, of: str) -> Any:
        """The text's `core.attribution_relevance.AttentionGradients`."""
        from core.attribution_relevance import attention_gradients

        if of not in self._passes:
            self._passes[of] = attention_gradients(self.loaded, self._inputs, self.target, of)
        return self._passes[of]

    def _attention_row(self, options: Options, fields: dict[str, Any]) -> tuple[Any, None]:
        return self._of_attention("attention", options, fields)

    def _rollout(self, options: Options, fields: dict[str, Any]) -> tuple[Any, None]:
        return self._of_attention("rollout", options, fields)

    def _of_attention(self, name: str, options: Options, fields: dict[str, Any]) -> tuple[Any, None]:
        fields |= {"of": "attention", "layer": options.layer, "head": options.head}
        attention = self.attention()
        matrix = attentions.matrix_of(attention, name, options.layer, options.head)
        if matrix is None:
            fields["note"] = self.loaded.no_attention()
            return None, None
        return self._row(matrix), None

    def _gradient_x_input(self, options: Options, fields: dict[str, Any]) -> tuple[Any, None]:
        from core.attribution_gradients import gradient_x_input

        of = fields["of"]
        if of in self._passes:
            return self._passes[of].gradient_x_input, None
        return gradient_x_input(self.loaded, self._inputs, self.target, of), None

    def _integrated_gradients(self, options: Options, fields: dict[str, Any]) -> tuple[Any, None]:
        from core.attribution_gradients import integrated_gradients

        tokens, gap, baseline = integrated_gradients(
            self.loaded, self.subject, self.target, self.task, fields["of"], options.steps
        )
        fields |= {"gap": gap, "baseline": baseline, "steps": options.steps}
        return tokens, None

    def _relevance(self, options: Options, fields: dict[str, Any]) -> tuple[Any, None]:
        from core.attribution_relevance import relevance

        passed = self.gradients(fields["of"])
        if passed.gradients is None:
            fields["note"] = self.loaded.no_attention()
            return None, None
        return self._row(relevance(passed.attention, passed.gradients)), None

    def _occlusion(self, options: Options, fields: dict[str, Any]) -> tuple[Any, Any]:
        from core.attribution_occlusion import mode_of, occlusion, spread

        fields["of"] = options.of or "probability"
        fields["baseline"] = mode_of(self.loaded, options.mode)
        words = occlusion(self.loaded, self.subject, self.target, self.task, fields["baseline"], fields["of"])
        return spread(words, self.subject), words


def subject_answer(loaded: LoadedModel, subject: Subject) -> dict[str, Any]:
    """The header of an inspection (without attention) of `subject`: one forward pass, kept for the next questions."""
    import torch

    kept: dict[Any, Any] = loaded.memo.setdefault("logits", {})
    key = (subject.text, subject.max_length, subject.masked)
    if key not in kept:
        started = time.perf_counter()
        with torch.inference_mode():
            logits = loaded.run([subject.encoded.inputs]).logits[0].float().cpu()
        if len(kept) >= 64:
            del kept[next(iter(kept))]
        kept[key] = logits, time.perf_counter() - started
    logits, seconds = kept[key]
    return loaded.header(subject, logits, seconds)


def explainer(
    loaded: LoadedModel, subject: Subject, target: int | None, task: Task
) -> tuple[Explainer, dict[str, Any]]:
    """What explains class `target` (None: the predicted one) of `subject`, and the header of its inspection."""
    inspection = subject_answer(loaded, subject)
    return Explainer(loaded, subject, loaded.class_of(inspection["probabilities"], target), task), inspection
