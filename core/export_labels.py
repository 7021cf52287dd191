"""Reviews for labelling tools: Label Studio and Argilla. Only files are made; none of the tools is needed.

Formats as their documentation has them: Label Studio's basic JSON with pre-annotations, and the records that
Argilla 2's `dataset.records.from_json` reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.predictions import Prediction

LABELS = ("부정", "긍정")
"""The choices in all files, whatever the interface's language: labels of the data are Korean."""

QUESTION, FIELD = "sentiment", "text"

Verdicts = Mapping[str, Mapping[str, Any]]
"""For each review's id the row of its verdict (`verdict`, `new_label`, `tags`, `note`, `by`)."""

LABEL_STUDIO_CONFIG = f"""<View>
  <Text name="{FIELD}" value="${FIELD}"/>
  <Choices name="{QUESTION}" toName="{FIELD}" choice="single" showInLine="true">
    <Choice value="{LABELS[0]}" hotkey="0"/>
    <Choice value="{LABELS[1]}" hotkey="1"/>
  </Choices>
</View>
"""
"""The labelling interface that the tasks belong to."""

ARGILLA_SCRIPT = f'''"""Load argilla.json into an Argilla server as the data set NAME:

ARGILLA_API_URL=… ARGILLA_API_KEY=… python argilla_import.py NAME
"""

import os
import sys
from pathlib import Path

import argilla as rg

client = rg.Argilla(api_url=os.environ["ARGILLA_API_URL"], api_key=os.environ["ARGILLA_API_KEY"])
settings = rg.Settings(
    fields=[rg.TextField(name="{FIELD}")],
    questions=[rg.LabelQuestion(name="{QUESTION}", labels=["{LABELS[0]}", "{LABELS[1]}"])],
    metadata=[
        rg.TermsMetadataProperty(name="label", options=["{LABELS[0]}", "{LABELS[1]}"]),
        rg.FloatMetadataProperty(name="loss"),
        rg.FloatMetadataProperty(name="prob_1"),
        rg.TermsMetadataProperty(name="verdict"),
    ],
    allow_extra_metadata=True,
)
dataset = rg.Dataset(name=sys.argv[1], settings=settings, client=client)
dataset.create()
dataset.records.from_json(Path(__file__).with_name("argilla.json"))
'''


def label_studio(reviews: Sequence[Prediction], model: str, verdicts: Verdicts) -> bytes:
    """Tasks with the model's answer as a prediction, and the label of a verdict (or of the data) in `data`.

    Import them into a project with LABEL_STUDIO_CONFIG.
    """
    tasks = []
    for review in reviews:
        verdict = verdicts.get(review.id, {})
        tasks.append(
            {
                "data": {
                    FIELD: clean(review.document),
                    "id": review.id,
                    "label": LABELS[review.label],
                    "loss": round(review.loss, 6),
                    "verdict": verdict.get("verdict") or "",
                    "note": clean(str(verdict.get("note") or "")),
                },
                "predictions": [
                    {
                        "model_version": model,
                        "score": round(review.confidence, 6),
                        "result": [
                            {
                                "from_name": QUESTION,
                                "to_name": FIELD,
                                "type": "choices",
                                "value": {"choices": [LABELS[review.pred]]},
                            }
                        ],
                    }
                ],
            }
        )
    return _json(tasks)


def argilla(reviews: Sequence[Prediction], model: str, verdicts: Verdicts) -> bytes:
    """Records with the model's answer as a suggestion; a verdict's new label is in `metadata`."""
    records = []
    # What its server takes for the name of an agent.
    agent = re.sub(r"[^0-9A-Za-z_:./ -]", "_", model)[:200]
    for review in reviews:
        verdict = verdicts.get(review.id, {})
        metadata: dict[str, Any] = {
            "label": LABELS[review.label],
            "loss": round(review.loss, 6),
            "prob_1": round(review.prob_1, 6),
        }
        if verdict.get("verdict"):
            metadata["verdict"] = str(verdict["verdict"])
        if verdict.get("new_label") in (0, 1):
            metadata["new_label"] = LABELS[int(verdict["new_label"])]
        records.append(
            {
                "id": review.id,
                "fields": {FIELD: clean(review.document)},
                "metadata": metadata,
                "suggestions": {
                    QUESTION: {"value": LABELS[review.pred], "score": round(review.confidence, 6), "agent": agent}
                },
                "responses": {},
                "vectors": {},
            }
        )
    return _json(records)


def clean(text: str) -> str:
    """`text` as servers store it: no NUL, which PostgreSQL refuses, and no lone surrogates, which are no UTF-8."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode("utf-8")
