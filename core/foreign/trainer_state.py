"""`trainer_state.json`, what a `transformers` Trainer keeps in its checkpoints: its log as our events."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from core.errors import RunError
from core.events import Event
from core.foreign.files import Found, find
from core.i18n import gettext as _
from core.runs import FOREIGN, Run

# The summary that ends a log: about the whole training, not about a step.
SUMMARY = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos", "train_loss")
SPLITS = {"eval_": "dev", "test_": "test"}


def read_state(file: Path) -> dict[str, Any]:
    """The content of a `trainer_state.json`. Raises RunError when it is none."""
    try:
        state = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else _("it is no JSON")
        raise RunError(
            _("cannot read {path}: {reason}").format(path=file, reason=reason),
            _("A Trainer writes it into each checkpoint; an earlier checkpoint may have a whole one."),
        ) from error
    if not isinstance(state, dict) or not isinstance(state.get("log_history"), list):
        raise RunError(
            _("{path} has no log of a Trainer").format(path=file), _("Expected is an object with `log_history`.")
        )
    return state


def load_state(path: Path, found: Found) -> Run:
    """The run as lists show it: how far it is, the scores it logged last. Raises RunError."""
    assert found.state is not None
    try:
        state = read_state(found.state)
    except RunError as error:
        # In a list a damaged run is one line among others; whoever opens it is told the same.
        return _run(path, found, {}, error=error.message, hint=error.hint)
    return _run(path, found, state)


def _run(path: Path, found: Found, state: dict[str, Any], error: str = "", hint: str = "") -> Run:
    metrics: dict[str, float] = {}
    loss = None
    for entry in state.get("log_history", ()):
        for key, value in entry.items() if isinstance(entry, dict) else ():
            number = _number(value)
            if number is None:
                continue
            if key.startswith(tuple(SPLITS)):
                metrics[key] = number
            elif key == "loss":
                loss = number
    state_dir = found.state.parent if found.state is not None else path
    return Run(
        id=path.name,
        path=path,
        name=path.name,
        state=FOREIGN,
        created=found.oldest,
        updated=found.state_written,
        step=int(_number(state.get("global_step")) or 0),
        max_steps=int(_number(state.get("max_steps")) or 0),
        epoch=_number(state.get("epoch")) or 0.0,
        model=_model(state_dir) or _model(path),
        metrics=metrics,
        loss=loss,
        error=error,
        hint=hint,
        source="trainer_state",
    )


def _model(path: Path) -> str:
    try:
        config = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError):
        return ""
    if not isinstance(config, dict):
        return ""
    return str(config.get("_name_or_path") or config.get("model_type") or "")


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def events_of(entry: dict[str, Any], max_steps: int) -> list[Event]:
    """The events of one entry of `log_history`: a `step`, or an `eval` of each split that it has scores of."""
    step = _number(entry.get("step"))
    if step is None:
        return []
    place = {"step": int(step), "epoch": _number(entry.get("epoch"))}
    events: list[Event] = []
    for prefix, split in SPLITS.items():
        metrics = {key: value for key, value in entry.items() if key.startswith(prefix) and _number(value) is not None}
        if metrics:
            events.append({"type": "eval", **place, "split": split, "metrics": metrics})
    figures = {
        key: _number(value)
        for key, value in entry.items()
        if key not in (*place, *SUMMARY)
        and not key.startswith(tuple(SPLITS))
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    }
    if figures:
        events.append({"type": "step", **place, "max_steps": max_steps, **figures})
    return events


class StateLog:
    """Follows the newest `trainer_state.json` of a directory: each later checkpoint of a training brings a longer one.

    `read` as in `core.tail.JsonlTail`. Raises RunError at once for a file that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped = 0
        self._waiting: list[Event] = []
        self._signature: tuple[tuple[int, int, int], ...] = ()
        self._seen: list[Any] = []
        self._checkpoints: set[int] = set()
        self._look()

    def read(self, max_records: int = 5000, max_seconds: float = 0.05) -> list[Event]:
        """The events that came since the last call, `max_records` at most."""
        if not self._waiting:
            try:
                self._look()
            except RunError:
                # Being written this very moment, or deleted: the next look tells.
                self._signature = ()
        taken, self._waiting = self._waiting[:max_records], self._waiting[max_records:]
        return taken

    @property
    def pending(self) -> bool:
        """Whether more is waiting."""
        return bool(self._waiting)

    def _look(self) -> None:
        found = find(self.path)
        if found.state is None or found.signature == self._signature:
            return
        state = read_state(found.state)
        self._signature = found.signature
        history = [entry for entry in state["log_history"] if isinstance(entry, dict)]
        self.skipped = len(state["log_history"]) - len(history)
        known = len(self._seen)
        if history[:known] != self._seen:
            # Another training in the same directory: the story begins anew.
            known = 0
            self._checkpoints.clear()
            self._waiting.append({"type": "run_started", "run_id": self.path.name, "resumed_from": 0})
        elif not known:
            self._waiting.append({"type": "run_started", "run_id": self.path.name})
        self._seen = history
        max_steps = int(_number(state.get("max_steps")) or 0)
        events = [event for entry in history[known:] for event in events_of(entry, max_steps)]
        best = str(state.get("best_model_checkpoint") or "").rstrip("/").rsplit("/", 1)[-1]
        for step in found.checkpoints:
            if step not in self._checkpoints:
                self._checkpoints.add(step)
                name = f"checkpoint-{step}"
                metric = _number(state.get("best_metric")) if name == best else None
                events.append(
                    {"type": "checkpoint", "step": step, "path": name, "metric": metric, "best": name == best}
                )
        # A stable order: what belongs to one step stays as the log has it, its checkpoint after it.
        self._waiting += sorted(events, key=lambda event: event["step"])
