"""Why a run failed, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.text import Text
from textual.widgets import Static

from core.runs import Run
from core.text import visible


class FailureCard(Static):
    """Reason, hint and the worker's log of a failed or crashed run; takes no room otherwise."""

    DEFAULT_CSS = "FailureCard { height: auto; padding: 0 1; margin-bottom: 1; display: none; }"

    def __init__(self, run_dir: Path) -> None:
        super().__init__("", id="failure", markup=False)
        self._run_dir = run_dir

    def show(self, run: Run | None, failure: Mapping[str, Any]) -> None:
        """Show the card when `run` is over with an error; `failure` is its `run_failed` event, empty if none came."""
        message = str(failure.get("message") or (run.error if run is not None else ""))
        if run is None or run.state not in ("failed", "crashed") or not message:
            self.display = False
            return
        hint = str(failure.get("hint") or run.hint)
        error = self.app.theme_variables.get("error", "")
        self.update(
            Text.assemble(
                (f"✗ {visible(message)}", error),
                "\n",
                (f"→ {visible(hint)}" if hint else "", ""),
                "\n",
                (visible(str(self._run_dir / "worker.log")), "dim"),
            )
        )
        self.display = True
