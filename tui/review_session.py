"""What Review knows without widgets: the opened run, the queue of reviews, and where in it one is."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.errors import NsmcTuiError
from core.i18n import gettext as _
from core.predictions import Prediction, Predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILTERS = ("all", "fp", "fn")
"""The kinds that the filter key goes through; others come from elsewhere (a cell of the confusion matrix)."""

SORTS = ("loss", "confidence", "margin", "length", "id")
"""The orders that the sort key goes through."""

RISING = ("margin", "id")
"""The orders whose first review has the least value."""

PREFETCH_AFTER, PREFETCH_BEFORE = 3, 1


def kind_name(kind: str) -> str:
    """A kind of review as people say it."""
    names = {"all": _("errors"), "correct": _("correct"), "any": _("all reviews")}
    return names.get(kind, kind.upper())


def sort_name(sort: str) -> str:
    """An order as a word with an arrow: `loss ↓` begins with the highest."""
    words = {
        "loss": _("loss"),
        "confidence": _("confidence"),
        "margin": _("margin"),
        "length": _("length"),
        "id": _("file order"),
    }
    return f"{words[sort]} {'↑' if sort in RISING else '↓'}"


def folded(text: str) -> str:
    """`text` for comparing: composed (a query typed as NFC finds NFD) and without case."""
    return unicodedata.normalize("NFC", text).casefold()


@dataclass(frozen=True, eq=False)
class Opened:
    """A run as Review finds it.

    predictions: None when there are none to read, `error` then says why. model: directory of the run's model, None
    when there is none, `model_error` then says why. max_length: limit in tokens of the run's inputs. state: the
    run's state, live: whether a worker may still be at it.
    """

    predictions: Predictions | None
    error: NsmcTuiError | None
    model: Path | None
    model_error: NsmcTuiError | None
    max_length: int | None
    state: str
    live: bool


def open_run(run_dir: Path, split: str | None = None) -> Opened:
    """Read a run's predictions of `split` (None: test, else what there is) and find its model. For a thread."""
    # These bring pydantic and click along, which the first picture need not wait for.
    from core.runs import load_run
    from tui.cli.review_commands import model_of, run_max_length

    predictions, error, model, model_error, max_length = None, None, None, None, None
    state, live = "", False
    try:
        run = load_run(run_dir)
        state, live = run.state, run.live
        predictions = Predictions(run_dir, split)
    except NsmcTuiError as problem:
        error = problem
    try:
        model = model_of(run_dir)
        max_length = run_max_length(run_dir)
    except NsmcTuiError as problem:
        model_error = problem
    return Opened(predictions, error, model, model_error, max_length, state, live)


class ReviewSession:
    """The queue: which reviews of `predictions`, in which order, and the one in view.

    `queue` holds row numbers of the split (int64, length N); `position` counts from 0 in it. Changing the kind, the
    order or the search keeps the review in view where it still belongs to the queue.
    """

    def __init__(self, predictions: Predictions, kind: str = "all") -> None:
        self.predictions = predictions
        self.kind = kind
        self.sort = SORTS[0]
        self.search = ""
        self.position = 0
        self.loss = predictions.column("loss")
        self.prob_1 = predictions.column("prob_1")
        self.label = predictions.column("label")
        self.pred = predictions.column("pred")
        # One chunk: a row's text is then found without looking through the file's row groups.
        self._documents = predictions.table.column("document").combine_chunks()
        self._folded: dict[int, str] = {}
        self.queue: NDArray[np.int64] = predictions.select(kind, self.sort)
        self.unsearched = len(self.queue)

    def __len__(self) -> int:
        return len(self.queue)

    def document(self, row: int) -> str:
        """The text of row `row` of the split, raw."""
        return str(self._documents[row].as_py())

    @property
    def row(self) -> int | None:
        """The split's row number of the review in view, None in an empty queue."""
        return int(self.queue[self.position]) if len(self.queue) else None

    @property
    def current(self) -> Prediction | None:
        """The review in view."""
        return None if self.row is None else self.predictions.row(self.row)

    def move_to(self, position: int) -> bool:
        """Go to `position`, or as near as there is; whether that is another one than before."""
        target = max(0, min(position, len(self.queue) - 1))
        moved = target != self.position
        self.position = target
        return moved

    def cycle_kind(self, step: int = 1) -> None:
        """The next of FILTERS; from a kind that is none of them, the first."""
        if self.kind in FILTERS:
            self.kind = FILTERS[(FILTERS.index(self.kind) + step) % len(FILTERS)]
        else:
            self.kind = FILTERS[0]
        self._choose()

    def cycle_sort(self, step: int = 1) -> None:
        """The next of SORTS; the first review is in view afterwards, the others are what a new order is for."""
        self.sort = SORTS[(SORTS.index(self.sort) + step) % len(SORTS)]
        self._choose(keep=False)

    def set_search(self, text: str) -> None:
        """Only reviews that contain `text`, whatever its case and composition; empty: all."""
        self.search = text
        self._choose()

    def neighbours(self) -> list[str]:
        """Texts that are likely to be wanted next: three after the one in view, then the one before."""
        places = [self.position + n for n in range(1, PREFETCH_AFTER + 1)]
        places += [self.position - n for n in range(1, PREFETCH_BEFORE + 1)]
        return [self.document(int(self.queue[place])) for place in places if 0 <= place < len(self.queue)]

    def _choose(self, keep: bool = True) -> None:
        row = self.row
        chosen = self.predictions.select(self.kind, self.sort)
        self.unsearched = len(chosen)
        wanted = folded(self.search)
        if wanted:
            chosen = np.array([n for n in chosen.tolist() if wanted in self._folded_document(n)], dtype=np.int64)
        self.queue = chosen
        found = np.flatnonzero(chosen == row).tolist() if keep and row is not None else []
        self.position = found[0] if found else 0

    def _folded_document(self, row: int) -> str:
        text = self._folded.get(row)
        if text is None:
            text = self._folded[row] = folded(self.document(row))
        return text
