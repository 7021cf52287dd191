"""The review that the views of attention beside Review are about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.predictions import THRESHOLD, answer_at

if TYPE_CHECKING:
    from core.inspector_protocol import Inspection
    from tui.attention_maps import AttentionMaps


@dataclass(frozen=True, eq=False)
class Subject:
    """One review of a run and what its model says about it.

    title: the run's, for the top line. split, id, label: of the review. maps: made from the inspection's attention,
    None where the model gives none. threshold: p(positive) from which the run's answers are positive.
    """

    title: str
    run_dir: Path
    split: str
    id: str
    label: int
    inspection: Inspection
    maps: AttentionMaps | None
    threshold: float = THRESHOLD

    @property
    def pred(self) -> int:
        """The class that the model's answer stands for."""
        return self.pred_of(self.inspection)

    def pred_of(self, inspection: Inspection) -> int:
        """The class that the model's answer to another text stands for."""
        return answer_at(inspection, self.threshold)
