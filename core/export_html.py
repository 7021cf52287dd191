"""Reviews as one HTML page that needs nothing else: no server, no network, no font.

The page holds all layers and heads, so that its reader chooses; a policy in its head forbids it to load anything.
Weights are kept as whole numbers of 1/65535, which is finer than the four decimals that are shown.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import __version__, attention
from core.attribution_methods import METHODS
from core.export_attention import ReviewExport, readable
from core.export_files import ExportError
from core.i18n import gettext as _
from core.i18n import language
from core.predictions import answer_at
from core.text import visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEMPLATE = Path(__file__).with_name("export_page.html")

LARGEST = 256 << 20
"""Bytes of weights in one page: a browser does not open more with pleasure."""


def page(reviews: Sequence[ReviewExport], title: str = "") -> str:
    """One page with `reviews` (at least one). Raises ExportError when their weights are too many for a page."""
    assert reviews
    size = sum(review.inspection.attention.nbytes for review in reviews if review.inspection.attention is not None)
    if size // 2 > LARGEST:
        raise ExportError(
            _("{n} reviews with all their weights are too much for one page").format(n=len(reviews)),
            _("Export fewer of them, or NPZ."),
        )
    heading = title or visible(reviews[0].model) or "nsmc-tui"
    replacements = {
        "__LANG__": language(),
        "__TITLE__": html.escape(heading),
        "__NOSCRIPT__": html.escape(_("This page draws itself with JavaScript, which is turned off here.")),
        "__FOOTER__": html.escape(
            _(
                "Attention says where a layer mixed information from, not why the model decided "
                "(Jain and Wallace 2019; Wiegreffe and Pinter 2019). Layers and heads are counted from 0."
            )
            + f" nsmc-tui {__version__}"
        ),
        "__TEXTS__": script_json(texts()),
        "__DATA__": script_json([document(review) for review in reviews]),
    }
    found = template()
    for name, value in replacements.items():
        before, after = found.split(name)
        found = before + value + after
    return found


@cache
def template() -> str:
    """The page without its contents."""
    return TEMPLATE.read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """JSON that can stand in a `script` element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def document(review: ReviewExport) -> dict[str, Any]:
    """What the page knows of a review."""
    import numpy as np

    inspection = review.inspection
    names = (_("negative"), _("positive"))
    facts = []
    if review.label is not None:
        facts.append(f"{_('true')} {names[review.label]}")
    if (pred := answer_at(inspection, review.threshold)) < 2:
        facts.append(f"{_('predicted')} {names[pred]}")
    if review.loss is not None:
        facts.append(f"{_('loss')} {review.loss:.2f}")
    facts += [visible(part) for part in (review.model, review.split) if part]
    found: dict[str, Any] = {
        "title": f"#{visible(review.id)}" if review.id is not None else visible(inspection.text[:40]),
        "facts": " · ".join(facts),
        "text": shown(inspection.text),
        "cut": inspection.cut,
        "tokens": [
            {
                "label": readable(token) if not token.special else visible(token.text),
                "start": token.start,
                "end": token.end,
                "special": token.special,
                "word": token.word,
            }
            for token in inspection.tokens
        ],
        "words": [{"label": visible(word.text), "start": word.start, "end": word.end} for word in inspection.words],
        "probabilities": [float(value) for value in inspection.probabilities],
        "labels": list(names) if len(inspection.labels) == 2 else [visible(label) for label in inspection.labels],
        "cls": inspection.cls,
        "pooled": inspection.mean_pooled,
        "layers": inspection.n_layers or 0,
        "heads": inspection.n_heads or 0,
        "attention": None,
        "rollout": None,
        "note": inspection.note,
        "methods": [
            {
                "method": method.method,
                "signed": method.signed,
                "note": method.note,
                "weights": [round(float(value), 6) for value in method.weights],
            }
            for method in review.methods
        ],
    }
    if inspection.attention is not None:
        found["attention"] = packed(inspection.attention)
        layers = range(inspection.attention.shape[0])
        found["rollout"] = packed(np.stack([attention.rollout(inspection.attention, layer) for layer in layers]))
    return found


def packed(weights: NDArray[np.floating[Any]]) -> str:
    """Weights between 0 and 1 as little-endian uint16 in base64."""
    import numpy as np

    whole = np.rint(np.clip(np.nan_to_num(weights), 0, 1) * 65535).astype("<u2")
    return base64.b64encode(whole.tobytes()).decode("ascii")


def shown(text: str) -> str:
    """`text` as the page shows it: the same number of code points, control characters and directions made visible."""
    return "".join("\n" if character == "\n" else (visible_one(character)) for character in text)


def visible_one(character: str) -> str:
    """One character for showing; never composed with its neighbours, so that offsets stay."""
    found = visible(character)
    return found if len(found) == 1 else character


def texts() -> dict[str, str]:
    """What the page says, in the language in use; methods by their names."""
    return {
        **{name: _(method.title) for name, method in METHODS.items()},
        "review": _("review"),
        "method": _("method"),
        "layer": _("layer"),
        "head": _("head"),
        "layer_n": _("layer {n}"),
        "head_n": _("head {n}"),
        "mean": _("mean"),
        "all": _("all"),
        "through_all": _("through all layers"),
        "through_n": _("layers 0–{n}"),
        "from": _("from {token}"),
        "from_all": _("mean of all tokens"),
        "units": _("by"),
        "words": _("word"),
        "tokens": _("token"),
        "special": _("special tokens"),
        "hidden": _("hidden"),
        "renormalised": _("hidden, the rest sums to 1"),
        "shown": _("shown"),
        "theme": _("light or dark"),
        "hover": _("Point at a cell, or go there with the arrow keys: rows ask, columns answer."),
        "cut": _("did not fit into the model's window"),
    }
