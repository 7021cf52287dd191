"""What the user chose to see of the charts; kept in the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tui.chart_model import SMOOTHING, X_AXES

MOST_COLUMNS = 5


@dataclass
class Choices:
    """A filter for metrics, the weight of smoothing, the x-axis, metrics on a logarithmic scale, charts in a row (0: as
    many as fit)."""

    filter: str = ""
    smoothing: float = 0.9
    axis: str = "step"
    log: list[str] = field(default_factory=list)
    columns: int = 0

    @classmethod
    def of(cls, settings: Any) -> Choices:
        """From the settings file, where anything may stand; what does not fit is left at its default."""
        made = cls()
        if not isinstance(settings, dict):
            return made
        if isinstance(settings.get("filter"), str):
            made.filter = settings["filter"]
        if settings.get("smoothing") in SMOOTHING:
            made.smoothing = float(settings["smoothing"])
        if settings.get("axis") in X_AXES:
            made.axis = settings["axis"]
        if isinstance(settings.get("log"), list):
            made.log = [name for name in settings["log"] if isinstance(name, str)]
        columns = settings.get("columns")
        if isinstance(columns, int) and 0 <= columns <= MOST_COLUMNS:
            made.columns = columns
        return made

    def settings(self) -> dict[str, Any]:
        """For the settings file."""
        return {
            "filter": self.filter,
            "smoothing": self.smoothing,
            "axis": self.axis,
            "log": list(self.log),
            "columns": self.columns,
        }
