"""Which reviews of a split are looked at, and in which order: 50,000 rows between two keys.

A queue is a kind of review (errors, FP, FN, near the threshold, likely label errors …), a query (`core.review_query`)
and an order. Everything is a mask over the rows of the split or a sort of row numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core import confident
from core.errors import RunError
from core.i18n import gettext as _
from core.predictions import THRESHOLD, Predictions
from core.review_log import VERDICTS, Opinion, ReviewLog
from core.review_query import FLAGS, Query, Term
from core.review_text import Texts
from core.slices import SliceTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.review_text import Mask

    Floats = NDArray[np.float64]
    Rows = NDArray[np.int64]

NEAR = 0.1
"""A review is near the threshold when p(positive) is at most so far from it."""

SURE = 0.9
"""A prediction is sure from this probability of its class."""

SORTS = ("loss", "confidence", "margin", "threshold", "suspect", "length", "id", "random")
RISING = ("margin", "threshold", "id", "random")
"""The orders that begin with the least value."""

_VERDICT_NUMBERS = {name: number for number, name in enumerate(VERDICTS, 1)}


class ReviewTable:
    """The columns of a split's predictions as arrays of N, what follows from them, and the verdicts on them.

    threshold: from which p(positive) a review is taken as positive; it moves `pred` and all that hangs on it.
    find_run: turns the name of a run in `broken:RUN` into its directory.
    """

    def __init__(
        self,
        predictions: Predictions,
        log: ReviewLog | None = None,
        threshold: float = THRESHOLD,
        find_run: Callable[[str], Path] | None = None,
    ) -> None:
        self.predictions = predictions
        self.log = log
        self.threshold = threshold
        self._find_run = find_run
        self.label = predictions.column("label")
        self.prob_0 = predictions.column("prob_0")
        self.prob_1 = predictions.column("prob_1")
        self.loss = predictions.column("loss")
        self._others: dict[str, NDArray[np.int8]] = {}
        self._patterns: dict[str, Mask] = {}
        self._verdicts: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.predictions)

    # -- columns -----------------------------------------------------------------------------------------------

    @cached_property
    def documents(self) -> list[str]:
        """The texts, raw."""
        return self.predictions.table.column("document").to_pylist()

    @cached_property
    def ids(self) -> list[str]:
        """The ids."""
        return self.predictions.table.column("id").to_pylist()

    @cached_property
    def rows_of_id(self) -> dict[str, list[int]]:
        """The rows of each id; a file may have an id twice."""
        rows: dict[str, list[int]] = {}
        for row, review in enumerate(self.ids):
            rows.setdefault(review, []).append(row)
        return rows

    @cached_property
    def texts(self) -> Texts:
        """The texts, for searching."""
        return Texts(self.documents)

    @cached_property
    def slices(self) -> SliceTable:
        """The slices of the texts."""
        return SliceTable(self.texts)

    @property
    def pred(self) -> NDArray[np.int64]:
        """The class of each review at the threshold; at 0.5 the file's own."""
        return self.predictions.decided(self.threshold)

    @property
    def confidence(self) -> Floats:
        """The probability of the predicted class."""
        return np.where(self.pred == 1, self.prob_1, self.prob_0)

    @property
    def distance(self) -> Floats:
        """How far p(positive) is from the threshold."""
        return np.abs(self.prob_1 - self.threshold)

    @cached_property
    def suspects(self) -> Mask:
        """The likely label errors (`core.confident`)."""
        return confident.label_errors(self.label, self._probabilities)

    @cached_property
    def quality(self) -> Floats:
        """How well each label fits, from 0 (`core.confident`)."""
        return confident.label_quality(self.label, self._probabilities)

    @property
    def _probabilities(self) -> Floats:
        return np.column_stack([self.prob_0, self.prob_1])

    # -- kinds -------------------------------------------------------------------------------------------------

    def kind(self, name: str) -> Mask:
        """The reviews of a kind of `core.review_query.KINDS`; `all` is `errors`."""
        label, pred = self.label, self.pred
        if name in ("fp", "fn", "tp", "tn"):
            right, positive = name[0] == "t", name[1] == "p"
            return (pred == int(positive)) & ((label == pred) == right)
        if name == "correct":
            return label == pred
        if name == "any":
            return np.ones(len(self), dtype=bool)
        if name == "near":
            return self.distance <= NEAR
        if name == "sure":
            return (label != pred) & (self.confidence >= SURE)
        if name == "suspect":
            return self.suspects
        return label != pred

    def confusion(self) -> list[list[int]]:
        """[[tn, fp], [fn, tp]] at the threshold."""
        return self.predictions.confusion(self.threshold)

    # -- verdicts ----------------------------------------------------------------------------------------------

    @property
    def verdicts(self) -> NDArray[np.int8]:
        """A number a row: 0 not judged, else the place of its verdict in VERDICTS from 1, −1 for one unknown here."""
        if self._verdicts is None:
            self._verdicts = np.zeros(len(self), dtype=np.int8)
            self.note_changes(self._held())
        return self._verdicts

    def note_changes(self, reviews: Mapping[str, Opinion] | set[str]) -> list[int]:
        """Take over the verdicts on these reviews, which the log has read; their rows."""
        verdicts, changed = self.verdicts, []
        for review in reviews:
            verdict = self.log.shown(review).verdict if self.log is not None else None
            for row in self.rows_of_id.get(review, ()):
                verdicts[row] = _VERDICT_NUMBERS.get(verdict, -1) if verdict is not None else 0
                changed.append(row)
        return changed

    def _held(self) -> dict[str, Opinion]:
        return self.log.held() if self.log is not None else {}

    def _rows_with(self, wanted: Callable[[str, Opinion], bool]) -> Mask:
        mask = np.zeros(len(self), dtype=bool)
        for review, opinion in self._held().items():
            if wanted(review, opinion):
                mask[self.rows_of_id.get(review, [])] = True
        return mask

    # -- queries -----------------------------------------------------------------------------------------------

    def mask(self, query: Query) -> Mask:
        """The reviews for which every term of `query` holds. Raises UsageError, RunError."""
        mask = np.ones(len(self), dtype=bool)
        for term in query:
            found = self._term(term)
            mask &= ~found if term.negated else found
        return mask

    def ready(self, query: Query) -> bool:
        """Whether `mask` answers at once: nothing slow in it, or asked before."""
        return all(
            not term.slow
            or (term.values[0] in self._patterns if term.field == "regex" else set(term.values) <= set(self._others))
            for term in query
        )

    def _term(self, term: Term) -> Mask:
        if term.operator:
            return self._compared(term)
        if term.field in FLAGS:
            return self._flag(term.field)
        mask = np.zeros(len(self), dtype=bool)
        for value in term.values:
            mask |= self._value(term.field, value)
        return mask

    def _value(self, field: str, value: str) -> Mask:
        match field:
            case "kind":
                return self.kind(value)
            case "slice":
                return self.slices.mask(value)
            case "search":
                return self.texts.search(value)
            case "text":
                return self.texts.contains(value)
            case "cho":
                return self.texts.contains_initials(value)
            case "regex":
                if value not in self._patterns:
                    self._patterns[value] = self.texts.matches(value)
                return self._patterns[value]
            case "id":
                mask = np.zeros(len(self), dtype=bool)
                mask[self.rows_of_id.get(value, [])] = True
                return mask
            case "tag":
                return self._rows_with(lambda _review, opinion: value in opinion.tags)
            case "verdict":
                return self.verdicts == _VERDICT_NUMBERS[value]
            case "by":
                assert self.log is not None
                log = self.log
                return self._rows_with(lambda review, _opinion: any(held.by == value for held in log.opinions(review)))
            case "broken":
                return (self.label != self.pred) & self.right_in(value)
            case "fixed":
                return (self.label == self.pred) & self._wrong_in(value)
            case "both":
                return (self.label != self.pred) & self._wrong_in(value)
        raise AssertionError(field)

    def _flag(self, name: str) -> Mask:
        if name == "judged":
            return self.verdicts != 0
        if name == "unjudged":
            return self.verdicts == 0
        if name == "noted":
            return self._rows_with(lambda _review, opinion: bool(opinion.note))
        if name == "tagged":
            return self._rows_with(lambda _review, opinion: bool(opinion.tags))
        if name == "reviewed":
            return self._rows_with(lambda _review, _opinion: True)
        return self._rows_with(lambda review, _opinion: self.log is not None and self.log.conflict(review))

    def _figures(self, name: str) -> NDArray[np.generic]:
        if name in ("p_0", "p_1"):
            return self.prob_0 if name == "p_0" else self.prob_1
        if name == "length":
            return self.texts.lengths
        if name in ("tokens", "margin"):
            return self.predictions.column({"tokens": "n_tokens"}.get(name, name))
        return np.asarray(getattr(self, name))

    def _compared(self, term: Term) -> Mask:
        figures, number = self._figures(term.field), float(term.values[0])
        compare = {
            ">": np.greater,
            ">=": np.greater_equal,
            "<": np.less,
            "<=": np.less_equal,
            "=": np.equal,
        }[term.operator]
        return np.asarray(compare(figures, number), dtype=bool)

    # -- another run -------------------------------------------------------------------------------------------

    def right_in(self, run: str) -> Mask:
        """The reviews of this split that another run got right, found by id. Slow at first. Raises RunError."""
        return np.asarray(self._in_other(run) == 1)

    def _wrong_in(self, run: str) -> Mask:
        return np.asarray(self._in_other(run) == 0)

    def _in_other(self, run: str) -> NDArray[np.int8]:
        """1 right, 0 wrong, −1 not there or another label, one a row."""
        found = self._others.get(run)
        if found is not None:
            return found
        if self._find_run is None:
            raise RunError(_("another run cannot be looked up here"))
        other = Predictions(self._find_run(run), self.predictions.split)
        rows = {review: row for row, review in enumerate(other.table.column("id").to_pylist())}
        places = np.array([rows.get(review, -1) for review in self.ids], dtype=np.int64)
        if len(places) and (places < 0).all():
            raise RunError(
                _("{run} has none of these reviews in {split}").format(run=run, split=self.predictions.split),
                _("Runs can be compared on the same data only."),
            )
        label, pred = other.column("label")[places], other.column("pred")[places]
        answer = np.where((places < 0) | (label != self.label), -1, (label == pred).astype(np.int8)).astype(np.int8)
        self._others[run] = answer
        return answer

    # -- orders ------------------------------------------------------------------------------------------------

    def order(self, rows: Rows, sort: str, seed: int = 0, ascending: bool | None = None) -> Rows:
        """Row numbers sorted; equal ones keep the file's order.

        Loss and confidence from the highest, margin from the lowest, `threshold` from the nearest to it, `suspect`
        likely label errors first and among them the label that fits least, length in tokens from the longest, id
        in the file's order, random the same for the same seed. `ascending` turns it round.
        """
        if sort == "random":
            keys = np.random.default_rng(seed).permutation(len(self))[rows].astype(np.float64)
        elif sort == "id":
            keys = rows.astype(np.float64)
        elif sort == "suspect":
            keys = (self.suspects.astype(np.float64) * 2 - self.quality)[rows]
        elif sort == "threshold":
            keys = self.distance[rows]
        elif sort == "length":
            keys = self.predictions.column("n_tokens")[rows].astype(np.float64)
        else:
            keys = self._figures(sort)[rows].astype(np.float64)
        rising = sort in RISING if ascending is None else ascending
        return rows[np.argsort(keys if rising else -keys, kind="stable")]

    def queue(self, kind: str, query: Query = (), sort: str = "loss", seed: int = 0) -> Rows:
        """The row numbers of a queue in its order. Raises UsageError, RunError."""
        return self.order(np.flatnonzero(self.kind(kind) & self.mask(query)), sort, seed)
