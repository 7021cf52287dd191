"""The weights of one review as data: NPZ for numpy and bertviz, CSV for everything else."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core import attention
from core.export_files import ExportError
from core.i18n import gettext as _
from core.predictions import THRESHOLD
from core.text import visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_protocol import Inspection
    from core.tokenization import Token


@dataclass(frozen=True, eq=False)
class TokenWeights:
    """What a method other than attention gives each token (T numbers); `signed` where less than nothing has a meaning.

    `method` names it for programs, `note` says in sentences what has to be known to read it, `short` in a few words.
    """

    method: str
    weights: NDArray[np.floating[Any]]
    signed: bool
    note: str = ""
    short: str = ""


@dataclass(frozen=True, eq=False)
class ReviewExport:
    """A review with all that is exported of it.

    id, label, loss: as the predictions have them; None for a text of no data set. split, model: where it comes from.
    threshold: p(positive) from which its answer is positive. inspection: tokens, probabilities and attention.
    methods: further weights on its tokens.
    """

    inspection: Inspection
    id: str | None = None
    label: int | None = None
    loss: float | None = None
    split: str = ""
    model: str = ""
    methods: tuple[TokenWeights, ...] = ()
    threshold: float = THRESHOLD


def readable(token: Token) -> str:
    """A token as people read it: its text, its vocabulary's spelling where it has none, `␣` for whitespace."""
    return visible(token.text.strip() or (token.piece if token.special else token.piece.strip())) or "␣"


def npz(review: ReviewExport) -> bytes:
    """The file that `np.load` reads without pickle.

    attention (layers, heads, T, T) float32, rows asking, absent where the model gives none; tokens (T, as people read
    them), pieces (T, the vocabulary's spelling), starts, ends (code point offsets), special (bool), words (index, −1
    outside words); text, probabilities, labels, cls; and an array `method_<name>` (T) a further method.
    Raises ExportError when there is nothing but the text.
    """
    import numpy as np

    inspection = review.inspection
    if inspection.attention is None and not review.methods:
        raise ExportError(_("there are no weights to export"), inspection.note)
    tokens = inspection.tokens
    arrays: dict[str, Any] = {
        "tokens": np.array([readable(token) for token in tokens], dtype=np.str_),
        "pieces": np.array([token.piece for token in tokens], dtype=np.str_),
        "starts": np.array([token.start for token in tokens], dtype=np.int64),
        "ends": np.array([token.end for token in tokens], dtype=np.int64),
        "special": np.array([token.special for token in tokens], dtype=bool),
        "words": np.array([-1 if token.word is None else token.word for token in tokens], dtype=np.int64),
        # Lone surrogates, which files of other programs contain, are no text that numpy stores.
        "text": np.array(inspection.text.encode("utf-8", "replace").decode()),
        "probabilities": np.array(inspection.probabilities),
        "labels": np.array(inspection.labels, dtype=np.str_),
        "cls": np.array(inspection.cls),
    }
    if inspection.attention is not None:
        arrays["attention"] = np.ascontiguousarray(inspection.attention, dtype=np.float32)
    for method in review.methods:
        arrays[f"method_{method.method}"] = np.asarray(method.weights, dtype=np.float64)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def weights_csv(
    review: ReviewExport, method: str = "attention", layer: int | None = None, head: int | None = None
) -> str:
    """One line a weight: `method, layer, head, query, query_token, key, key_token, weight`.

    Attention without a chosen layer and head is written for all of them; `layer` or `head` alone is the mean over the
    other. A method with one weight a token leaves `layer`, `head`, `query` and `query_token` empty. Tokens are
    written as they are: a spreadsheet may take one that begins with `=` for a formula, so import the file as text.
    Raises ExportError when there are no such weights, UsageError for a layer or head that is not there.
    """
    inspection = review.inspection
    names = [readable(token) for token in inspection.tokens]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("method", "layer", "head", "query", "query_token", "key", "key_token", "weight"))
    found = next((known for known in review.methods if known.method == method), None)
    if found is not None:
        writer.writerows(
            (method, "", "", "", "", key, names[key], _number(weight)) for key, weight in enumerate(found.weights)
        )
        return out.getvalue()
    if inspection.attention is None:
        raise ExportError(_("there are no weights to export"), inspection.note)
    everything = method == "attention" and layer is None and head is None
    chosen: list[tuple[int | None, int | None]] = [(layer, head)]
    if everything:
        n_layers, n_heads = inspection.attention.shape[:2]
        chosen = [(one, other) for one in range(n_layers) for other in range(n_heads)]
    for one, other in chosen:
        matrix = attention.weights_of(inspection, method, one, other)
        assert matrix is not None
        place = ["mean" if number is None else number for number in (one, other)]
        if method == "rollout":
            place = [inspection.attention.shape[0] - 1 if one is None else one, "all"]
        for query, row in enumerate(matrix):
            writer.writerows(
                (method, *place, query, names[query], key, names[key], _number(weight))
                for key, weight in enumerate(row)
            )
    return out.getvalue()


def bertviz_script(npz_name: str) -> str:
    """Five lines that show the NPZ file `npz_name`, beside them, in bertviz (in a notebook: it needs one).

    bertviz takes a list of one tensor (1, heads, T, T) a layer, and T tokens.
    """
    return (
        "import numpy as np, torch\n"
        "from bertviz import head_view, model_view  # pip install bertviz\n"
        f"data = np.load({npz_name!r})\n"
        'attention = [torch.from_numpy(layer)[None] for layer in data["attention"]]\n'
        'head_view(attention, data["tokens"].tolist())  # or model_view(…), with the same arguments\n'
    )


def _number(value: Any) -> str:
    return f"{float(value):.8g}"
