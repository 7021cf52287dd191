"""What Review knows without widgets: the opened run, the queue of reviews, and where in it one is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from core import formats
from core.errors import NsmcTuiError, RunError
from core.i18n import gettext as _
from core.predictions import THRESHOLD, Prediction, Predictions
from core.review_log import ReviewLog
from core.review_place import Place, load_place
from core.review_query import Query, Term, parse, written
from core.review_queue import RISING, SORTS, ReviewTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILTERS = ("all", "fp", "fn", "near", "sure", "suspect", "any")
"""The kinds that the filter key goes through; others come from elsewhere (a cell of the confusion matrix)."""

PREFETCH_AFTER, PREFETCH_BEFORE = 3, 1


def kind_name(kind: str, threshold: float = THRESHOLD) -> str:
    """A kind of review as people say it."""
    names = {
        "all": _("errors"),
        "errors": _("errors"),
        "correct": _("correct"),
        "any": _("all reviews"),
        "near": _("near {threshold}").format(threshold=formats.threshold(threshold)),
        "sure": _("sure and wrong"),
        "suspect": _("likely label errors"),
    }
    return names.get(kind, kind.upper())


def sort_name(sort: str) -> str:
    """An order as a word with an arrow: `loss ↓` begins with the highest."""
    words = {
        "loss": _("loss"),
        "confidence": _("confidence"),
        "margin": _("margin"),
        "threshold": _("distance to threshold"),
        "suspect": _("label error"),
        "length": _("length"),
        "id": _("file order"),
        "random": _("random"),
    }
    return words[sort] if sort == "random" else f"{words[sort]} {'↑' if sort in RISING else '↓'}"


@dataclass(frozen=True, eq=False)
class Opened:
    """A run as Review finds it.

    predictions: None when there are none to read, `error` then says why. log: the verdicts on them. place: where one
    left off, None at the first time. model: directory of the run's model, None when there is none, `model_error` then
    says why. max_length: limit in tokens of the run's inputs. state: the run's state, live: whether a worker may still
    be at it.
    """

    predictions: Predictions | None
    log: ReviewLog | None
    place: Place | None
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

    predictions, log, place, error = None, None, None, None
    model, model_error, max_length = None, None, None
    state, live = "", False
    try:
        run = load_run(run_dir)
        state, live = run.state, run.live
        predictions = Predictions(run_dir, split)
        log = _read_log(run_dir, predictions.split)
        place = load_place(run_dir, predictions.split)
    except NsmcTuiError as problem:
        error = problem
    try:
        model = model_of(run_dir)
        max_length = run_max_length(run_dir)
    except NsmcTuiError as problem:
        model_error = problem
    return Opened(predictions, log, place, error, model, model_error, max_length, state, live)


def _read_log(run_dir: Path, split: str) -> ReviewLog:
    log = ReviewLog(run_dir, split)
    try:
        log.refresh()
    except OSError as error:
        raise RunError(
            _("cannot read {path}: {reason}").format(path=log.path, reason=error.strerror or error),
            _("Others' verdicts are in it: you need to be able to read it to add yours."),
        ) from error
    return log


class Chosen(NamedTuple):
    """A queue that was worked out: its row numbers in order, and how many there were before the search."""

    queue: NDArray[np.int64]
    unsearched: int


class ReviewSession:
    """The queue: which reviews of `predictions`, in which order, and the one in view.

    `queue` holds row numbers of the split (int64, length N); `position` counts from 0 in it. Changing the kind, the
    filter or the search keeps the review in view where it still belongs to the queue. What would take too long for a
    key press leaves the session `stale`: `compute` in a thread, then `take`.
    """

    def __init__(
        self,
        predictions: Predictions,
        kind: str = "all",
        log: ReviewLog | None = None,
        find_run: Callable[[str], Path] | None = None,
        place: Place | None = None,
        threshold: float = THRESHOLD,
    ) -> None:
        self.predictions = predictions
        self.log = log
        self.kind = kind
        self.query: Query = ()
        self.sort = SORTS[0]
        self.seed = 0
        self.search = ""
        self.position = 0
        self.marked: set[int] = set()
        self.stale = False
        self.table = ReviewTable(predictions, log, threshold, find_run)
        self.queue: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.unsearched = 0
        # One chunk: a row's text is then found without looking through the file's row groups.
        self._documents = predictions.table.column("document").combine_chunks()
        self._ids = predictions.table.column("id").combine_chunks()
        self._wanted: int | None = None
        if place is not None:
            self._restore(place)
        self.loss = self.table.loss
        self.prob_1 = self.table.prob_1
        self.label = self.table.label
        self.pred = self.table.pred
        self._choose()

    def _restore(self, place: Place) -> None:
        self.sort, self.seed = place.sort, place.seed
        if place.kind != self.kind:
            return
        self.search = place.search
        try:
            self.query = parse(place.where)
        except NsmcTuiError:
            # Written by another version: the queue without its filter is better than none.
            self.query = ()
        if place.review:
            found = np.flatnonzero(np.asarray(self._ids.to_pylist(), dtype=object) == place.review)
            self._wanted = int(found[0]) if len(found) else None
        self.position = place.position

    @property
    def place(self) -> Place:
        """Where one is, for coming back."""
        row = self.row
        return Place(
            kind=self.kind,
            where=written(self.query),
            search=self.search,
            sort=self.sort,
            seed=self.seed,
            review="" if row is None else self.review_id(row),
            position=self.position,
        )

    def __len__(self) -> int:
        return len(self.queue)

    # -- reviews -----------------------------------------------------------------------------------------------

    def document(self, row: int) -> str:
        """The text of row `row` of the split, raw."""
        return str(self._documents[row].as_py())

    def review_id(self, row: int) -> str:
        """The id of row `row` of the split."""
        return str(self._ids[row].as_py())

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

    def place_of_id(self, review: str) -> int | None:
        """The position in the queue of a review with this id; None where it is not in it."""
        rows = self.table.rows_of_id.get(review, [])
        found = np.flatnonzero(np.isin(self.queue, rows))
        return int(found[0]) if len(found) else None

    def neighbours(self) -> list[str]:
        """Texts that are likely to be wanted next: three after the one in view, then the one before."""
        places = [self.position + n for n in range(1, PREFETCH_AFTER + 1)]
        places += [self.position - n for n in range(1, PREFETCH_BEFORE + 1)]
        return [self.document(int(self.queue[place])) for place in places if 0 <= place < len(self.queue)]

    # -- verdicts ----------------------------------------------------------------------------------------------

    @property
    def judged(self) -> int:
        """How many reviews of the queue have a verdict."""
        return int((self.table.verdicts[self.queue] != 0).sum()) if len(self.queue) else 0

    def targets(self) -> list[int]:
        """The rows that an action on many reviews is for: the marked ones, else the whole queue."""
        return sorted(self.marked) if self.marked else self.queue.tolist()

    def toggle_mark(self) -> None:
        """Mark the review in view, or take its mark away."""
        if self.row is not None:
            self.marked ^= {self.row}

    # -- choosing ----------------------------------------------------------------------------------------------

    @property
    def threshold(self) -> float:
        """p(positive) from which a review is taken as positive."""
        return self.table.threshold

    def set_threshold(self, threshold: float) -> None:
        """Take reviews as positive from another probability on."""
        self.table.threshold = threshold
        self.pred = self.table.pred
        self._choose()

    def set_kind(self, kind: str) -> None:
        """Another kind of review."""
        self.kind = kind
        self._choose()

    def cycle_kind(self, step: int = 1) -> None:
        """The next of FILTERS; from a kind that is none of them, the first."""
        if self.kind in FILTERS:
            self.set_kind(FILTERS[(FILTERS.index(self.kind) + step) % len(FILTERS)])
        else:
            self.set_kind(FILTERS[0])

    def cycle_sort(self, step: int = 1) -> None:
        """The next of SORTS; the first review is in view afterwards, the others are what a new order is for."""
        self.sort = SORTS[(SORTS.index(self.sort) + step) % len(SORTS)]
        if self.sort == "random":
            # Another shuffle each time round.
            self.seed += 1
        self._choose(keep=False)

    def set_query(self, kind: str, query: Query) -> None:
        """Only reviews of `kind` for which `query` holds."""
        self.kind, self.query = kind, query
        self._choose()

    def set_search(self, text: str) -> None:
        """Only reviews with `text`: as it stands, by initial consonants, or between slashes a regular expression."""
        self.search = text
        self._choose()

    @property
    def searched(self) -> Query:
        """The search as a part of a query."""
        if not self.search:
            return ()
        if self.search.startswith("/"):
            # Still being typed until it is closed.
            pattern = re.fullmatch(r"/((?:[^/\\]|\\.)+)/", self.search)
            return (Term("regex", (pattern[1].replace("\\/", "/"),)),) if pattern else ()
        return (Term("search", (self.search,)),)

    def compute(self) -> Chosen:
        """Work the queue out. Raises UsageError, RunError."""
        chosen = self.table.queue(self.kind, self.query, self.sort, self.seed)
        found = self.searched
        return Chosen(chosen[self.table.mask(found)[chosen]] if found else chosen, len(chosen))

    def take(self, chosen: Chosen, keep: bool = True) -> None:
        """Take over a queue, with the review in view still in view where it belongs to it."""
        row = self._wanted if self._wanted is not None else self.row
        self._wanted = None
        self.stale = False
        self.queue, self.unsearched = chosen
        found = np.flatnonzero(self.queue == row).tolist() if keep and row is not None else []
        self.position = found[0] if found else 0

    def _choose(self, keep: bool = True) -> None:
        self.stale = not self.table.ready((*self.query, *self.searched))
        if not self.stale:
            self.take(self.compute(), keep)
