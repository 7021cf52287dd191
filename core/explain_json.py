"""The inspector's answers beyond attention as JSON documents: agreement, deletion check, heads, flips.

Every document begins with the text, its words, and the model's answer; numbers that are none are NaN, which becomes
null. Layers, heads and words are counted from 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.inspector_answers import Agreement, Deletion, Flip, HeadStats, KnockOut
    from core.inspector_protocol import Inspection


def _base(inspection: Inspection) -> dict[str, Any]:
    return {
        "text": inspection.text,
        "words": [{"text": word.text, "start": word.start, "end": word.end} for word in inspection.words],
        "cut": inspection.cut,
        "labels": list(inspection.labels),
        "probabilities": list(inspection.probabilities),
        "pred": inspection.pred,
        "model_notes": list(inspection.notes),
    }


def agreement_json(found: Agreement) -> dict[str, Any]:
    """`weights`: each method's weights of the words, null with a reason in `notes`; ρ and τ-b of the `methods` given.

    `signed` tells for each pair whether signs were ranked, or magnitudes.
    """
    return {
        **_base(found.inspection),
        "target": found.target,
        "weights": {one.method: None if one.words is None else one.words.tolist() for one in found.attributions},
        "notes": {one.method: one.note for one in found.attributions if one.note},
        "methods": list(found.methods),
        "spearman": found.spearman.tolist(),
        "kendall": found.kendall.tolist(),
        "signed": found.signed.tolist(),
    }


def deletion_json(found: Deletion) -> dict[str, Any]:
    """`curves`: for each method `order`, the words taken away, and the probability after each; `area`, the mean fall.

    null and a reason in `notes` for a method without weights. `random`: `mean` and `sd` over the draws, `area`.
    """
    curves: dict[str, Any] = {}
    for name, order, curve, area in zip(
        found.methods, found.order.tolist(), found.curves.tolist(), found.areas.tolist(), strict=True
    ):
        given = not order or order[0] >= 0
        curves[name] = {"order": order, "probabilities": curve, "area": area} if given else None
    return {
        **_base(found.inspection),
        "target": found.target,
        "mode": found.mode,
        "probability": found.probability,
        "curves": curves,
        "notes": {name: note for name, note in zip(found.methods, found.notes, strict=True) if note},
        "random": {
            "draws": found.draws,
            "seed": found.seed,
            "mean": found.random.tolist(),
            "sd": found.random_sd.tolist(),
            "area": found.random_area,
        },
    }


def heads_json(stats: HeadStats, knocked: KnockOut) -> dict[str, Any]:
    """`stats`: layers × heads of each of `core.head_stats.STATS`; `without_head`, `without_layer`: probabilities of all
    classes (layers × heads × classes, layers × classes), null where a model's heads cannot be reached; `notes` say why.
    """
    return {
        **_base(knocked.inspection),
        "target": knocked.target,
        "stats": {name: values.tolist() for name, values in stats.values.items()},
        "without_head": None if knocked.heads is None else knocked.heads.tolist(),
        "without_layer": None if knocked.layers is None else knocked.layers.tolist(),
        "notes": [note for note in (stats.note, knocked.note) if note],
    }


def flip_json(found: Flip) -> dict[str, Any]:
    """As `core.inspector_answers.Flip` tells it; `removed` are indexes of words, `after` the probabilities then."""
    return {
        **_base(found.inspection),
        "found": found.found,
        "removed": list(found.words),
        "mode": found.mode,
        "text_after": found.text if found.mode == "delete" else None,
        "after": list(found.probabilities),
        "minimal": found.minimal,
        "tried_size": found.tried_size,
        "evaluations": found.evaluations,
        "exhausted": found.exhausted,
    }
