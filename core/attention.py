"""Attention: taken from a model, and as numbers on tokens and words.

Everything but `capture` works on numpy arrays. Attention has shape (layers, heads, tokens, tokens): rows are the
tokens that ask, columns those that answer, each row sums to 1. Layers and heads are counted from 0, as in bertviz.
Attention says where a layer mixed information from, not why the model decided (Jain and Wallace 2019,
arXiv:1902.10186; Wiegreffe and Pinter 2019, arXiv:1908.04626).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from core.errors import UsageError
from core.i18n import gettext as _
from core.predictions import THRESHOLD, answer_at
from core.text import visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_answers import Attribution
    from core.inspector_protocol import Inspection

    Floats = NDArray[np.floating[Any]]

METHODS = ("attention", "rollout")
"""The methods that `answer_json` knows."""

LAST = -1
"""For a layer's number: the last one, whatever its number is; what the classifier reads."""

MAX_BYTES = 1 << 30
"""Attention larger than this is not asked for: it would not fit through the pipe and into the app's memory."""


def capture(outputs: Any) -> NDArray[np.float32] | None:
    """The attention in a model's answer to one text, as float32 of shape (layers, heads, tokens, tokens).

    `outputs` is what a `transformers` model returned for a batch of one with `output_attentions=True`. None when the
    model gave none (implementations other than eager answer with an empty tuple), maps that are not tokens × tokens
    (Funnel pools the tokens, Longformer keeps windows), or numbers that are no shares (SqueezeBERT gives scores before
    the softmax, MiniMax layers that have none).
    """
    import numpy as np

    layers = getattr(outputs, "attentions", None)
    if not layers or any(layer is None for layer in layers):
        return None
    shapes = {tuple(layer.shape) for layer in layers}
    if len(shapes) != 1:
        return None
    shape = shapes.pop()
    if len(shape) != 4 or shape[0] != 1 or shape[2] != shape[3]:
        return None
    result = np.empty((len(layers), *shape[1:]), dtype=np.float32)
    for index, layer in enumerate(layers):
        result[index] = layer[0].detach().float().cpu().numpy()
    # Of each map one row is enough to tell. A row may have less than 1: GPT-OSS gives some of it to no token.
    last = result[:, :, -1, :]
    return result if bool((last >= 0).all()) and bool((last.sum(-1) < 1.01).all()) else None


def select(attention: Floats, layer: int | None = None, head: int | None = None) -> Floats:
    """One map (tokens × tokens) of `attention`: of `layer` and `head`, each None for the mean over that axis.

    Raises UsageError for a layer or head that the model does not have, naming those it has.
    """
    n_layers, n_heads = attention.shape[:2]
    _check(_("layer"), layer, n_layers)
    _check(_("head"), head, n_heads)
    part = attention if layer is None else attention[layer : layer + 1]
    part = part if head is None else part[:, head : head + 1]
    if part.shape[:2] == (1, 1):
        return part[0, 0]
    result: Floats = part.mean(axis=(0, 1))
    return result


def rollout(attention: Floats, layer: int | None = None) -> Floats:
    """Attention rollout (tokens × tokens): how much of each input token reaches each position of `layer`.

    Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", arXiv:2005.00928: the heads' mean A of each
    layer becomes 0.5 A + 0.5 I (half for the residual connection), rows are made to sum to 1, and the layers are
    multiplied from the first up to `layer` (None: the last). Raises UsageError for a layer that is not there.
    """
    import numpy as np

    _check(_("layer"), layer, attention.shape[0])
    last = attention.shape[0] if layer is None else layer + 1
    size = attention.shape[-1]
    identity = np.eye(size)
    result: Floats = identity
    for index in range(last):
        mixed = 0.5 * attention[index].mean(axis=0, dtype=np.float64) + 0.5 * identity
        mixed /= mixed.sum(axis=-1, keepdims=True)
        result = mixed @ result
    return result


def token_row(matrix: Floats, query: int | Sequence[int] | Literal["cls", "mean"] = "cls", cls: int = 0) -> Floats:
    """The weights (one a token) that the asking token(s) `query` give: a row of `matrix` (tokens × tokens).

    query: `cls` for the token at index `cls`, which the classifier reads; `mean` for the mean of all rows; an index;
    or several indexes, whose rows are summed. Raises UsageError for a token that is not there.
    """
    import numpy as np

    if query == "mean":
        mean: Floats = matrix.mean(axis=0)
        return mean
    if query == "cls":
        query = cls
    assert not isinstance(query, str)
    rows = [query] if isinstance(query, int) else list(query)
    for row in rows:
        _check(_("token"), row, matrix.shape[0])
    result: Floats = np.add.reduce(matrix[rows], axis=0)
    return result


def classifier_row(inspection: Inspection, matrix: Floats) -> Floats:
    """The weights (one a token) that what the classifier reads gives: the row of its token, or the mean of all rows.

    `matrix` (tokens × tokens) is made of `inspection`. A model that pools by mean reads all, added ones too.
    """
    return token_row(matrix, "mean" if inspection.mean_pooled else "cls", inspection.cls)


def asking(inspection: Inspection) -> str:
    """Whose row `classifier_row` is, in words, safe to draw; empty for a text without tokens."""
    if inspection.mean_pooled:
        return _("mean of all tokens")
    return _("from {token}").format(token=visible(inspection.tokens[inspection.cls].text)) if inspection.tokens else ""


def word_matrix(matrix: Floats, token_words: Sequence[int | None], n_words: int) -> Floats:
    """Attention from word to word (words × words) out of `matrix` (tokens × tokens).

    The mean over an asking word's tokens of the sum over an answering word's tokens, so that a row still says how
    one unit of attention is spread (Clark et al. 2019, arXiv:1906.04341, section 4.1). `token_words` has each
    token's word or None; rows of words without tokens are 0, and rows sum to 1 less what goes to no word.
    """
    import numpy as np

    members = _membership(token_words, n_words, matrix.dtype)
    counts = np.maximum(members.sum(axis=0), 1)
    result: Floats = (members.T @ (matrix @ members)) / counts[:, None]
    return result


def word_weights(row: Floats, token_words: Sequence[int | None], n_words: int) -> Floats:
    """The weight of each word: the sum of `row` (one a token) over the word's tokens; 0 for a word without tokens."""
    weights: Floats = row @ _membership(token_words, n_words, row.dtype)
    return weights


def drop_special(weights: Floats, special: Sequence[bool], renormalise: bool = False) -> Floats:
    """`weights` (a row, or tokens × tokens) with those from and to special tokens set to 0.

    The shape stays, so that indexes go on meaning tokens. With `renormalise` each row that has anything left is made
    to sum to 1 again, which shows how the rest is spread where nearly all of it went to `[SEP]`.
    """
    import numpy as np

    keep = ~np.asarray(special, dtype=bool)
    result: Floats = np.where(keep, weights, 0)
    if weights.ndim == 2:
        result = np.where(keep[:, None], result, 0)
    if renormalise:
        total = result.sum(axis=-1, keepdims=True)
        result = np.divide(result, total, out=np.zeros_like(result), where=total > 0)
    return result


def weights_of(inspection: Inspection, method: str, layer: int | None = None, head: int | None = None) -> Floats | None:
    """The map (tokens × tokens) that `method` (one of METHODS) makes of `inspection`, None when it has no attention.

    Raises UsageError for an unknown method, a layer or head that is not there, and a head for rollout.
    """
    return matrix_of(inspection.attention, method, layer, head)


def matrix_of(
    attention: Floats | None, method: str, layer: int | None = None, head: int | None = None
) -> Floats | None:
    """`weights_of` for bare `attention`."""
    if method not in METHODS:
        raise UsageError(
            _("There is no method {method}.").format(method=method),
            _("One of: {methods}").format(methods=", ".join(METHODS)),
        )
    if method == "rollout" and head is not None:
        raise UsageError(_("Rollout is a mean over all heads: it cannot be shown for one."), _("Leave out --head."))
    if attention is None:
        return None
    layer = layer_number(layer, attention.shape[0])
    return rollout(attention, layer) if method == "rollout" else select(attention, layer, head)


def layer_number(layer: int | None, count: int | None) -> int | None:
    """A layer's own number: LAST is counted out where it is known how many there are."""
    return layer if layer != LAST or not count else count - 1


def answer_json(
    inspection: Inspection,
    method: str = "attention",
    layer: int | None = None,
    head: int | None = None,
    *,
    threshold: float = THRESHOLD,
) -> dict[str, Any]:
    """The document that `nsmc-tui attention --json` prints (see the contract), ready for `json.dumps`.

    `layer` and `head` None mean their mean (for rollout, `layer` None is the last), LAST the last layer; `threshold`
    is where an answer becomes positive. A word's weight is what the token
    that the classifier reads (all of them where `mean_pooled`) gives to the word's tokens together. Where the model
    gives no attention, `weights` and the words' weights are None and `note` says why. Raises UsageError as `weights_of`
    does.
    """
    import numpy as np

    matrix = weights_of(inspection, method, layer, head)
    words = None
    if matrix is not None:
        row = classifier_row(inspection, matrix).astype(np.float64)
        words = word_weights(row, inspection.token_words, len(inspection.words))
    return {
        **_text_json(inspection, words, threshold),
        "method": method,
        "layer": layer_number(layer, inspection.n_layers),
        "head": head,
        "n_layers": inspection.n_layers,
        "n_heads": inspection.n_heads,
        "cls": inspection.cls,
        "mean_pooled": inspection.mean_pooled,
        "weights": None if matrix is None else _numbers(matrix),
        "note": inspection.note,
    }


def attribution_json(attribution: Attribution, *, threshold: float = THRESHOLD) -> dict[str, Any]:
    """The same document for a method that gives one weight a token: `weights` is then a row (T), not a map (T × T).

    Has besides what `core.inspector_answers.Attribution` tells of how the weights were made.
    """
    tokens = attribution.tokens
    names = ("method", "layer", "head", "target", "signed", "of", "baseline", "steps", "gap", "note", "seconds")
    return {
        **_text_json(attribution.inspection, attribution.words, threshold),
        **{name: getattr(attribution, name) for name in names},
        "cls": attribution.inspection.cls,
        "mean_pooled": attribution.inspection.mean_pooled,
        "weights": None if tokens is None else _numbers(tokens),
    }


def _text_json(inspection: Inspection, words: Floats | None, threshold: float) -> dict[str, Any]:
    """What an answer says of the text, its tokens, its words with their weights, and the model's answer."""
    weights: list[float | None] = [None] * len(inspection.words) if words is None else _numbers(words)
    return {
        "text": inspection.text,
        "tokens": [
            {
                "text": token.text,
                "start": token.start,
                "end": token.end,
                "special": token.special,
                "unk": token.unk,
                "piece": token.piece,
                "word": token.word,
            }
            for token in inspection.tokens
        ],
        "words": [
            {"text": word.text, "start": word.start, "end": word.end, "weight": weight}
            for word, weight in zip(inspection.words, weights, strict=True)
        ],
        "cut": inspection.cut,
        "labels": list(inspection.labels),
        "masked": list(inspection.masked),
        "pred": answer_at(inspection, threshold),
        "threshold": threshold,
        "probabilities": list(inspection.probabilities),
        "model_notes": list(inspection.notes),
    }


def _check(name: str, number: int | None, count: int) -> None:
    if number is not None and not 0 <= number < count:
        raise UsageError(
            _("There is no {name} {number}.").format(name=name, number=number),
            _("Counted from 0: {first} to {last}.").format(first=0, last=count - 1),
        )


def _membership(token_words: Sequence[int | None], n_words: int, dtype: Any) -> Floats:
    import numpy as np

    members = np.zeros((len(token_words), n_words), dtype=dtype)
    placed = [(token, word) for token, word in enumerate(token_words) if word is not None]
    if placed:
        tokens, words = zip(*placed, strict=True)
        members[list(tokens), list(words)] = 1
    return members


def _numbers(values: Floats) -> Any:
    """`values` as nested lists; eight decimals are more than float32 has and keep the document short."""
    import numpy as np

    return np.round(values.astype(np.float64), 8).tolist()
