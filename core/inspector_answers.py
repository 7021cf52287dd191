"""What the inspector answers beyond a plain inspection, as the clients hand it on, and how it is read.

Weights of tokens and words are float64 arrays, read-only. Layers and heads are counted from 0, `target` is the index
of the class that the numbers are about. `inspection` has tokens, words, probabilities (without attention).
Each `*_from` reads an answer and raises InspectorError when it is none. Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from core.inspector_protocol import Inspection, arrays_from, inspection_from, unreadable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

T = TypeVar("T")
Payload = bytes | bytearray


@dataclass(frozen=True, eq=False)
class Attribution:
    """A weight for each token (`tokens`: T) and each word (`words`: W, the sum over its tokens).

    method: one of `core.attribution_methods.METHODS`. target: the class. signed: weights below 0 speak against it. of:
    what the weights are about, the class's `logit` or `probability`, or for attention `attention`. baseline: what
    stands for "nothing": `pad`, `mask`, `delete`, or empty where there is none. steps, gap: of integrated gradients,
    the number of points and what is missing between the sum of the weights and the difference they should add up to,
    in units of `of`; None for other methods. layer, head: of attention and rollout, None for their mean. note: why
    there are no weights (`tokens` and `words` are None then), or what a reader should know; in the interface's
    language. seconds: how long it took.
    """

    inspection: Inspection
    method: str
    target: int
    signed: bool
    of: str
    baseline: str
    steps: int | None
    gap: float | None
    layer: int | None
    head: int | None
    note: str
    seconds: float
    tokens: Numbers | None = field(default=None, repr=False)
    words: Numbers | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return self.inspection.nbytes + 16 * len(self.inspection.tokens) + 500


@dataclass(frozen=True, eq=False)
class Agreement:
    """How alike several methods rank the words of a text.

    attributions: one a method, in the order asked for, those that the model cannot give with `tokens` None. methods:
    names of the M others. spearman, kendall: M × M (ρ, and τ-b), nan where a method gives all words the same weight or
    there are fewer than two words. signed: M × M, whether the signed weights of the pair were ranked (both methods are
    signed) or their magnitudes. Words are those that the model got tokens of.
    """

    inspection: Inspection
    target: int
    attributions: tuple[Attribution, ...]
    methods: tuple[str, ...]
    spearman: Numbers
    kendall: Numbers
    signed: NDArray[np.bool_]

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return sum(attribution.nbytes for attribution in self.attributions) + 20 * self.spearman.size


@dataclass(frozen=True, eq=False)
class Deletion:
    """How far the probability of a class falls when the words of highest weight are taken away, 1, 2, … K of them.

    probability: with all words. mode: words were replaced by the `mask` token, or their text was left out (`delete`).
    methods: M names. order: M × K indexes of words, in the order taken away. curves: M × K probabilities after each.
    random, random_sd: K, mean and standard deviation over `draws` random orders (from `seed`). areas: M, the mean fall
    over k = 1..K, `random_area` that of random words (None without draws): a method that finds what the model uses is
    well above it. notes: M, why a method has no curve (its row is nan then), else empty.
    """

    inspection: Inspection
    target: int
    probability: float
    mode: str
    draws: int
    seed: int
    methods: tuple[str, ...]
    notes: tuple[str, ...]
    order: NDArray[np.int64]
    curves: Numbers
    random: Numbers
    random_sd: Numbers
    areas: Numbers
    random_area: float | None

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return self.inspection.nbytes + 16 * self.curves.size + 500


@dataclass(frozen=True, eq=False)
class HeadStats:
    """Numbers about every head for one text: layers × heads each, by the names of `core.head_stats.STATS`.

    values: nan where there is no number (a text of one token, no gradient). note: why `values` is empty.
    """

    inspection: Inspection
    target: int
    values: dict[str, Numbers]
    note: str = ""

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return self.inspection.nbytes + sum(value.nbytes for value in self.values.values())


@dataclass(frozen=True, eq=False)
class KnockOut:
    """Probabilities with one head, or all heads of one layer, switched off.

    Off means that what the head hands to the attention's output projection is 0; the layer's residual connection, its
    bias and its feed-forward part stay. heads: layers × heads × classes; layers: layers × classes; both None where
    the model's heads cannot be reached, which `note` says. Subtract `inspection.probabilities` for the change.
    """

    inspection: Inspection
    target: int
    heads: Numbers | None
    layers: Numbers | None
    note: str = ""

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return self.inspection.nbytes + (0 if self.heads is None else self.heads.nbytes) + 500


@dataclass(frozen=True, eq=False)
class Flip:
    """The smallest set of words that was found without which the answer is another one.

    found: whether there is one. words: their indexes in `inspection.words`, in order. mode: `delete` (the text without
    them, in `text`, of which those at `masked` are hidden) or `mask`. probabilities: afterwards, those of `inspection`
    when none was found. minimal: it is proven that no smaller set does it. tried_size: up to which number of words
    every set was tried. evaluations: how many sets were tried. exhausted: the search stopped because `max_evaluations`
    were spent.
    """

    inspection: Inspection
    found: bool
    words: tuple[int, ...]
    mode: str
    text: str
    probabilities: tuple[float, ...]
    minimal: bool
    tried_size: int
    evaluations: int
    exhausted: bool
    masked: tuple[int, ...] = ()

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return self.inspection.nbytes + 500


def _reading(read: Callable[[dict[str, Any], Payload], T]) -> Callable[[dict[str, Any], Payload], T]:
    def wrapped(header: dict[str, Any], payload: Payload = b"") -> T:
        try:
            return read(header, payload)
        except (KeyError, TypeError, ValueError) as error:
            raise unreadable() from error

    return wrapped


@_reading
def attribution_from(header: dict[str, Any], payload: Payload) -> Attribution:
    """The answer to `explain`."""
    arrays = arrays_from(header, payload)
    return _attribution(inspection_from(header["inspection"]), header, arrays.get("tokens"), arrays.get("words"))


@_reading
def agreement_from(header: dict[str, Any], payload: Payload) -> Agreement:
    """The answer to `agreement`."""
    arrays = arrays_from(header, payload)
    inspection = inspection_from(header["inspection"])
    attributions = []
    for number, described in enumerate(header["attributions"]):
        tokens, words = arrays.get(f"tokens {number}"), arrays.get(f"words {number}")
        attributions.append(_attribution(inspection, described, tokens, words))
    return Agreement(
        inspection=inspection,
        target=header["target"],
        attributions=tuple(attributions),
        methods=tuple(header["methods"]),
        spearman=arrays["spearman"],
        kendall=arrays["kendall"],
        signed=arrays["signed"].astype(bool),
    )


@_reading
def deletion_from(header: dict[str, Any], payload: Payload) -> Deletion:
    """The answer to `deletion`."""
    arrays = arrays_from(header, payload)
    told: dict[str, Any] = {
        **{name: header[name] for name in ("target", "probability", "mode", "draws", "seed", "random_area")},
        **{name: arrays[name] for name in ("order", "curves", "random", "random_sd", "areas")},
    }
    return Deletion(
        inspection=inspection_from(header["inspection"]),
        methods=tuple(header["methods"]),
        notes=tuple(header["notes"]),
        **told,
    )


@_reading
def head_stats_from(header: dict[str, Any], payload: Payload) -> HeadStats:
    """The answer to `head_stats`."""
    return HeadStats(
        inspection_from(header["inspection"]), header["target"], arrays_from(header, payload), header["note"]
    )


@_reading
def knock_out_from(header: dict[str, Any], payload: Payload) -> KnockOut:
    """The answer to `knock_out`."""
    arrays = arrays_from(header, payload)
    inspection = inspection_from(header["inspection"])
    return KnockOut(inspection, header["target"], arrays.get("heads"), arrays.get("layers"), header["note"])


@_reading
def flip_from(header: dict[str, Any], payload: Payload) -> Flip:
    """The answer to `flip`."""
    told = ("found", "mode", "text", "minimal", "tried_size", "evaluations", "exhausted")
    return Flip(
        inspection=inspection_from(header["inspection"]),
        words=tuple(header["words"]),
        masked=tuple(header["masked"]),
        probabilities=tuple(header["probabilities"]),
        **{name: header[name] for name in told},
    )


def _attribution(
    inspection: Inspection, header: dict[str, Any], tokens: Numbers | None, words: Numbers | None
) -> Attribution:
    names = ("method", "target", "signed", "of", "baseline", "steps", "gap", "layer", "head", "note", "seconds")
    return Attribution(inspection, **{name: header[name] for name in names}, tokens=tokens, words=words)
