"""The review that the views of attention beside Review are about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.inspector_protocol import Inspection
    from tui.attention_maps import AttentionMaps


@dataclass(frozen=True, eq=False)
class Subject:
    """One review of a run and what its model says about it.

    title: the run's, for the top line. split, id, label: of the review. maps: made from the inspection's attention,
    None where the model gives none.
    """

    title: str
    run_dir: Path
    split: str
    id: str
    label: int
    inspection: Inspection
    maps: AttentionMaps | None
