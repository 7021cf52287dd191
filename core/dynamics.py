"""What the model thought of each dev review at each evaluation, and what kind of review that makes it.

The file is `dynamics-<split>.npz` of a run directory, with arrays `ids` (text), `labels` (int8, N), `steps` (int64,
E) and `prob_1` (float16, E × N). Training dynamics of single examples: Swayamdipta et al. 2020, "Dataset
Cartography", arXiv:2009.10795; forgetting: Toneva et al. 2019, arXiv:1812.05159. Both look at train examples at each
epoch; here it is dev, at each evaluation. Light: numpy only.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.errors import RunError
from core.i18n import gettext as _
from core.paths import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["always", "learned", "never", "forgotten", "wavering"]

KINDS: tuple[Kind, ...] = ("always", "learned", "never", "forgotten", "wavering")

WAVERS = 2
"""From this many falls from clearly right to clearly wrong on a review is called wavering, wherever it ended."""

CLEAR = 0.1
"""How far p(label) has to be from a half to be clear: before it has learned, a model crosses the half by chance."""


@dataclass(frozen=True)
class History:
    """One review over the evaluations of a run.

    steps: optimizer steps of the evaluations. prob_1: p(긍정) at each. label: the given one. confidence: mean p(label),
    variability: its standard deviation, correctness: share of evaluations that got it right (the three measures of
    Dataset Cartography). forgetting: how often it went from right to wrong (Toneva et al.).
    """

    steps: tuple[int, ...]
    prob_1: tuple[float, ...]
    label: int

    @property
    def right(self) -> tuple[bool, ...]:
        """For each evaluation whether it got the review right; a tie goes to 부정, as `argmax` takes it."""
        return tuple((value > 0.5) == bool(self.label) for value in self.prob_1)

    @property
    def of_label(self) -> tuple[float, ...]:
        """p(label) at each evaluation."""
        return tuple(value if self.label else 1 - value for value in self.prob_1)

    @property
    def confidence(self) -> float:
        """Mean p(label)."""
        return sum(self.of_label) / len(self.of_label)

    @property
    def variability(self) -> float:
        """Standard deviation of p(label) over the evaluations."""
        mean = self.confidence
        return float((sum((value - mean) ** 2 for value in self.of_label) / len(self.of_label)) ** 0.5)

    @property
    def correctness(self) -> float:
        """Share of evaluations that got it right."""
        return sum(self.right) / len(self.right)

    @property
    def forgetting(self) -> int:
        """How often an evaluation got it wrong after the one before got it right."""
        return sum(before and not after for before, after in pairwise(self.right))

    @property
    def falls(self) -> int:
        """How often it went from clearly right to clearly wrong, unclear evaluations left out."""
        clear = [value > 0.5 for value in self.of_label if abs(value - 0.5) >= CLEAR]
        return sum(before and not after for before, after in pairwise(clear))

    @property
    def kind(self) -> Kind:
        """always right; learned on the way; wrong at the end and never clearly right before; forgotten; or wavering."""
        right = self.right
        if self.falls >= WAVERS:
            return "wavering"
        if not right[-1]:
            clear = any(value - 0.5 >= CLEAR for value in self.of_label)
            return "forgotten" if clear else "never"
        return "always" if all(right) else "learned"

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "steps": list(self.steps),
            "prob_1": [round(value, 4) for value in self.prob_1],
            "kind": self.kind,
            "confidence": round(self.confidence, 4),
            "variability": round(self.variability, 4),
            "correctness": round(self.correctness, 4),
            "forgetting": self.forgetting,
        }


def kind_name(kind: Kind) -> str:
    """A kind of history as people say it."""
    names = {
        "always": _("always right"),
        "learned": _("learned on the way"),
        "never": _("never learned"),
        "forgotten": _("forgotten"),
        "wavering": _("wavering"),
    }
    return names[kind]


@dataclass(frozen=True, eq=False)
class Dynamics:
    """The whole file: `ids` of N reviews, `labels` (N), `steps` of E evaluations, `prob_1` (E × N)."""

    ids: NDArray[np.str_]
    labels: NDArray[np.int8]
    steps: NDArray[np.int64]
    prob_1: NDArray[np.float16]

    def history(self, review: str) -> History | None:
        """The history of the first review with this id; None when there is none, or nothing was evaluated."""
        import numpy as np

        found = np.flatnonzero(self.ids == review)
        if not len(found) or not len(self.steps):
            return None
        row = int(found[0])
        return History(
            tuple(self.steps.tolist()), tuple(self.prob_1[:, row].astype(float).tolist()), int(self.labels[row])
        )

    def kinds(self) -> dict[Kind, int]:
        """How many reviews are of each kind."""
        import numpy as np

        right = (self.prob_1 > 0.5) == self.labels.astype(bool)
        if not len(right):
            return dict.fromkeys(KINDS, 0)
        clear = np.abs(self.prob_1.astype(np.float64) - 0.5) >= CLEAR
        falls, was_right = np.zeros(right.shape[1], np.int64), np.zeros(right.shape[1], bool)
        for row, told in zip(right, clear, strict=True):
            falls += told & was_right & ~row
            was_right = np.where(told, row, was_right)
        wavering = falls >= WAVERS
        known = (clear & right).any(axis=0)
        never = ~right[-1] & ~known & ~wavering
        forgotten = ~right[-1] & known & ~wavering
        always = right.all(axis=0) & ~wavering
        counts = {"always": always, "never": never, "forgotten": forgotten, "wavering": wavering}
        found: dict[Any, int] = {name: int(np.count_nonzero(mask)) for name, mask in counts.items()}
        found["learned"] = right.shape[1] - sum(found.values())
        return {name: found[name] for name in KINDS}


def path_for(run_dir: Path, split: str = "dev") -> Path:
    """Where a run keeps the histories of `split`."""
    return run_dir / f"dynamics-{split}.npz"


def read(run_dir: Path, split: str = "dev") -> Dynamics | None:
    """The histories of `split`; None when the run keeps none. Raises RunError for a file that is none."""
    import numpy as np

    path = path_for(run_dir, split)
    try:
        with np.load(path, allow_pickle=False) as file:
            found = Dynamics(file["ids"], file["labels"], file["steps"], file["prob_1"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(
            _("cannot read {path}: {reason}").format(path=path, reason=error),
            _("Without it the run has no history of single reviews; everything else works."),
        ) from error
    if found.prob_1.shape != (len(found.steps), len(found.ids)) or len(found.labels) != len(found.ids):
        raise RunError(
            _("cannot read {path}: {reason}").format(path=path, reason=_("its arrays do not fit together")),
            _("Without it the run has no history of single reviews; everything else works."),
        )
    return found


class Keeper:
    """Adds one evaluation after the other to a run's file; the file is whole at any time.

    `resumed` is the step that the run goes on from: what came later belongs to a life that was given up.
    """

    def __init__(self, run_dir: Path, ids: Sequence[str], labels: Sequence[int], resumed: int = 0) -> None:
        import numpy as np

        self._path = path_for(run_dir)
        self._ids = np.asarray(ids, dtype=np.str_)
        self._labels = np.asarray(labels, dtype=np.int8)
        self._steps: list[int] = []
        self._rows: list[NDArray[np.float16]] = []
        if not resumed:
            self._path.unlink(missing_ok=True)
            return
        try:
            before = read(run_dir)
        except RunError:
            # Damaged from outside: the run goes on, and the history begins again from here.
            before = None
        if before is not None and np.array_equal(before.ids, self._ids):
            kept = before.steps <= resumed
            self._steps = before.steps[kept].tolist()
            self._rows = list(before.prob_1[kept])
            # On a full disk what was given up stays in the file until the next evaluation replaces it.
            with contextlib.suppress(OSError):
                self._write()

    def add(self, step: int, logits: NDArray[np.floating[Any]]) -> None:
        """The evaluation after optimizer step `step`: logits (N × 2) in the split's order."""
        import numpy as np

        z = np.asarray(logits, dtype=np.float64)
        prob_1 = np.exp(z[:, 1] - np.logaddexp(z[:, 0], z[:, 1])).astype(np.float16)
        kept = [place for place, known in enumerate(self._steps) if known < step]
        self._steps = [*(self._steps[place] for place in kept), step]
        self._rows = [*(self._rows[place] for place in kept), prob_1]
        self._write()

    def _write(self) -> None:
        import numpy as np

        buffer = io.BytesIO()
        rows = np.stack(self._rows) if self._rows else np.empty((0, len(self._ids)), np.float16)
        steps = np.array(self._steps, dtype=np.int64)
        np.savez_compressed(buffer, ids=self._ids, labels=self._labels, steps=steps, prob_1=rows)
        write_atomically(self._path, buffer.getvalue())
